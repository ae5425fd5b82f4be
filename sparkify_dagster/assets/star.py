"""The star: fact songplays and dimensions users, songs, artists and time, each built by one SELECT of the warehouse."""

from collections.abc import Callable
from datetime import date, timedelta

import dagster as dg
from sqlalchemy import Connection, Date, Table, cast, func, select

from sparkify_dagster.assets.loading import clear_failures
from sparkify_dagster.assets.staging import staging_events, staging_songs
from sparkify_dagster.assets.table_metadata import definition_metadata
from sparkify_dagster.partitions import log_days, required_days_of
from sparkify_dagster.warehouse import tables, transforms
from sparkify_dagster.warehouse.base import Warehouse, count_rows

# A day's file comes once a day, some hours sooner or later: one that is late warns, two in a row fail.
_LOG_FRESHNESS = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=30), fail_window=timedelta(hours=54))
# A sensor loads the catalogue only when it changed, which may well be seldom: silence for a month is worth a look.
_CATALOGUE_FRESHNESS = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=14), fail_window=timedelta(days=31))


@dg.asset(
    deps=[staging_events, staging_songs],
    partitions_def=log_days,
    group_name="star",
    kinds={"table"},
    owners=["team:data-engineering"],
    description="Fact: one row a play (page NextSong with a user). A play finds its song by title, artist and length, "
    "all three exactly; a play without a song is kept.",
    metadata=definition_metadata(tables.songplays),
    freshness_policy=_LOG_FRESHNESS,
)
def songplays(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    return _replace_days(context, warehouse, tables.songplays, transforms.replace_songplays)


@dg.asset(
    deps=[songplays],
    partitions_def=log_days,
    group_name="star",
    kinds={"table"},
    owners=["team:data-engineering"],
    description="Dimension: one row a distinct start of a play, in UTC.",
    metadata=definition_metadata(tables.time),
    freshness_policy=_LOG_FRESHNESS,
)
def time(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    return _replace_days(context, warehouse, tables.time, transforms.replace_time)


@dg.asset(
    deps=[staging_events],
    partitions_def=log_days,
    group_name="star",
    kinds={"table"},
    owners=["team:data-engineering"],
    description="Dimension: one row a user of any event, as of the user's latest event. A day refreshes the users whom "
    "it holds or held.",
    metadata=definition_metadata(tables.users),
    freshness_policy=_LOG_FRESHNESS,
)
def users(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    first_day, last_day = required_days_of(context)
    day = tables.user_days.c.log_date
    seen = select(day, func.count()).where(day.between(first_day, last_day)).group_by(day)

    def replace(connection: Connection) -> tuple[int, dict[date, int]]:
        transforms.replace_users(connection, first_day, last_day)
        return count_rows(connection, tables.users), dict(connection.execute(seen).all())

    with clear_failures():
        total, by_day = warehouse.run(f"users of run {context.run.run_id}", replace)
    context.log.info(f"users: {total:,} rows")
    return _days_result(context, warehouse, total, by_day, "users_of_the_day")


@dg.asset(
    deps=[staging_songs],
    group_name="star",
    kinds={"table"},
    owners=["team:data-engineering"],
    description="Dimension: one row a song of the catalogue.",
    metadata=definition_metadata(tables.songs),
    freshness_policy=_CATALOGUE_FRESHNESS,
)
def songs(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    return _replace_all(context, warehouse, tables.songs)


@dg.asset(
    deps=[staging_songs],
    group_name="star",
    kinds={"table"},
    owners=["team:data-engineering"],
    description="Dimension: one row an artist of the catalogue, under the name that most of the artist's songs carry.",
    metadata=definition_metadata(tables.artists),
    freshness_policy=_CATALOGUE_FRESHNESS,
)
def artists(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    return _replace_all(context, warehouse, tables.artists)


def _replace_days(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    table: Table,
    replace_days: Callable[[Connection, date, date], None],
) -> dg.MaterializeResult[None]:
    first_day, last_day = required_days_of(context)

    def replace(connection: Connection) -> tuple[int, dict[date, int]]:
        replace_days(connection, first_day, last_day)
        return count_rows(connection, table), _count_by_day(connection, table, first_day, last_day)

    with clear_failures():
        total, by_day = warehouse.run(f"{table.name} of run {context.run.run_id}", replace)
    context.log.info(f"{table.name}: {sum(by_day.values()):,} rows from {first_day} to {last_day}, {total:,} in all")
    return _days_result(context, warehouse, total, by_day, "dagster/partition_row_count")


def _replace_all(context: dg.AssetExecutionContext, warehouse: Warehouse, table: Table) -> dg.MaterializeResult[None]:
    def replace(connection: Connection) -> int:
        transforms.replace_catalogue_table(connection, table)
        return count_rows(connection, table)

    with clear_failures():
        total = warehouse.run(f"{table.name} of run {context.run.run_id}", replace)
    context.log.info(f"{table.name}: {total:,} rows")
    return dg.MaterializeResult(metadata={"dagster/row_count": total, "warehouse": warehouse.database})


def _days_result(
    context: dg.AssetExecutionContext, warehouse: Warehouse, total: int, by_day: dict[date, int], name: str
) -> dg.MaterializeResult[None]:
    for key in context.partition_keys:
        context.add_asset_metadata({name: by_day.get(date.fromisoformat(key), 0)}, partition_key=key)
    return dg.MaterializeResult(metadata={"dagster/row_count": total, "warehouse": warehouse.database})


def _count_by_day(connection: Connection, table: Table, first_day: date, last_day: date) -> dict[date, int]:
    day = cast(table.c.start_time, Date)
    start, end = transforms.day_bounds(first_day, last_day)
    counts = select(day, func.count()).where(table.c.start_time >= start, table.c.start_time < end).group_by(day)
    return dict(connection.execute(counts).all())
