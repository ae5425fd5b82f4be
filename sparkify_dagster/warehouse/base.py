"""The seam between the warehouses: what each of them does in its own way, and the transactions that they share."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol, TypeAlias, TypeVar

from dagster import ConfigurableResource
from sqlalchemy import Connection, Engine, Table, func, insert, select
from sqlalchemy.exc import DBAPIError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from sparkify_dagster.batches import InspectedDay, InspectedSongs, ListedDay
from sparkify_dagster.schema.tables import metadata
from sparkify_dagster.warehouse.database_errors import RowCountMismatchError, WarehouseError, first_line

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Rows: TypeAlias = Sequence[Mapping[str, object]]
# Within a transaction: adds rows, or has the warehouse read rows and returns their number.
Insert: TypeAlias = Callable[[Connection], None]
Read: TypeAlias = Callable[[Connection], int]

# Some transactions fail only because of concurrent ones, or because a connection breaks.
MAX_TRANSACTION_ATTEMPTS = 5
MAX_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class LandedDays:
    """Listed days as the warehouse read them, before any inspection.

    `certain` are the days whose rows are what an inspection would have let through, and `insert` adds them to
    staging_events. `uncertain` says of each of the others why it has to be inspected.
    """

    certain: Sequence[InspectedDay]
    uncertain: Mapping[date, str]
    insert: Insert


class Inputs(ABC):
    """The data of a transaction, brought to where the warehouse reads it before the transaction begins.

    An open transaction keeps other writers waiting, and Redshift Serverless bills it.
    """

    @abstractmethod
    def events(self, days: Sequence[InspectedDay]) -> Insert:
        """Returns what adds the rows of inspected days to staging_events. It raises RowCountMismatchError.

        It raises FileChangedError if the warehouse reads a file in place that was written to after its inspection.
        """

    def listed(
        self, days: Sequence[ListedDay], repairs: Callable[[Set[str]], Mapping[str, str]]
    ) -> Callable[[Connection], LandedDays]:
        """Returns what has the warehouse read listed days. One that does not copy first is certain of none.

        `repairs` finds the double-encoded ones among texts that are not ASCII. It raises RowCountMismatchError,
        WarehouseError.
        """
        uncertain = {day.day: "the warehouse does not copy first" for day in days}
        return lambda connection: LandedDays((), uncertain, lambda within: None)

    @abstractmethod
    def songs(self, songs: InspectedSongs) -> Insert:
        """Returns what adds the rows of a batch of song files to staging_songs. It raises WarehouseError."""

    @abstractmethod
    def rows(self, table: Table, rows: Rows) -> Insert:
        """Returns what adds rows that all have the same columns; for bookkeeping, not for the data itself."""


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

    def kept_open(self) -> AbstractContextManager[None]:
        """Spares the connections of a block the opening of the warehouse, while no other process waits for it."""
        return nullcontext()

    @abstractmethod
    def inputs(self) -> AbstractContextManager[Inputs]:
        """Yields the inputs of one transaction, which has to end within the block. Raises WarehouseError."""

    def reads_in_place(self, location: str) -> bool:
        """Returns whether the warehouse itself reads canonical objects of an S3 location."""
        return False

    def copies_first(self, location: str) -> bool:
        """Returns whether the warehouse reads the log files of a location before any inspection."""
        return False

    def insert_events(self, connection: Connection, days: Sequence[InspectedDay], read: Read) -> None:
        """Has the warehouse read inspected days into staging_events. Raises RowCountMismatchError."""
        inspected = sum(day.staged for day in days)
        if (rows := read(connection)) != inspected:
            raise RowCountMismatchError(f"{inspected:,} events were inspected, {self.kind} read {rows:,}")

    def insert_songs(self, connection: Connection, songs: InspectedSongs, read: Read) -> None:
        """Has the warehouse read a batch of song files into staging_songs. Raises WarehouseError."""
        if (rows := read(connection)) != songs.staged:
            raise WarehouseError(f"{songs.staged:,} songs were inspected, {self.kind} read {rows:,}")

    def insert_rows(self, connection: Connection, table: Table, rows: Rows) -> None:
        """Adds rows that all have the same columns, and that are known in the transaction only."""
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


class FileReader(Protocol):
    """A warehouse to which this process sends the rows, within the transaction."""

    def insert_events(self, connection: Connection, days: Sequence[InspectedDay], read: Read) -> None: ...

    def read_events(self, connection: Connection, days: Sequence[InspectedDay]) -> int:
        """Reads inspected days into staging_events and returns the number of rows. Raises RowCountMismatchError."""

    def insert_songs(self, connection: Connection, songs: InspectedSongs, read: Read) -> None: ...

    def read_songs(self, connection: Connection, songs: InspectedSongs) -> int:
        """Reads a batch of song files into staging_songs and returns the number of rows."""

    def insert_rows(self, connection: Connection, table: Table, rows: Rows) -> None: ...


@dataclass(frozen=True)
class LocalInputs(Inputs):
    """Inputs that are in this process, or on its machine, and stay there."""

    reader: FileReader

    def events(self, days: Sequence[InspectedDay]) -> Insert:
        return lambda connection: self.reader.insert_events(
            connection, days, lambda within: self.reader.read_events(within, days)
        )

    def songs(self, songs: InspectedSongs) -> Insert:
        return lambda connection: self.reader.insert_songs(
            connection, songs, lambda within: self.reader.read_songs(within, songs)
        )

    def rows(self, table: Table, rows: Rows) -> Insert:
        return lambda connection: self.reader.insert_rows(connection, table, rows)


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
