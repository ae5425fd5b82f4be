"""PostgreSQL, 15 and later: DuckDB reads the inspected files and streams the rows into COPY FROM STDIN."""

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import cast

import duckdb
import psycopg2
import psycopg2.extensions
from sqlalchemy import Connection, Engine, ExceptionContext, Table, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from sparkify_dagster.batches import InspectedDay, InspectedSongs
from sparkify_dagster.schema.tables import staging_events, staging_songs
from sparkify_dagster.warehouse import duckdb_instance, duckdb_reader
from sparkify_dagster.warehouse.base import Inputs, LocalInputs, Rows
from sparkify_dagster.warehouse.database_errors import RowCountMismatchError, WarehouseError, first_line, quotes_data
from sparkify_dagster.warehouse.server import (
    KEEPALIVES,
    MISSING_RELATION_CODES,
    MISSING_RELATION_REMEDY,
    ONE_CONNECTION,
    ServerWarehouse,
    register_statements,
)

log = logging.getLogger(__name__)

# An arbitrary number that other programs are unlikely to lock.
_WRITERS_LOCK = int.from_bytes(b"sparkif")
_CONNECT_TIMEOUT_SECONDS = 10
_APPLICATION_NAME_CHARACTERS = 63
# Serialization failure, deadlock.
_CONFLICTS = ("40001", "40P01")
_INSUFFICIENT_PRIVILEGE = "42501"
_REMEDY = "check SPARKIFY_WAREHOUSE, that the server runs, and the password"


class PostgresWarehouse(ServerWarehouse):
    """A PostgreSQL database. An advisory lock serialises the transactions, so that no run sees half of a day.

    The address is a SQLAlchemy URL without a password: that comes from SPARKIFY_WAREHOUSE, PGPASSWORD or .pgpass.
    """

    ROLES = "pg_roles.rolname"

    @property
    def kind(self) -> str:
        return "postgres"

    @property
    def database(self) -> str:
        url = make_url(self.address)
        return f"postgresql://{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"

    @contextmanager
    def connect(self, purpose: str, *, read_only: bool = False) -> Iterator[Engine]:
        with self._session(purpose, read_only=read_only) as engine:
            try:
                self._prepare_tables(engine, read_only=read_only)
                yield engine
            except OperationalError as error:
                remedy = f"; {_REMEDY}" if "connection to server" in str(error.orig) else ""
                raise WarehouseError(f"{self.database}: {first_line(error)}{remedy}") from None
            except ProgrammingError as error:
                code = getattr(error.orig, "pgcode", None)
                if code in MISSING_RELATION_CODES and read_only:
                    raise WarehouseError(f"{self.database}: {first_line(error)}; {MISSING_RELATION_REMEDY}") from error
                if code != _INSUFFICIENT_PRIVILEGE:
                    raise
                raise WarehouseError(f"{self.database}: {first_line(error)}; {self._owner_remedy(engine)}") from error
            except (DBAPIError, psycopg2.Error, duckdb.Error) as error:
                # The driver's own COPY error quotes the line at which it stopped, whatever the reason is.
                if not isinstance(error, DBAPIError) or quotes_data(error):
                    raise WarehouseError(f"{self.database}: {first_line(error)}") from None
                raise

    def _new_engine(self, purpose: str, *, read_only: bool) -> Engine:
        engine = create_engine(
            self._url_with_password(),
            **ONE_CONNECTION,
            hide_parameters=True,
            connect_args={
                **KEEPALIVES,
                "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
                "application_name": _application_name(purpose),
            },
        )
        event.listen(engine, "connect", register_statements)
        event.listen(engine, "connect", self._require_utf8)

        # Before SQLAlchemy asks for the default schema.
        @event.listens_for(engine, "connect", insert=True)
        def use_star_schema(connection: psycopg2.extensions.connection, record: object) -> None:
            self._use_star_schema(connection, create=not read_only)

        event.listen(engine, "begin", _begin_reading if read_only else _wait_for_other_writers)
        event.listen(engine, "handle_error", _hide_values)
        return engine

    def _set_purpose(
        self, connection: psycopg2.extensions.connection, record: ConnectionPoolEntry, purpose: str
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET application_name TO %s", (_application_name(purpose),))
        connection.commit()

    def _require_utf8(self, connection: psycopg2.extensions.connection, record: object) -> None:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise WarehouseError(
                f"{self.database}: the database's encoding is {encoding} and must be UTF8: create one with CREATE "
                "DATABASE sparkify ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0, and name it in SPARKIFY_WAREHOUSE"
            )

    def _owner_remedy(self, engine: Engine) -> str:
        quote, url = engine.dialect.identifier_preparer.quote, engine.url
        return (
            "sparkify creates schemas and tables, so the user must own the database: "
            f"ALTER DATABASE {quote(url.database or '')} OWNER TO {quote(url.username or 'sparkify')}"
        )

    def is_transient(self, error: DBAPIError) -> bool:
        return error.connection_invalidated or getattr(error.orig, "pgcode", None) in _CONFLICTS

    @contextmanager
    def inputs(self) -> Iterator[Inputs]:
        yield LocalInputs(self)

    def read_events(self, connection: Connection, days: Sequence[InspectedDay]) -> int:
        with duckdb_reader.events_select(days) as select:
            try:
                copied = _copy(connection, staging_events, select)
            except duckdb_reader.READ_ERRORS as error:
                raise RowCountMismatchError(duckdb_reader.unreadable(days, error)) from None
            except psycopg2.DataError as error:
                raise RowCountMismatchError(f"PostgreSQL rejected a canonical file: {first_line(error)}") from None
        _analyze(connection, staging_events)
        return copied

    def read_songs(self, connection: Connection, songs: InspectedSongs) -> int:
        with duckdb_reader.songs_select(songs) as select:
            copied = _copy(connection, staging_songs, select)
        _analyze(connection, staging_songs)
        return copied

    def insert_rows(self, connection: Connection, table: Table, rows: Rows) -> None:
        if rows:
            with duckdb_reader.rows_select(table, rows) as select:
                _copy(connection, table, select, tuple(rows[0]))


def _application_name(purpose: str) -> str:
    return f"sparkify: {purpose}"[:_APPLICATION_NAME_CHARACTERS]


def _hide_values(context: ExceptionContext) -> None:
    """Keeps the first line of an error only: errors are logged, and the other lines quote the statement and its row."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None:
            error.args = (str(error.args[0]).partition("\n")[0], *error.args[1:])


def _begin_reading(connection: Connection) -> None:
    """Lets all statements of the transaction see the same state, without a lock."""
    with _driver_connection(connection).cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def _wait_for_other_writers(connection: Connection) -> None:
    """Takes the writers' lock: two runs on the same user or day would wait for each other's rows, or miss them."""
    with _driver_connection(connection).cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", (_WRITERS_LOCK,))
        if cursor.fetchall() == [(True,)]:
            return
        cursor.execute(
            "SELECT a.application_name FROM pg_locks AS l INNER JOIN pg_stat_activity AS a ON l.pid = a.pid"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.database = a.datid AND a.datname = current_database()"
        )
        holders = ", ".join(name for (name,) in cursor.fetchall())
        log.info("Waiting for %s", holders or "another run")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITERS_LOCK,))


def _copy(connection: Connection, table: Table, select: str, names: Sequence[str] = ()) -> int:
    """Streams what DuckDB selects into the table and returns the number of rows."""
    names = names or tuple(column.name for column in table.columns)
    copy = f"COPY {table.fullname} ({', '.join(names)}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
    read_end, write_end = os.pipe()

    def write() -> None:
        try:
            with duckdb_instance.cursor() as reader:
                # Every text is quoted, so that an empty one does not become NULL.
                reader.execute(f"COPY ({select}) TO '/dev/fd/{write_end}' (FORMAT csv, HEADER false, FORCE_QUOTE *)")
        finally:
            os.close(write_end)

    with ThreadPoolExecutor(1, thread_name_prefix="reading") as reading:
        try:
            with os.fdopen(read_end, "rb") as rows, _driver_connection(connection).cursor() as cursor:
                written = reading.submit(write)
                cursor.copy_expert(copy, rows, size=1 << 20)
                copied = cursor.rowcount
        except psycopg2.DataError:
            # When DuckDB fails, its output may end in the middle of a row, which is not an error of that row.
            failed = written.exception()
            if isinstance(failed, duckdb_reader.READ_ERRORS) and not isinstance(failed, duckdb.IOException):
                raise failed from None
            raise
        written.result()
    return copied


def _analyze(connection: Connection, table: Table) -> None:
    # The transforms follow immediately: joins planned for an empty table take hours, and autovacuum comes too late.
    connection.exec_driver_sql(f"ANALYZE {table.fullname}")


def _driver_connection(connection: Connection) -> psycopg2.extensions.connection:
    return cast(psycopg2.extensions.connection, connection.connection.driver_connection)
