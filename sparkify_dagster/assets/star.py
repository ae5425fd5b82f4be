"""The star schema: fact table songplays and dimensions users, songs, artists and time, each built by one SELECT."""

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
from sparkify_dagster.presentation.materialization import AssetMetadata, preview_of_days, report_days, result
from sparkify_dagster.presentation.preview import preview
from sparkify_dagster.presentation.sparkline import first_day_shown, sparkline
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.schema import tables
from sparkify_dagster.schema.code_versions import code_version
from sparkify_dagster.warehouse import transforms
from sparkify_dagster.warehouse.base import Warehouse, count_rows

# One file is written daily, a few hours earlier or later: one late file warns, two in a row fail.
LOG_FRESHNESS = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=30), fail_window=timedelta(hours=54))
# Loaded only when the catalogue changes, which can be rare: a month without a load deserves a look.
_CATALOGUE_FRESHNESS = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=14), fail_window=timedelta(days=31))


@dataclass(frozen=True)
class Plays:
    """Counts of plays, and of plays that match a song."""

    all: int = 0
    matched: int = 0

    @classmethod
    def total(cls, days: "Iterable[Plays]") -> "Plays":
        counts = [(plays.all, plays.matched) for plays in days]
        return cls(sum(count for count, _ in counts), sum(matched for _, matched in counts))

    def __str__(self) -> str:
        rate = "" if self.rate is None else f" ({self.rate:.1%})"
        return f"{self.matched:,} of {self.all:,} plays match a song{rate}"

    @property
    def rate(self) -> float | None:
        return self.matched / self.all if self.all else None

    @property
    def metadata(self) -> AssetMetadata:
        metadata: dict[str, int | float] = {"dagster/partition_row_count": self.all, "matched": self.matched}
        if self.rate is not None:
            metadata["match_rate"] = round(self.rate, 4)
        return metadata


@dg.asset(
    deps=[staging_events, staging_songs],
    partitions_def=log_days,
    group_name="star",
    kinds={"table"},
    owners=["team:data-engineering"],
    metadata=definition_metadata(tables.songplays),
    code_version=code_version("songplays"),
    freshness_policy=LOG_FRESHNESS,
)
def songplays(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    """Fact table: one row per play, an event of page NextSong with a user.

    A play matches a song by title, artist and length, all exactly (`sql/staging/song_matches.sql`); plays without a
    match are kept. SQL: `sql/star/songplays.sql`
    """
    first_day, last_day = required_partition_days(context)
    first_shown = min(first_day, first_day_shown(last_day))
    table = tables.songplays

    def replace(connection: Connection) -> tuple[int, Mapping[date, Plays], AssetMetadata]:
        transforms.replace_songplays(connection, first_day, last_day)
        by_day = _plays_by_day(connection, first_shown, last_day)
        in_run = {day: plays.all for day, plays in by_day.items() if day >= first_day}
        return count_rows(connection, table), by_day, preview_of_days(connection, table, in_run)

    with as_dagster_failures():
        total, by_day, rows = warehouse.run(f"songplays of run {context.run.run_id}", replace)
    in_run = {day: by_day.get(day, Plays()) for day in days_between(first_day, last_day)}
    context.log.info(
        f"{format_days(first_day, last_day)}: {Plays.total(in_run.values())}. songplays now has {total:,} rows."
    )
    report_days(
        context,
        {day: plays.metadata for day, plays in in_run.items()},
        {"last_four_weeks": _last_four_weeks(by_day, last_day), **rows},
    )
    return result(warehouse, total)


@dg.asset(
    deps=[songplays],
    partitions_def=log_days,
    group_name="star",
    kinds={"table"},
    owners=["team:data-engineering"],
    metadata=definition_metadata(tables.time),
    code_version=code_version("time"),
    freshness_policy=LOG_FRESHNESS,
)
def time(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    """Dimension: one row per distinct start time of a play, in UTC. SQL: `sql/star/time.sql`"""
    first_day, last_day = required_partition_days(context)

    def replace(connection: Connection) -> tuple[int, Mapping[date, int], AssetMetadata]:
        transforms.replace_time(connection, first_day, last_day)
        by_day = transforms.count_rows_by_day(connection, tables.time, first_day, last_day)
        return count_rows(connection, tables.time), by_day, preview_of_days(connection, tables.time, by_day)

    with as_dagster_failures():
        total, by_day, rows = warehouse.run(f"time of run {context.run.run_id}", replace)
    context.log.info(
        f"{format_days(first_day, last_day)}: {sum(by_day.values()):,} distinct start times. "
        f"time now has {total:,} rows."
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
    metadata=definition_metadata(tables.users),
    code_version=code_version("users"),
    freshness_policy=LOG_FRESHNESS,
)
def users(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    """Dimension: one row per user, with the attributes of the user's latest event.

    A run refreshes the users who have events on its days, or had some before the days were reloaded. SQL:
    `sql/star/users.sql`
    """
    first_day, last_day = required_partition_days(context)
    day = tables.user_days.c.log_date
    users_per_day = select(day, func.count()).where(day.between(first_day, last_day)).group_by(day)

    def replace(connection: Connection) -> tuple[int, Mapping[date, int], AssetMetadata]:
        transforms.replace_users(connection, first_day, last_day)
        by_day: dict[date, int] = dict(connection.execute(users_per_day).all())
        return count_rows(connection, tables.users), by_day, preview_of_days(connection, tables.users, by_day)

    with as_dagster_failures():
        total, by_day, rows = warehouse.run(f"users of run {context.run.run_id}", replace)
    context.log.info(f"Refreshed the users of {format_days(first_day, last_day)}. users now has {total:,} rows.")
    days = days_between(first_day, last_day)
    report_days(context, {day: {"active_users": by_day.get(day, 0)} for day in days}, rows)
    return result(warehouse, total)


@dg.asset(
    deps=[staging_songs],
    group_name="star",
    kinds={"table"},
    owners=["team:data-engineering"],
    metadata=definition_metadata(tables.songs),
    code_version=code_version("songs"),
    freshness_policy=_CATALOGUE_FRESHNESS,
)
def songs(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    """Dimension: one row per song of the catalogue. SQL: `sql/star/songs.sql`"""
    return _rebuild(context, warehouse, tables.songs)


@dg.asset(
    deps=[staging_songs],
    group_name="star",
    kinds={"table"},
    owners=["team:data-engineering"],
    metadata=definition_metadata(tables.artists),
    code_version=code_version("artists"),
    freshness_policy=_CATALOGUE_FRESHNESS,
)
def artists(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    """Dimension: one row per artist of the catalogue, under the name on most of the artist's songs.

    SQL: `sql/star/artists.sql`
    """
    return _rebuild(context, warehouse, tables.artists)


def _rebuild(context: dg.AssetExecutionContext, warehouse: Warehouse, table: Table) -> dg.MaterializeResult[None]:
    def replace(connection: Connection) -> tuple[int, AssetMetadata]:
        transforms.replace_song_dimension(connection, table)
        return count_rows(connection, table), preview(connection, table)

    with as_dagster_failures():
        total, rows = warehouse.run(f"{table.name} of run {context.run.run_id}", replace)
    context.log.info(f"Rebuilt {table.name} from the whole catalogue: {total:,} rows.")
    return result(warehouse, total, rows)


def _plays_by_day(connection: Connection, first_day: date, last_day: date) -> Mapping[date, Plays]:
    plays = tables.songplays.c
    day = cast(plays.start_time, Date)
    in_days = transforms.in_days(tables.songplays, first_day, last_day)
    counts = select(day, func.count(), func.count(plays.song_id)).where(in_days)
    return {day: Plays(count, matched) for day, count, matched in connection.execute(counts.group_by(day))}


def _last_four_weeks(by_day: Mapping[date, Plays], last_day: date) -> dg.MarkdownMetadataValue:
    shown = {day: plays for day, plays in by_day.items() if day >= first_day_shown(last_day)}
    total = Plays.total(shown.values())
    return sparkline(
        [
            f"Bars: plays per day, up to {max((plays.all for plays in shown.values()), default=0):,}.",
            "Line: match rate per day, 0 to 100%.",
            f"To {last_day}: {pluralize(total.all, 'play')}"
            + (f", {total.rate:.1%} matched." if total.rate is not None else "."),
        ],
        last_day,
        {day: plays.all for day, plays in shown.items()},
        {day: plays.rate for day, plays in shown.items() if plays.rate is not None},
    )
