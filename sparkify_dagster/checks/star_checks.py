"""Checks of the star: its keys, its references, and as many plays as were staged."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
from sqlalchemy import ColumnElement, Connection, Date, FromClause, Table, and_, case, cast, func, select, true

from sparkify_dagster.assets import star
from sparkify_dagster.checks.check_results import Metadata, rows_table, selected
from sparkify_dagster.checks.unique_keys import unique_key, unique_key_spec
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.partitions import partition_days
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.schema.event_columns import NEXT_SONG
from sparkify_dagster.schema.tables import artists, songplays, songs, staging_events, time, user_days, users
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.transforms import day_bounds

_REFERENCES = {"user_id": users, "song_id": songs, "artist_id": artists, "start_time": time}


@dg.multi_asset_check(
    name="check_songplays",
    specs=[
        unique_key_spec(star.songplays.key, songplays),
        dg.AssetCheckSpec(
            "row_count_matches_staging",
            asset=star.songplays.key,
            description="For each day, rows of songplays = staged events of page NextSong with a user.",
        ),
        dg.AssetCheckSpec(
            "match_rate",
            asset=star.songplays.key,
            description="Share of plays that match a song. Warns if it is below SPARKIFY_MIN_MATCH_RATE.",
        ),
    ],
    can_subset=True,
)
def check_songplays(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse], limits: Limits
) -> Iterator[dg.AssetCheckResult]:
    days = partition_days(context)

    def evaluate(connection: Connection) -> dict[str, dg.AssetCheckResult]:
        return {
            "unique_key": unique_key(connection, songplays, _starts_in(songplays, days)),
            "row_count_matches_staging": _row_count_matches_staging(connection, days),
            "match_rate": _match_rate(connection, days, limits.min_match_rate),
        }

    with as_dagster_failures():
        results = warehouse.read(f"checks of run {context.run.run_id}", evaluate)
    yield from selected(context, results)


@dg.multi_asset_check(
    name="check_dimensions",
    specs=[
        unique_key_spec(star.users.key, users),
        unique_key_spec(star.songs.key, songs),
        unique_key_spec(star.artists.key, artists),
        unique_key_spec(star.time.key, time),
        dg.AssetCheckSpec(
            "distinct_start_times",
            asset=star.time.key,
            description="time contains exactly the distinct start_times of songplays.",
        ),
        dg.AssetCheckSpec(
            "referential_integrity",
            asset=star.songplays.key,
            additional_deps=[star.users.key, star.songs.key, star.artists.key, star.time.key],
            description="The user, song, artist and start_time of each play exist in their dimensions.",
        ),
    ],
    can_subset=True,
)
def check_dimensions(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.AssetCheckResult]:
    days = partition_days(context)

    def evaluate(connection: Connection) -> list[dg.AssetCheckResult]:
        results = []
        for key in sorted(context.selected_asset_check_keys):
            if key.name == "unique_key":
                (table,) = (table for table in _REFERENCES.values() if table.name == key.asset_key.path[-1])
                result = unique_key(connection, table, _written_on(table, days))
            elif key.name == "distinct_start_times":
                result = _distinct_start_times(connection, days)
            else:
                result = _referential_integrity(connection, days)
            results.append(result._replace(asset_key=key.asset_key, check_name=key.name))
        return results

    with as_dagster_failures():
        results = warehouse.read(f"checks of run {context.run.run_id}", evaluate)
    yield from results


def _row_count_matches_staging(connection: Connection, days: tuple[date, date] | None) -> dg.AssetCheckResult:
    is_play = and_(func.rtrim(staging_events.c.page, " ") == NEXT_SONG, staging_events.c.user_id.is_not(None))
    in_days = true() if days is None else staging_events.c.log_date.between(*days)
    staged = (
        select(staging_events.c.log_date, func.count().label("plays"))
        .where(is_play, in_days)
        .group_by(staging_events.c.log_date)
        .subquery()
    )
    day = cast(songplays.c.start_time, Date).label("log_date")
    built = select(day, func.count().label("plays")).where(_starts_in(songplays, days)).group_by(day).subquery()
    by_day = connection.execute(
        select(
            func.coalesce(staged.c.log_date, built.c.log_date).label("log_date"),
            func.coalesce(staged.c.plays, 0).label("staged"),
            func.coalesce(built.c.plays, 0).label("songplays"),
        )
        .select_from(staged.join(built, staged.c.log_date == built.c.log_date, full=True))
        .order_by("log_date")
    ).all()
    wrong = [row for row in by_day if row.staged != row.songplays]
    metadata: Metadata = {
        "staged": sum(row.staged for row in by_day),
        "songplays": sum(row.songplays for row in by_day),
        "differing_days": len(wrong),
    }
    if wrong:
        metadata["first_days"] = rows_table(wrong)
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata=metadata,
        description=f"Plays of {pluralize(len(wrong), 'day')} differ from staging: materialize songplays again"
        if wrong
        else None,
    )


def _match_rate(connection: Connection, days: tuple[date, date] | None, minimum: float) -> dg.AssetCheckResult:
    plays, matched = connection.execute(
        select(func.count(), func.count(songplays.c.song_id)).where(_starts_in(songplays, days))
    ).one()
    # No plays means no unmatched plays.
    rate = matched / plays if plays else 1.0
    return dg.AssetCheckResult(
        passed=rate >= minimum,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"match_rate": rate, "plays": plays, "matched": matched, "minimum": minimum},
        description=f"{matched:,} of {plays:,} plays match a song ({rate:.1%})",
    )


def _distinct_start_times(connection: Connection, days: tuple[date, date] | None) -> dg.AssetCheckResult:
    plays = select(songplays.c.start_time).where(_starts_in(songplays, days)).distinct().subquery()
    times = select(time.c.start_time).where(_starts_in(time, days)).subquery()
    joined = plays.join(times, plays.c.start_time == times.c.start_time, full=True)
    counts = connection.execute(
        select(
            func.count(plays.c.start_time).label("start_times"),
            func.count(times.c.start_time).label("rows"),
            _count_if(times.c.start_time.is_(None)).label("missing"),
            _count_if(plays.c.start_time.is_(None)).label("without_play"),
        ).select_from(joined)
    ).one()
    passed = counts.missing == 0 and counts.without_play == 0
    return dg.AssetCheckResult(
        passed=passed,
        metadata=dict(counts._mapping),
        description=None if passed else "time differs from songplays: materialize time for these days again",
    )


def _referential_integrity(connection: Connection, days: tuple[date, date] | None) -> dg.AssetCheckResult:
    orphans = {}
    joined: FromClause = songplays
    for name, dimension in _REFERENCES.items():
        is_found = songplays.c[name] == dimension.c[name]
        joined = joined.outerjoin(dimension, and_(is_found, _starts_in(time, days)) if dimension is time else is_found)
        orphans[name] = _count_if(and_(songplays.c[name].is_not(None), dimension.c[name].is_(None)))
    counts = connection.execute(
        select(func.count().label("plays"), *(orphan.label(f"{name}_missing") for name, orphan in orphans.items()))
        .select_from(joined)
        .where(_starts_in(songplays, days))
    ).one()
    missing = {name: value for name, value in counts._mapping.items() if name != "plays" and value}
    return dg.AssetCheckResult(
        passed=not missing,
        metadata=dict(counts._mapping),
        description=f"Missing in the dimensions: {missing}" if missing else None,
    )


def _written_on(dimension: Table, days: tuple[date, date] | None) -> ColumnElement[bool]:
    """Selects the rows that a run of the days writes; songs and artists are always written as a whole."""
    if days is not None and dimension is users:
        return users.c.user_id.in_(select(user_days.c.user_id).where(user_days.c.log_date.between(*days)))
    return _starts_in(time, days) if dimension is time else true()


def _count_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _starts_in(table: Table, days: tuple[date, date] | None) -> ColumnElement[bool]:
    if days is None:
        return true()
    start, end = day_bounds(*days)
    return and_(table.c.start_time >= start, table.c.start_time < end)
