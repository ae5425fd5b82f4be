"""The staging tables: events and songs of the source, each loaded exactly once, with load errors kept separately."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date

import dagster as dg
from sqlalchemy import Connection

from sparkify_dagster.assets import rejected_partitions
from sparkify_dagster.assets.sources import (
    json_paths_metadata,
    listing_metadata,
    log_data,
    log_json_path,
    log_listing_metadata,
    song_data,
)
from sparkify_dagster.days import days_between
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.ingest.load_logs import LoadedDay, describe_ignored, load_log_days
from sparkify_dagster.ingest.load_songs import SongLoad, load_songs
from sparkify_dagster.partitions import WINDOW, log_days, required_partition_days
from sparkify_dagster.presentation.columns import definition_metadata
from sparkify_dagster.presentation.materialization import AssetMetadata, preview_of_days, report_days, result
from sparkify_dagster.presentation.metadata_keys import (
    DAYS_TO_REMATCH,
    DAYS_TO_SHOW_REJECTED,
    EMPTIED_FILES,
    LOAD_STATUS,
    REJECTION_REASON,
    REMOVED_FILES,
    LoadStatus,
)
from sparkify_dagster.presentation.preview import preview
from sparkify_dagster.presentation.rejections import not_shown, show_again
from sparkify_dagster.presentation.sparkline import first_day_shown, sparkline
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.runtime.liveness import root_run_id
from sparkify_dagster.schema import tables
from sparkify_dagster.sources.source import Source
from sparkify_dagster.warehouse import staging_tables, transforms
from sparkify_dagster.warehouse.base import Warehouse, count_rows
from sparkify_dagster.warehouse.staging_tables import Rejection


class StagingConfig(dg.Config):
    """Options of a load.

    full: reload every file, even those already loaded and unchanged.
    allow_empty: empty the staging table if the location has no file, instead of failing.
    """

    full: bool = False
    allow_empty: bool = False


class StagingEventsConfig(StagingConfig):
    """Options of a load of days.

    full: reload every file, even those already loaded and unchanged.
    allow_empty: empty the staging table if the location has no file, instead of failing.
    only_show_rejected: load nothing, and fail because of the days that stand rejected, so that the UI shows them red.
    """

    only_show_rejected: bool = False


@dg.asset(
    deps=[log_data, log_json_path],
    partitions_def=log_days,
    group_name="staging",
    kinds={"table"},
    owners=["team:data-engineering"],
    metadata=definition_metadata(tables.staging_events),
    code_version=str(staging_tables.LOADER_VERSION),
)
def staging_events(
    context: dg.AssetExecutionContext,
    config: StagingEventsConfig,
    source: Source,
    warehouse: dg.ResourceParam[Warehouse],
    limits: Limits,
) -> Iterator[dg.MaterializeResult[None]]:
    """Events of the log, each once, under the UTC day that their file is named after.

    Lines that cannot be loaded are in `staging.load_errors`. Files that are already loaded and unchanged are not read
    again. On Redshift the types are cast in SQL: `sql/redshift/staging_events.sql`
    """
    if config.only_show_rejected:
        yield rejected_partitions.show(context, warehouse)
        return
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
                loaded[day_loaded.day] = day_loaded
                _log_day(context.log, day_loaded, limits)
            seconds = time.perf_counter() - started

            def read(connection: Connection) -> tuple[int, Mapping[date, int], AssetMetadata, Sequence[Rejection]]:
                table = tables.staging_events
                rows_by_day = transforms.count_rows_by_day(connection, table, first_day, last_day)
                recent = staging_tables.events_by_day(connection, first_day_shown(last_day), last_day)
                of_table = {**_last_four_weeks(recent, last_day), **preview_of_days(connection, table, rows_by_day)}
                return (
                    count_rows(connection, table),
                    rows_by_day,
                    of_table,
                    staging_tables.rejections(connection),
                )

            total, rows_by_day, of_table, rejections = warehouse.run_in_transaction(engine, read)
    context.log.info(f"{_summary(loaded.values(), seconds)} staging_events now has {total:,} rows.")
    by_day = {
        day: {"dagster/partition_row_count": rows_by_day.get(day, 0), **_day_metadata(loaded.get(day))} for day in days
    }
    report_days(context, by_day, of_table)
    yield result(warehouse, total, _days_to_show(not_shown(context.instance, rejections)))
    # Dagster has noted all days as materialized by now.
    show_again(context.instance, context.asset_key, rejections, days)


@dg.asset(
    deps=[song_data],
    group_name="staging",
    kinds={"table"},
    owners=["team:data-engineering"],
    metadata=definition_metadata(tables.staging_songs),
    code_version=str(staging_tables.LOADER_VERSION),
)
def staging_songs(
    context: dg.AssetExecutionContext,
    config: StagingConfig,
    source: Source,
    warehouse: dg.ResourceParam[Warehouse],
    limits: Limits,
) -> dg.MaterializeResult[None]:
    """Songs of all song files, duplicates included.

    Only new and changed files are read; the rows of deleted files are removed. If several files contain a song, the
    star uses the file whose key sorts last (`sql/staging/current_songs.sql`). On Redshift the types are cast in SQL:
    `sql/redshift/staging_songs.sql`
    """
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
            total, pending, preview_rows = warehouse.run_in_transaction(
                engine,
                lambda connection: (
                    count_rows(connection, tables.staging_songs),
                    staging_tables.pending_days(connection),
                    preview(connection, tables.staging_songs),
                ),
            )
    context.log.info(
        f"{listing.location} has {pluralize(len(listing.files), 'song file')}: {load.new:,} new, "
        f"{load.changed:,} changed, {load.removed:,} removed since the last load.{describe_ignored(listing)}"
    )
    if load.rejected:
        context.log.error(
            f"The song files are rejected: {_rejection_reason(load, limits)}. staging_songs keeps the rows of the last "
            "load. Correct the files (`sparkify load-errors` shows the records), or raise SPARKIFY_MAX_LOAD_ERRORS."
        )
    else:
        context.log.info(
            f"Loaded {pluralize(load.staged, 'song')} in {seconds:.1f} s, {pluralize(load.errors_found, 'song')} "
            f"rejected. staging_songs now has {total:,} rows."
        )
    if pending:
        plays = "1 day has plays" if len(pending) == 1 else f"{len(pending):,} days have plays"
        context.log.info(f"{plays} that would now match a different song; they are queued for re-matching.")
    return result(warehouse, total, {**_song_metadata(load, limits, pending), **preview_rows})


def _song_metadata(load: SongLoad, limits: Limits, pending: Sequence[date]) -> AssetMetadata:
    rejection = {REJECTION_REASON: _rejection_reason(load, limits)} if load.rejected else {}
    return {
        LOAD_STATUS: _song_load_status(load).value,
        "new_files": load.new,
        "changed_files": load.changed,
        REMOVED_FILES: load.removed,
        EMPTIED_FILES: load.emptied,
        "load_errors": load.errors_found,
        DAYS_TO_REMATCH: dg.MetadataValue.json([day.isoformat() for day in pending]),
        **rejection,
    }


def _rejection_reason(load: SongLoad, limits: Limits) -> str:
    return f"{pluralize(load.errors_standing, 'load error')}, the limit is {limits.max_load_errors:,}"


def _song_load_status(load: SongLoad) -> LoadStatus:
    if load.rejected:
        return LoadStatus.REJECTED
    return LoadStatus.LOADED if load.new or load.changed or load.removed else LoadStatus.UNCHANGED


def _days_to_show(rejected: Sequence[date]) -> AssetMetadata:
    days = [day.isoformat() for day in rejected]
    return {DAYS_TO_SHOW_REJECTED: dg.MetadataValue.json(days)} if days else {}


def _summary(days: Collection[LoadedDay], seconds: float) -> str:
    inspected = [day for day in days if day.inspected is not None]
    if not inspected:
        return "No file had to be read."
    accepted = [day.inspected for day in inspected if day.inspected is not None and day.rejection is None]
    rejected = len(inspected) - len(accepted)
    events = sum(day.staged for day in accepted)
    parts = [
        f"Loaded {pluralize(events, 'event')} of {pluralize(len(accepted), 'day')} in {seconds:.1f} s",
        f"{pluralize(sum(day.duplicates for day in accepted), 'duplicate')} skipped",
        f"{pluralize(sum(day.error_count for day in accepted), 'line')} rejected",
    ]
    if rejected:
        parts.append(f"{pluralize(rejected, 'day')} rejected")
    return f"{', '.join(parts)}."


def _last_four_weeks(by_day: Mapping[date, int], last_day: date) -> AssetMetadata:
    captions = [
        f"Bars: events per day, up to {max(by_day.values(), default=0):,}.",
        f"To {last_day}: {pluralize(sum(by_day.values()), 'event')}.",
    ]
    return {"last_four_weeks": sparkline(captions, last_day, by_day)}


def _day_metadata(result: LoadedDay | None) -> AssetMetadata:
    if result is None:
        return {LOAD_STATUS: LoadStatus.UNCHANGED.value}
    metadata: dict[str, str | int] = {LOAD_STATUS: LoadStatus.LOADED.value}
    if (day := result.inspected) is not None:
        metadata |= {
            "files": len(day.files),
            "normalized_files": sum(not file.canonical for file in day.files),
            "lines": day.lines,
            "duplicates": day.duplicates,
            "load_errors": day.error_count,
        }
        if day.fields is not None:
            metadata["repaired_texts"] = len(day.repairs)
    if result.rejection is not None:
        metadata |= {LOAD_STATUS: LoadStatus.REJECTED.value, REJECTION_REASON: result.rejection}
    return metadata


def _log_day(log: dg.DagsterLogManager, loaded: LoadedDay, limits: Limits) -> None:
    day = loaded.inspected
    if day is None:
        log.error(
            f"{loaded.day} is still rejected, since its files have not changed: {loaded.rejection}. "
            f"`sparkify load-errors --from {loaded.day} --to {loaded.day}` shows the records."
        )
    elif loaded.rejection is not None:
        reasons = [error.reason for error in day.errors]
        remedy = rejected_partitions.remedy(
            day.day, day.day, reasons, too_many=day.error_count > limits.max_load_errors
        )
        log.error(
            f"{day.day} is rejected: {loaded.rejection}. The day keeps the rows of its last load. "
            f"{remedy}. First: {day.errors[0].place}: {reasons[0]}"
        )
    elif day.error_count or day.duplicates:
        message = (
            f"{day.day}: {pluralize(day.staged, 'event')} loaded from {pluralize(len(day.files), 'file')}, "
            f"{pluralize(day.duplicates, 'duplicate')} skipped, {pluralize(day.error_count, 'line')} rejected."
        )
        if day.error_count:
            message += f" `sparkify load-errors --from {day.day} --to {day.day}` shows the rejected lines."
        log.warning(message)
