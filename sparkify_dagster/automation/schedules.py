"""Schedule daily_load, an alternative to the sensors."""

from datetime import date

import dagster as dg

from sparkify_dagster.assets.staging import staging_events
from sparkify_dagster.automation import jobs
from sparkify_dagster.partitions import is_in_window, range_tags
from sparkify_dagster.sources.source import Source


@dg.schedule(
    name="daily_load",
    job=jobs.load_all,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Runs the whole pipeline daily at 05:00 UTC, in one run from the first to the last day that has log "
    "files or was loaded. Only files that are new, changed or deleted since the last run are loaded.",
)
def daily_load(context: dg.ScheduleEvaluationContext, source: Source) -> dg.RunRequest | dg.SkipReason:
    days = {day for day in source.list_log_files().by_day if is_in_window(day)}
    loaded = context.instance.get_materialized_partitions(staging_events.key)
    days |= {day for day in map(date.fromisoformat, loaded) if is_in_window(day)}
    if not days:
        return dg.SkipReason("No day in the window has a log file or was loaded before")
    return dg.RunRequest(tags=range_tags(min(days), max(days)))
