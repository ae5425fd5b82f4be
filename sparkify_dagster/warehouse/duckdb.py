"""DuckDB: the embedded default. One file, no server, one writer at a time."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import duckdb
from duckdb_sqlalchemy import ConnectionWrapper
from sqlalchemy import Connection, Engine, Table, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from sparkify_dagster.batches import InspectedDay, InspectedSongs
from sparkify_dagster.runtime.file_lock import exclusive, is_awaited
from sparkify_dagster.schema.tables import staging_events, staging_songs
from sparkify_dagster.warehouse import duckdb_instance, duckdb_reader
from sparkify_dagster.warehouse.base import Inputs, LocalInputs, Rows, Warehouse
from sparkify_dagster.warehouse.database_errors import RowCountMismatchError, WarehouseError, first_line, quotes_data
from sparkify_dagster.warehouse.ddl import create_tables, is_current

# A small load would spend a twentieth of its time closing the file after each of thirty connections. A large load
# should not keep in memory until the end what it has written.
MAX_WAL_BYTES = 8 << 20
_REMEDY = "name another file in SPARKIFY_WAREHOUSE, as duckdb:///path/warehouse.duckdb"


class DuckDBWarehouse(Warehouse):
    """A DuckDB file. Other processes wait for an operating-system lock, which ends with the process that holds it."""

    path: str

    @property
    def kind(self) -> str:
        return "duckdb"

    @property
    def database(self) -> str:
        return f"duckdb:///{self.path}"

    @contextmanager
    def connect(self, purpose: str, *, read_only: bool = False) -> Iterator[Engine]:
        path = Path(self.path)
        engine = _engine(path)
        try:
            with _opened(path, purpose):
                try:
                    _create_tables_once(path, engine)
                    yield engine
                finally:
                    engine.dispose()
        except DBAPIError as error:
            if quotes_data(error):
                raise WarehouseError(f"{self.database}: {first_line(error)}") from None
            raise

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        path = Path(self.path)
        with closing(_KeptOpen(path)) as _kept_open[path]:
            try:
                yield
            finally:
                del _kept_open[path]

    @contextmanager
    def inputs(self) -> Iterator[Inputs]:
        yield LocalInputs(self)

    def read_events(self, connection: Connection, days: Sequence[InspectedDay]) -> int:
        with duckdb_reader.events_select(days) as select:
            try:
                return _insert(connection, staging_events, select)
            except (DBAPIError, *duckdb_reader.READ_ERRORS) as error:
                if _lacks_memory(error):
                    raise
                raise RowCountMismatchError(duckdb_reader.unreadable(days, error)) from None

    def read_songs(self, connection: Connection, songs: InspectedSongs) -> int:
        with duckdb_reader.songs_select(songs) as select:
            return _insert(connection, staging_songs, select)

    def is_transient(self, error: DBAPIError) -> bool:
        # Few statements need all their rows in memory, such as those that make lists.
        return _lacks_memory(error) and duckdb_instance.lift_memory_limit()

    def insert_rows(self, connection: Connection, table: Table, rows: Rows) -> None:
        # By way of a file, since DuckDB takes a fraction of a millisecond per value of a parameter.
        if not rows:
            return
        with duckdb_reader.rows_select(table, rows) as select:
            connection.exec_driver_sql(f"INSERT INTO {table.fullname} ({', '.join(rows[0])}) {select}")


@lru_cache(maxsize=8)
def _engine(path: Path) -> Engine:
    """Returns the engine of an attached file, which keeps the statements that it has compiled."""
    return create_engine(
        "duckdb://",
        creator=lambda: ConnectionWrapper(duckdb_instance.cursor(path)),
        poolclass=StaticPool,
        hide_parameters=True,
    )


def _lacks_memory(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and isinstance(error.orig, duckdb.OutOfMemoryException)


def _insert(connection: Connection, table: Table, select: str) -> int:
    # By name: a column that an upgrade has added stands last.
    columns = ", ".join(column.name for column in table.columns)
    return connection.exec_driver_sql(f"INSERT INTO {table.fullname} ({columns}) {select}").rowcount


class _KeptOpen:
    """Holds a file open between connections, until an error, much to write, or another process that waits for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: ExitStack | None = None

    @contextmanager
    def opened(self, purpose: str) -> Iterator[None]:
        if self._open is None:
            with ExitStack() as opening:
                opening.enter_context(_opened_once(self._path, purpose))
                self._open = opening.pop_all()
        else:
            with suppress(OSError):
                _write_holder(self._path, purpose)
        try:
            yield
        except BaseException:
            self.close()
            raise
        if _wal_bytes(self._path) > MAX_WAL_BYTES or is_awaited(_lock_file(self._path)):
            self.close()

    def close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()


_kept_open: dict[Path, _KeptOpen] = {}


def _opened(path: Path, purpose: str) -> AbstractContextManager[None]:
    kept = _kept_open.get(path)
    return _opened_once(path, purpose) if kept is None else kept.opened(purpose)


@contextmanager
def _opened_once(path: Path, purpose: str) -> Iterator[None]:
    with _file_lock(path, purpose), _attached(path):
        yield


@contextmanager
def _attached(path: Path) -> Iterator[None]:
    """Opens the file, which is created if it is missing. Raises WarehouseError."""
    if path.is_dir():
        raise WarehouseError(f"{path} is a folder; {_REMEDY}")
    with ExitStack() as opened:
        try:
            if path.is_file() and not path.stat().st_size:
                # A process that is killed at this moment leaves an empty file, which DuckDB rejects.
                path.resolve().unlink()
            if not path.exists():
                _inode_with_tables.pop(path, None)
            opened.enter_context(duckdb_instance.attached(path))
        except OSError as error:
            raise WarehouseError(f"{path} cannot be written: {error.strerror}; {_REMEDY}") from error
        except duckdb.Error as error:
            cause = first_line(error)
            # The one is said of another process, the other of another connection in this one.
            if "Could not set lock" in cause or "already attached" in cause:
                raise WarehouseError(f"{path} is open elsewhere; close it there and run again: {cause}") from error
            if "not a valid DuckDB database file" in cause:
                raise WarehouseError(f"{path} is not a DuckDB file; {_REMEDY}, or move this one away") from error
            raise WarehouseError(f"{path} cannot be opened: {cause}; {_REMEDY}") from error
        yield


_inode_with_tables: dict[Path, int] = {}


def _create_tables_once(path: Path, engine: Engine) -> None:
    # Another process may have replaced the file that had the tables.
    if _inode_with_tables.get(path) != path.stat().st_ino:
        with engine.begin() as connection:
            if not is_current(connection):
                create_tables(connection)
        _inode_with_tables[path] = path.stat().st_ino


@contextmanager
def _file_lock(path: Path, purpose: str) -> Iterator[None]:
    """Waits until no other process has the file open, and logs which one does. Raises WarehouseError."""
    with ExitStack() as locked:
        try:
            locked.enter_context(
                exclusive(_lock_file(path), lambda: f"Waiting for {_read_holder(path)}, which has {path} open")
            )
            _write_holder(path, purpose)
        except OSError as error:
            raise WarehouseError(f"{path} cannot be written: {error.strerror}; {_REMEDY}") from error
        yield


def _wal_bytes(path: Path) -> int:
    wal = path.with_name(path.name + ".wal")
    return wal.stat().st_size if wal.exists() else 0


def _lock_file(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _holder_file(path: Path) -> Path:
    return path.with_name(path.name + ".holder")


def _write_holder(path: Path, purpose: str) -> None:
    _holder_file(path).write_text(f"{purpose} (process {os.getpid()})", "utf-8")


def _read_holder(path: Path) -> str:
    try:
        return _holder_file(path).read_text("utf-8") or "another process"
    except OSError:
        return "another process"
