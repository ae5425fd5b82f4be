"""The seam between the warehouses: what each of them does in its own way, and the transactions that they share."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from dagster import ConfigurableResource
from sqlalchemy import Connection, Engine, Table, func, insert, select
from sqlalchemy.exc import DBAPIError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from sparkify_dagster.batches import InspectedDay, InspectedSongs, TrustedDay
from sparkify_dagster.schema.tables import metadata
from sparkify_dagster.warehouse.database_errors import RowCountMismatchError, WarehouseError, first_line

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Some transactions fail only because of concurrent ones, or because a connection breaks.
MAX_TRANSACTION_ATTEMPTS = 5
MAX_PAUSE_SECONDS = 30.0


class Warehouse(ConfigurableResource[None], ABC):
    """A database that holds staging, the star and the results of the queries."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """The warehouse's name among Dagster's kinds."""

    @property
    @abstractmethod
    def database(self) -> str:
        """The database as a URL without credentials."""

    @contextmanager
    @abstractmethod
    def connect(self, purpose: str, *, read_only: bool = False) -> Iterator[Engine]:
        """Yields an engine for a few transactions, which wait for those of other writers.

        `purpose` is the name of the session, which other users of the database can see. Missing tables are created. A
        session that is `read_only` waits for no writer and creates no table on a server. Raises WarehouseError.
        """

    @abstractmethod
    def read_events(self, connection: Connection, days: Sequence[InspectedDay]) -> int:
        """Has the warehouse read inspected days into staging_events and returns the number of rows.

        Raises RowCountMismatchError.
        """

    @abstractmethod
    def read_songs(self, connection: Connection, songs: InspectedSongs) -> int:
        """Has the warehouse read a batch of song files into staging_songs and returns the number of rows."""

    @abstractmethod
    def fingerprint(self, connection: Connection, table: Table) -> str:
        """Returns a hash of the table's rows in any order. It is comparable within one kind of warehouse only."""

    def reads_in_place(self, location: str) -> bool:
        """Returns whether the warehouse itself reads canonical objects of an S3 location."""
        return False

    def trusts(self, location: str) -> bool:
        """Returns whether the warehouse reads the log files of a location without an inspection."""
        return False

    def read_trusted(
        self, connection: Connection, day: TrustedDay, repairs: Callable[[Set[str]], Mapping[str, str]]
    ) -> InspectedDay:
        """Adds the rows of a trusted day to staging_events and returns the warehouse's own counts per file.

        `repairs` finds the double-encoded ones among texts that are not ASCII. Raises WarehouseError with the records
        that the warehouse rejected.
        """
        raise WarehouseError(f"{self.kind} cannot load uninspected log files")

    def insert_events(self, connection: Connection, days: Sequence[InspectedDay]) -> None:
        """Adds the rows of inspected days to staging_events. Raises RowCountMismatchError."""
        inspected = sum(day.staged for day in days)
        read = self.read_events(connection, days)
        if read != inspected:
            raise RowCountMismatchError(f"{inspected:,} events were inspected, {self.kind} read {read:,}")

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
        """Lets a role, which is created if it is missing, read the star and not staging. Raises WarehouseError."""
        raise WarehouseError(f"{self.database} has no roles: whoever can read the file can read the star")

    def grant_loading(self, connection: Connection, role: str) -> None:
        """Lets a role, which is created if it is missing, load into the existing tables. Raises WarehouseError."""
        raise WarehouseError(f"{self.database} has no roles: whoever can write the file can load")

    def maintain(self, engine: Engine) -> Sequence[str]:
        """Refreshes the planner's statistics, and whatever else keeps queries fast. Returns the statements run."""
        statements = [f"ANALYZE {table.fullname}" for table in metadata.sorted_tables]

        def analyze(connection: Connection) -> None:
            for statement in statements:
                connection.exec_driver_sql(statement)

        self.run_in_transaction(engine, analyze)
        return statements

    def run(self, purpose: str, work: Callable[[Connection], Result]) -> Result:
        """Connects and does the work in one transaction, as run_in_transaction does. Raises WarehouseError."""
        with self.connect(purpose) as engine:
            return self.run_in_transaction(engine, work)

    def read(self, purpose: str, work: Callable[[Connection], Result]) -> Result:
        """Does the same with a read-only session, whose statements all see the same state of the tables."""
        with self.connect(purpose, read_only=True) as engine:
            return self.run_in_transaction(engine, work)

    def run_in_transaction(self, engine: Engine, work: Callable[[Connection], Result]) -> Result:
        """Does the work in one transaction, and all of it again on a transient error.

        The work replaces what it writes. So it takes effect exactly once, even if the reply to a commit gets lost.
        """

        def once() -> Result:
            with engine.begin() as connection:
                return work(connection)

        return Retrying(
            retry=retry_if_exception(self._is_retryable),
            stop=stop_after_attempt(MAX_TRANSACTION_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.5, max=MAX_PAUSE_SECONDS),
            before_sleep=_log_retry,
            reraise=True,
        )(once)

    def is_transient(self, error: DBAPIError) -> bool:
        """Returns whether the same transaction may well succeed when it is repeated."""
        return False

    def remedy(self, error: DBAPIError) -> str | None:
        """Returns what a person can do about an error of the database, if that is known."""
        return None

    def _is_retryable(self, error: BaseException) -> bool:
        return isinstance(error, DBAPIError) and self.is_transient(error)


def count_rows(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def utc_now() -> datetime:
    """Returns the current time as the warehouse's timestamps are: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning(
        "%s; the transaction is repeated in %.1f s (attempt %d of %d)",
        first_line(error) if error else "",
        state.upcoming_sleep,
        state.attempt_number + 1,
        MAX_TRANSACTION_ATTEMPTS,
    )
