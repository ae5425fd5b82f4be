"""The marts of all pages: events, user_levels, sessions and daily_activity, each built by one SELECT (sql/product)."""

from collections.abc import Mapping
from datetime import date

import dagster as dg
from sqlalchemy import Connection, Table

from sparkify_dagster.assets.staging import staging_events
from sparkify_dagster.assets.star import LOG_FRESHNESS
from sparkify_dagster.days import days_between, format_days
from sparkify_dagster.partitions import log_days, required_partition_days
from sparkify_dagster.presentation.columns import definition_metadata
from sparkify_dagster.presentation.materialization import AssetMetadata, preview_of_days, report_days, result
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.schema import tables
from sparkify_dagster.schema.code_versions import code_version
from sparkify_dagster.schema.product_tables import daily_activity, events, sessions, user_levels
from sparkify_dagster.warehouse import transforms
from sparkify_dagster.warehouse.base import Warehouse, count_rows

_DESCRIPTIONS = {
    events: "Mart: one row per event of every page, also of those who are not signed in. SQL: `sql/product/events.sql`",
    user_levels: (
        "Mart: one row per period in which a user had a level, free or paid, in order of the user's events.\n\n"
        "A run refreshes the users who have events on its days, or had some before the days were reloaded. "
        "SQL: `sql/product/user_levels.sql`"
    ),
    sessions: (
        "Mart: one row per session and user, also over midnight, with its length, its pages and what was played.\n\n"
        "A run refreshes the sessions that have events on its days, or had some before the days were reloaded. "
        "SQL: `sql/product/sessions.sql`"
    ),
    daily_activity: (
        "Mart: one row per user and UTC day with an event: songs played, adverts, thumbs, upgrades and more.\n\n"
        "SQL: `sql/product/daily_activity.sql`"
    ),
}


def _mart(table: Table) -> dg.AssetsDefinition:
    replace_days = transforms.DAILY_TRANSFORMS[table.name]

    @dg.asset(
        name=table.name,
        description=_DESCRIPTIONS[table],
        deps=[staging_events],
        partitions_def=log_days,
        group_name="product",
        kinds={"table"},
        owners=["team:data-engineering"],
        metadata=definition_metadata(table),
        code_version=code_version(table.name),
        freshness_policy=LOG_FRESHNESS,
    )
    def mart(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
        first_day, last_day = required_partition_days(context)

        def replace(connection: Connection) -> tuple[int, Mapping[date, int], AssetMetadata]:
            replace_days(connection, first_day, last_day)
            # Sessions and levels count for the day on which they begin.
            by_day = transforms.count_rows_by_day(connection, table, first_day, last_day)
            return count_rows(connection, table), by_day, preview_of_days(connection, table, by_day)

        with as_dagster_failures():
            total, by_day, rows = warehouse.run(f"{table.name} of run {context.run.run_id}", replace)
        context.log.info(
            f"{format_days(first_day, last_day)}: {sum(by_day.values()):,} rows. {table.name} now has {total:,} rows."
        )
        days = days_between(first_day, last_day)
        report_days(context, {day: {"dagster/partition_row_count": by_day.get(day, 0)} for day in days}, rows)
        return result(warehouse, total)

    return mart


marts = [_mart(table) for table in tables.PRODUCT_TABLES]
