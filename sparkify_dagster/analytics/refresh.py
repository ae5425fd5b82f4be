"""Asks queries of the star, and keeps the answers as tables, made anew only when the star or the query changed."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Row,
    Select,
    String,
    cast,
    column,
    delete,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable, DropTable

from sparkify_dagster.analytics.query import Query
from sparkify_dagster.schema.tables import ANALYTICS_SCHEMA, STAR_TABLES, analytics_refreshes
from sparkify_dagster.warehouse.base import Warehouse, count_rows, utc_now
from sparkify_dagster.warehouse.database_errors import WarehouseError, first_line
from sparkify_dagster.warehouse.ddl import columns_in
from sparkify_dagster.warehouse.transforms import day_bounds

ResultRow: TypeAlias = Row[*tuple[Any, ...]]

_ALL_DAYS = (date(1, 1, 1), date(9999, 12, 30))


@dataclass(frozen=True)
class QueryResult:
    """The answer that the warehouse keeps of a query, over all days."""

    query: Query
    version: str
    """What was asked of which content of the star: the same version is the same answer."""
    asked: bool
    """Whether the query was asked now. Where nothing had changed, the answer stayed."""
    rows: int
    seconds: float


class QueryFailedError(WarehouseError):
    """The warehouse could not answer a query."""


def ask(
    warehouse: Warehouse,
    connection: Connection,
    query: Query,
    first_day: date | None = None,
    last_day: date | None = None,
) -> Sequence[ResultRow]:
    """The answer from the star as it is now, of some days (both included) or all. Raises QueryFailedError."""
    with _naming(query, warehouse):
        return connection.execute(_typed_select(query), _period(first_day, last_day)).all()


def stored_result(connection: Connection, query: Query, most_rows: int | None = None) -> Sequence[ResultRow]:
    """The first rows of the table in the query's order; of a query without one in the order of its columns."""
    order = _order(query, query.table) or query.table.columns
    return connection.execute(select(query.table).order_by(*order).limit(most_rows)).all()


def refresh(
    warehouse: Warehouse, engine: Engine, queries: Sequence[Query]
) -> tuple[Sequence[QueryResult], Sequence[QueryFailedError]]:
    """Brings the queries' tables up to the star. What cannot be answered keeps its old answer, and is told."""
    try:
        # The star is looked through only once.
        return warehouse.run_in_transaction(engine, lambda connection: _refresh(warehouse, connection, queries)), []
    except QueryFailedError as error:
        if len(queries) == 1:
            return [], [error]
    # A transaction ends with its first error, so those that can be answered get one of their own.
    alone = [refresh(warehouse, engine, [query]) for query in queries]
    return [answer for answers, _ in alone for answer in answers], [error for _, errors in alone for error in errors]


def drop_forgotten(connection: Connection, known: Collection[str]) -> Sequence[str]:
    """Drops the tables of queries whose file is gone, since their answers would only grow old; tells their names."""
    forgotten = sorted(_kept_versions(connection).keys() - set(known))
    for name in forgotten:
        connection.execute(text(f"DROP TABLE IF EXISTS {ANALYTICS_SCHEMA}.{name}"))
        connection.execute(delete(analytics_refreshes).where(analytics_refreshes.c.query == name))
    return forgotten


class _Kept(NamedTuple):
    definition: str
    version: str


def _refresh(warehouse: Warehouse, connection: Connection, queries: Sequence[Query]) -> Sequence[QueryResult]:
    reads = frozenset().union(*(query.reads for query in queries))
    star = {table.name: warehouse.fingerprint(connection, table) for table in STAR_TABLES if table.name in reads}
    existing = columns_in(connection, ANALYTICS_SCHEMA)
    kept = {name: of for name, of in _kept_versions(connection).items() if name in existing}
    return [_refresh_one(warehouse, connection, query, star, kept.get(query.name)) for query in queries]


def _refresh_one(
    warehouse: Warehouse, connection: Connection, query: Query, star: Mapping[str, str], kept: _Kept | None
) -> QueryResult:
    started = perf_counter()
    definition = _digest(str(CreateTable(query.table).compile(dialect=connection.dialect)))
    version = _digest(definition, query.select, *(star[table] for table in sorted(query.reads)))
    asked = kept is None or kept.version != version
    with _naming(query, warehouse):
        if asked:
            if kept is None or kept.definition != definition:
                connection.execute(DropTable(query.table, if_exists=True))
                query.table.create(connection, checkfirst=False)
            else:
                connection.execute(delete(query.table))
            names = query.columns
            connection.execute(insert(query.table).from_select(names, _typed_select(query)), _period())
            _record(connection, query, _Kept(definition, version))
        rows = count_rows(connection, query.table)
    return QueryResult(query, version, asked, rows, perf_counter() - started)


def _typed_select(query: Query) -> Select[*tuple[Any, ...]]:
    """The query's SELECT as it is written, its columns of the types that the header names, in its order."""
    answer = text(query.select).columns(*(column(name) for name in query.columns)).subquery("answer")
    columns = {
        kept.name: answer.c[kept.name]
        # Texts keep the order of the column that they come from, which a CAST would lose.
        if isinstance(kept.type, String)
        else cast(answer.c[kept.name], kept.type).label(kept.name)
        for kept in query.table.columns
    }
    return select(*columns.values()).order_by(*_order(query, answer))


def _order(query: Query, rows: FromClause) -> list[ColumnElement[Any]]:
    return [rows.c[name].desc() if descending else rows.c[name] for name, descending in query.order]


def _period(first_day: date | None = None, last_day: date | None = None) -> Mapping[str, datetime]:
    start, end = day_bounds(first_day or _ALL_DAYS[0], last_day or _ALL_DAYS[1])
    return {"first_day": start, "end_day": end}


def _kept_versions(connection: Connection) -> Mapping[str, _Kept]:
    kept = analytics_refreshes.c
    rows = connection.execute(select(kept.query, kept.definition, kept.version)).all()
    return {name: _Kept(definition, version) for name, definition, version in rows}


def _record(connection: Connection, query: Query, kept: _Kept) -> None:
    connection.execute(delete(analytics_refreshes).where(analytics_refreshes.c.query == query.name))
    row = {"query": query.name, "refreshed_at": utc_now(), **kept._asdict()}
    connection.execute(insert(analytics_refreshes), row)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@contextmanager
def _naming(query: Query, warehouse: Warehouse) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        # What may succeed when it is done again is for the transaction to repeat.
        if warehouse.is_transient(error):
            raise
        raise QueryFailedError(f"the query {query.name} ({query.path.name}): {first_line(error)}") from None
