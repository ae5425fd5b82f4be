"""Sensor song_files: requests one run that loads the catalogue if song files are new, changed or deleted."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import dagster as dg

from sparkify_dagster.assets.sources import listing_metadata, song_data
from sparkify_dagster.automation import jobs
from sparkify_dagster.automation.cursors import explains_invalid_cursor
from sparkify_dagster.automation.run_requests import RunRequests, within_time_limit
from sparkify_dagster.batches import StoredObject
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.sources.source import Source

NAME = "song_files"


@dg.sensor(
    name=NAME,
    job=jobs.load_songs,
    # Listing 400,000 songs takes 400 requests, and S3 bills each one.
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Loads all new, changed and deleted song files in one run; the sensor late_songs then re-matches the "
    "affected plays. A failed run is retried three times, after 1, 5 and 25 minutes.",
)
def song_files(context: dg.SensorEvaluationContext, source: Source) -> dg.SensorResult:
    saved = _read(context.cursor)
    runs = RunRequests(context, NAME, saved)
    listing = within_time_limit(source.list_song_files)
    digest = _digest(listing.files)
    changed = digest != saved.get("files", _digest([]))
    requested = runs.request([None] if changed else [])
    asset_events = []
    if requested:
        asset_events.append(dg.AssetMaterialization(song_data.key, metadata=listing_metadata(listing)))
    return dg.SensorResult(
        run_requests=runs.run_requests,
        skip_reason=None
        if runs.run_requests
        else f"{pluralize(len(listing.files), 'song file')}, none new, changed or deleted{runs.describe()}",
        cursor=json.dumps({"version": 1, **runs.save(), "files": digest}),
        asset_events=asset_events,
    )


def _read(cursor: str | None) -> Mapping[str, Any]:
    after_reset = "one run is then requested, and files already loaded are not read again"
    with explains_invalid_cursor(NAME, after_reset=after_reset):
        saved = json.loads(cursor) if cursor else {}
        if saved == {} or saved["version"] == 1:
            return dict(saved)
        raise ValueError("unknown version")


def _digest(files: Iterable[StoredObject]) -> str:
    """Returns a digest of the keys, ETags and sizes of the files."""
    digest = sha256()
    for file in files:
        digest.update(f"{file.key}\0{file.etag}\0{file.size}\n".encode())
    return digest.hexdigest()[:16]
