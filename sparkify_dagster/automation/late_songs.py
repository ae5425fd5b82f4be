"""The sensor late_songs: plays that a change of the catalogue concerns are matched again, on whatever day they are."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from sparkify_dagster.assets.staging import staging_songs
from sparkify_dagster.assets.star import songplays
from sparkify_dagster.automation import jobs
from sparkify_dagster.automation.cursors import reports_broken_cursor
from sparkify_dagster.automation.run_requests import RunRequests
from sparkify_dagster.days import contiguous_blocks
from sparkify_dagster.partitions import is_in_window

NAME = "late_songs"


@dg.sensor(
    name=NAME,
    job=jobs.load_log_days,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Matches again the plays that a change of the catalogue concerns, on whatever day they are: one run a "
    "block of days, 25 at a time. A failed run is tried again three times, after 1, 5 and 25 minutes.",
)
def late_songs(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    saved = _read(context.cursor)
    runs = RunRequests(context, NAME, saved, assets=[songplays.key, *map(dg.AssetKey, jobs.QUERIES)])
    waiting = [date.fromisoformat(day) for day in saved.get("waiting", [])]
    records = context.instance.fetch_materializations(staging_songs.key, limit=1).records
    if not records:
        return dg.SkipReason("No songs have been loaded yet")
    load = records[0]
    is_new = load.storage_id != saved.get("load")
    if is_new:
        run = context.instance.get_run_by_id(load.run_id)
        if run is not None and not run.is_finished:
            return dg.SkipReason("The run that loads songs may match these plays itself; waiting for its end")
        if runs.in_progress:
            return dg.SkipReason(
                f"Songs have been loaded again; waiting for the end of {runs.in_progress} earlier runs"
            )
        # Each load tells of all plays that are to be matched again, those of failed runs included.
        runs.forget_failures()
        waiting = _days_to_rematch(context.instance, load)
    blocks = contiguous_blocks(waiting)
    asked = blocks[: runs.ask(blocks)]
    waiting = [day for day in waiting if not asked or day > asked[-1][1]]
    nothing = "Every play matches as the catalogue says" if is_new else "No songs have been loaded since the last look"
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
    with reports_broken_cursor(NAME, when_empty="the plays of the last song load are then matched again"):
        saved = json.loads(cursor) if cursor else {}
        if isinstance(saved, int):
            # The first version kept the load alone.
            return {"load": saved}
        if saved == {} or saved["version"] == 2:
            return dict(saved)
        raise ValueError("a later version")


def _days_to_rematch(instance: dg.DagsterInstance, load: dg.EventLogRecord) -> list[date]:
    """The days that the load names and that no run has matched since."""
    event = load.asset_materialization
    # A materialization that a person reported by hand has no such metadata.
    noted = event.metadata.get("days_to_rematch") if event else None
    named = noted.value if noted is not None and isinstance(noted.value, list) else []
    days = [day for day in map(date.fromisoformat, named) if is_in_window(day)]
    matched = _days_matched_since(instance, load.storage_id, [day.isoformat() for day in days])
    return sorted(day for day in days if day.isoformat() not in matched)


def _days_matched_since(instance: dg.DagsterInstance, storage_id: int, days: Sequence[str]) -> set[str | None]:
    if not days:
        return set()
    since = dg.AssetRecordsFilter(songplays.key, asset_partitions=days, after_storage_id=storage_id)
    # A day may have been matched several times since; more than once each is rare.
    return {record.partition_key for record in instance.fetch_materializations(since, limit=10 * len(days)).records}
