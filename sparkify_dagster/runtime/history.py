"""Dagster's run history in SQLite files, as its own `storage: sqlite` keeps it, at less cost per event.

Dagster creates an engine per connection, so SQLAlchemy compiles each statement each time: a quarter of the time that
`sparkify etl` takes where nothing is new. This storage keeps an engine per file. The files are the same: each of the
two storages reads what the other has written.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

# Not exported publicly; test_history.py fails when what is overridden here changes.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

# How long a process waits for another one that writes, as with Dagster's own event log.
_BUSY_SECONDS = 30


# There is a file per run, and a daemon reads many of them in its time.
@lru_cache(maxsize=16)
def _engine(location: str) -> Engine:
    return create_engine(location, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS})


class EventLog(SqliteEventLogStorage):
    """Dagster's event log: a file per run, and an index of the events of assets and checks."""

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = _engine(self.conn_string_for_shard(shard))
            # Forgotten when the history is wiped, and its files with it.
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection


class RunTable(SqliteRunStorage):
    """Dagster's table of runs."""

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with _engine(self._conn_string).begin() as connection:
            yield connection


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
