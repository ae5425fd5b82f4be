"""Runs analytics queries and stores their results as tables, recomputed only when the star or the query changed.

Of a query by day only the changed days are recomputed. Loads note these in `staging.pending_steps`.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
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
    func,
    insert,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable, DropTable

from sparkify_dagster.analytics.query import Query
from sparkify_dagster.days import contiguous_blocks, days_between, format_days
from sparkify_dagster.schema.column_types import ANALYTICS_SCHEMA
from sparkify_dagster.schema.tables import analytics_refreshes
from sparkify_dagster.warehouse import pending_steps
from sparkify_dagster.warehouse.base import Warehouse, count_rows, utc_now
from sparkify_dagster.warehouse.database_errors import WarehouseError, first_line, with_remedy
from sparkify_dagster.warehouse.ddl import columns_in
from sparkify_dagster.warehouse.pending_steps import QUERIES_BY_DAY, PendingStep
from sparkify_dagster.warehouse.table_versions import TableVersion, read_versions
from sparkify_dagster.warehouse.transforms import MAX_DAYS_PER_STATEMENT, day_bounds

ResultRow: TypeAlias = Row[*tuple[Any, ...]]

_ALL_DAYS = (date(1, 1, 1), date(9999, 12, 30))


@dataclass(frozen=True)
class QueryResult:
    """The stored result of a query over all days."""

    query: Query
    version: str
    """A digest of the query and of the versions of the tables that it reads: equal versions have equal results."""
    recomputed: bool
    """True if this refresh ran the query; False if the stored result was up to date."""
    rows: int
    seconds: float


class QueryFailedError(WarehouseError):
    """The warehouse failed to run a query."""


def run_query(
    warehouse: Warehouse,
    connection: Connection,
    query: Query,
    first_day: date | None = None,
    last_day: date | None = None,
) -> Sequence[ResultRow]:
    """Runs a query on the current star, for some days (both included) or all. Raises QueryFailedError."""
    with _names_failed_query(query, warehouse):
        return connection.execute(_typed_select(query), _parameters(first_day, last_day)).all()


def stored_result(connection: Connection, query: Query, limit: int | None = None) -> Sequence[ResultRow]:
    """Returns the first rows of the query's table, in the query's order or else ordered by all columns."""
    order = _order(query, query.table) or query.table.columns
    return connection.execute(select(query.table).order_by(*order).limit(limit)).all()


def refresh(
    warehouse: Warehouse, engine: Engine, queries: Sequence[Query]
) -> tuple[Sequence[QueryResult], Sequence[QueryFailedError]]:
    """Brings the queries' tables up to date. A query that fails keeps its stored result; its error is returned."""
    try:
        # One transaction for all: they show the same state of the star.
        return warehouse.run_in_transaction(engine, lambda connection: _refresh(warehouse, connection, queries)), []
    except QueryFailedError as error:
        if len(queries) == 1:
            return [], [error]
    # A transaction ends with its first error, so each query gets its own.
    single = [refresh(warehouse, engine, [query]) for query in queries]
    return [result for results, _ in single for result in results], [error for _, errors in single for error in errors]


def drop_orphaned_tables(connection: Connection, known: Collection[str]) -> Sequence[str]:
    """Drops the tables of queries whose file was deleted, because they would go stale. Returns their names."""
    orphaned = sorted(set(connection.scalars(select(analytics_refreshes.c.query))) - set(known))
    for name in orphaned:
        connection.execute(text(f"DROP TABLE IF EXISTS {ANALYTICS_SCHEMA}.{name}"))
        connection.execute(delete(analytics_refreshes).where(analytics_refreshes.c.query == name))
    return orphaned


def refreshed_at(connection: Connection, name: str) -> datetime | None:
    """Returns the time (UTC) at which the query of that name was last run; None if it has no table."""
    stored = analytics_refreshes.c
    return connection.scalar(select(stored.refreshed_at).where(stored.query == name))


def refresh_times(connection: Connection) -> Mapping[str, datetime]:
    """Returns the time (UTC) at which each query with a table was last run, by the query's name."""
    stored = analytics_refreshes.c
    return {row.query: row.refreshed_at for row in connection.execute(select(stored.query, stored.refreshed_at))}


class _StoredVersion(NamedTuple):
    """Digests of the table's DDL, of the query with the data that its rows were computed from, and of the query."""

    definition: str
    version: str
    by_day: str | None
    """Digest of a query by day; None of others, and if all days have to be computed."""


def stale_queries(connection: Connection, queries: Iterable[Query]) -> Sequence[Query]:
    """Returns the queries whose table is missing, or whose SQL or tables have changed since. It reads no result."""
    tables, stored = read_versions(connection), _stored_versions(connection)
    return [
        query for query in queries if _is_stale(_current_version(connection, query, tables), stored.get(query.name))
    ]


def compared_queries(connection: Connection, expected: str) -> Set[str]:
    """Returns the queries whose present result was compared with the expected results of that digest."""
    stored = analytics_refreshes.c
    return set(connection.scalars(select(stored.query).where(stored.compared_with == expected)))


def result_versions(connection: Connection) -> Mapping[str, str]:
    """Returns the version of each stored result, by the query's name."""
    return {name: stored.version for name, stored in _stored_versions(connection).items()}


def note_compared(connection: Connection, versions: Sequence[str], expected: str) -> None:
    """Notes that the results of these versions were compared with the expected results of that digest."""
    compared = update(analytics_refreshes).where(analytics_refreshes.c.version.in_(versions))
    connection.execute(compared.values(compared_with=expected))


def _refresh(warehouse: Warehouse, connection: Connection, queries: Sequence[Query]) -> Sequence[QueryResult]:
    tables, stored = read_versions(connection), _stored_versions(connection)
    changes = pending_steps.read(connection, QUERIES_BY_DAY)
    results = [_refresh_one(warehouse, connection, query, tables, stored.get(query.name), changes) for query in queries]
    pending_steps.note(connection, [result.query.name for result in results if result.recomputed])
    others = {name for name, version in stored.items() if version.by_day}.difference(query.name for query in queries)
    if not others:
        pending_steps.remove(connection, changes)
    return results


def _refresh_one(
    warehouse: Warehouse,
    connection: Connection,
    query: Query,
    tables: Mapping[str, TableVersion],
    stored: _StoredVersion | None,
    changes: Sequence[PendingStep],
) -> QueryResult:
    started = perf_counter()
    current = _current_version(connection, query, tables)
    is_stale = _is_stale(current, stored)
    with _names_failed_query(query, warehouse):
        if is_stale:
            if stored is None or stored.definition != current.definition:
                connection.execute(DropTable(query.table, if_exists=True))
                query.table.create(connection, checkfirst=False)
                _insert(connection, query)
            elif query.by_day and stored.by_day == current.by_day and (days := _changed_days(query, changes)):
                _replace_days(connection, query, query.table.c[query.by_day], days)
            else:
                connection.execute(delete(query.table))
                _insert(connection, query)
            _record_version(connection, query, current)
        rows = count_rows(connection, query.table)
    return QueryResult(query, current.version, is_stale, rows, perf_counter() - started)


def _insert(connection: Connection, query: Query, first_day: date | None = None, last_day: date | None = None) -> None:
    rows = insert(query.table).from_select(query.columns, _typed_select(query))
    connection.execute(rows, _parameters(first_day, last_day))


def _changed_days(query: Query, changes: Sequence[PendingStep]) -> Sequence[date]:
    """Returns the days that have changed in the tables that the query reads, sorted."""
    return sorted(
        {day for change in changes if change.table in query.reads and change.days for day in days_between(*change.days)}
    )


def _replace_days(connection: Connection, query: Query, day: ColumnElement[date], days: Sequence[date]) -> None:
    """Replaces the rows of the days, which are sorted."""
    blocks = contiguous_blocks(days, MAX_DAYS_PER_STATEMENT)
    in_blocks = or_(*(day.between(first_day, last_day) for first_day, last_day in blocks))
    count_others = select(func.count()).select_from(query.table).where(not_(in_blocks))
    others = connection.scalar(count_others)
    connection.execute(delete(query.table).where(in_blocks))
    for first_day, last_day in blocks:
        _insert(connection, query, first_day, last_day)
    if connection.scalar(count_others) != others:
        raise QueryFailedError(
            f"query {query.name} ({query.path.name}) failed: By day: {query.by_day}: some rows of "
            f"{format_days(*blocks[-1])} have another day there: remove this line from the header"
        )


def _current_version(connection: Connection, query: Query, tables: Mapping[str, TableVersion]) -> _StoredVersion:
    definition = _digest(str(CreateTable(query.table).compile(dialect=connection.dialect)))
    read = (tables[name].rows if name in tables else "" for name in sorted(query.reads))
    by_day = _digest(definition, query.select) if query.by_day else None
    return _StoredVersion(definition, _digest(definition, query.select, *read), by_day)


def _is_stale(current: _StoredVersion, stored: _StoredVersion | None) -> bool:
    return stored is None or stored.version != current.version


def _typed_select(query: Query) -> Select[*tuple[Any, ...]]:
    """Returns the query's SELECT, cast to the types of its header, in its order."""
    result = text(query.select).columns(*(column(name) for name in query.columns)).subquery("result")
    columns = [
        result.c[declared.name]
        # A text keeps the collation of its source column, which a CAST would lose.
        if isinstance(declared.type, String)
        else cast(result.c[declared.name], declared.type).label(declared.name)
        for declared in query.table.columns
    ]
    return select(*columns).order_by(*_order(query, result))


def _order(query: Query, rows: FromClause) -> list[ColumnElement[Any]]:
    return [rows.c[name].desc() if descending else rows.c[name] for name, descending in query.order]


def _parameters(first_day: date | None = None, last_day: date | None = None) -> Mapping[str, datetime]:
    start, end = day_bounds(first_day or _ALL_DAYS[0], last_day or _ALL_DAYS[1])
    return {"first_day": start, "end_day": end}


def _stored_versions(connection: Connection) -> Mapping[str, _StoredVersion]:
    """Returns the versions of the queries' tables that exist."""
    existing = columns_in(connection, ANALYTICS_SCHEMA)
    stored = analytics_refreshes.c
    rows = connection.execute(select(stored.query, stored.definition, stored.version, stored.by_day)).all()
    return {name: _StoredVersion(*version) for name, *version in rows if name in existing}


def _record_version(connection: Connection, query: Query, version: _StoredVersion) -> None:
    connection.execute(delete(analytics_refreshes).where(analytics_refreshes.c.query == query.name))
    row = {"query": query.name, "refreshed_at": utc_now(), **version._asdict()}
    connection.execute(insert(analytics_refreshes), row)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@contextmanager
def _names_failed_query(query: Query, warehouse: Warehouse) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        # Transient errors pass through: the transaction is retried.
        if warehouse.is_transient(error):
            raise
        said = f"query {query.name} ({query.path.name}) failed: {first_line(error)}"
        raise QueryFailedError(with_remedy(said, warehouse.remedy(error))) from None
