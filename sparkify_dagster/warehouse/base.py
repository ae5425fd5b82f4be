"""The seam between the warehouses: what each of them does in its own way, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dagster import ConfigurableResource, InitResourceContext
from sqlalchemy import Connection, Engine, Table, insert, text
from sqlalchemy.schema import CreateSchema

from sparkify_dagster import runs
from sparkify_dagster.inspected import InspectedDay, InspectedSongs
from sparkify_dagster.warehouse.tables import STAGING_SCHEMA, metadata
from sparkify_dagster.warehouse.transforms import VIEWS, view_definition


class WarehouseError(Exception):
    """The warehouse cannot be reached or used; the message says why and what to do."""


class ReadMismatch(Exception):
    """A warehouse's reader saw other rows in a plain file than the inspection: it needs a cleaned copy."""


class Warehouse(ConfigurableResource[None], ABC):
    """A database that holds staging and the star."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """The warehouse's name among Dagster's kinds."""

    @property
    @abstractmethod
    def database(self) -> str:
        """What a reader would look for, as a URL without credentials."""

    @contextmanager
    @abstractmethod
    def open(self, purpose: str) -> Iterator[Engine]:
        """An engine for a few transactions; `purpose` tells others who is at it. Raises WarehouseError."""

    @abstractmethod
    def read_events(self, connection: Connection, days: Sequence[InspectedDay]) -> int:
        """Has the warehouse read inspected days into staging_events; tells how many rows. Raises ReadMismatch."""

    @abstractmethod
    def read_songs(self, connection: Connection, songs: InspectedSongs) -> int:
        """Has the warehouse read a batch of song files into staging_songs; tells how many rows."""

    def insert_events(self, connection: Connection, days: Sequence[InspectedDay]) -> None:
        """Adds the rows of inspected days to staging_events. Raises ReadMismatch."""
        inspected = sum(day.staged for day in days)
        read = self.read_events(connection, days)
        if read != inspected:
            raise ReadMismatch(f"{inspected:,} events were inspected, {self.kind} read {read:,}")

    def insert_songs(self, connection: Connection, songs: InspectedSongs) -> None:
        """Adds the rows of a batch of song files to staging_songs. Raises WarehouseError."""
        read = self.read_songs(connection, songs)
        if read != songs.staged:
            raise WarehouseError(f"{songs.staged:,} songs were inspected, {self.kind} read {read:,}")

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Adds rows that all have the same columns; for bookkeeping, not for the data itself."""
        if rows:
            connection.execute(insert(table), rows)

    def grant_reading(self, connection: Connection, role: str) -> None:
        """Lets a role, which is made if there is none, read the star and not staging. Raises WarehouseError."""
        raise WarehouseError(f"{self.database} has no roles: whoever can read the file can read the star")

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[Any]:
        """For Dagster: a run, however it was started, shows that its process lives."""
        if context.run is not None and context.instance is not None:
            runs.alive_until_exit(context.instance, context.run.run_id)
        yield self

    @contextmanager
    def transaction(self, purpose: str) -> Iterator[Connection]:
        """One transaction on a warehouse whose tables exist: committed at the end, rolled back on an error."""
        with self.open(purpose) as engine, engine.begin() as connection:
            yield connection


def create_tables(connection: Connection) -> None:
    """Creates what is missing: schema, tables, views. Running it again changes nothing."""
    connection.execute(CreateSchema(STAGING_SCHEMA, if_not_exists=True))
    metadata.create_all(connection)
    for view in VIEWS:
        connection.execute(text(f"CREATE OR REPLACE VIEW {STAGING_SCHEMA}.{view} AS {view_definition(view)}"))


def drop_tables(connection: Connection) -> None:
    """Drops the tables and views with all they hold; what else lives in their schemas stays."""
    for view in reversed(VIEWS):
        connection.execute(text(f"DROP VIEW IF EXISTS {STAGING_SCHEMA}.{view}"))
    metadata.drop_all(connection)
