"""Column lineage, derived from the SQL that builds each table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.schema.parse_cache import cached_on_disk
from sparkify_dagster.schema.sql_files import VIEWS, in_file, select_sql
from sparkify_dagster.schema.tables import metadata

if TYPE_CHECKING:
    # Importing sqlglot takes 0.3 s, so only lineage imports it.
    from sqlglot import ParseError, exp
    from sqlglot.optimizer import Scope

# Intermediate steps between assets, which lineage looks through.
_INTERMEDIATE = frozenset({*VIEWS, "user_days", "level_days", "session_days"})
# By the table's name as SQL writes it, with its schema: a CTE may be called like a table of another schema.
_COLUMNS = {table.fullname: tuple(column.name for column in table.columns) for table in metadata.tables.values()}
_MAX_EXPRESSION_CHARACTERS = 32


class LineageError(SparkifyError):
    """A SELECT whose form hides the origin of a column, or that reads a column which does not exist."""


class SqlFileError(LineageError):
    """A LineageError of a file in sql/; the message names the file."""


@dataclass(frozen=True)
class ColumnOrigin:
    """The origin of a column.

    `joined_on` names the columns of the source table that had to equal another table's, `expression` is the SQL of
    a column that is not a plain copy.
    """

    sources: tuple[tuple[str, str], ...]
    joined_on: tuple[str, ...] = ()
    expression: str | None = None


@cache
def column_origins(table: str) -> Mapping[str, ColumnOrigin]:
    """Returns the origin of each column of a table that a transform builds, in the order of its SELECT.

    Raises SqlFileError.
    """
    with _names_file(table):
        require_columns(select_sql(table))
        return origins_in(select_sql(table))


@cache
@cached_on_disk
def origins_in(select: str) -> Mapping[str, ColumnOrigin]:
    """Returns the origin of each column of a SELECT, in its order. Raises LineageError."""
    scope = _scope_of(select)
    return {name: _origin(scope, name) for name in _select(scope).named_selects}


@cached_on_disk
def require_columns(select: str) -> None:
    """Raises LineageError if the SELECT, or a part of it, names a column that its table or subquery lacks."""
    for scope in _scope_of(select).traverse():
        for column in scope.columns:
            source, names = _source_and_columns(scope, column.table)
            if names and column.name.lower() not in names:
                line = column.this.meta.get("line")
                raise LineageError(
                    f"{f'line {line}: ' if line else ''}{column.sql()}: {source} has no such column; it has "
                    f"{', '.join(names)}"
                )


@cache
def source_tables(table: str) -> frozenset[str]:
    """Returns the tables with assets that a transform reads, also through views."""
    return tables_read_by(select_sql(table))


@cache
@cached_on_disk
def tables_read_by(select: str) -> frozenset[str]:
    """Returns the tables with assets that a SELECT reads, also through views."""
    from sqlglot import exp

    sources: set[str] = set()
    for read in parsed_select(select).find_all(exp.Table):
        if read.name in _INTERMEDIATE:
            sources |= source_tables(read.name)
        # CTEs and the temporary tables of touched users and sessions are not in the metadata.
        elif full_name(read) in _COLUMNS:
            sources.add(read.name)
    return frozenset(sources)


@cache
@cached_on_disk
def intermediate_tables(select: str) -> frozenset[str]:
    """Returns the views and tables without assets that a SELECT reads, also through each other."""
    from sqlglot import exp

    # A CTE may have the name of a view, but no schema.
    read = {table.name for table in parsed_select(select).find_all(exp.Table) if table.db} & _INTERMEDIATE
    return frozenset(read).union(*(intermediate_tables(select_sql(name)) for name in read))


def parsed_select(select: str) -> exp.Select:
    """Returns the parsed tree of a SELECT, which must not be modified. Raises LineageError."""
    return _select(_scope_of(select))


@cache
def _scope_of(select: str) -> Scope:
    from sqlglot import ParseError, exp, parse_one
    from sqlglot.errors import SqlglotError, TokenError
    from sqlglot.optimizer.scope import build_scope

    # Every column in our SQL names its table (a test checks that), so sqlglot's slower qualification is not needed.
    try:
        parsed = parse_one(select, dialect="redshift")
        # An INSERT has a scope too: that of its SELECT.
        scope = build_scope(parsed) if isinstance(parsed, exp.Query) else None
    except TokenError as error:
        raise LineageError("a quote or a comment is opened and not closed") from error
    except ParseError as error:
        raise LineageError(_place_of(error)) from error
    except SqlglotError as error:
        raise LineageError(str(error).partition("\n")[0]) from error
    except RecursionError as error:
        raise LineageError("its expressions are nested too deeply") from error
    if scope is None:
        raise LineageError("it is not one SELECT")
    return scope


def _source_and_columns(scope: Scope, alias: str) -> tuple[str, Collection[str]]:
    """Returns the name of a source and its columns in lower case; none if they are unknown, as of a temporary table."""
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

    source = scope.sources.get(alias)
    if isinstance(source, Scope) and isinstance(source.expression, exp.Query):
        return alias, [name.lower() for name in source.expression.named_selects]
    if not isinstance(source, exp.Table):
        return alias, ()
    name = source.name
    return name, column_origins(name).keys() if name in VIEWS else _COLUMNS.get(full_name(source), ())


def full_name(table: exp.Table) -> str:
    """Returns a table's name as it is written, with the schema if there is one."""
    return f"{table.db}.{table.name}" if table.db else table.name


@contextmanager
def _names_file(table: str) -> Iterator[None]:
    try:
        yield
    except SqlFileError:
        # Of a view that the file reads.
        raise
    except LineageError as error:
        raise SqlFileError(in_file(f"{table}.sql", error)) from None


def _place_of(error: ParseError) -> str:
    """Returns the line of an error and what is wrong there."""
    if not error.errors or not error.errors[0].get("line"):
        return "there is no SELECT"
    found = error.errors[0]
    return f"line {found['line']}: {str(found['description']).rstrip('.')} at '{found['highlight']}'"


def _select(scope: Scope) -> exp.Select:
    from sqlglot import exp

    if not isinstance(scope.expression, exp.Select):
        raise LineageError(f"lineage follows plain SELECTs only, not: {_one_line(scope.expression)}")
    return scope.expression


def _origin(scope: Scope, name: str) -> ColumnOrigin:
    from sqlglot import exp

    if isinstance(scope.expression, exp.Union):
        return _origin_in_union(scope.set_operation_scopes, name)
    selected = _selected(scope, name)
    columns = [(column.table, column.name) for column in selected.find_all(exp.Column, bfs=False)]
    inner = [_origin_in_source(scope, alias, column) for alias, column in columns]
    joined_on = [key for alias in dict.fromkeys(alias for alias, _ in columns) for key in _join_keys(scope, alias)]
    # To transform it is to copy it.
    plain = selected if isinstance(selected, exp.Column) else selected.transform(_without_the_obvious)
    expression = inner[0].expression if isinstance(plain, exp.Column) else _short_sql(plain)
    return ColumnOrigin(
        sources=tuple(dict.fromkeys(source for origin in inner for source in origin.sources)),
        joined_on=tuple(dict.fromkeys([*joined_on, *(key for origin in inner for key in origin.joined_on)])),
        expression=expression,
    )


def _origin_in_union(branches: Sequence[Scope], name: str) -> ColumnOrigin:
    """Returns the origin of a column in the branches of a UNION, whose columns go by their position."""
    columns = [_columns_of(branch) for branch in branches]
    position = columns[0].index(name)
    origins = [_origin(branch, names[position]) for branch, names in zip(branches, columns, strict=True)]
    return ColumnOrigin(
        sources=tuple(dict.fromkeys(source for origin in origins for source in origin.sources)),
        joined_on=tuple(dict.fromkeys(key for origin in origins for key in origin.joined_on)),
        expression=origins[0].expression,
    )


def _columns_of(scope: Scope) -> Sequence[str]:
    from sqlglot import exp

    return scope.expression.named_selects if isinstance(scope.expression, exp.Union) else _select(scope).named_selects


def _selected(scope: Scope, name: str) -> exp.Expr:
    for selected in _select(scope).selects:
        if selected.alias_or_name == name:
            return selected.unalias()
    if not name:
        raise LineageError("a column of the SELECT has no name: write it as expression AS name")
    raise LineageError(f"no column {name} in: {_one_line(scope.expression)}")


def _origin_in_source(scope: Scope, alias: str, column: str) -> ColumnOrigin:
    """Returns the origin of `alias.column`, as the scope's FROM and JOINs define the alias."""
    from sqlglot.optimizer.scope import Scope

    source = scope.sources.get(alias)
    if source is None:
        raise LineageError(
            f"{alias or column} names no table of: {_one_line(scope.expression)}; write each column as table.column"
        )
    if isinstance(source, Scope):
        return _origin(source, column)
    if source.name in _INTERMEDIATE:
        return column_origins(source.name)[column]
    return ColumnOrigin(((source.name, column),))


def _join_keys(scope: Scope, alias: str) -> Iterator[str]:
    """Returns the base columns behind the `alias` side of the equalities that join it."""
    from sqlglot import exp

    for join in _select(scope).args.get("joins") or ():
        if join.alias_or_name != alias or join.args.get("on") is None:
            continue
        for equality in join.args["on"].find_all(exp.EQ, bfs=False):
            sides = (equality.left, equality.right)
            keys = [side for side in sides if isinstance(side, exp.Column) and side.table == alias]
            others = [side for side in sides if isinstance(side, exp.Column) and side.table != alias]
            if not keys or not others:
                continue
            key, other = (_origin_in_source(scope, side.table, side.name) for side in (keys[0], others[0]))
            # A self-join on the id is not a match with another table.
            if key.sources != other.sources:
                yield from (column for _, column in key.sources)


def _without_the_obvious(node: exp.Expr) -> exp.Expr:
    """Removes casts of divisions and the trimming of texts, which would only clutter the description of a column."""
    from sqlglot import exp

    # A type by its name would be parsed for each node.
    is_cast = isinstance(node, exp.Cast) and node.is_type(exp.DType.DOUBLE)
    is_rtrim = isinstance(node, exp.Trim) and node.args.get("position") == "TRAILING"
    return _without_the_obvious(node.this) if is_cast or is_rtrim else node


def _one_line(expression: exp.Expr, limit: int = 200) -> str:
    sql = expression.sql(dialect="redshift", comments=False)
    return sql if len(sql) <= limit else f"{sql[:limit]}…"


def _short_sql(expression: exp.Expr) -> str:
    from sqlglot import exp

    def unqualified(node: exp.Expr) -> exp.Expr:
        return exp.column(node.name) if isinstance(node, exp.Column) else node

    sql = expression.transform(unqualified).sql(dialect="redshift")
    if len(sql) <= _MAX_EXPRESSION_CHARACTERS:
        return sql
    function, parenthesis, _ = sql.partition("(")
    return f"{function}(…)" if parenthesis and function.isidentifier() else f"{sql[:_MAX_EXPRESSION_CHARACTERS]}…"
