"""The report: one page of what the queries, the checks and the headline figures say, written after the queries."""

from collections.abc import Sequence

import dagster as dg

from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.presentation.metadata_keys import REPORT_LOCATION
from sparkify_dagster.report.assemble import report_page
from sparkify_dagster.report.check_states import check_states
from sparkify_dagster.report.location import ReportLocation
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.warehouse import pending_steps
from sparkify_dagster.warehouse.base import Warehouse


def report_asset(checks: Sequence[dg.AssetCheckSpec]) -> dg.AssetsDefinition:
    """Returns the asset, whose page shows the results of these checks."""

    # Of the steps that can run, the one of the lowest priority runs last: so the checks of the queries come before it.
    # Its name must not sort last (see the step write_query_tables).
    @dg.asset(
        deps=sorted(all_queries()),
        group_name="analytics",
        kinds={"html"},
        owners=["team:analytics"],
        description="One page that opens offline and can be sent: headline figures, each query with its chart and "
        "table, checks, and a dictionary of the tables. No person is in it. For other days: `sparkify report`.",
        op_tags={"dagster/priority": "-1"},
    )
    def report(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse], report_location: ReportLocation
    ) -> dg.MaterializeResult[None]:
        purpose = f"report of run {context.run.run_id}"
        with as_dagster_failures():
            shown = warehouse.read(purpose, lambda connection: pending_steps.read(connection, pending_steps.REPORT))
            states = check_states(context.instance, checks)
            page = report_page(warehouse, purpose, states)
            report_location.write(page)
            if shown:
                warehouse.run(purpose, lambda connection: pending_steps.remove(connection, shown))
        return dg.MaterializeResult(metadata={REPORT_LOCATION: report_location.location, "bytes": len(page.encode())})

    return report
