"""The jobs: everything, the songs alone, log days alone."""

import dagster as dg

SONG_ASSETS = ("staging_songs", "songs", "artists")
LOG_DAY_ASSETS = ("staging_events", "songplays", "users", "time")

sparkify = dg.define_asset_job(
    "sparkify",
    selection=dg.AssetSelection.assets(*SONG_ASSETS, *LOG_DAY_ASSETS),
    description="The whole pipeline: choose days, and one run loads them, the songs and the star.",
)

load_songs = dg.define_asset_job(
    "load_songs",
    selection=dg.AssetSelection.assets(*SONG_ASSETS),
    description="The catalogue alone: new, changed and deleted song files.",
)

load_log_days = dg.define_asset_job(
    "load_log_days",
    selection=dg.AssetSelection.assets(*LOG_DAY_ASSETS),
    description="Days of the log alone: events, plays, users and times.",
)
