"""The DuckDB of this process. To start one takes ten times as long as to attach a file to one that runs."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import duckdb

from sparkify_dagster.runtime import statements

# A log is no place for a progress bar, and a checkpoint in the middle of a load writes everything twice.
_SESSION = "SET enable_progress_bar = false; SET wal_autocheckpoint = '1GB'"
_numbers = count(1)
_users: Counter[Path] = Counter()


def cursor(path: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Returns a connection, whose default database is the attached file if one is given."""
    opened = _instance_of(os.getpid()).cursor()
    statements.register(opened, duckdb.DuckDBPyConnection.interrupt)
    if path is not None:
        opened.execute(f"USE {_name(path)}")
    return opened


@contextmanager
def attached(path: Path) -> Iterator[None]:
    """Attaches the file, which is created if it is missing; at the end of its last user it is written and closed.

    Raises duckdb.Error. A connection to the file must be closed before.
    """
    if not _users[path]:
        quoted = str(path).replace("'", "''")
        cursor().execute(f"ATTACH '{quoted}' AS {_name(path)}")
    _users[path] += 1
    try:
        yield
    finally:
        _users[path] -= 1
        if not _users[path]:
            cursor().execute(f"DETACH {_name(path)}")


@cache
def _instance_of(process_id: int) -> duckdb.DuckDBPyConnection:
    """Returns a DuckDB in memory. A forked process needs one of its own."""
    instance = duckdb.connect()
    instance.execute(_SESSION)
    return instance


@cache
def _name(path: Path) -> str:
    return f"warehouse_{next(_numbers)}"
