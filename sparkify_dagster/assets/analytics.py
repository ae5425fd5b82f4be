"""The analysts' queries, each a table of its own: an asset for each file in analytics/queries."""

from collections.abc import Iterator, Mapping, Sequence, Set

import dagster as dg
from sqlalchemy import Connection

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.charts import ChartSpec, draw
from sparkify_dagster.analytics.query import Query, all_queries, broken_queries
from sparkify_dagster.analytics.refresh import QueryResult, ResultRow
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.presentation.columns import definition_metadata
from sparkify_dagster.presentation.materialization import DayMetadata
from sparkify_dagster.presentation.rows import rows_metadata
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.warehouse.base import Warehouse

PREVIEW_ROWS = 10
_PREVIEW_CHARACTERS = 32


def _spec(query: Query) -> dg.AssetSpec:
    return dg.AssetSpec(
        query.name,
        deps=sorted(query.reads),
        group_name="analytics",
        kinds={"table", "sql"},
        owners=["team:analytics"],
        description=f"**{query.title}**\n\n{query.notes}\n\nAsked by: {query.asked_by}",
        metadata=definition_metadata(query.table),
    )


@dg.multi_asset(name="queries", specs=[_spec(query) for query in all_queries().values()], can_subset=True)
def queries(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.MaterializeResult[None]]:
    """All in one step: what the star holds is looked through once, and only what changed is asked again."""
    selected = [all_queries()[key.path[-1]] for key in sorted(context.selected_asset_keys)]
    with as_dagster_failures(), warehouse.connect(f"queries of run {context.run.run_id}") as engine:
        # A file with a mistake in it is still a query, whose table keeps its answer.
        known = all_queries().keys() | broken_queries().keys()
        forgotten = warehouse.run_in_transaction(engine, lambda connection: refresh.drop_forgotten(connection, known))
        for name in forgotten:
            context.log.info(f"The table of {name} is dropped, since there is no such query any more.")
        answered, failed = refresh.refresh(warehouse, engine, selected)
        told_before = {answer.query.name: _previous_metadata(context, answer) for answer in answered}
        to_show = [answer.query for answer in answered if told_before[answer.query.name] is None]
        rows = warehouse.run_in_transaction(
            engine, lambda connection: {query.name: _rows_to_show(connection, query) for query in to_show}
        )
    asked = sum(answer.asked for answer in answered)
    context.log.info(f"{pluralize(asked, 'query')} asked again, {len(answered) - asked} unchanged.")
    for answer in answered:
        name = answer.query.name
        shown = told_before[name] or result_metadata(answer.query, rows[name])
        yield dg.MaterializeResult(
            asset_key=name,
            metadata={
                **shown,
                "dagster/row_count": answer.rows,
                "warehouse": warehouse.database,
                "version": answer.version,
                "asked": "anew, since the star or the query had changed"
                if answer.asked
                else "not again: nothing had changed",
                "seconds": round(answer.seconds, 3),
            },
        )
    if failed:
        raise dg.Failure("; ".join(map(str, failed)), allow_retries=False)


def _previous_metadata(context: dg.AssetExecutionContext, answer: QueryResult) -> DayMetadata | None:
    """What the page shows of an answer that stayed; None where it has to be made again."""
    if answer.asked:
        return None
    latest = context.instance.get_latest_materialization_event(dg.AssetKey(answer.query.name))
    materialization = latest.asset_materialization if latest else None
    if materialization is None:
        return None
    told: DayMetadata = materialization.metadata
    version, shown = materialization.metadata.get("version"), materialization.metadata.get("preview")
    if version is None or version.value != answer.version:
        return None
    if isinstance(shown, dg.TableMetadataValue) and shown.schema is not None:
        # Earlier versions showed names.
        names = {column.name for column in shown.schema.columns}
        return told if names <= _shown_columns(answer.query) else None
    return told


def _shown_columns(query: Query) -> Set[str]:
    return frozenset(query.columns).difference(query.personal_columns)


def _rows_to_show(connection: Connection, query: Query) -> Sequence[ResultRow]:
    return refresh.stored_result(connection, query, None if query.chart else PREVIEW_ROWS)


def result_metadata(query: Query, rows: Sequence[ResultRow]) -> DayMetadata:
    """The chart and the first rows, without personal columns."""
    if not rows:
        return {}
    columns = _shown_columns(query)
    records = [{name: value for name, value in row._mapping.items() if name in columns} for row in rows]
    shown: dict[str, dg.MetadataValue] = {"preview": rows_metadata(records[:PREVIEW_ROWS], _PREVIEW_CHARACTERS)}
    if query.chart:
        shown["chart"] = dg.MetadataValue.md(_chart(query, query.chart, records))
    return shown


def _chart(query: Query, chart: ChartSpec, records: Sequence[Mapping[str, object]]) -> str:
    personal = [name for name in (*chart.values, *chart.by) if name in query.personal_columns]
    if personal:
        return (
            f"Not drawn, since it would show listeners' {', '.join(personal)}. A column that only groups people is "
            f"drawn where the header declares it: `-- Groups people: {', '.join(personal)}`"
        )
    return f"![{query.title}]({draw(chart, query.title, records)})"
