"""A query of the analysts: a file with one SELECT from the star, whose header says what people need to know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from sqlalchemy import MetaData, Table, text

from sparkify_dagster.analytics.charts import ChartSpec
from sparkify_dagster.analytics.header import Header, HeaderError, read_header
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.schema import sql_files
from sparkify_dagster.schema.lineage import ColumnOrigin, LineageError, origins_in, parsed_select, tables_read_by
from sparkify_dagster.schema.tables import ANALYTICS_SCHEMA, STAR_TABLES, ByteOrdered, is_personal, metadata

PARAMETERS: Final = ("first_day", "end_day")
FOLDER: Final = sql_files.QUERIES
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_STAR: Final = frozenset(table.name for table in STAR_TABLES)
_TAKEN_NAMES: Final = frozenset(table.name for table in metadata.tables.values())
_PERSONAL: Final = frozenset(
    (table.name, column.name) for table in STAR_TABLES for column in table.columns if is_personal(column)
)


class QueryError(SparkifyError):
    """A query's file cannot be understood; the message names the file, the line and what to write instead."""


@dataclass(frozen=True)
class Query:
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
    """The columns by which the query orders its rows, and whether descending; empty where it does not."""
    chart: ChartSpec | None
    select: str

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.table.columns)

    @property
    def personal_columns(self) -> tuple[str, ...]:
        """The columns that Dagster's history shows nothing of."""
        return tuple(column.name for column in self.table.columns if is_personal(column))

    @cached_property
    def reads(self) -> frozenset[str]:
        """The star tables that it reads."""
        return tables_read_by(self.select)


def all_queries() -> Mapping[str, Query]:
    """Returns by name the queries of the project whose file can be understood."""
    return _read_all()[0]


def broken_queries() -> Mapping[str, QueryError]:
    """Returns what is wrong with each of the other files, by the query's name."""
    return _read_all()[1]


@cache
def _read_all() -> tuple[Mapping[str, Query], Mapping[str, QueryError]]:
    queries: dict[str, Query] = {}
    broken: dict[str, QueryError] = {}
    for path in sorted(FOLDER.glob("*.sql")):
        try:
            queries[path.stem] = read_query(path)
        except QueryError as error:
            broken[path.stem] = error
    return queries, broken


def read_query(path: Path) -> Query:
    """The query in a file. Raises QueryError."""
    if not _NAME.fullmatch(path.stem) or path.stem in _TAKEN_NAMES:
        raise QueryError(f"{path.name}: a query is named in small letters, digits and _, and like no other table")
    try:
        select = path.read_text("utf-8")
    except OSError as error:
        raise QueryError(f"{path.name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise QueryError(f"{path.name}: is not UTF-8 text: save it as such") from error
    line = None
    try:
        header = read_header(select)
        line = _line_of_select(select)
        _check_parameters(select)
        order = _checked_order(select, tuple(header.columns))
        line = None
        _mark_personal_columns(select, header)
    except (HeaderError, LineageError) as error:
        raise QueryError(_in_file(path, error, line)) from error
    table = Table(
        path.stem,
        MetaData(),
        *header.columns.values(),
        schema=ANALYTICS_SCHEMA,
        comment=header.title,
        info={"select": select},
    )
    return Query(path, header.title, header.asked_by, header.notes, table, order, header.chart, select)


def _in_file(path: Path, error: Exception, line: int | None = None) -> str:
    """The error with its file, and a line where it names none itself."""
    if str(error).startswith("line "):
        return f"{path.name}, {error}"
    return f"{path.name}, line {line}: {error}" if line else f"{path.name}: {error}"


def _line_of_select(select: str) -> int:
    """The number of the first line below the header."""
    lines = select.splitlines()
    return next((number for number, line in enumerate(lines, 1) if line and not line.startswith("--")), len(lines))


def _check_parameters(select: str) -> None:
    for name in text(select).compile().params:
        if name not in PARAMETERS:
            line = select[: select.index(f":{name}")].count("\n") + 1
            raise HeaderError(
                f"line {line}: there is no parameter :{name}, there are :{' and :'.join(PARAMETERS)}; "
                f"write \\:{name} where it is text"
            )


def _mark_personal_columns(select: str, header: Header) -> None:
    """Marks the texts that are made of personal columns, but for those of which the header says that they group people.

    A number or a time cannot hold a name, so that a count of areas is no personal column.
    """
    origins = origins_in(select)
    personal = {
        name
        for name, column in header.columns.items()
        if isinstance(column.type, ByteOrdered) and _is_made_of_personal_columns(origins[name])
    }
    for name in header.groups_people:
        if name not in personal:
            raise HeaderError(
                f"Groups people: {name} is not a text made of a listener's name, location or browser; it is shown "
                "anyway, so leave it out"
            )
    for name in personal.difference(header.groups_people):
        header.columns[name].info["personal"] = True


def _is_made_of_personal_columns(origin: ColumnOrigin) -> bool:
    # SQL's names are the same in any case.
    return any((table, column.lower()) in _PERSONAL for table, column in origin.sources)


def _checked_order(select: str, columns: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """The query's ORDER BY, once it is sure that the SELECT is what its header says."""
    from sqlglot import exp

    parsed, named = parsed_select(select), tuple(origins_in(select))
    if named != columns:
        raise HeaderError(f"the SELECT gives {', '.join(named)}, but its header names {', '.join(columns)}")
    local = {query.alias for query in parsed.find_all(exp.CTE)}
    foreign = {table for table in parsed.find_all(exp.Table) if table.db or table.name not in _STAR | local}
    if foreign:
        names = ", ".join(sorted(table.sql() for table in foreign))
        raise HeaderError(f"it reads {names}: a query reads the star alone, {', '.join(sorted(_STAR))}")
    selected = {item.unalias(): item.alias_or_name for item in parsed.selects}
    order = []
    for key in parsed.args["order"].expressions if parsed.args.get("order") else ():
        is_output = isinstance(key.this, exp.Column) and not key.this.table and key.this.name in columns
        name = key.this.name if is_output else selected.get(key.this)
        if name is None:
            raise HeaderError(f"ORDER BY {key.this.sql()}: order by columns of the answer alone")
        order.append((name, bool(key.args.get("desc"))))
    return tuple(order)
