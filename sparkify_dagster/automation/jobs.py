"""The jobs: everything, the songs alone, log days alone, and what keeps the warehouse fast."""

import dagster as dg

from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.warehouse.base import Warehouse

SONG_ASSETS = ("staging_songs", "songs", "artists")
LOG_DAY_ASSETS = ("staging_events", "songplays", "users", "time")
# Whatever changes the star may change their answers; those that it does not change are not asked again.
QUERIES = tuple(all_queries())

load_all = dg.define_asset_job(
    "load_all",
    selection=dg.AssetSelection.assets(*SONG_ASSETS, *LOG_DAY_ASSETS, *QUERIES),
    description="The whole pipeline: choose days, and one run loads them, the songs and the star.",
)

load_songs = dg.define_asset_job(
    "load_songs",
    selection=dg.AssetSelection.assets(*SONG_ASSETS, *QUERIES),
    description="The catalogue alone: new, changed and deleted song files.",
)

refresh_analytics = dg.define_asset_job(
    "refresh_analytics",
    selection=dg.AssetSelection.assets(*QUERIES),
    description="The analysts' queries alone: those whose answer may have changed are asked again.",
)


@dg.op
def maintain(context: dg.OpExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> None:
    """ANALYZE every table; on Redshift also VACUUM those that are far from their sort order."""
    with as_dagster_failures(), warehouse.connect(f"maintain of run {context.run_id}") as engine:
        for done in warehouse.maintain(engine):
            context.log.info(done)


@dg.job(description="Optional, after large reloads: statistics, and on Redshift the sort order.")
def maintain_warehouse() -> None:
    maintain()


load_log_days = dg.define_asset_job(
    "load_log_days",
    selection=dg.AssetSelection.assets(*LOG_DAY_ASSETS, *QUERIES),
    description="Days of the log alone: events, plays, users and times.",
)
