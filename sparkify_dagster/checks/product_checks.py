"""Checks of the marts: their keys, the levels without a gap, and sums that add up to the events and the plays."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

import dagster as dg
from sqlalchemy import (
    ColumnElement,
    Connection,
    FunctionElement,
    Table,
    and_,
    distinct,
    func,
    or_,
    select,
    true,
)

from sparkify_dagster.checks.check_results import Metadata, rows_table
from sparkify_dagster.checks.evaluation import evaluate
from sparkify_dagster.checks.table_checks import (
    Days,
    count_if,
    of_days,
    row_count_matches_staging,
    unique_key,
    unique_key_spec,
)
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import partition_days
from sparkify_dagster.presentation.rows import SHOWN_ROWS
from sparkify_dagster.schema.event_columns import NEXT_SONG
from sparkify_dagster.schema.product_tables import PRODUCT_TABLES, events, sessions, user_levels
from sparkify_dagster.schema.tables import songplays
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.transforms import in_days

_KEYS: Final = {table.name: dg.AssetKey(table.name) for table in PRODUCT_TABLES}
# The pages that both sums count, and those of daily_activity alone.
_PAGES: Final = {"plays": NEXT_SONG, "upgrades": "Submit Upgrade", "downgrades": "Submit Downgrade"}
_PAGES_PER_DAY: Final = _PAGES | {
    "upgrades_seen": "Upgrade",
    "downgrades_seen": "Downgrade",
    "adverts": "Roll Advert",
    "thumbs_up": "Thumbs Up",
    "thumbs_down": "Thumbs Down",
    "playlist_adds": "Add to Playlist",
    "friend_adds": "Add Friend",
    "help": "Help",
    "cancelled": "Cancellation Confirmation",
}


_PRODUCT_CHECKS: Final = (
    *(unique_key_spec(_KEYS[table.name], table) for table in PRODUCT_TABLES),
    dg.AssetCheckSpec(
        "row_count_matches_staging",
        asset=_KEYS["events"],
        description="For each day, rows of events = staged events.",
    ),
    dg.AssetCheckSpec(
        "plays_match_songplays",
        asset=_KEYS["events"],
        additional_deps=["songplays"],
        description="The events of page NextSong with a user are exactly the songplays, by id.",
    ),
    dg.AssetCheckSpec(
        "contiguous_levels",
        asset=_KEYS["user_levels"],
        blocking=True,
        description="A user's levels are numbered from 1 and have no gap, no overlap and no repetition.",
    ),
    dg.AssetCheckSpec(
        "plays_have_level",
        asset=_KEYS["user_levels"],
        additional_deps=["songplays"],
        description="Each play with a level happened while its user had that level.",
    ),
    dg.AssetCheckSpec(
        "sums_match_events",
        asset=_KEYS["sessions"],
        additional_deps=["events"],
        description="Counts of sessions add up to the events with a user and a session.",
    ),
    dg.AssetCheckSpec(
        "sums_match_events",
        asset=_KEYS["daily_activity"],
        additional_deps=["events"],
        description="Counts of daily_activity add up to the events with a user.",
    ),
)


@dg.multi_asset_check(name="check_product", specs=_PRODUCT_CHECKS, can_subset=True)
def check_product(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.AssetCheckResult]:
    days = partition_days(context)
    yield from evaluate(context, warehouse, _PRODUCT_CHECKS, lambda connection, key: _evaluate(connection, key, days))


def _evaluate(connection: Connection, key: dg.AssetCheckKey, days: Days) -> dg.AssetCheckResult:
    table = next(table for table in PRODUCT_TABLES if _KEYS[table.name] == key.asset_key)
    match key.name:
        case "unique_key":
            return unique_key(connection, table, _touched(table, days))
        case "row_count_matches_staging":
            return row_count_matches_staging(connection, events, days, true(), "Events")
        case "plays_match_songplays":
            return _plays_match_songplays(connection, days)
        case "contiguous_levels":
            return _contiguous_levels(connection, days)
        case "plays_have_level":
            return _plays_have_level(connection, days)
    if table is sessions:
        return _sums_match_events(connection, table, _PAGES, *_sessions_and_events(connection, days))
    with_user = and_(events.c.user_id.is_not(None), of_days(events, days))
    return _sums_match_events(connection, table, _PAGES_PER_DAY, of_days(table, days), with_user)


def _touched(table: Table, days: Days) -> ColumnElement[bool]:
    """Returns the condition for the rows that a load of the days rebuilds."""
    if days is None:
        return true()
    if table is user_levels:
        return _seen(table.c.user_id, events.c.user_id, days)
    if table is sessions:
        return _seen(table.c.session_id, events.c.session_id, days)
    return in_days(table, *days)


def _seen(key: ColumnElement[int], seen: ColumnElement[int], days: tuple[date, date]) -> ColumnElement[bool]:
    return key.in_(select(seen).where(in_days(events, *days), seen.is_not(None)).distinct())


def _plays_match_songplays(connection: Connection, days: Days) -> dg.AssetCheckResult:
    is_play = and_(events.c.page == NEXT_SONG, events.c.user_id.is_not(None), of_days(events, days))
    played = select(events.c.event_id).where(is_play).subquery()
    plays = select(songplays.c.songplay_id).where(of_days(songplays, days)).subquery()
    joined = played.join(plays, played.c.event_id == plays.c.songplay_id, full=True)
    counts = connection.execute(
        select(
            func.count(played.c.event_id).label("events"),
            func.count(plays.c.songplay_id).label("songplays"),
            count_if(plays.c.songplay_id.is_(None)).label("without_songplay"),
            count_if(played.c.event_id.is_(None)).label("without_event"),
        ).select_from(joined)
    ).one()
    passed = counts.without_songplay == 0 and counts.without_event == 0
    return dg.AssetCheckResult(
        passed=passed,
        metadata={name: int(value) for name, value in counts._mapping.items()},
        description=None if passed else "events differs from songplays: materialize both for these days again",
    )


def _contiguous_levels(connection: Connection, days: Days) -> dg.AssetCheckResult:
    level = user_levels.c

    def by_version(function: FunctionElement[Any]) -> ColumnElement[Any]:
        return function.over(partition_by=level.user_id, order_by=level.version)

    ordered = (
        select(
            level.user_id,
            level.version,
            level.valid_from,
            level.valid_to,
            level.level,
            by_version(func.row_number()).label("position"),
            by_version(func.lead(level.valid_from)).label("next_from"),
            by_version(func.lead(level.level)).label("next_level"),
        )
        .where(_touched(user_levels, days))
        .subquery()
    )
    row = ordered.c
    faults = {
        "misnumbered": row.version != row.position,
        "gaps": or_(row.valid_to < row.next_from, and_(row.valid_to.is_not(None), row.next_from.is_(None))),
        "overlaps": or_(
            row.valid_to > row.next_from,
            and_(row.valid_to.is_(None), row.next_from.is_not(None)),
            row.valid_to < row.valid_from,
        ),
        "repetitions": row.level == row.next_level,
    }
    counts = connection.execute(
        select(func.count().label("rows"), *(count_if(fault).label(name) for name, fault in faults.items()))
    ).one()
    metadata: Metadata = {name: int(value) for name, value in counts._mapping.items()}
    passed = not any(metadata[name] for name in faults)
    if not passed:
        first = select(row.user_id, row.version).where(or_(*faults.values())).order_by(row.user_id, row.version)
        metadata["first_levels"] = rows_table(connection.execute(first.limit(SHOWN_ROWS)).all())
    return dg.AssetCheckResult(
        passed=passed,
        metadata=metadata,
        description=None
        if passed
        else "Levels overlap, repeat or have gaps: materialize user_levels for all days again",
    )


def _plays_have_level(connection: Connection, days: Days) -> dg.AssetCheckResult:
    with_level = and_(songplays.c.level.is_not(None), of_days(songplays, days))
    at_the_time = and_(
        user_levels.c.user_id == songplays.c.user_id,
        user_levels.c.level == songplays.c.level,
        user_levels.c.valid_from <= songplays.c.start_time,
        or_(user_levels.c.valid_to.is_(None), user_levels.c.valid_to >= songplays.c.start_time),
    )
    # Counted twice where two levels meet in the millisecond of a play.
    found = select(func.count(distinct(songplays.c.songplay_id))).select_from(songplays.join(user_levels, at_the_time))
    plays = connection.execute(select(func.count()).select_from(songplays).where(with_level)).scalar_one()
    missing = plays - connection.execute(found.where(with_level)).scalar_one()
    return dg.AssetCheckResult(
        passed=missing == 0,
        metadata={"plays": plays, "without_level": missing},
        description=f"{pluralize(missing, 'play')} without a level of that time: materialize user_levels again"
        if missing
        else None,
    )


def _sessions_and_events(connection: Connection, days: Days) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Returns the conditions for the sessions that have events on the days, and for all of their events."""
    with_session = and_(events.c.user_id.is_not(None), events.c.session_id.is_not(None))
    if days is None:
        return true(), with_session
    touched = _touched(sessions, days)
    # A session may have begun or ended on other days; its times bound the events to be read.
    first, last = connection.execute(
        select(func.min(sessions.c.started_at), func.max(sessions.c.ended_at)).where(touched)
    ).one()
    if first is None:
        return touched, and_(with_session, in_days(events, *days))
    of_touched = _seen(events.c.session_id, events.c.session_id, days)
    in_time = or_(in_days(events, *days), events.c.ts.between(first, last))
    return touched, and_(with_session, of_touched, in_time)


def _sums_match_events(
    connection: Connection,
    table: Table,
    pages: Mapping[str, str],
    of_rows: ColumnElement[bool],
    of_events: ColumnElement[bool],
) -> dg.AssetCheckResult:
    names = ("events", "errors", *pages)
    sums = connection.execute(
        select(*(func.coalesce(func.sum(table.c[name]), 0).label(name) for name in names)).where(of_rows)
    ).one()
    counts = connection.execute(
        select(
            func.count().label("events"),
            count_if(events.c.status >= 400).label("errors"),
            *(count_if(events.c.page == page).label(name) for name, page in pages.items()),
        ).where(of_events)
    ).one()
    differing = [name for name in names if int(sums._mapping[name]) != int(counts._mapping[name])]
    metadata: Metadata = {
        "events": int(counts.events),
        "counted": int(sums.events),
        "differing_columns": len(differing),
    }
    for name in differing:
        metadata[f"{name} of {table.name}"] = int(sums._mapping[name])
        metadata[f"{name} of events"] = int(counts._mapping[name])
    return dg.AssetCheckResult(
        passed=not differing,
        metadata=metadata,
        description=f"{', '.join(differing)} differ from events: materialize {table.name} for these days again"
        if differing
        else None,
    )
