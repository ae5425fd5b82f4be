"""The expected results of the queries: a folder, or a prefix in S3, with a CSV file a query."""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, TypeAlias

from dagster import ConfigurableResource
from sqlalchemy import Column, Date, Integer, Numeric
from sqlalchemy.types import TIMESTAMP

from sparkify_dagster.analytics.query import Query
from sparkify_dagster.config import current
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.sources.object_store import ObjectNotFoundError, ObjectStore, open_store

Value: TypeAlias = str | int | Decimal | date | datetime | None
Values: TypeAlias = tuple[Value, ...]


class ExpectedError(SparkifyError):
    """A file of expected results cannot be understood; the message names the file, the line and the remedy."""


class ExpectedResults(ConfigurableResource[None]):
    """What the answers of the queries, over all days, should be: NAME.csv at the location, for each query.

    The first line of a file has the query's columns, every other one a row; in the query's order, if it has one.
    An empty field is NULL. Times are UTC, as 2018-11-01 20:57:10.796.
    """

    location: str

    @cached_property
    def store(self) -> ObjectStore:
        """Opened once: in S3 each opening looks for credentials."""
        return open_store(self.location, current.aws_access())

    def of(self, query: Query) -> Sequence[Values] | None:
        """The expected rows; None where there is no file. Raises SourceError, ExpectedError."""
        name = f"{query.name}.csv"
        try:
            _, content = self.store.read(name)
        except ObjectNotFoundError:
            return None
        return parse(query, content, f"{self.location}/{name}")


def parse(query: Query, content: bytes, file: str) -> Sequence[Values]:
    """The rows of a CSV file with the query's columns. Raises ExpectedError."""
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(lines, [])
        if tuple(header) != query.columns:
            given = ", ".join(_quotable(query, header)) or ("others" if header else "missing")
            raise ExpectedError(f"{file}, line 1: the columns are {given}; the query's are {', '.join(query.columns)}")
        parsers = [_parser(column) for column in query.table.columns]
        return [_row(line, query, parsers, f"{file}, line {lines.line_num}") for line in lines if line]
    except UnicodeDecodeError as error:
        raise ExpectedError(f"{file}: is not UTF-8 text: save it as such") from error
    except csv.Error as error:
        raise ExpectedError(f"{file}, line {lines.line_num}: is not CSV: {error}") from error


def _row(line: Sequence[str], query: Query, parsers: Sequence[Callable[[str], Value]], place: str) -> Values:
    if len(line) != len(parsers):
        raise ExpectedError(f"{place}: has {len(line)} fields instead of {len(parsers)}")
    row = []
    for name, text, parser in zip(query.columns, line, parsers, strict=True):
        try:
            row.append(parser(text) if text else None)
        except (ValueError, InvalidOperation):
            kind = query.table.c[name].type
            given = ", ".join(f"'{value}'" for value in _quotable(query, [text])) or "a text"
            raise ExpectedError(f"{place}: {name} is {given}, which is no {kind}") from None
    return tuple(row)


def _quotable(query: Query, texts: Sequence[str]) -> Sequence[str]:
    """The texts that a message may quote: of a query that shows people, a row in the wrong place holds names."""
    return texts if not query.personal_columns else [text for text in texts if text in query.columns]


def _parser(column: Column[Any]) -> Callable[[str], Value]:
    match column.type:
        # Of SQLAlchemy's types, those of all whole numbers are Integers.
        case Integer():
            return int
        case Numeric():
            return _decimal
        case Date():
            return date.fromisoformat
        case TIMESTAMP():
            return datetime.fromisoformat
    return str


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(text)
    return value
