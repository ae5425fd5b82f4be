"""Dagster's run history in SQLite files, as its own `storage: sqlite` keeps it, at a fraction of the cost per event.

Dagster opens a file, and compiles a statement, each time that it executes one: two fifths of the time that
`sparkify etl` takes where nothing is new. This storage keeps the files open that all runs share, and compiles each
statement once per file. The files are the same: each of the two storages reads what the other has written.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

# Not exported publicly; test_history.py fails when what is overridden here changes.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool, Pool, QueuePool

# How long a process waits for another one that writes, as with Dagster's own event log.
_BUSY_SECONDS = 30


def _engine(location: str, pool: type[Pool]) -> Engine:
    return create_engine(location, poolclass=pool, connect_args={"timeout": _BUSY_SECONDS})


@lru_cache(maxsize=16)
def _engine_of_run(location: str) -> Engine:
    # Closes the file after each event: only then is the file itself written, which tells the run's page to read it.
    return _engine(location, NullPool)


class EventLog(SqliteEventLogStorage):
    """Dagster's event log: a file per run, and an index of the events of assets and checks."""

    def __init__(self, base_dir: str) -> None:
        super().__init__(base_dir)
        self._index = _engine(self.conn_string_for_shard(INDEX_SHARD_NAME), QueuePool)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            is_index = shard == INDEX_SHARD_NAME
            engine = self._index if is_index else _engine_of_run(self.conn_string_for_shard(shard))
            # Forgotten when the history is wiped, and the files of the runs with it.
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def dispose(self) -> None:
        super().dispose()
        self._index.dispose()


class RunTable(SqliteRunStorage):
    """Dagster's table of runs."""

    def __init__(self, conn_string: str) -> None:
        super().__init__(conn_string)
        self._engine = _engine(conn_string, QueuePool)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()


class SqliteHistory(DagsterSqliteStorage):
    """Dagster's SQLite storage with these two; dagster.yaml names it."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # Creates the files, or upgrades them.
        super().__init__(base_dir, inst_data)
        self._run_storage = RunTable(self._run_storage._conn_string)
        self._event_log_storage = EventLog(self._event_log_storage._base_dir)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> Self:
        Path(config_value["base_dir"]).mkdir(parents=True, exist_ok=True)
        return cls(config_value["base_dir"], inst_data)
