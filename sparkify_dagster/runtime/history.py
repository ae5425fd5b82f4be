"""Dagster's run history in SQLite files, as its own `storage: sqlite` keeps it, at a fraction of the cost per event.

Dagster opens a file, compiles a statement and waits for the disk each time that it executes one, reads its migrations
for each new file, and looks with each event for the tables that a migration adds: more than half of the time that
`sparkify etl` takes. This storage keeps the files open, compiles each statement once per file, finds each table once,
and waits for the disk only when SQLite moves what was written into the file itself.
The files are the same: each of the two storages reads what the other has written.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from dagster import DagsterEventType

# Not exported publicly; test_history.py fails when what is overridden here changes.
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._daemon.types import DaemonHeartbeat
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from sparkify_dagster.runtime import process_lock

# How long a process waits for another one that writes, as with Dagster's own event log.
_BUSY_SECONDS = 30


def _engine(location: str) -> Engine:
    engine = create_engine(location, poolclass=QueuePool, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def do_not_wait_for_the_disk(connection: sqlite3.Connection, record: object) -> None:
        # With a write-ahead log a crash of the machine costs the last events then, and never the file.
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine


class EventLog(SqliteEventLogStorage):
    """Dagster's event log: a file per run, and an index of the events of assets and checks."""

    def __init__(self, base_dir: str) -> None:
        super().__init__(base_dir)
        self._index = _engine(self.conn_string_for_shard(INDEX_SHARD_NAME))
        # A process writes to one run at a time, as a rule.
        self._open_run: tuple[str, Engine] | None = None
        self._found: set[tuple[str, str]] = set()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._index if shard == INDEX_SHARD_NAME else self._run_engine(shard)
            # Forgotten when the history is wiped, and the files of the runs with it.
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _run_engine(self, run_id: str) -> Engine:
        if self._open_run is None or self._open_run[0] != run_id or run_id not in self._initialized_dbs:
            self._close_run()
            self._open_run = run_id, _engine(self.conn_string_for_shard(run_id))
        return self._open_run[1]

    def _close_run(self) -> None:
        if self._open_run is not None:
            self._open_run[1].dispose()
            self._open_run = None

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        """Creates the tables where there are none, without Dagster's reading all of its migrations for it."""
        path = Path(str(engine.url.database))
        if _revision(path):
            return
        revision = _revision(Path(self.path_for_shard(INDEX_SHARD_NAME)))
        if revision is None:
            super()._initdb(engine, for_index_shard)
            return
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            # Another process may do the same.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            if not connection.dialect.has_table(connection, "alembic_version"):
                SqlEventLogStorageMetadata.create_all(connection, checkfirst=False)
                connection.exec_driver_sql(
                    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
                )
                connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (revision,))

    def has_table(self, table_name: str) -> bool:
        return self._looked_for_once("table", table_name, lambda: super(EventLog, self).has_table(table_name))

    def has_secondary_index(self, name: str) -> bool:
        return self._looked_for_once("index", name, lambda: super(EventLog, self).has_secondary_index(name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        look = super()._has_asset_key_col_on_connection
        return self._looked_for_once("column", column_name, lambda: look(conn, column_name))

    def _looked_for_once(self, kind: str, name: str, look: Callable[[], bool]) -> bool:
        """Returns whether the index has it, and remembers so: Dagster looks for it with each event."""
        if (kind, name) not in self._found and look():
            self._found.add((kind, name))
        return (kind, name) in self._found

    def store_event(self, event: EventLogEntry) -> None:
        if self.has_instance and event.dagster_event_type is DagsterEventType.RUN_FAILURE:
            # Dagster sets the status after the event can be seen, and its daemon, which looks at each failure once,
            # repeats no run that has not failed yet.
            ended = datetime.fromtimestamp(event.timestamp, UTC)
            self._instance.run_storage.handle_run_event(event.run_id, event.get_dagster_event(), ended)
        super().store_event(event)
        # The UI watches the run's file, to which SQLite adds the event only later.
        with suppress(FileNotFoundError):
            os.utime(self.path_for_shard(event.run_id))

    def wipe(self) -> None:
        with self._db_lock:
            self._close_run()
            self._found.clear()
        super().wipe()

    def dispose(self) -> None:
        super().dispose()
        self._close_run()
        self._index.dispose()


class _KeptOpen:
    """A storage in one file."""

    def __init__(self, conn_string: str) -> None:
        super().__init__(conn_string)  # type: ignore[call-arg]
        self._engine = _engine(conn_string)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()


class RunTable(_KeptOpen, SqliteRunStorage):
    """Dagster's table of runs. The daemon holds the lock, by which `sparkify ui` finds it."""

    def __init__(self, conn_string: str, daemon_lock: Path) -> None:
        super().__init__(conn_string)
        self.daemon_lock = daemon_lock
        self._is_daemon = False

    def add_daemon_heartbeat(self, daemon_heartbeat: DaemonHeartbeat) -> None:
        super().add_daemon_heartbeat(daemon_heartbeat)
        # Nothing but a daemon writes heartbeats. They themselves do not show when it has ended.
        if not self._is_daemon:
            self._is_daemon = process_lock.take(self.daemon_lock, f"process {os.getpid()}") is None


class ScheduleTable(_KeptOpen, SqliteScheduleStorage):
    """Dagster's tables of sensors, schedules and their ticks."""


class SqliteHistory(DagsterSqliteStorage):
    """Dagster's SQLite storage with these three; dagster.yaml names it."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        folder = Path(base_dir).absolute()
        files = (
            folder / "history" / "runs.db",
            folder / "history" / "runs" / "index.db",
            folder / "schedules" / "schedules.db",
        )
        if not all(map(_revision, files)):
            DagsterSqliteStorage(base_dir, inst_data).dispose()
        runs, index, schedules = ((str(file.parent), file.stem) for file in files)
        self.base_dir = base_dir
        self._inst_data = inst_data
        self._run_storage = RunTable(create_db_conn_string(*runs), folder / "daemon.lock")
        self._event_log_storage = EventLog(index[0])
        self._schedule_storage = ScheduleTable(create_db_conn_string(*schedules))
        # Its own creates the files, or looks into them, which costs as much.
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        Path(config_value["base_dir"]).mkdir(parents=True, exist_ok=True)
        return cls(config_value["base_dir"], inst_data)


def _revision(file: Path) -> str | None:
    """Returns the revision of a file's tables, or None if they have not been created."""
    if not file.exists():
        return None
    connection = sqlite3.connect(file, timeout=_BUSY_SECONDS)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    finally:
        connection.close()
    return None if row is None else str(row[0])
