"""Sensor rejected_days: requests a run that fails because of the days that a load has rejected: they are red then."""

import time
from datetime import date

import dagster as dg

from sparkify_dagster.assets.staging import staging_events
from sparkify_dagster.automation import jobs
from sparkify_dagster.config.run_tags import WAREHOUSE_TAG
from sparkify_dagster.partitions import is_in_window, range_tags
from sparkify_dagster.presentation.metadata_keys import DAYS_TO_SHOW_REJECTED

NAME = "rejected_days"
# If the command is killed in the meantime, this sensor does it in its place.
_COMMAND_SECONDS = 60


@dg.sensor(
    name=NAME,
    job=jobs.show_rejected_days,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Shows the days that a load has rejected as failed, until they are loaded: one run for all of them, "
    "which fails with the reason. It loads nothing and is not retried.",
)
def rejected_days(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    records = context.instance.fetch_materializations(staging_events.key, limit=1).records
    if not records:
        return dg.SkipReason("No days were loaded yet")
    load = records[0]
    if str(load.storage_id) == context.cursor:
        return dg.SkipReason("No days were loaded since the last tick")
    run = context.instance.get_run_record_by_id(load.run_id)
    if run is not None and not run.dagster_run.is_finished:
        return dg.SkipReason("Waiting for the run that loads days to finish")
    days = [] if _are_shown(context.instance, load) else _days_to_show(load)
    if days and run is not None and _goes_on(run):
        return dg.SkipReason("Waiting for `sparkify etl`, which shows the days that it rejects itself")
    requests = [
        dg.RunRequest(f"rejected-days-{load.storage_id}", jobs.SHOW_REJECTED, range_tags(day, day)) for day in days[:1]
    ]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "No day was rejected since the last tick",
        cursor=str(load.storage_id),
    )


def _days_to_show(load: dg.EventLogRecord) -> list[date]:
    """Returns the rejected days that the load found not shown, whichever load has rejected them."""
    event = load.asset_materialization
    metadata = event.metadata.get(DAYS_TO_SHOW_REJECTED) if event else None
    days = metadata.value if metadata is not None and isinstance(metadata.value, list) else []
    return [day for day in map(date.fromisoformat, days) if is_in_window(day)]


def _are_shown(instance: dg.DagsterInstance, load: dg.EventLogRecord) -> bool:
    """Returns whether a run has shown the rejected days since the load, or is about to."""
    runs = instance.get_run_records(dg.RunsFilter(job_name=jobs.show_rejected_days.name), limit=1)
    return any(run.start_time is None or run.start_time > load.timestamp for run in runs)


def _goes_on(run: dg.RunRecord) -> bool:
    # Only runs of the command line have the tag.
    return WAREHOUSE_TAG in run.dagster_run.tags and time.time() < (run.end_time or 0) + _COMMAND_SECONDS
