"""Finds what `sparkify etl` has to do, by listing the source and reading bookkeeping alone.

Stale is what a file, the SQL, a setting, or a run that did not get to its end has left behind. Neither events nor plays
are read, so the cost does not grow with what is loaded.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

import dagster as dg
from sqlalchemy import Connection, select

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.expected import ExpectedResults
from sparkify_dagster.analytics.query import all_queries, broken_queries
from sparkify_dagster.automation.jobs import LOG_DAY_ASSETS, RESULTS, SONG_ASSETS
from sparkify_dagster.days import days_between
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.ingest.load_logs import stale_days
from sparkify_dagster.ingest.load_songs import are_songs_stale
from sparkify_dagster.partitions import WINDOW, is_in_window
from sparkify_dagster.schema import tables
from sparkify_dagster.schema.code_versions import code_version
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster.sources.source import Listing, Source
from sparkify_dagster.warehouse import ddl, pending_steps, staging_tables
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.pending_steps import REPORT, PendingStep
from sparkify_dagster.warehouse.table_versions import TableVersion, read_versions

Read = TypeVar("Read")

_SONG_TABLES = ("songs", "artists")


@dataclass(frozen=True)
class Staleness:
    """The parts of the graph that are not as the source, the SQL and the settings say."""

    days: Sequence[date]
    """Days of the window to load, or to build again."""
    songs: bool
    """True if song files have to be loaded, or songs and artists to be built again."""
    results: bool
    """True if queries, their comparison or the report have to be brought up to date."""
    knows_days: bool
    """True if a day of the window has a file or rows."""


@dataclass(frozen=True)
class _Bookkeeping:
    """The bookkeeping on what was built, and how."""

    versions: dict[str, TableVersion]
    pending: Sequence[PendingStep]
    known_days: Sequence[date]

    def is_outdated(self, table: str) -> bool:
        """Returns whether a table was never built, or by another SELECT."""
        return table not in self.versions or self.versions[table].sql != code_version(table)


def find_stale(
    instance: dg.DagsterInstance,
    source: Source,
    warehouse: Warehouse,
    limits: Limits,
    log_listing: Listing,
    *,
    expected: ExpectedResults | None,
    report: str | None,
) -> Staleness:
    """Compares source, warehouse and run history. Raises WarehouseError.

    What cannot be listed or read is stale: the run that follows says so. Tables that somebody has dropped are created
    again, empty, and all that was in them is stale. So is what the run history has never seen. `report` is the location
    of the report, which is stale if a local file is missing.
    """
    song_listing = _unless_unreadable(source.list_song_files)
    json_paths = _unless_unreadable(source.json_paths)
    digest = _unless_unreadable(expected.digest) if expected else None
    unseen = _never_materialized(instance)

    def read(connection: Connection) -> Staleness:
        ddl.replace_lost_tables(connection)
        known_days = [day for day in staging_tables.known_days(connection) if is_in_window(day)]
        pending = [each for each in pending_steps.read(connection) if each.step != REPORT or report]
        bookkeeping = _Bookkeeping(dict(read_versions(connection)), pending, known_days)
        days = set(_days_to_build(connection, bookkeeping, unseen))
        if json_paths is None:
            days |= {*known_days, *log_listing.by_day}
        else:
            days.update(stale_days(connection, log_listing, json_paths.keys, limits, WINDOW))
        queries = list(all_queries().values())
        compared = refresh.compared_queries(connection, digest) if digest else set()
        to_compare = all_queries().keys() - compared if expected else ()
        return Staleness(
            days=sorted(day for day in days if is_in_window(day)),
            songs=song_listing is None
            or are_songs_stale(connection, song_listing, limits)
            or _songs_to_build(bookkeeping, unseen),
            results=bool(broken_queries() or to_compare or refresh.stale_queries(connection, queries))
            or any(each.step == REPORT for each in pending)
            or not unseen.isdisjoint(RESULTS)
            or (report is not None and not report.startswith("s3://") and not Path(report).exists()),
            knows_days=bool(known_days) or any(map(is_in_window, log_listing.by_day)),
        )

    return warehouse.run("sparkify etl", read)


def _unless_unreadable(read: Callable[[], Read]) -> Read | None:
    try:
        return read()
    except SourceError:
        return None


def _days_to_build(connection: Connection, bookkeeping: _Bookkeeping, unseen: Set[str]) -> Iterator[date]:
    daily = {str(table.name) for table in tables.DAILY_TABLES}
    if any(map(bookkeeping.is_outdated, daily)) or not unseen.isdisjoint(LOG_DAY_ASSETS):
        yield from bookkeeping.known_days
    yield from connection.scalars(select(tables.stale_days.c.log_date).distinct())
    for pending in bookkeeping.pending:
        if pending.days and pending.is_check:
            yield from days_between(*pending.days)


def _songs_to_build(bookkeeping: _Bookkeeping, unseen: Set[str]) -> bool:
    loaded = bookkeeping.versions.get("staging_songs")
    return (
        any(
            bookkeeping.is_outdated(name) or bookkeeping.versions[name].built_from != (loaded.rows if loaded else None)
            for name in _SONG_TABLES
        )
        or any(each.table in SONG_ASSETS and each.is_check for each in bookkeeping.pending)
        or not unseen.isdisjoint(SONG_ASSETS)
    )


def _never_materialized(instance: dg.DagsterInstance) -> set[str]:
    """Returns the assets of which the run history knows no materialization."""
    names = {*LOG_DAY_ASSETS, *SONG_ASSETS, *RESULTS}
    records = instance.get_asset_records([dg.AssetKey(name) for name in sorted(names)])
    return names - {
        record.asset_entry.asset_key.to_user_string()
        for record in records
        if record.asset_entry.last_materialization_record is not None
    }
