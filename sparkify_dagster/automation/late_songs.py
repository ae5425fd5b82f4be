"""Sensor late_songs: re-matches plays, on any day, that a change of the catalogue affects."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from sparkify_dagster.assets.staging import staging_songs
from sparkify_dagster.assets.star import songplays
from sparkify_dagster.automation import jobs
from sparkify_dagster.automation.cursors import explains_invalid_cursor
from sparkify_dagster.automation.run_requests import RunRequests
from sparkify_dagster.days import contiguous_blocks
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import is_in_window
from sparkify_dagster.presentation.metadata_keys import DAYS_TO_REMATCH

NAME = "late_songs"


@dg.sensor(
    name=NAME,
    job=jobs.load_log_days,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Re-matches plays that a change of the song catalogue affects, on any day: one run per block of days, "
    "up to 25 at a time. Failed runs are retried three times, after 1, 5 and 25 minutes.",
)
def late_songs(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    saved = _read(context.cursor)
    runs = RunRequests(context, NAME, saved, assets=[songplays.key, *map(dg.AssetKey, jobs.RESULTS)])
    waiting = [date.fromisoformat(day) for day in saved.get("waiting", [])]
    records = context.instance.fetch_materializations(staging_songs.key, limit=1).records
    if not records:
        return dg.SkipReason("No songs were loaded yet")
    load = records[0]
    is_new = load.storage_id != saved.get("load")
    if is_new:
        run = context.instance.get_run_by_id(load.run_id)
        if run is not None and not run.is_finished:
            return dg.SkipReason("Waiting for the run that loads songs to finish: it may match these plays itself")
        if runs.in_progress:
            return dg.SkipReason(f"Songs were loaded again; waiting for {pluralize(runs.in_progress, 'earlier run')}")
        # Each load lists all days to re-match, including those of failed runs.
        runs.forget_failures()
        waiting = _days_to_rematch(context.instance, load)
    blocks = contiguous_blocks(waiting)
    requested = blocks[: runs.request(blocks)]
    waiting = [day for day in waiting if not requested or day > requested[-1][1]]
    nothing = "All plays match the current catalogue" if is_new else "No songs were loaded since the last tick"
    return dg.SensorResult(
        run_requests=runs.run_requests,
        skip_reason=None if runs.run_requests else nothing + runs.describe(),
        cursor=json.dumps(
            {
                "version": 2,
                "load": load.storage_id,
                "waiting": [day.isoformat() for day in waiting],
                **runs.save(),
            }
        ),
    )


def _read(cursor: str | None) -> Mapping[str, Any]:
    with explains_invalid_cursor(NAME, after_reset="the days of the last song load are then re-matched"):
        saved = json.loads(cursor) if cursor else {}
        if isinstance(saved, int):
            # Version 1 stored only the load.
            return {"load": saved}
        if saved == {} or saved["version"] == 2:
            return dict(saved)
        raise ValueError("unknown version")


def _days_to_rematch(instance: dg.DagsterInstance, load: dg.EventLogRecord) -> list[date]:
    """Returns the days that the load lists and that no run has re-matched since."""
    event = load.asset_materialization
    # A materialization that was reported by hand lacks this metadata.
    metadata = event.metadata.get(DAYS_TO_REMATCH) if event else None
    listed = metadata.value if metadata is not None and isinstance(metadata.value, list) else []
    days = [day for day in map(date.fromisoformat, listed) if is_in_window(day)]
    matched = _days_matched_since(instance, load.storage_id, [day.isoformat() for day in days])
    return sorted(day for day in days if day.isoformat() not in matched)


def _days_matched_since(instance: dg.DagsterInstance, storage_id: int, days: Sequence[str]) -> set[str | None]:
    if not days:
        return set()
    since = dg.AssetRecordsFilter(songplays.key, asset_partitions=days, after_storage_id=storage_id)
    # A day can have been matched several times since, which is rare: the limit allows for ten times each.
    return {record.partition_key for record in instance.fetch_materializations(since, limit=10 * len(days)).records}
