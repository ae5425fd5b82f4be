"""The sensor song_files: new, changed or deleted song files become one run that loads the catalogue."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import dagster as dg

from sparkify_dagster.assets.sources import listing_metadata, song_data
from sparkify_dagster.automation import jobs
from sparkify_dagster.automation.cursors import reports_broken_cursor
from sparkify_dagster.automation.run_requests import RunRequests, within_time_limit
from sparkify_dagster.batches import StoredObject
from sparkify_dagster.sources.source import Source

NAME = "song_files"


@dg.sensor(
    name=NAME,
    job=jobs.load_songs,
    # 400,000 songs take 400 requests to list, and S3 has them paid.
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Loads new, changed and deleted song files, however many, in one run; late_songs then has the plays "
    "matched again that this concerns. A failed run is tried again three times, after 1, 5 and 25 minutes.",
)
def song_files(context: dg.SensorEvaluationContext, source: Source) -> dg.SensorResult:
    saved = _read(context.cursor)
    runs = RunRequests(context, NAME, saved)
    listing = within_time_limit(source.list_song_files)
    digest = _digest(listing.files)
    changed = digest != saved.get("files", _digest([]))
    asked = bool(runs.ask([None] if changed else []))
    return dg.SensorResult(
        run_requests=runs.run_requests,
        skip_reason=None
        if runs.run_requests
        else f"{len(listing.files):,} song files, none new, changed or gone{runs.describe()}",
        cursor=json.dumps({"version": 1, **runs.save(), "files": digest}),
        asset_events=[dg.AssetMaterialization(song_data.key, metadata=listing_metadata(listing))] if asked else [],
    )


def _read(cursor: str | None) -> Mapping[str, Any]:
    when_empty = "the songs are then looked at again, and what is loaded already is not read again"
    with reports_broken_cursor(NAME, when_empty=when_empty):
        saved = json.loads(cursor) if cursor else {}
        if saved == {} or saved["version"] == 1:
            return dict(saved)
        raise ValueError("a later version")


def _digest(files: Iterable[StoredObject]) -> str:
    """Changes with any file: its key, its ETag, its size."""
    digest = sha256()
    for file in files:
        digest.update(f"{file.key}\0{file.etag}\0{file.size}\n".encode())
    return digest.hexdigest()[:16]
