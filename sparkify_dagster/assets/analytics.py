"""The analytics tables: one asset per query file in sql/analytics and in the folders of teams."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import dagster as dg

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.charts import ChartSpec, draw, start_engine
from sparkify_dagster.analytics.query import Query, all_queries, broken_queries
from sparkify_dagster.analytics.refresh import QueryResult, ResultRow
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.presentation.columns import definition_metadata
from sparkify_dagster.presentation.glance import at_a_glance
from sparkify_dagster.presentation.materialization import AssetMetadata
from sparkify_dagster.presentation.metadata_keys import AT_A_GLANCE, DATA_VERSION_TAG, PREVIEW, REFRESH, RefreshStatus
from sparkify_dagster.presentation.rows import rows_metadata
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.schema.code_versions import code_version_of
from sparkify_dagster.warehouse.base import Warehouse

PREVIEW_ROWS = 10
_PREVIEW_CHARACTERS = 32


def _spec(query: Query) -> dg.AssetSpec:
    return dg.AssetSpec(
        query.name,
        deps=sorted(query.reads),
        group_name=query.folder.group,
        kinds={"table", "sql"},
        owners=query.folder.owners,
        description=f"**{query.title}**\n\n{query.notes}\n\nAsked by: {query.asked_by}",
        metadata=definition_metadata(query.table),
        code_version=code_version_of(query.select),
    )


# The step whose name sorts last decides which days Dagster plans for all assets of a run: were it a daily asset's, each
# query and each check would be planned once per day. assets/test_planned_events.py holds this.
@dg.multi_asset(name="write_query_tables", specs=[_spec(query) for query in all_queries().values()], can_subset=True)
def queries(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.MaterializeResult[None]]:
    """Refreshes all selected tables in one step and one transaction. SQL: sql/analytics/NAME.sql"""
    selected = [all_queries()[key.path[-1]] for key in sorted(context.selected_asset_keys)]
    # Charts are drawn while Dagster records the tables before.
    with ThreadPoolExecutor(max_workers=1) as drawing:
        yield from _refreshed(context, warehouse, selected, drawing)


def _refreshed(
    context: dg.AssetExecutionContext, warehouse: Warehouse, selected: Sequence[Query], drawing: Executor
) -> Iterator[dg.MaterializeResult[None]]:
    with as_dagster_failures(), warehouse.connect(f"queries of run {context.run.run_id}") as engine:
        # A query whose file is invalid keeps its table.
        known = {*all_queries(), *(broken.table for broken in broken_queries().values())}
        orphaned, stale = warehouse.run_in_transaction(
            engine,
            lambda connection: (
                refresh.drop_orphaned_tables(connection, known),
                refresh.stale_queries(connection, selected),
            ),
        )
        if any(query.chart for query in stale):
            drawing.submit(start_engine)
        for name in orphaned:
            context.log.info(f"Dropped table {name}: its query file no longer exists.")
        results, failed = refresh.refresh(warehouse, engine, selected)
        previous = {result.query.name: _previous_metadata(context, result) for result in results}
        to_show = [result.query for result in results if previous[result.query.name] is None]
        rows = warehouse.run_in_transaction(
            engine,
            lambda connection: {
                query.name: refresh.stored_result(connection, query, None if query.chart else PREVIEW_ROWS)
                for query in to_show
            },
        )
    shown = {query.name: drawing.submit(result_metadata, query, rows[query.name]) for query in to_show}
    recomputed = sum(result.recomputed for result in results)
    context.log.info(f"Refreshed {pluralize(recomputed, 'query')}; {len(results) - recomputed} were up to date.")
    for result in results:
        name = result.query.name
        status = RefreshStatus.RECOMPUTED if result.recomputed else RefreshStatus.UP_TO_DATE
        yield dg.MaterializeResult(
            asset_key=name,
            data_version=dg.DataVersion(result.version),
            metadata={
                **(previous[name] or shown[name].result()),
                "dagster/row_count": result.rows,
                "warehouse": warehouse.database,
                REFRESH: status.value,
                "seconds": round(result.seconds, 3),
            },
        )
    if failed:
        raise dg.Failure("; ".join(map(str, failed)), allow_retries=False)


def _previous_metadata(context: dg.AssetExecutionContext, result: QueryResult) -> AssetMetadata | None:
    """Returns the latest metadata of a table that was up to date; None if preview and chart have to be recomputed."""
    if result.recomputed:
        return None
    latest = context.instance.get_latest_materialization_event(dg.AssetKey(result.query.name))
    materialization = latest.asset_materialization if latest else None
    if materialization is None:
        return None
    metadata: AssetMetadata = materialization.metadata
    if (materialization.tags or {}).get(DATA_VERSION_TAG) != result.version:
        return None
    chart = result.query.chart
    if chart and _is_shown(chart, result.query) and AT_A_GLANCE not in metadata:
        # Earlier versions of this package showed nothing at a glance.
        return None
    preview = materialization.metadata.get(PREVIEW)
    if isinstance(preview, dg.TableMetadataValue) and preview.schema is not None:
        # Earlier versions of this package showed personal columns.
        names = {column.name for column in preview.schema.columns}
        return metadata if names <= _shown_columns(result.query) else None
    return metadata


def _shown_columns(query: Query) -> frozenset[str]:
    return frozenset(query.columns).difference(query.personal_columns)


def result_metadata(query: Query, rows: Sequence[ResultRow]) -> AssetMetadata:
    """Returns the preview of a result and its chart, also at a glance, without personal columns."""
    columns = _shown_columns(query)
    records = [{name: value for name, value in row._mapping.items() if name in columns} for row in rows]
    metadata: dict[str, dg.MetadataValue] = {}
    if query.chart and _is_shown(query.chart, query):
        metadata[AT_A_GLANCE] = at_a_glance(query.chart, records)
    if records:
        metadata[PREVIEW] = rows_metadata(records[:PREVIEW_ROWS], _PREVIEW_CHARACTERS)
    if records and query.chart:
        metadata["chart"] = dg.MetadataValue.md(_chart(query, query.chart, records))
    return metadata


def _is_shown(chart: ChartSpec, query: Query) -> bool:
    return _shown_columns(query).issuperset((*chart.values, *chart.by))


def _chart(query: Query, chart: ChartSpec, records: Sequence[Mapping[str, object]]) -> str:
    if _is_shown(chart, query):
        return f"![{query.title}]({draw(chart, query.title, records)})"
    personal = ", ".join(name for name in (*chart.values, *chart.by) if name in query.personal_columns)
    return (
        f"Not drawn: it would show listeners' {personal}. If the column only groups people, declare it in the query's "
        f"header: `-- Groups people: {personal}`"
    )
