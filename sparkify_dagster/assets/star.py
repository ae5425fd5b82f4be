"""The star: fact songplays and dimensions users, songs, artists and time, each built by one SELECT of the warehouse."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
from sqlalchemy import Connection, Date, Table, cast, func, select

from sparkify_dagster.assets.staging import staging_events, staging_songs
from sparkify_dagster.days import days_between, format_days
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import log_days, required_partition_days
from sparkify_dagster.presentation.columns import definition_metadata
from sparkify_dagster.presentation.materialization import DayMetadata, preview_of_days, report_days, result
from sparkify_dagster.presentation.preview import preview
from sparkify_dagster.presentation.sparkline import first_day_shown, sparkline
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.schema import tables
from sparkify_dagster.warehouse import transforms
from sparkify_dagster.warehouse.base import Warehouse, count_rows

# A day's file comes once a day, some hours sooner or later: one that is late warns, two in a row fail.
_LOG_FRESHNESS = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=30), fail_window=timedelta(hours=54))
# A sensor loads the catalogue only when it changed, which may well be seldom: silence for a month is worth a look.
_CATALOGUE_FRESHNESS = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=14), fail_window=timedelta(days=31))


@dataclass(frozen=True)
class Plays:
    """How many plays there are, and how many of them found their song."""

    all: int = 0
    matched: int = 0

    @classmethod
    def total(cls, days: "Iterable[Plays]") -> "Plays":
        counts = [(plays.all, plays.matched) for plays in days]
        return cls(sum(pluralize for pluralize, _ in counts), sum(matched for _, matched in counts))

    def __str__(self) -> str:
        return f"{self.matched:,} of {self.all:,} plays found their song" + (f" ({self.rate:.1%})" if self.all else "")

    @property
    def rate(self) -> float | None:
        return self.matched / self.all if self.all else None

    @property
    def told(self) -> DayMetadata:
        rate = {} if self.rate is None else {"match_rate": round(self.rate, 4)}
        return {"dagster/partition_row_count": self.all, "matched": self.matched, **rate}


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
    first_day, last_day = required_partition_days(context)
    first_shown = min(first_day, first_day_shown(last_day))
    table = tables.songplays

    def replace(connection: Connection) -> tuple[int, Mapping[date, Plays], DayMetadata]:
        transforms.replace_songplays(connection, first_day, last_day)
        by_day = _plays_by_day(connection, first_shown, last_day)
        in_run = {day: plays.all for day, plays in by_day.items() if day >= first_day}
        return count_rows(connection, table), by_day, preview_of_days(connection, table, in_run)

    with as_dagster_failures():
        total, by_day, rows = warehouse.run(f"songplays of run {context.run.run_id}", replace)
    in_run = {day: by_day.get(day, Plays()) for day in days_between(first_day, last_day)}
    context.log.info(
        f"{format_days(first_day, last_day)}: {Plays.total(in_run.values())}. songplays has {total:,} rows now."
    )
    told = {day: plays.told for day, plays in in_run.items()}
    report_days(context, told, {"last_four_weeks": _last_four_weeks(by_day, last_day), **rows})
    return result(warehouse, total)


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
    first_day, last_day = required_partition_days(context)

    def replace(connection: Connection) -> tuple[int, Mapping[date, int], DayMetadata]:
        transforms.replace_time(connection, first_day, last_day)
        by_day = _times_by_day(connection, first_day, last_day)
        return count_rows(connection, tables.time), by_day, preview_of_days(connection, tables.time, by_day)

    with as_dagster_failures():
        total, by_day, rows = warehouse.run(f"time of run {context.run.run_id}", replace)
    context.log.info(
        f"{format_days(first_day, last_day)}: {sum(by_day.values()):,} distinct start times. "
        f"time has {total:,} rows now."
    )
    days = days_between(first_day, last_day)
    report_days(context, {day: {"dagster/partition_row_count": by_day.get(day, 0)} for day in days}, rows)
    return result(warehouse, total)


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
    first_day, last_day = required_partition_days(context)
    day = tables.user_days.c.log_date
    seen = select(day, func.count()).where(day.between(first_day, last_day)).group_by(day)

    def replace(connection: Connection) -> tuple[int, Mapping[date, int], DayMetadata]:
        transforms.replace_users(connection, first_day, last_day)
        by_day: dict[date, int] = dict(connection.execute(seen).all())
        return count_rows(connection, tables.users), by_day, preview_of_days(connection, tables.users, by_day)

    with as_dagster_failures():
        total, by_day, rows = warehouse.run(f"users of run {context.run.run_id}", replace)
    context.log.info(f"The users of {format_days(first_day, last_day)} are up to date. users has {total:,} rows now.")
    days = days_between(first_day, last_day)
    report_days(context, {day: {"users_of_the_day": by_day.get(day, 0)} for day in days}, rows)
    return result(warehouse, total)


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


def _replace_all(context: dg.AssetExecutionContext, warehouse: Warehouse, table: Table) -> dg.MaterializeResult[None]:
    def replace(connection: Connection) -> tuple[int, DayMetadata]:
        transforms.replace_song_dimension(connection, table)
        return count_rows(connection, table), preview(connection, table)

    with as_dagster_failures():
        total, rows = warehouse.run(f"{table.name} of run {context.run.run_id}", replace)
    context.log.info(f"{table.name} has {total:,} rows now, built from the whole catalogue.")
    return result(warehouse, total, rows)


def _plays_by_day(connection: Connection, first_day: date, last_day: date) -> Mapping[date, Plays]:
    plays = tables.songplays.c
    day = cast(plays.start_time, Date)
    start, end = transforms.day_bounds(first_day, last_day)
    counts = select(day, func.count(), func.count(plays.song_id)).where(
        plays.start_time >= start, plays.start_time < end
    )
    return {day: Plays(pluralize, matched) for day, pluralize, matched in connection.execute(counts.group_by(day))}


def _times_by_day(connection: Connection, first_day: date, last_day: date) -> Mapping[date, int]:
    start_time = tables.time.c.start_time
    day = cast(start_time, Date)
    start, end = transforms.day_bounds(first_day, last_day)
    counts = select(day, func.count()).where(start_time >= start, start_time < end).group_by(day)
    return dict(connection.execute(counts).all())


def _last_four_weeks(by_day: Mapping[date, Plays], last_day: date) -> dg.MarkdownMetadataValue:
    shown = {day: plays for day, plays in by_day.items() if day >= first_day_shown(last_day)}
    plays = Plays.total(shown.values())
    return sparkline(
        [
            f"Bars: plays a day, {max((day.all for day in shown.values()), default=0):,} at most.",
            "Line: match rate a day, 0 to 100%.",
            f"To {last_day}: {pluralize(plays.all, 'play')}"
            + (f", {plays.rate:.1%} matched." if plays.rate is not None else "."),
        ],
        last_day,
        {day: plays.all for day, plays in shown.items()},
        {day: plays.rate for day, plays in shown.items() if plays.rate is not None},
    )
