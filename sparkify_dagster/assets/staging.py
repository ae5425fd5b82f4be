"""Staging: the source's events and songs as rows, exactly once, and what could not be loaded beside them."""

import time
from datetime import date, timedelta

import dagster as dg
from sqlalchemy import Connection, func, select

from sparkify_dagster.assets.loading import LoadedDay, clear_failures, load_days, load_songs, load_trusted_days
from sparkify_dagster.assets.sources import (
    json_paths_metadata,
    listing_metadata,
    log_data,
    log_json_path,
    log_listing_metadata,
    song_data,
)
from sparkify_dagster.assets.table_metadata import definition_metadata
from sparkify_dagster.limits import Limits
from sparkify_dagster.partitions import log_days, required_days_of
from sparkify_dagster.sources.events import EventInspector
from sparkify_dagster.sources.resource import Source
from sparkify_dagster.warehouse import staging as staging_tables
from sparkify_dagster.warehouse import tables
from sparkify_dagster.warehouse.base import Warehouse, count_rows
from sparkify_dagster.warehouse.staging import Loaded


class StagingConfig(dg.Config):
    """full: load everything again, also what staging holds already in its present version."""

    full: bool = False


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
    first_day, last_day = required_days_of(context)
    days = [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)]
    with clear_failures():
        listing = source.list_log_files()
        context.log_event(dg.AssetMaterialization(log_data.key, metadata=log_listing_metadata(listing)))
        json_paths = source.json_paths()
        context.log_event(
            dg.AssetMaterialization(log_json_path.key, metadata=json_paths_metadata(source.log_jsonpath, json_paths))
        )
        with warehouse.open(f"staging_events of run {context.run.run_id}") as engine:
            held = warehouse.transact(
                engine,
                lambda connection: staging_tables.loaded_days(connection, first_day, last_day, json_paths.keys),
            )
            present = {day: listing.by_day.get(day, []) for day in days}
            objects = {
                day: files
                for day, files in present.items()
                if config.full or not held.get(day, Loaded()).holds(files, limits.max_load_errors)
            }
            context.log.info(
                f"{listing.location}: {len(listing.files):,} log files, {listing.ignored:,} other objects ignored; "
                f"{len(days) - len(objects):,} of {len(days):,} days are loaded already, {len(objects):,} to load"
            )
            inspector = EventInspector(
                source.log_store(),
                json_paths.keys,
                keep_errors=limits.kept_errors,
                s3_in_place=warehouse.reads_in_place(listing.location),
            )
            started = time.perf_counter()
            loaded = {}
            if warehouse.trusts(listing.location):
                results = load_trusted_days(engine, warehouse, inspector, objects, context.log)
            else:
                results = load_days(engine, warehouse, inspector, objects, limits, context.log)
            for result in results:
                loaded[result.inspected.day] = result
                _tell(context.log, result, limits)
            rows, total = warehouse.transact(
                engine,
                lambda connection: (
                    _rows_by_day(connection, first_day, last_day),
                    count_rows(connection, tables.staging_events),
                ),
            )
    context.log.info(
        f"Loaded {sum(r.inspected.staged for r in loaded.values() if not r.refused):,} events of "
        f"{sum(not r.refused for r in loaded.values()):,} days in {time.perf_counter() - started:.1f} s"
    )
    for day in days:
        context.add_asset_metadata(
            {"dagster/partition_row_count": rows.get(day, 0), **_day_metadata(loaded.get(day))},
            partition_key=day.isoformat(),
        )
    return dg.MaterializeResult(metadata={"dagster/row_count": total, "warehouse": warehouse.database})


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
    with clear_failures():
        listing = source.list_song_files()
        context.log_event(dg.AssetMaterialization(song_data.key, metadata=listing_metadata(listing)))
        with warehouse.open(f"staging_songs of run {context.run.run_id}") as engine:
            load = load_songs(engine, warehouse, source.song_store(), listing, limits, full=config.full)
            total, pending = warehouse.transact(
                engine,
                lambda connection: (
                    count_rows(connection, tables.staging_songs),
                    staging_tables.pending_days(connection),
                ),
            )
    context.log.info(
        f"{listing.location}: {len(listing.files):,} song files, {listing.ignored:,} other objects ignored; "
        f"{load.new:,} new, {load.changed:,} changed, {load.removed:,} gone; {load.staged:,} songs loaded, "
        f"{load.errors_found:,} errors"
    )
    if load.refused:
        context.log.error(
            f"Refused: {load.errors_standing:,} errors in the song files, {limits.max_load_errors:,} are allowed; "
            "staging_songs keeps what it held. See staging.load_errors, or raise SPARKIFY_MAX_LOAD_ERRORS."
        )
    if pending:
        context.log.info(f"{len(pending):,} days have plays that would match otherwise now")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total,
            "new_files": load.new,
            "changed_files": load.changed,
            "removed_files": load.removed,
            "load_errors": load.errors_found,
            "days_to_rematch": dg.MetadataValue.json([day.isoformat() for day in pending]),
            "warehouse": warehouse.database,
        }
    )


def _rows_by_day(connection: Connection, first_day: date, last_day: date) -> dict[date, int]:
    day = tables.staging_events.c.log_date
    counts = select(day, func.count()).where(day.between(first_day, last_day)).group_by(day)
    return dict(connection.execute(counts).all())


def _day_metadata(result: LoadedDay | None) -> dict[str, object]:
    if result is None:
        return {"loaded": "already, unchanged"}
    day = result.inspected
    return {
        "loaded": "refused: too many errors" if result.refused else "now",
        "files": len(day.files),
        "cleaned_files": sum(not file.plain for file in day.files),
        "lines": day.lines,
        "duplicates": day.duplicates,
        "load_errors": day.error_count,
        "repaired_texts": len(day.repairs),
    }


def _tell(log: dg.DagsterLogManager, result: LoadedDay, limits: Limits) -> None:
    day = result.inspected
    if result.refused:
        log.error(
            f"{day.day} is refused: {day.error_count:,} of {day.lines:,} lines have errors, "
            f"{limits.max_load_errors:,} are allowed; the day keeps what it held. "
            f"First: {day.errors[0].key} line {day.errors[0].line_number}: {day.errors[0].reason}"
        )
    elif day.error_count or day.duplicates:
        log.warning(
            f"{day.day}: {day.staged:,} events from {len(day.files)} files; not loaded: {day.duplicates:,} duplicates, "
            f"{day.error_count:,} lines with errors"
        )
