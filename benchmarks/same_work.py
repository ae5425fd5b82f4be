"""Compares what the competitors of a benchmark have built: figures of different work mean nothing side by side."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import duckdb


class Content(NamedTuple):
    rows: int
    checksum: int
    """The sum of a hash of each row, with all its columns."""


class DifferentWorkError(Exception):
    """A database has other rows than the one that it is compared with."""


def require_same_rows(ours: Path, theirs: Path, tables: Iterable[str]) -> Mapping[str, int]:
    """Returns the rows per table. Raises DifferentWorkError; the types of columns may differ, as 1 and 1.0 do."""
    found = {}
    with duckdb.connect(ours, read_only=True) as our, duckdb.connect(theirs, read_only=True) as their:
        for table in tables:
            columns = [(str(name), str(kind)) for name, kind, *_ in our.execute(f"DESCRIBE {table}").fetchall()]
            expected, actual = _content(our, table, columns), _content(their, table, columns)
            if expected != actual:
                raise DifferentWorkError(f"{table}: {ours.name} has {expected}, {theirs.name} has {actual}")
            found[table] = expected.rows
    return found


def _content(connection: duckdb.DuckDBPyConnection, table: str, columns: Iterable[tuple[str, str]]) -> Content:
    values = ", ".join(f"CAST(CAST({name} AS {kind}) AS VARCHAR)" for name, kind in columns)
    found = connection.execute(f"SELECT count(*), coalesce(sum(hash({values})), 0) FROM {table}").fetchone()
    assert found
    return Content(*map(int, found))
