"""Staging: the source's events and songs as rows, exactly once, and what could not be loaded beside them."""

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import date

import dagster as dg
from sqlalchemy import Connection, func, select

from sparkify_dagster.assets.sources import (
    json_paths_metadata,
    listing_metadata,
    log_data,
    log_json_path,
    log_listing_metadata,
    song_data,
)
from sparkify_dagster.batches import InspectedDay
from sparkify_dagster.days import days_between
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.ingest.load_logs import LoadedDay, describe_ignored, load_log_days
from sparkify_dagster.ingest.load_songs import load_songs
from sparkify_dagster.partitions import WINDOW, log_days, required_partition_days
from sparkify_dagster.presentation.columns import definition_metadata
from sparkify_dagster.presentation.materialization import DayMetadata, preview_of_days, report_days, result
from sparkify_dagster.presentation.preview import preview
from sparkify_dagster.presentation.sparkline import first_day_shown, sparkline
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.runtime.liveness import root_run_id
from sparkify_dagster.schema import tables
from sparkify_dagster.sources.source import Source
from sparkify_dagster.warehouse import load_log
from sparkify_dagster.warehouse.base import Warehouse, count_rows

NOT_CUT_BY_DAY = "Every error is an event of another UTC day: cut the files by UTC days, not by local time"


class StagingConfig(dg.Config):
    """full: load everything again, also what staging holds already in its present version.

    allow_empty: empty what staging holds although the location has no file of it.
    """

    full: bool = False
    allow_empty: bool = False


@dg.asset(
    deps=[log_data, log_json_path],
    partitions_def=log_days,
    group_name="staging",
    kinds={"table"},
    owners=["team:data-engineering"],
    description="The log's events, each once, of the day that its file is named after. Lines that cannot be loaded are "
    "in `staging.load_errors`. Files that staging holds already in their present version are not read again.",
    metadata=definition_metadata(tables.staging_events),
)
def staging_events(
    context: dg.AssetExecutionContext,
    config: StagingConfig,
    source: Source,
    warehouse: dg.ResourceParam[Warehouse],
    limits: Limits,
) -> dg.MaterializeResult[None]:
    first_day, last_day = required_partition_days(context)
    days = days_between(first_day, last_day)
    with as_dagster_failures():
        listing = source.list_log_files()
        context.log_event(dg.AssetMaterialization(log_data.key, metadata=log_listing_metadata(listing)))
        json_paths = source.json_paths()
        context.log_event(
            dg.AssetMaterialization(log_json_path.key, metadata=json_paths_metadata(source.log_jsonpath, json_paths))
        )
        with warehouse.connect(f"staging_events of run {context.run.run_id}") as engine:
            started = time.perf_counter()
            loaded = {}
            results = load_log_days(
                engine,
                warehouse,
                source,
                listing,
                json_paths.keys,
                days,
                limits,
                run_id=root_run_id(context.run),
                window=WINDOW,
                log=context.log,
                full=config.full,
                allow_empty=config.allow_empty,
            )
            for day_loaded in results:
                loaded[day_loaded.inspected.day] = day_loaded
                _tell(context.log, day_loaded, limits)
            seconds = time.perf_counter() - started

            def look(connection: Connection) -> tuple[int, Mapping[date, int], DayMetadata]:
                table = tables.staging_events
                by_day = _rows_by_day(connection, first_day, last_day)
                shown = load_log.events_by_day(connection, first_day_shown(last_day), last_day)
                of_the_last = {**_last_four_weeks(shown, last_day), **preview_of_days(connection, table, by_day)}
                return count_rows(connection, table), by_day, of_the_last

            total, by_day, of_the_last = warehouse.run_in_transaction(engine, look)
    context.log.info(f"{_describe_loaded(loaded.values(), seconds)} staging_events has {total:,} rows now.")
    told = {day: {"dagster/partition_row_count": by_day.get(day, 0), **_day_metadata(loaded.get(day))} for day in days}
    report_days(context, told, of_the_last)
    return result(warehouse, total)


@dg.asset(
    deps=[song_data],
    group_name="staging",
    kinds={"table"},
    owners=["team:data-engineering"],
    description="Every song of every song file. Only new and changed files are read; the rows of deleted ones go. "
    "Where a song is in several files, the star takes the one whose key sorts last.",
    metadata=definition_metadata(tables.staging_songs),
)
def staging_songs(
    context: dg.AssetExecutionContext,
    config: StagingConfig,
    source: Source,
    warehouse: dg.ResourceParam[Warehouse],
    limits: Limits,
) -> dg.MaterializeResult[None]:
    with as_dagster_failures():
        listing = source.list_song_files()
        context.log_event(dg.AssetMaterialization(song_data.key, metadata=listing_metadata(listing)))
        with warehouse.connect(f"staging_songs of run {context.run.run_id}") as engine:
            started = time.perf_counter()
            load = load_songs(
                engine,
                warehouse,
                source.song_store(),
                listing,
                limits,
                full=config.full,
                allow_empty=config.allow_empty,
            )
            seconds = time.perf_counter() - started
            total, pending, rows = warehouse.run_in_transaction(
                engine,
                lambda connection: (
                    count_rows(connection, tables.staging_songs),
                    load_log.pending_days(connection),
                    preview(connection, tables.staging_songs),
                ),
            )
    context.log.info(
        f"{listing.location} has {pluralize(len(listing.files), 'song file')}: {load.new:,} new, "
        f"{load.changed:,} changed, {load.removed:,} gone since the last load.{describe_ignored(listing)}"
    )
    if load.rejected:
        context.log.error(
            f"The songs are refused: {pluralize(load.errors_standing, 'error')} in their files, "
            f"the limit is {limits.max_load_errors:,}; staging_songs keeps what it held. Correct the files "
            "(`sparkify load-errors` shows the lines), or raise SPARKIFY_MAX_LOAD_ERRORS."
        )
    else:
        context.log.info(
            f"Loaded {pluralize(load.staged, 'song')} in {seconds:.1f} s, {pluralize(load.errors_found, 'song')} "
            f"rejected. staging_songs has {total:,} rows now."
        )
    if pending:
        context.log.info(f"Plays of {pluralize(len(pending), 'day')} match otherwise now, and are to be matched again.")
    return result(
        warehouse,
        total,
        {
            "new_files": load.new,
            "changed_files": load.changed,
            "removed_files": load.removed,
            "emptied_files": load.emptied,
            "load_errors": load.errors_found,
            "days_to_rematch": dg.MetadataValue.json([day.isoformat() for day in pending]),
            **rows,
        },
    )


def _describe_loaded(days: Collection[LoadedDay], seconds: float) -> str:
    if not days:
        return "Nothing had to be read."
    accepted = [day.inspected for day in days if day.rejection is None]
    refused = len(days) - len(accepted)
    events = sum(day.staged for day in accepted)
    parts = [
        f"Loaded {pluralize(events, 'event')} of {pluralize(len(accepted), 'day')} in {seconds:.1f} s",
        f"{pluralize(sum(day.duplicates for day in accepted), 'duplicate')} left out",
        f"{pluralize(sum(day.error_count for day in accepted), 'line')} rejected",
        *([f"{pluralize(refused, 'day')} refused"] if refused else []),
    ]
    return f"{', '.join(parts)}."


def _last_four_weeks(by_day: Mapping[date, int], last_day: date) -> DayMetadata:
    words = [
        f"Bars: events a day, {max(by_day.values(), default=0):,} at most.",
        f"To {last_day}: {pluralize(sum(by_day.values()), 'event')}.",
    ]
    return {"last_four_weeks": sparkline(words, last_day, by_day)}


def _rows_by_day(connection: Connection, first_day: date, last_day: date) -> dict[date, int]:
    day = tables.staging_events.c.log_date
    counts = select(day, func.count()).where(day.between(first_day, last_day)).group_by(day)
    return dict(connection.execute(counts).all())


def _day_metadata(result: LoadedDay | None) -> DayMetadata:
    if result is None:
        return {"loaded": "earlier, and unchanged since"}
    day = result.inspected
    return {
        "loaded": "in this run" if result.rejection is None else "NO, refused: it keeps what it held",
        "files": len(day.files),
        "cleaned_files": sum(not file.canonical for file in day.files),
        "lines": day.lines,
        "duplicates": day.duplicates,
        "load_errors": day.error_count,
        "repaired_texts": len(day.repairs),
    }


def is_cut_otherwise(reasons: Sequence[str]) -> bool:
    """Returns whether errors with these reasons are all events of other days."""
    return bool(reasons) and all("belongs to " in reason for reason in reasons)


def _remedy(day: InspectedDay, limits: Limits) -> str:
    if is_cut_otherwise([error.reason for error in day.errors]):
        return NOT_CUT_BY_DAY
    correct = f"Correct the file (`sparkify load-errors --from {day.day} --to {day.day}` shows the records)"
    return f"{correct}, or raise SPARKIFY_MAX_LOAD_ERRORS" if day.error_count > limits.max_load_errors else correct


def _tell(log: dg.DagsterLogManager, loaded: LoadedDay, limits: Limits) -> None:
    day = loaded.inspected
    if loaded.rejection is not None:
        log.error(
            f"{day.day} is refused: {loaded.rejection}. The day keeps what it held. {_remedy(day, limits)}. "
            f"First: {day.errors[0].place}: {day.errors[0].reason}"
        )
    elif day.error_count or day.duplicates:
        log.warning(
            f"{day.day}: {pluralize(day.staged, 'event')} loaded from {pluralize(len(day.files), 'file')}; left out: "
            f"{pluralize(day.duplicates, 'duplicate')}, {pluralize(day.error_count, 'line')} with errors."
            + (f" `sparkify load-errors --from {day.day} --to {day.day}` shows them." if day.error_count else "")
        )
