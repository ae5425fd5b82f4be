"""The results of the queries as the report shows them: rows as text and a chart, without personal columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Integer, Numeric, text

from sparkify_dagster.analytics.charts import ChartType, interactive_spec
from sparkify_dagster.analytics.formats import format_value
from sparkify_dagster.analytics.query import Query, all_queries
from sparkify_dagster.analytics.refresh import ResultRow, refresh_times, run_query, stored_result
from sparkify_dagster.formatting import visible
from sparkify_dagster.report.dictionary import DescribedColumn, described_columns
from sparkify_dagster.report.period import Period
from sparkify_dagster.schema.column_types import ANALYTICS_SCHEMA
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.ddl import columns_in

MAX_ROWS: Final = 100


@dataclass(frozen=True)
class ShownResult:
    """A query and its result."""

    query: Query
    columns: Sequence[DescribedColumn]
    numeric: Sequence[bool]
    """Per column, whether it is aligned as a number."""
    rows: Sequence[Sequence[str | None]] | None
    """None if the query has no result of its present columns."""
    note: str
    """The choice of the rows, for people to read; empty if these are all."""
    hidden: Sequence[str]
    """The personal columns, which are not shown."""
    chart: Mapping[str, Any] | None
    """A Vega-Lite specification; None if there is nothing to draw, or a person would be in it."""
    period: Period | None
    """The days that the result covers; None for all days."""
    refreshed_at: datetime | None
    """When the stored result was computed; None if it is not a stored one."""


def shown_results(warehouse: Warehouse, connection: Connection, period: Period | None) -> Sequence[ShownResult]:
    """Reads the stored results, or for a period runs the queries. Raises QueryFailedError."""
    stored, times = columns_in(connection, ANALYTICS_SCHEMA), refresh_times(connection)
    results = []
    for query in all_queries().values():
        if period and _takes_days(query):
            rows = run_query(warehouse, connection, query, period.first_day, period.last_day)
            results.append(_shown(query, rows, period, None))
        elif stored.get(query.name, frozenset()) >= set(query.columns):
            results.append(_shown(query, stored_result(connection, query), None, times.get(query.name)))
        else:
            results.append(_shown(query, None, None, None))
    return results


def _takes_days(query: Query) -> bool:
    return bool(text(query.select).compile().params)


def _shown(
    query: Query, rows: Sequence[ResultRow] | None, period: Period | None, refreshed_at: datetime | None
) -> ShownResult:
    names = query.shown_columns
    records = [{name: row._mapping[name] for name in names} for row in rows or ()]
    # The last rows are the latest days, as in the chart.
    has_days = query.chart is not None and query.chart.type is not ChartType.BAR
    some = records[-MAX_ROWS:] if has_days else records[:MAX_ROWS]
    which = "last" if has_days else "first"
    note = f"The {which} {len(some):,} of {len(records):,} rows." if len(some) < len(records) else ""
    chart = query.chart if query.chart and set(names).issuperset(query.chart.columns) else None
    return ShownResult(
        query=query,
        columns=[column for column in described_columns(query.table) if column.name in names],
        numeric=[isinstance(query.table.c[name].type, Integer | Numeric) for name in names],
        rows=None if rows is None else [[_text(record[name]) for name in names] for record in some],
        note=note,
        hidden=query.personal_columns,
        chart=interactive_spec(chart, records) if chart and records else None,
        period=period,
        refreshed_at=refreshed_at,
    )


def _text(value: object) -> str | None:
    return None if value is None else visible(format_value(value))
