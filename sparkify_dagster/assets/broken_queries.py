"""Assets of the queries whose file is invalid: each says what to correct, and all others are materialized as usual."""

import dagster as dg

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.query import BrokenQuery, broken_queries
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.database_errors import WarehouseError


def broken_query_assets() -> list[dg.AssetsDefinition]:
    """Returns one asset per invalid file, in a step of its own: a check waits for the steps of its assets."""
    return [_asset(query) for query in broken_queries().values()]


def _asset(query: BrokenQuery) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        query.name,
        group_name=query.folder.group,
        kinds={"sql"},
        owners=query.folder.owners,
        description=f"**The file of this query is invalid.** {_as_code(str(query.error))}\n\n"
        "Its table keeps the last result, of the time that stands beside the metadata below; everything else is "
        "materialized as usual. When the file is right, reload the definitions.",
    )

    # Apart from the other steps' names, whatever the query's name.
    @dg.multi_asset(name=f"read_{query.name}", specs=[spec], description=f"Fails, since {query.path.name} is invalid.")
    def read(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> None:
        raise dg.Failure(f"{query.error}{_kept_result(context, warehouse, query)}", allow_retries=False)

    return read


def _as_code(text: str) -> str:
    """Returns Markdown that shows a text as it is; the space is for one that ends with a backquote."""
    return f"`` {text} ``"


def _kept_result(context: dg.AssetExecutionContext, warehouse: Warehouse, query: BrokenQuery) -> str:
    """Describes the result that the query's table still holds, as the end of a sentence."""
    try:
        refreshed_at = warehouse.read(
            f"{query.name} of run {context.run.run_id}",
            lambda connection: refresh.refreshed_at(connection, query.table),
        )
    except WarehouseError:
        # The invalid file is what to say.
        return ""
    return f"; its table keeps the result of {refreshed_at.isoformat(' ', 'seconds')} UTC" if refreshed_at else ""
