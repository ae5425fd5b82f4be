"""Checks of the star: its keys, its references, and as many plays as were staged."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import dagster as dg
from sqlalchemy import ColumnElement, Connection, FromClause, Table, and_, func, select, true

from sparkify_dagster.assets import star
from sparkify_dagster.checks.evaluation import evaluate
from sparkify_dagster.checks.table_checks import (
    Days,
    count_if,
    of_days,
    row_count_matches_staging,
    unique_key,
    unique_key_spec,
)
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.partitions import partition_days
from sparkify_dagster.schema.event_columns import NEXT_SONG
from sparkify_dagster.schema.tables import artists, songplays, songs, staging_events, time, user_days, users
from sparkify_dagster.warehouse.base import Warehouse

_REFERENCES = {"user_id": users, "song_id": songs, "artist_id": artists, "start_time": time}


_SONGPLAY_CHECKS: Final = (
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
)
_DIMENSION_CHECKS: Final = (
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
)


@dg.multi_asset_check(name="check_songplays", specs=_SONGPLAY_CHECKS, can_subset=True)
def check_songplays(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse], limits: Limits
) -> Iterator[dg.AssetCheckResult]:
    days = partition_days(context)
    is_play = and_(func.rtrim(staging_events.c.page, " ") == NEXT_SONG, staging_events.c.user_id.is_not(None))
    checks: Mapping[str, Callable[[Connection], dg.AssetCheckResult]] = {
        "unique_key": lambda connection: unique_key(connection, songplays, of_days(songplays, days)),
        "row_count_matches_staging": lambda connection: row_count_matches_staging(
            connection, songplays, days, is_play, "Plays"
        ),
        "match_rate": lambda connection: _match_rate(connection, days, limits.min_match_rate),
    }
    yield from evaluate(context, warehouse, _SONGPLAY_CHECKS, lambda connection, key: checks[key.name](connection))


@dg.multi_asset_check(name="check_dimensions", specs=_DIMENSION_CHECKS, can_subset=True)
def check_dimensions(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.AssetCheckResult]:
    days = partition_days(context)

    def check(connection: Connection, key: dg.AssetCheckKey) -> dg.AssetCheckResult:
        if key.name == "distinct_start_times":
            return _distinct_start_times(connection, days)
        if key.name == "referential_integrity":
            return _referential_integrity(connection, days)
        (table,) = (table for table in _REFERENCES.values() if table.name == key.asset_key.path[-1])
        return unique_key(connection, table, _written_on(table, days))

    yield from evaluate(context, warehouse, _DIMENSION_CHECKS, check)


def _match_rate(connection: Connection, days: Days, minimum: float) -> dg.AssetCheckResult:
    plays, matched = connection.execute(
        select(func.count(), func.count(songplays.c.song_id)).where(of_days(songplays, days))
    ).one()
    # No plays means no unmatched plays.
    rate = matched / plays if plays else 1.0
    return dg.AssetCheckResult(
        passed=rate >= minimum,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"match_rate": rate, "plays": plays, "matched": matched, "minimum": minimum},
        description=f"{matched:,} of {plays:,} plays match a song ({rate:.1%})",
    )


def _distinct_start_times(connection: Connection, days: Days) -> dg.AssetCheckResult:
    plays = select(songplays.c.start_time).where(of_days(songplays, days)).distinct().subquery()
    times = select(time.c.start_time).where(of_days(time, days)).subquery()
    joined = plays.join(times, plays.c.start_time == times.c.start_time, full=True)
    counts = connection.execute(
        select(
            func.count(plays.c.start_time).label("start_times"),
            func.count(times.c.start_time).label("rows"),
            count_if(times.c.start_time.is_(None)).label("missing"),
            count_if(plays.c.start_time.is_(None)).label("without_play"),
        ).select_from(joined)
    ).one()
    passed = counts.missing == 0 and counts.without_play == 0
    return dg.AssetCheckResult(
        passed=passed,
        metadata=dict(counts._mapping),
        description=None if passed else "time differs from songplays: materialize time for these days again",
    )


def _referential_integrity(connection: Connection, days: Days) -> dg.AssetCheckResult:
    orphans = {}
    joined: FromClause = songplays
    for name, dimension in _REFERENCES.items():
        is_found = songplays.c[name] == dimension.c[name]
        joined = joined.outerjoin(dimension, and_(is_found, of_days(time, days)) if dimension is time else is_found)
        orphans[name] = count_if(and_(songplays.c[name].is_not(None), dimension.c[name].is_(None)))
    counts = connection.execute(
        select(func.count().label("plays"), *(orphan.label(f"{name}_missing") for name, orphan in orphans.items()))
        .select_from(joined)
        .where(of_days(songplays, days))
    ).one()
    missing = {name: value for name, value in counts._mapping.items() if name != "plays" and value}
    return dg.AssetCheckResult(
        passed=not missing,
        metadata=dict(counts._mapping),
        description=f"Missing in the dimensions: {missing}" if missing else None,
    )


def _written_on(dimension: Table, days: Days) -> ColumnElement[bool]:
    """Selects the rows that a run of the days writes; songs and artists are always written as a whole."""
    if days is not None and dimension is users:
        return users.c.user_id.in_(select(user_days.c.user_id).where(user_days.c.log_date.between(*days)))
    return of_days(time, days) if dimension is time else true()
