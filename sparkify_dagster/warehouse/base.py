"""The seam between the warehouses: what each of them does in its own way, and nothing else."""

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from dagster import ConfigurableResource, InitResourceContext
from sqlalchemy import (
    Column,
    Connection,
    Date,
    Engine,
    Table,
    cast,
    column,
    func,
    insert,
    literal,
    select,
    table,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateSchema, CreateTable, DropTable
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from sparkify_dagster.batches import InspectedDay, InspectedSongs, LoadError, TrustedDay
from sparkify_dagster.runtime import liveness
from sparkify_dagster.schema import sql_files
from sparkify_dagster.schema.sql_files import VIEWS
from sparkify_dagster.schema.tables import (
    ANALYTICS_SCHEMA,
    STAGING_SCHEMA,
    analytics_refreshes,
    loaded_objects,
    metadata,
    pending_rematch,
    songplays,
    staging_events,
    stale_days,
    time,
    user_days,
    users,
)

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Some transactions fail only because of what others do meanwhile, or because a connection breaks.
MAX_TRANSACTION_ATTEMPTS = 5
MAX_PAUSE_SECONDS = 30.0
# By PEP 249's names, so that no driver has to be imported. DuckDB's reader and its keys quote data, too; a server names
# a broken key in further lines only. Redshift has wrong data in internal errors.
_QUOTING_SERVER_ERRORS = frozenset({"DataError", "InternalError"})
_QUOTING_ERRORS = frozenset({"DataError", "InternalError", "IntegrityError", "InvalidInputException"})
# Not an apostrophe; in other languages PostgreSQL has other ones.
_OPENING_QUOTE = re.compile(r"""(?<!\w)["'`«»„“”‚‘「『]""")


class WarehouseError(Exception):
    """The warehouse cannot be reached or used; the message says why and what to do.

    `errors` are the lines that the warehouse itself refused, where those are the reason.
    """

    def __init__(self, message: str, errors: Sequence[LoadError] = ()) -> None:
        super().__init__(message)
        self.errors = errors


class RowCountMismatchError(WarehouseError):
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
        """Has the warehouse read inspected days into staging_events and returns the number of rows.

        Raises RowCountMismatchError.
        """

    @abstractmethod
    def read_songs(self, connection: Connection, songs: InspectedSongs) -> int:
        """Has the warehouse read a batch of song files into staging_songs; tells how many rows."""

    @abstractmethod
    def fingerprint(self, connection: Connection, table: Table) -> str:
        """The same for the same rows, in any order, and another for others; it means nothing to another warehouse."""

    def reads_in_place(self, location: str) -> bool:
        """Whether the warehouse itself reads plain objects of an S3 location; else it is given their content."""
        return False

    def trusts(self, location: str) -> bool:
        """Whether the warehouse is to read the log files of a location without an inspection."""
        return False

    def read_trusted(
        self, connection: Connection, day: TrustedDay, repairs: Callable[[Set[str]], Mapping[str, str]]
    ) -> InspectedDay:
        """Adds the rows of a trusted day to staging_events; what the warehouse itself counted of each file.

        `repairs` finds the double-encoded ones among texts that are not ASCII. Raises WarehouseError, with the lines
        that the warehouse refused.
        """
        raise WarehouseError(f"{self.kind} reads no log files that nobody has inspected")

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
        """Lets a role, which is made if there is none, read the star and not staging. Raises WarehouseError."""
        raise WarehouseError(f"{self.database} has no roles: whoever can read the file can read the star")

    def maintain(self, engine: Engine) -> Sequence[str]:
        """Brings the planner's statistics up to date, and whatever else keeps queries fast; tells what was done."""
        done = [f"ANALYZE {table.fullname}" for table in metadata.sorted_tables]

        def analyze(connection: Connection) -> None:
            for statement in done:
                connection.exec_driver_sql(statement)

        self.transact(engine, analyze)
        return done

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[Any]:
        """For Dagster: a run, however it was started, shows that its process lives."""
        if context.run is not None and context.instance is not None:
            liveness.alive_until_exit(context.instance, context.run.run_id)
        yield self

    @contextmanager
    def transaction(self, purpose: str) -> Iterator[Connection]:
        """One transaction on a warehouse whose tables exist: committed at the end, rolled back on an error."""
        with self.open(purpose) as engine, engine.begin() as connection:
            yield connection

    def run(self, purpose: str, work: Callable[[Connection], Result]) -> Result:
        """Opens the warehouse and does the work in one transaction. Raises WarehouseError."""
        with self.open(purpose) as engine:
            return self.transact(engine, work)

    def transact(self, engine: Engine, work: Callable[[Connection], Result]) -> Result:
        """Does the work in one transaction; all of it again where the transaction failed through no fault of its own.

        The work replaces what it writes. So it is done exactly once even where a commit's answer got lost.
        """

        def once() -> Result:
            with engine.begin() as connection:
                return work(connection)

        return Retrying(
            retry=retry_if_exception(self._may_be_repeated),
            stop=stop_after_attempt(MAX_TRANSACTION_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.5, max=MAX_PAUSE_SECONDS),
            before_sleep=_log_retry,
            reraise=True,
        )(once)

    def is_transient(self, error: DBAPIError) -> bool:
        """Whether the same transaction may well succeed when it is done again."""
        return False

    def _may_be_repeated(self, error: BaseException) -> bool:
        return isinstance(error, DBAPIError) and self.is_transient(error)


def count_rows(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def utc_now() -> datetime:
    """Now, as the warehouse's timestamps are: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def first_line(error: BaseException) -> str:
    """What the database said, without SQLAlchemy's copy of the statement and without values of the data.

    An error about the data quotes the value that is wrong, which may be a name: what comes before it is kept. Further
    lines quote whole records. So an error that is made of this one must not have it as its cause (`from None`).
    """
    said = error.orig if isinstance(error, DBAPIError) else error
    line = str(said).strip().partition("\n")[0]
    if not quotes_data(error):
        return line
    quote = _OPENING_QUOTE.search(line)
    return f"{line[: quote.start()]}…" if quote else line


def quotes_data(error: BaseException) -> bool:
    """Returns whether the first line of what the database said may quote the data."""
    said = error.orig if isinstance(error, DBAPIError) else error
    kinds = _QUOTING_SERVER_ERRORS if hasattr(said, "pgcode") else _QUOTING_ERRORS
    return any(kind.__name__ in kinds for kind in type(said).__mro__)


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning(
        "%s; the transaction is repeated in %.1f s (attempt %d of %d)",
        first_line(error) if error else "",
        state.upcoming_sleep,
        state.attempt_number + 1,
        MAX_TRANSACTION_ATTEMPTS,
    )


def columns_in(connection: Connection, schema: str) -> Mapping[str, Set[str]]:
    """The tables and views of a schema, and their columns."""
    # Not the dialects' reflection: that of SQLAlchemy 2.1 asks for arrays, which Redshift does not promise.
    known = table(
        "columns", column("table_schema"), column("table_name"), column("column_name"), schema="information_schema"
    ).c
    found: dict[str, set[str]] = {}
    for name, column_name in connection.execute(
        select(known.table_name, known.column_name).where(known.table_schema == schema)
    ):
        found.setdefault(name, set()).add(column_name)
    return found


def create_tables(connection: Connection) -> None:
    """Creates what is missing: schemas, tables, columns, views. Running it again changes nothing."""
    connection.execute(CreateSchema(STAGING_SCHEMA, if_not_exists=True))
    connection.execute(CreateSchema(ANALYTICS_SCHEMA, if_not_exists=True))
    existing = {
        None: columns_in(connection, str(connection.dialect.default_schema_name)),
        STAGING_SCHEMA: columns_in(connection, STAGING_SCHEMA),
    }
    for wanted in metadata.sorted_tables:
        held = existing[wanted.schema].get(wanted.name)
        if held is None:
            wanted.create(connection, checkfirst=False)
            if wanted is stale_days and songplays.name in existing[None]:
                _note_stale_days(connection)
        elif missing := [column for column in wanted.columns if column.name not in held]:
            _add_columns(connection, wanted, missing)
    for view in VIEWS:
        connection.execute(text(f"CREATE OR REPLACE VIEW {STAGING_SCHEMA}.{view} AS {sql_files.select_sql(view)}"))


def _add_columns(connection: Connection, wanted: Table, missing: Sequence[Column[Any]]) -> None:
    """To a table that an earlier version made. They are empty until the days are built again, which is asked for."""
    compiler = connection.dialect.ddl_compiler(connection.dialect, CreateTable(wanted))
    for added in missing:
        definition = compiler.get_column_specification(added)
        connection.execute(text(f"ALTER TABLE {wanted.fullname} ADD COLUMN {definition}"))
    if wanted is songplays:
        pending, staged = pending_rematch.c.log_date, staging_events.c.log_date
        days = select(staged).distinct().where(staged.not_in(select(pending)))
        connection.execute(insert(pending_rematch).from_select([pending.name], days))


def _note_stale_days(connection: Connection) -> None:
    """Notes the days of the star that staging no longer holds, in a warehouse of an earlier version.

    A load that was killed after it emptied such a day left nothing else that would say so.
    """
    held = select(loaded_objects.c.log_date).where(loaded_objects.c.log_date.is_not(None))
    for rebuilt, day in (
        (songplays, cast(songplays.c.start_time, Date)),
        (time, cast(time.c.start_time, Date)),
        (users, user_days.c.log_date),
    ):
        stale = select(day, literal(rebuilt.name)).where(day.not_in(held)).distinct()
        connection.execute(insert(stale_days).from_select(["log_date", "table_name"], stale))


def drop_tables(connection: Connection) -> None:
    """Drops the tables and views with all they hold; what else lives in their schemas stays."""
    answered = columns_in(connection, STAGING_SCHEMA).get(analytics_refreshes.name)
    for query in connection.execute(select(analytics_refreshes.c.query)).scalars() if answered else ():
        connection.execute(text(f"DROP TABLE IF EXISTS {ANALYTICS_SCHEMA}.{query}"))
    for view in reversed(VIEWS):
        connection.execute(text(f"DROP VIEW IF EXISTS {STAGING_SCHEMA}.{view}"))
    for dropped in reversed(metadata.sorted_tables):
        connection.execute(DropTable(dropped, if_exists=True))
