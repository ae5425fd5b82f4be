"""The header of a query's file: the comment above its SELECT, as people write and read it.

It says what the query answers, who asked it and what is to be known, its columns, and its chart if it has one.
Columns that are made of listeners' names, locations or browsers are not shown in Dagster; one that only groups people,
such as `area`, is shown where the header declares it:

    -- Which songs are played most?
    --
    -- Asked by: Curation, who fill the front page.
    -- Songs that the catalogue lacks count too.
    --
    -- Columns:
    --   song   VARCHAR(1024)  Title of the song
    --   plays  BIGINT         How often it was played
    --
    -- Groups people: area, browser
    -- Chart: bar of plays by song
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Date, Integer, Numeric, SmallInteger
from sqlalchemy.types import TIMESTAMP, TypeEngine

from sparkify_dagster.analytics.charts import ChartSpec, parse_chart
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.schema.tables import ByteOrdered

_COLUMN: Final = re.compile(r"(?P<name>[a-z][a-z0-9_]*)\s+(?P<type>[A-Z]+(?:\([0-9, ]+\))?)\s+(?P<meaning>\S.*)")
_SIMPLE_TYPES: Final[Mapping[str, type[TypeEngine[Any]]]] = {
    "SMALLINT": SmallInteger,
    "INTEGER": Integer,
    "BIGINT": BigInteger,
    "DATE": Date,
    "TIMESTAMP": TIMESTAMP,
}
# Of Redshift; the other warehouses take as much or more.
_MAX_PRECISION, _MAX_LENGTH = 38, 65535
_TYPE_NAMES: Final = f"{', '.join(_SIMPLE_TYPES)}, DECIMAL(p,s) or VARCHAR(n)"


class HeaderError(SparkifyError):
    """A header cannot be understood; the message names the line, and what to write instead."""


@dataclass
class Header:
    title: str = ""
    asked_by: str = ""
    notes: str = ""
    columns: dict[str, Column[Any]] = field(default_factory=dict)
    """With their types and, as comments, their meanings."""
    chart: ChartSpec | None = None
    groups_people: tuple[str, ...] = ()
    """Columns that are shown although they are made of personal ones."""


def read_header(text: str) -> Header:
    """The header of a file's text. Raises HeaderError."""
    header = Header()
    section = "title"
    for number, line in enumerate(_comment(text), start=1):
        try:
            section = _read_line(header, section, line)
        except ValueError as error:
            raise HeaderError(f"line {number}: {error}") from error
    for part, given in (
        ("-- What it answers, as a query", header.title),
        ("-- Asked by: who wants to know, and what for", header.asked_by),
        ("-- Columns: and a line for each", header.columns),
    ):
        if not given:
            raise HeaderError(f"the header lacks '{part}'")
    for name in (*header.chart.values, *header.chart.by) if header.chart else ():
        if name not in header.columns:
            raise HeaderError(f"Chart: there is no column {name}")
    for name in header.groups_people:
        if name not in header.columns:
            raise HeaderError(f"Groups people: there is no column {name}; the columns are {', '.join(header.columns)}")
    return header


def _comment(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("--"):
            return
        yield line.removeprefix("--").strip()


def _read_line(header: Header, section: str, line: str) -> str:
    """Adds what the line says to the header; the section of the next line."""
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
        case "Chart":
            header.chart = _chart(rest.strip())
            return "notes"
    match section:
        case _ if not line:
            # A blank line ends what the query answers.
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
        raise ValueError(f"'{line}' is not a column as 'plays BIGINT How often', of type {_TYPE_NAMES}")
    return Column(found["name"], column_type, comment=found["meaning"])


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
