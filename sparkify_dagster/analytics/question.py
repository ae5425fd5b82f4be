"""A question of the analysts: a file with one SELECT from the star, whose header says what people need to know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
)
from sqlalchemy.types import TIMESTAMP, TypeEngine

from sparkify_dagster.analytics.charts import Picture, parse_picture
from sparkify_dagster.warehouse.lineage import LineageError, origins_in, parsed_select, tables_read_by
from sparkify_dagster.warehouse.tables import ANALYTICS_SCHEMA, STAR_TABLES, ByteOrdered, metadata

FOLDER: Final = Path(__file__).with_name("questions")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_COLUMN: Final = re.compile(r"(?P<name>[a-z][a-z0-9_]*)\s+(?P<type>[A-Z]+(?:\([0-9, ]+\))?)\s+(?P<meaning>\S.*)")
_SIMPLE_TYPES: Final[Mapping[str, type[TypeEngine[Any]]]] = {
    "SMALLINT": SmallInteger,
    "INTEGER": Integer,
    "BIGINT": BigInteger,
    "DATE": Date,
    "TIMESTAMP": TIMESTAMP,
}
_TYPES_IN_WORDS: Final = f"{', '.join(_SIMPLE_TYPES)}, DECIMAL(p,s) or VARCHAR(n)"
_STAR: Final = frozenset(table.name for table in STAR_TABLES)
_TAKEN_NAMES: Final = frozenset(table.name for table in metadata.tables.values())


class QuestionError(ValueError):
    """A question's file cannot be understood; the message names the file, the line and what to write instead."""


@dataclass(frozen=True)
class Question:
    """What is asked, of which columns the answer is, and the SELECT with the parameters first_day and end_day."""

    path: Path
    title: str
    """What it answers, in a sentence."""
    asked_by: str
    notes: str
    """What a reader has to know about the answer; may be empty."""
    table: Table
    """Where the answer is kept, with the meaning of its columns and, as info, the SELECT."""
    order: tuple[tuple[str, bool], ...]
    """The columns by which the question orders its rows, and whether descending; empty where it does not."""
    picture: Picture | None
    select: str

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.table.columns)

    @cached_property
    def reads(self) -> frozenset[str]:
        """The star tables that it reads."""
        return tables_read_by(self.select)


@cache
def all_questions() -> Mapping[str, Question]:
    """Every question of the project by its name. Raises QuestionError."""
    return {path.stem: read_question(path) for path in sorted(FOLDER.glob("*.sql"))}


def read_question(path: Path) -> Question:
    """The question in a file. Raises QuestionError."""
    if not _NAME.fullmatch(path.stem) or path.stem in _TAKEN_NAMES:
        raise QuestionError(f"{path.name}: a question is named in small letters, digits and _, and like no other table")
    text = path.read_text("utf-8")
    header = _Header(path.name)
    for number, line in enumerate(_header_lines(text), start=1):
        header.read(number, line)
    header.require_complete()
    table = Table(
        path.stem,
        MetaData(),
        *header.columns.values(),
        schema=ANALYTICS_SCHEMA,
        comment=" ".join(header.title),
        info={"select": text},
    )
    order = _checked_order(path.name, text, tuple(header.columns))
    return Question(
        path,
        title=" ".join(header.title),
        asked_by=" ".join(header.asked_by),
        notes=" ".join(header.notes),
        table=table,
        order=order,
        picture=header.picture,
        select=text,
    )


class _Header:
    """Reads a header line by line: what it answers, then `Asked by:`, notes, `Columns:` and `Picture:`."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.title: list[str] = []
        self.asked_by: list[str] = []
        self.notes: list[str] = []
        self.columns: dict[str, Column[Any]] = {}
        self.picture: Picture | None = None
        self._section = self._read_title

    def read(self, number: int, line: str) -> None:
        word, colon, rest = line.partition(":")
        match word if colon else "":
            case "Asked by":
                self.asked_by.append(rest.strip())
                self._section = self._read_note
            case "Columns":
                self._section = self._read_column
            case "Picture":
                self._read_picture(number, rest.strip())
                self._section = self._read_note
            case _ if line:
                self._section(number, line)
            case _ if self.title and self._section == self._read_title:
                self._section = self._read_note
            case _:
                pass

    def require_complete(self) -> None:
        for part, given in (
            ("-- What it answers, as a question", self.title),
            ("-- Asked by: who wants to know, and what for", self.asked_by),
            ("-- Columns: and a line for each", self.columns),
        ):
            if not given:
                raise QuestionError(f"{self._file}: the header lacks '{part}'")
        if self.picture:
            for name in (*self.picture.values, *self.picture.by):
                if name not in self.columns:
                    raise QuestionError(f"{self._file}: Picture: there is no column {name}")

    def _read_title(self, number: int, line: str) -> None:
        self.title.append(line)

    def _read_note(self, number: int, line: str) -> None:
        self.notes.append(line)

    def _read_column(self, number: int, line: str) -> None:
        found = _COLUMN.fullmatch(line)
        column_type = _type(found["type"]) if found else None
        if found is None or column_type is None:
            raise QuestionError(
                f"{self._file}, line {number}: '{line}' is not a column as 'plays BIGINT How often', "
                f"of type {_TYPES_IN_WORDS}"
            )
        if found["name"] in self.columns:
            raise QuestionError(f"{self._file}, line {number}: the column {found['name']} is named twice")
        self.columns[found["name"]] = Column(found["name"], column_type, comment=found["meaning"])

    def _read_picture(self, number: int, text: str) -> None:
        try:
            self.picture = parse_picture(text)
        except ValueError as error:
            raise QuestionError(f"{self._file}, line {number}: Picture: {text} {error}") from error


def _header_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("--"):
            return
        yield line.removeprefix("--").strip()


def _type(text: str) -> TypeEngine[Any] | None:
    if text in _SIMPLE_TYPES:
        return _SIMPLE_TYPES[text]()
    if decimal := re.fullmatch(r"DECIMAL\(([0-9]+), ?([0-9]+)\)", text):
        return Numeric(int(decimal[1]), int(decimal[2]))
    if varchar := re.fullmatch(r"VARCHAR\(([0-9]+)\)", text):
        return ByteOrdered(int(varchar[1]))
    return None


def _checked_order(file: str, select: str, columns: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """The question's ORDER BY, once it is sure that the SELECT is what its header says."""
    from sqlglot import exp

    try:
        parsed = parsed_select(select)
        named = tuple(origins_in(select))
    except LineageError as error:
        raise QuestionError(f"{file}: {error}") from error
    if named != columns:
        raise QuestionError(f"{file}: the SELECT gives {', '.join(named)}, but its header names {', '.join(columns)}")
    local = {query.alias for query in parsed.find_all(exp.CTE)}
    foreign = {table for table in parsed.find_all(exp.Table) if table.db or table.name not in _STAR | local}
    if foreign:
        names = ", ".join(sorted(table.sql() for table in foreign))
        raise QuestionError(f"{file}: it reads {names}: a question reads the star alone, {', '.join(sorted(_STAR))}")
    selected = {item.unalias(): item.alias_or_name for item in parsed.selects}
    order = []
    for key in parsed.args["order"].expressions if parsed.args.get("order") else ():
        is_output = isinstance(key.this, exp.Column) and not key.this.table and key.this.name in columns
        name = key.this.name if is_output else selected.get(key.this)
        if name is None:
            raise QuestionError(f"{file}: ORDER BY {key.this.sql()}: order by columns of the answer alone")
        order.append((name, bool(key.args.get("desc"))))
    return tuple(order)
