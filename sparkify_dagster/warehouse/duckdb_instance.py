"""The DuckDB of this process. To start one takes ten times as long as to attach a file to one that runs."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import duckdb

from sparkify_dagster.runtime import statements

# DuckDB looks for pandas at each parameter of a statement, a twelfth of the cost of a small load where there is none.
if find_spec("pandas") is None:
    sys.modules["pandas"] = None  # type: ignore[assignment]

# A log is no place for a progress bar, and a checkpoint in the middle of a load writes everything twice. Without a
# limit DuckDB keeps what it has read in up to 80 % of the machine's memory; with it, what does not fit goes to disk.
# A load of 14 million events takes no longer with this limit.
SESSION = "SET enable_progress_bar = false; SET wal_autocheckpoint = '1GB'; SET memory_limit = '1GB'"
_LIMIT = "SELECT current_setting('memory_limit')"
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
        # DuckDB itself would take the working directory. Once it has written there, it stays with a folder.
        with suppress(duckdb.Error):
            cursor().execute(f"SET temp_directory = '{quoted}.tmp'")
        cursor().execute(f"ATTACH '{quoted}' AS {_name(path)}")
    _users[path] += 1
    try:
        yield
    finally:
        _users[path] -= 1
        if not _users[path]:
            cursor().execute(f"DETACH {_name(path)}")


def lift_memory_limit() -> bool:
    """Lets DuckDB take as much memory as it does by default. Returns whether there was a lower limit until now."""
    opened = cursor()
    default = _default_memory_limit()
    before = opened.execute(_LIMIT).fetchone()
    # RESET changes what the setting says, and not what DuckDB does.
    opened.execute(f"SET memory_limit = '{default}'")
    return before != opened.execute(_LIMIT).fetchone()


@cache
def _instance_of(process_id: int) -> duckdb.DuckDBPyConnection:
    """Returns a DuckDB in memory. A forked process needs one of its own."""
    instance = duckdb.connect()
    instance.execute(SESSION)
    return instance


@cache
def _default_memory_limit() -> str:
    """Returns the limit that a new DuckDB has, which depends on the machine and on the container."""
    with duckdb.connect() as other:
        (limit,) = other.execute(_LIMIT).fetchone() or ("",)
    return str(limit)


@cache
def _name(path: Path) -> str:
    return f"warehouse_{next(_numbers)}"
