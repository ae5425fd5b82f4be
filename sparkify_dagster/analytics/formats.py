"""Output formats of a result: a table for people, JSON and CSV for programs. Expected results use the CSV format."""

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
    """Returns CSV: a header line, then one line per row. NULL is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(query.columns)
    writer.writerows(["" if value is None else format_value(value) for value in row] for row in rows)
    return text.getvalue()


def to_json(query: Query, rows: Rows) -> str:
    """Returns a JSON array with one object per row, each on its own line. NULL is null, a time is text."""
    objects = (dict(zip(query.columns, row, strict=True)) for row in rows)
    lines = (json.dumps(row, ensure_ascii=False, default=_json_value) for row in objects)
    return "[" + ",\n ".join(lines) + "]\n"


def to_table(query: Query, rows: Rows) -> Table:
    """Returns a table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for column in query.table.columns:
        # SQLAlchemy's SmallInteger and BigInteger are Integers too.
        is_number = isinstance(column.type, Integer | Numeric)
        table.add_column(column.name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell("NULL", "dim") if value is None else cell(format_value(value)) for value in row))
    return table


def format_value(value: object) -> str:
    """Returns a value other than NULL as the terminal and expected results show it."""
    return value.isoformat(" ", "milliseconds") if isinstance(value, datetime) else str(value)


def _json_value(value: object) -> float | str:
    return float(value) if isinstance(value, Decimal) else format_value(value)
