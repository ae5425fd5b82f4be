"""Parser of a query's header, the comment above its SELECT.

The header states the question that the query answers, who asked it, notes for readers, the columns and, optionally, a
chart. Dagster does not show columns derived from listeners' names, locations or browsers, except those that only group
people, such as `area`, and that the header declares as such:

    -- Which songs are played most?
    --
    -- Asked by: Curation, who fill the front page.
    -- Songs missing from the catalogue count too.
    --
    -- Columns:
    --   song   VARCHAR(1024)  Title of the song
    --   plays  BIGINT         Number of plays
    --
    -- Groups people: area, browser
    -- Chart: bar of plays by song

A query of which each row depends on the events of one day alone names the column with that day: `-- By day: day`. A
refresh computes only the days that have changed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Date, Integer, Numeric, SmallInteger
from sqlalchemy.types import TIMESTAMP, TypeEngine

from sparkify_dagster.analytics.charts import ChartSpec, parse_chart
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.schema.column_types import ByteOrdered

_COLUMN: Final = re.compile(r"(?P<name>[a-z][a-z0-9_]*)\s+(?P<type>[A-Z]+(?:\([0-9, ]+\))?)\s+(?P<description>\S.*)")
_SIMPLE_TYPES: Final[Mapping[str, type[TypeEngine[Any]]]] = {
    "SMALLINT": SmallInteger,
    "INTEGER": Integer,
    "BIGINT": BigInteger,
    "DATE": Date,
    "TIMESTAMP": TIMESTAMP,
}
# Redshift's limits; the other warehouses allow at least as much.
_MAX_PRECISION, _MAX_LENGTH = 38, 65535
_TYPE_NAMES: Final = f"{', '.join(_SIMPLE_TYPES)}, DECIMAL(p,s) or VARCHAR(n)"


class HeaderError(SparkifyError):
    """A header is invalid; the message names the line and the remedy."""


@dataclass
class Header:
    """The parsed header. `title` is the question that the query answers."""

    title: str = ""
    asked_by: str = ""
    notes: str = ""
    columns: dict[str, Column[Any]] = field(default_factory=dict)
    """With their types and, as comments, their descriptions."""
    chart: ChartSpec | None = None
    groups_people: tuple[str, ...] = ()
    """Columns that are shown although they are derived from personal ones."""
    by_day: str | None = None
    """The column with the day whose events alone make the row; None if a row depends on several days."""


def read_header(text: str) -> Header:
    """Parses the header of a query's file. Raises HeaderError."""
    header = Header()
    section = "title"
    for number, line in enumerate(_comment_lines(text), start=1):
        try:
            section = _read_line(header, section, line)
        except ValueError as error:
            raise HeaderError(f"line {number}: {error}") from error
    for part, given in (
        ("-- <the question that the query answers>", header.title),
        ("-- Asked by: <who, and what for>", header.asked_by),
        ("-- Columns:' and one line per column such as '--   plays  BIGINT  Number of plays", header.columns),
    ):
        if not given:
            raise HeaderError(f"the header has no line '{part}'")
    for name in (*header.chart.values, *header.chart.by) if header.chart else ():
        if name not in header.columns:
            raise HeaderError(f"Chart: unknown column {name}; the columns are {', '.join(header.columns)}")
    for name in header.groups_people:
        if name not in header.columns:
            raise HeaderError(f"Groups people: unknown column {name}; the columns are {', '.join(header.columns)}")
    if header.by_day is not None and not isinstance(getattr(header.columns.get(header.by_day), "type", None), Date):
        raise HeaderError(f"By day: {header.by_day} is not a column of type DATE")
    return header


def _comment_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("--"):
            return
        yield line.removeprefix("--").strip()


def _read_line(header: Header, section: str, line: str) -> str:
    """Adds a line to the header. Returns the section of the next line."""
    word, colon, rest = line.partition(":")
    match word if colon else "":
        case "Asked by":
            header.asked_by = rest.strip()
            return "notes"
        case "Columns":
            return "columns"
        case "Groups people":
            header.groups_people = tuple(name.strip() for name in rest.split(","))
            return "notes"
        case "By day":
            header.by_day = rest.strip()
            return "notes"
        case "Chart":
            header.chart = _chart(rest.strip())
            return "notes"
    match section:
        case _ if not line:
            # A blank line ends the question.
            return "notes" if section == "title" and header.title else section
        case "title":
            header.title = f"{header.title} {line}".strip()
        case "notes":
            header.notes = f"{header.notes} {line}".strip()
        case "columns":
            column = _column(line)
            if column.name in header.columns:
                raise ValueError(f"the column {column.name} is named twice")
            header.columns[column.name] = column
    return section


def _chart(text: str) -> ChartSpec:
    try:
        return parse_chart(text)
    except ValueError as error:
        raise ValueError(f"Chart: {text} {error}") from error


def _column(line: str) -> Column[Any]:
    found = _COLUMN.fullmatch(line)
    column_type = _type(found["type"]) if found else None
    if found is None or column_type is None:
        raise ValueError(
            f"'{line}' is not a valid column: write it as 'plays BIGINT Number of plays', with one of the types "
            f"{_TYPE_NAMES}"
        )
    return Column(found["name"], column_type, comment=found["description"])


def _type(text: str) -> TypeEngine[Any] | None:
    if text in _SIMPLE_TYPES:
        return _SIMPLE_TYPES[text]()
    if decimal := re.fullmatch(r"DECIMAL\(([0-9]+), ?([0-9]+)\)", text):
        precision, scale = int(decimal[1]), int(decimal[2])
        return Numeric(precision, scale) if max(scale, 1) <= precision <= _MAX_PRECISION else None
    if varchar := re.fullmatch(r"VARCHAR\(([0-9]+)\)", text):
        length = int(varchar[1])
        return ByteOrdered(length) if 1 <= length <= _MAX_LENGTH else None
    return None
