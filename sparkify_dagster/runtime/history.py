"""Dagster's run history in SQLite files, as its own `storage: sqlite` keeps it, at a fraction of the cost per event.

Dagster opens a file, and compiles each statement, once per statement: two fifths of the time that `sparkify etl` takes
where nothing is new. This storage keeps the files open that were used last. The files are the same: each of the two
storages reads what the other has written.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

# Not exported publicly; test_history.py fails when what is overridden here changes.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool

# There is a file per run, and the UI and its daemon read many of them in their time.
MAX_OPEN_FILES = 16
# How long a process waits for another one that writes, as with Dagster's own event log.
_BUSY_SECONDS = 30


def _open(location: str) -> Engine:
    return create_engine(location, poolclass=QueuePool, pool_size=1, connect_args={"timeout": _BUSY_SECONDS})


class EventLog(SqliteEventLogStorage):
    """Dagster's event log: a file per run, and an index of the events of assets and checks."""

    def __init__(self, base_dir: str) -> None:
        # The one that was used last stands last.
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(base_dir)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engines.pop(shard, None) or _open(self.conn_string_for_shard(shard))
            self._engines[shard] = engine
            if len(self._engines) > MAX_OPEN_FILES:
                _, least_recent = self._engines.popitem(last=False)
                least_recent.dispose()
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def wipe(self) -> None:
        # It deletes the files.
        self._close()
        super().wipe()

    def dispose(self) -> None:
        super().dispose()
        self._close()

    def _close(self) -> None:
        with self._db_lock:
            while self._engines:
                _, engine = self._engines.popitem()
                engine.dispose()


class RunTable(SqliteRunStorage):
    """Dagster's table of runs."""

    def __init__(self, conn_string: str) -> None:
        super().__init__(conn_string)
        self._engine = _open(conn_string)

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
