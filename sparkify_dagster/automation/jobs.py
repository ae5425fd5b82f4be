"""The jobs: load everything, songs only or log days only, refresh the analytics tables, audit, maintain."""

import dagster as dg

from sparkify_dagster.analytics.query import all_queries, broken_queries
from sparkify_dagster.analytics.query_folders import query_folders
from sparkify_dagster.config import current
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.warehouse.base import Warehouse

SONG_ASSETS = ("staging_songs", "songs", "artists")
MARTS = ("events", "user_levels", "sessions", "daily_activity")
LOG_DAY_ASSETS = ("staging_events", "songplays", "users", "time", *MARTS)
# Part of every job that changes the star or the marts; a query whose tables did not change is not recomputed. Invalid
# ones too: no run succeeds while a table keeps an old result.
QUERIES = tuple(sorted([*all_queries(), *broken_queries()]))
# What follows from the star: a run that has changed it ends with these. The report is written if it has a place.
RESULTS = (*QUERIES, *(["report"] if current.report_location() else []))
# What else is in these groups is materialized with the queries.
_QUERY_GROUPS = dg.AssetSelection.groups(*{folder.group for folder in query_folders()})
SHOW_REJECTED = {"ops": {"staging_events": {"config": {"only_show_rejected": True}}}}

load_all = dg.define_asset_job(
    "load_all",
    selection=dg.AssetSelection.assets(*SONG_ASSETS, *LOG_DAY_ASSETS) | _QUERY_GROUPS,
    description="Runs the whole pipeline for a range of days in one run: staging, songs, star, marts and analytics.",
)

load_songs = dg.define_asset_job(
    "load_songs",
    selection=dg.AssetSelection.assets(*SONG_ASSETS) | _QUERY_GROUPS,
    description="Loads new, changed and deleted song files, and refreshes songs, artists and analytics.",
)

refresh_analytics = dg.define_asset_job(
    "refresh_analytics",
    selection=_QUERY_GROUPS,
    description="Recomputes the analytics queries whose tables or SQL changed; the others are up to date.",
)


audit = dg.define_asset_job(
    "audit",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Runs every check on all rows. The check of a run looks at the rows that the run has written; "
    "`sparkify etl --full` ends with this job.",
)


@dg.op
def maintain(context: dg.OpExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> None:
    """Runs ANALYZE on every table and, on Redshift, VACUUM on tables that are far from their sort order."""
    with as_dagster_failures(), warehouse.connect(f"maintain of run {context.run_id}") as engine:
        for message in warehouse.maintain(engine):
            context.log.info(message)


@dg.job(description="Updates planner statistics and, on Redshift, the sort order. Optional, after large reloads.")
def maintain_warehouse() -> None:
    maintain()


show_rejected_days = dg.define_asset_job(
    "show_rejected_days",
    # A check of the run that fails would have no result.
    selection=dg.AssetSelection.assets("staging_events").without_checks(),
    config=SHOW_REJECTED,
    description="Loads nothing and fails because of the days that stand rejected, so that the partition status shows "
    "them as failed. The sensor rejected_days and `sparkify etl` run it.",
)

load_log_days = dg.define_asset_job(
    "load_log_days",
    selection=dg.AssetSelection.assets(*LOG_DAY_ASSETS) | _QUERY_GROUPS,
    description="Loads a range of log days: events, plays, users, times and the marts, and refreshes analytics.",
)
