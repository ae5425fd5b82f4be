"""An analytics query: a file with one SELECT from the star schema and a header that documents it."""

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
from sparkify_dagster.analytics.query_folders import QueryFolder, query_folders
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.schema import sql_files
from sparkify_dagster.schema.column_types import ANALYTICS_SCHEMA, ByteOrdered
from sparkify_dagster.schema.lineage import (
    ColumnOrigin,
    LineageError,
    full_name,
    origins_in,
    parsed_select,
    require_columns,
    tables_read_by,
)
from sparkify_dagster.schema.parse_cache import cached_on_disk
from sparkify_dagster.schema.tables import BUILT_BY_DAY, PRODUCT_TABLES, STAR_TABLES, is_personal, metadata

PARAMETERS: Final = ("first_day", "end_day")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
# As a SELECT names them: the star without a schema, the marts with theirs.
_READABLE: Final = frozenset(table.fullname for table in (*STAR_TABLES, *PRODUCT_TABLES))
# Of tables, views and other assets.
_TAKEN_NAMES: Final = frozenset(
    {
        *(table.name for table in metadata.tables.values()),
        *sql_files.VIEWS,
        "log_data",
        "log_json_path",
        "song_data",
        "report",
    }
)
_PERSONAL: Final = frozenset(
    (table.name, column.name) for table in STAR_TABLES for column in table.columns if is_personal(column)
)


class QueryError(SparkifyError):
    """A query's file is invalid; the message names the file, the line and the remedy."""


@dataclass(frozen=True)
class Query:
    """A query: its documentation, its table, and the SELECT with the parameters first_day and end_day."""

    path: Path
    folder: QueryFolder
    title: str
    """The question that it answers, in one sentence."""
    asked_by: str
    notes: str
    """Notes for readers of the result; may be empty."""
    table: Table
    """The table that stores the result, with its columns' descriptions and, as info, the SELECT."""
    order: tuple[tuple[str, bool], ...]
    """The columns of the ORDER BY, each with whether it is descending; empty without an ORDER BY."""
    chart: ChartSpec | None
    by_day: str | None
    """The column with the day whose events alone make the row; None if a row depends on several days."""
    select: str

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.table.columns)

    @property
    def personal_columns(self) -> tuple[str, ...]:
        """The columns whose values Dagster must not show."""
        return tuple(column.name for column in self.table.columns if is_personal(column))

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """The columns whose values may leave the warehouse."""
        return tuple(name for name in self.columns if name not in self.personal_columns)

    @cached_property
    def reads(self) -> frozenset[str]:
        """The names of the tables of the star and of the marts that the query reads."""
        return tables_read_by(self.select)


@dataclass(frozen=True)
class BrokenQuery:
    """A query whose file is invalid."""

    path: Path
    folder: QueryFolder
    error: QueryError
    name: str
    """The name of its asset: that of the query, or one made of the file's name if that is not a possible one."""

    @property
    def table(self) -> str:
        """The name of the table that may hold a result from before the file was invalid."""
        return self.path.stem


def all_queries() -> Mapping[str, Query]:
    """Returns the valid queries by name, the project's and those of teams. Raises QueryFolderError."""
    return _read_all()[0]


def broken_queries() -> Mapping[str, BrokenQuery]:
    """Returns the invalid query files, by the names of their assets."""
    return _read_all()[1]


@cache
def _read_all() -> tuple[Mapping[str, Query], Mapping[str, BrokenQuery]]:
    queries: dict[str, Query] = {}
    invalid: list[tuple[Path, QueryFolder, QueryError]] = []
    for folder in query_folders():
        for path in sorted(folder.path.glob("*.sql")):
            try:
                query = read_query(path, folder)
                if other := queries.get(query.name):
                    raise QueryError(f"{path.name}: {other.path} is another query of that name: rename one of them")
                queries[query.name] = query
            except QueryError as error:
                invalid.append((path, folder, error))
    broken: dict[str, BrokenQuery] = {}
    for path, folder, reason in invalid:
        name = path.stem if _is_possible_name(path.stem) else re.sub("[^a-z0-9_]", "_", path.name.lower())
        while name in queries or name in broken:
            name += "_"
        broken[name] = BrokenQuery(path, folder, reason, name)
    return queries, broken


def read_query(path: Path, folder: QueryFolder | None = None) -> Query:
    """Reads a query from its file, in one of the query folders. Raises QueryError."""
    if not _is_possible_name(path.stem):
        raise QueryError(
            f"{path.name}: invalid name: use lower case, digits and underscores, and a name that nothing else has"
        )
    try:
        select = path.read_text("utf-8")
    except OSError as error:
        raise QueryError(f"{path.name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise QueryError(f"{path.name}: not valid UTF-8: save the file as UTF-8") from error
    line = None
    try:
        header = read_header(select)
        line = _line_of_select(select)
        _check_parameters(select)
        _check_backslashes(select)
        order = _checked_order(select, tuple(header.columns))
        require_columns(select)
        if header.by_day:
            _check_days_are_independent(select)
        line = None
        _mark_personal_columns(select, header)
    except (HeaderError, LineageError) as error:
        raise QueryError(sql_files.in_file(path.name, error, line)) from error
    table = Table(
        path.stem,
        MetaData(),
        *header.columns.values(),
        schema=ANALYTICS_SCHEMA,
        comment=header.title,
        info={"select": select},
    )
    return Query(
        path,
        folder or QueryFolder(path.parent),
        header.title,
        header.asked_by,
        header.notes,
        table,
        order,
        header.chart,
        header.by_day,
        select,
    )


def _is_possible_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and name not in _TAKEN_NAMES


def _line_of_select(select: str) -> int:
    """Returns the number of the first line below the header."""
    lines = select.splitlines()
    return next((number for number, line in enumerate(lines, 1) if line and not line.startswith("--")), len(lines))


def _check_parameters(select: str) -> None:
    for name in text(select).compile().params:
        if name not in PARAMETERS:
            line = select[: select.index(f":{name}")].count("\n") + 1
            raise HeaderError(
                f"line {line}: unknown parameter :{name}; available: :{' and :'.join(PARAMETERS)}; "
                f"write \\:{name} if it is text"
            )


@cached_on_disk
def _check_backslashes(select: str) -> None:
    """Raises HeaderError for a backslash in the SELECT, which would not mean the same on each warehouse."""
    from sqlglot import tokenize
    from sqlglot.errors import TokenError

    # text() takes the one of \:.
    sql = select.replace("\\:", " :")
    try:
        # PostgreSQL's rules know no escapes, and comments are not among the tokens.
        tokens = tokenize(sql, dialect="postgres")
    except TokenError:
        # Parsing names it.
        return
    for token in tokens:
        before, backslash, _ = sql[token.start : token.end + 1].partition("\\")
        if backslash:
            line = sql[: token.start].count("\n") + before.count("\n") + 1
            raise HeaderError(f"line {line}: a backslash begins an escape on Redshift alone: write CHR(92) for one")


def _mark_personal_columns(select: str, header: Header) -> None:
    """Marks text columns derived from personal ones, except those that the header declares under "Groups people".

    Numbers and times cannot hold a name: a count of areas is not personal.
    """
    origins = origins_in(select)
    personal = {
        name
        for name, column in header.columns.items()
        if isinstance(column.type, ByteOrdered) and _is_derived_from_personal_columns(origins[name])
    }
    for name in header.groups_people:
        if name not in personal:
            raise HeaderError(
                f"Groups people: {name} is not a text derived from a listener's name, location or browser; it is shown "
                "anyway, so remove it here"
            )
    for name in personal.difference(header.groups_people):
        header.columns[name].info["personal"] = True


def _is_derived_from_personal_columns(origin: ColumnOrigin) -> bool:
    # Identifiers in SQL are case-insensitive.
    return any((table, column.lower()) in _PERSONAL for table, column in origin.sources)


@cached_on_disk
def _check_days_are_independent(select: str) -> None:
    """Raises HeaderError if a row of the result may depend on several days."""
    from sqlglot import exp

    if parsed_select(select).find(exp.Window, exp.Limit, exp.Fetch, exp.Offset):
        raise HeaderError("By day: a window function or a LIMIT depends on the rows of other days")
    if others := tables_read_by(select) - BUILT_BY_DAY:
        raise HeaderError(
            f"By day: {', '.join(sorted(others))}: one row is made of several days; such a query may read "
            f"{', '.join(sorted(BUILT_BY_DAY))}"
        )


@cached_on_disk
def _checked_order(select: str, columns: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """Returns the query's ORDER BY, after checking that the SELECT matches the header and reads no other tables."""
    from sqlglot import exp

    parsed, named = parsed_select(select), tuple(origins_in(select))
    if named != columns:
        raise HeaderError(f"the SELECT returns {', '.join(named)}, but the header lists {', '.join(columns)}")
    local = {query.alias for query in parsed.find_all(exp.CTE)}
    foreign = {table for table in parsed.find_all(exp.Table) if full_name(table) not in _READABLE | local}
    if foreign:
        names = ", ".join(sorted(table.sql() for table in foreign))
        raise HeaderError(
            f"the SELECT reads {names}, but may only read the star and the marts: {', '.join(sorted(_READABLE))}"
        )
    selected = {item.unalias(): item.alias_or_name for item in parsed.selects}
    order = []
    for key in parsed.args["order"].expressions if parsed.args.get("order") else ():
        is_output = isinstance(key.this, exp.Column) and not key.this.table and key.this.name in columns
        name = key.this.name if is_output else selected.get(key.this)
        if name is None:
            raise HeaderError(f"ORDER BY {key.this.sql()}: only columns of the result are allowed")
        order.append((name, bool(key.args.get("desc"))))
    return tuple(order)
