"""Expected results of the queries: one CSV file per query in a folder or under an S3 prefix."""

import csv
import hashlib
import io
import json
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


class ExpectedResultsError(SparkifyError):
    """A file of expected results is invalid; the message names the file, the line and the remedy."""


class ExpectedResults(ConfigurableResource[None]):
    """Expected results over all days, per query in NAME.csv at the location.

    The first line of a file lists the query's columns, every other line is a row, in the query's order if it has one.
    An empty field is NULL. Times are UTC, as 2018-11-01 20:57:10.796.
    """

    location: str

    @cached_property
    def store(self) -> ObjectStore:
        """The store, opened once because every opening in S3 looks for credentials."""
        return open_store(self.location, current.aws_access())

    def digest(self) -> str:
        """Returns a digest of the versions of all files, which it does not read. Raises SourceError."""
        files = sorted((stored.key, stored.etag) for stored in self.store.list())
        return hashlib.sha256(json.dumps([self.location, files]).encode()).hexdigest()

    def read(self, query: Query) -> Sequence[Values] | None:
        """Returns the expected rows, or None if there is no file. Raises SourceError, ExpectedResultsError."""
        name = f"{query.name}.csv"
        try:
            _, content = self.store.read(name)
        except ObjectNotFoundError:
            return None
        return parse(query, content, f"{self.location}/{name}")


def parse(query: Query, content: bytes, file: str) -> Sequence[Values]:
    """Parses the rows of a CSV file with the query's columns. Raises ExpectedResultsError."""
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(lines, [])
        if tuple(header) != query.columns:
            found = ", ".join(_quotable(query, header)) or ("others" if header else "none")
            raise ExpectedResultsError(
                f"{file}, line 1: expected the columns {', '.join(query.columns)}, found {found}"
            )
        parsers = [_parser(column) for column in query.table.columns]
        return [_row(line, query, parsers, f"{file}, line {lines.line_num}") for line in lines if line]
    except UnicodeDecodeError as error:
        raise ExpectedResultsError(f"{file}: not valid UTF-8: save the file as UTF-8") from error
    except csv.Error as error:
        raise ExpectedResultsError(f"{file}, line {lines.line_num}: not valid CSV: {error}") from error


def _row(line: Sequence[str], query: Query, parsers: Sequence[Callable[[str], Value]], place: str) -> Values:
    if len(line) != len(parsers):
        raise ExpectedResultsError(f"{place}: expected {len(parsers)} fields, found {len(line)}")
    row = []
    for name, text, parser in zip(query.columns, line, parsers, strict=True):
        try:
            row.append(parser(text) if text else None)
        except (ValueError, InvalidOperation):
            kind = query.table.c[name].type
            found = f"'{text}'" if _quotable(query, [text]) else "the text"
            raise ExpectedResultsError(f"{place}: {found} is not a valid {kind} for {name}") from None
    return tuple(row)


def _quotable(query: Query, texts: Sequence[str]) -> Sequence[str]:
    """Returns the texts that a message may quote: a misplaced row of a query with personal columns holds names."""
    return texts if not query.personal_columns else [text for text in texts if text in query.columns]


def _parser(column: Column[Any]) -> Callable[[str], Value]:
    match column.type:
        # SQLAlchemy's SmallInteger and BigInteger are Integers too.
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
