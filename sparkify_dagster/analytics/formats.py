"""Rows of an answer: for people as a table, for programs as JSON or as CSV, in which expected results are written."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

from rich.table import Table
from sqlalchemy import Integer, Numeric

from sparkify_dagster.analytics.query import Query
from sparkify_dagster.formatting import cell

Rows: TypeAlias = Iterable[Sequence[Any]]


def to_csv(query: Query, rows: Rows) -> str:
    """A line with the columns, then a line a row. NULL is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(query.columns)
    writer.writerows(["" if value is None else plain(value) for value in row] for row in rows)
    return text.getvalue()


def to_json(query: Query, rows: Rows) -> str:
    """An array with an object a row, each on a line of its own. NULL is null, a time is text."""
    objects = (dict(zip(query.columns, row, strict=True)) for row in rows)
    lines = (json.dumps(row, ensure_ascii=False, default=_in_json) for row in objects)
    return "[" + ",\n ".join(lines) + "]\n"


def to_table(query: Query, rows: Rows) -> Table:
    """A table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for column in query.table.columns:
        # Of SQLAlchemy's types, those of all whole numbers are Integers.
        is_number = isinstance(column.type, Integer | Numeric)
        table.add_column(column.name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell("NULL", "dim") if value is None else cell(plain(value)) for value in row))
    return table


def plain(value: object) -> str:
    """A value that is not NULL as people, and expected results, write it."""
    return value.isoformat(" ", "milliseconds") if isinstance(value, datetime) else str(value)


def _in_json(value: object) -> float | str:
    return float(value) if isinstance(value, Decimal) else plain(value)
