"""Sensor log_files: requests runs for the days whose log files are new, changed or deleted."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

import dagster as dg

from sparkify_dagster.assets.sources import log_data, log_listing_metadata
from sparkify_dagster.automation import jobs
from sparkify_dagster.automation.cursors import explains_invalid_cursor
from sparkify_dagster.automation.run_requests import RunRequests, within_time_limit
from sparkify_dagster.batches import StoredObject
from sparkify_dagster.days import contiguous_blocks, days_between
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import is_in_window
from sparkify_dagster.sources.source import Source

NAME = "log_files"
_DIGEST_BYTES = 6
_DIGEST_CHARACTERS = 8


@dataclass(frozen=True)
class Seen:
    """The state of the last tick: a digest of each day's files, and of the JSONPaths file that they were read with."""

    days: Mapping[date, str] = field(default_factory=dict)
    json_paths: str | None = None

    def write(self) -> dict[str, Any]:
        """Returns the state as JSON. A block of days shares one text, so that ten years of days take 30 kB."""
        blocks = contiguous_blocks(sorted(self.days))
        return {
            "days": {
                first.isoformat(): "".join(self.days[day] for day in days_between(first, last))
                for first, last in blocks
            },
            "json_paths": self.json_paths,
        }

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> "Seen":
        days = {}
        for first, digests in saved["days"].items():
            for number in range(len(digests) // _DIGEST_CHARACTERS):
                start = number * _DIGEST_CHARACTERS
                day = date.fromisoformat(first) + timedelta(days=number)
                days[day] = digests[start : start + _DIGEST_CHARACTERS]
        return cls(days, saved["json_paths"])


@dg.sensor(
    name=NAME,
    job=jobs.load_log_days,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Loads the days whose log files are new, changed or deleted: one run per block of days, up to 25 at a "
    "time. Failed runs are retried three times, after 1, 5 and 25 minutes. A changed JSONPaths file reloads every day.",
)
def log_files(context: dg.SensorEvaluationContext, source: Source) -> dg.SensorResult:
    saved, seen = _read(context.cursor)
    runs = RunRequests(context, NAME, saved)
    listing, json_paths = within_time_limit(lambda: (source.list_log_files(), source.json_paths_etag() or ""))
    present = {day: _digest(files) for day, files in listing.by_day.items() if is_in_window(day)}
    json_paths_changed = seen.json_paths not in (None, json_paths)
    changed = sorted(
        day
        for day in present.keys() | seen.days.keys()
        if is_in_window(day) and (present.get(day) != seen.days.get(day) or json_paths_changed)
    )
    blocks = contiguous_blocks(changed)
    if json_paths_changed and blocks:
        # One run for all days: the cursor would not remember that a day left for a later tick has to be reloaded.
        blocks = [(blocks[0][0], blocks[-1][1])]
    requested = blocks[: runs.request(blocks)]
    days = dict(seen.days)
    for day in (day for first, last in requested for day in days_between(first, last)):
        days.pop(day, None)
        if day in present:
            days[day] = present[day]
    now_seen = Seen(days, seen.json_paths if json_paths_changed and not requested else json_paths)
    found = f"{pluralize(len(present), 'day')} with log files, "
    found += f"{len(changed):,} of them new, changed or deleted" if changed else "none new, changed or deleted"
    asset_events = []
    if requested:
        asset_events.append(dg.AssetMaterialization(log_data.key, metadata=log_listing_metadata(listing)))
    return dg.SensorResult(
        run_requests=runs.run_requests,
        skip_reason=None if runs.run_requests else found + runs.describe(),
        cursor=json.dumps({"version": 2, **runs.save(), **now_seen.write()}),
        asset_events=asset_events,
    )


def _read(cursor: str | None) -> tuple[Mapping[str, Any], Seen]:
    if not cursor:
        return {}, Seen()
    after_reset = "all days are then requested once, and files already loaded are not read again"
    with explains_invalid_cursor(NAME, after_reset=after_reset):
        saved = json.loads(cursor)
        if "version" not in saved:
            return {"number": saved["requests"]}, _seen_by_version_1(saved["days"])
        if saved["version"] == 2:
            return saved, Seen.read(saved)
        raise ValueError("unknown version")


def _seen_by_version_1(days: Mapping[str, str]) -> Seen:
    """Reads a cursor of version 1, which had 16 hexadecimal characters of the same digest."""
    return Seen({date.fromisoformat(day): _text(bytes.fromhex(digest)) for day, digest in days.items()})


def _digest(files: Sequence[StoredObject]) -> str:
    """Returns a digest of the keys, ETags and sizes of a day's files."""
    content = json.dumps([(file.key, file.etag, file.size) for file in files])
    return _text(sha256(content.encode()).digest())


def _text(digest: bytes) -> str:
    return urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode()
