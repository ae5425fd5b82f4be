"""The sensor log_files: a new, changed or deleted log file becomes a run of its day."""

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
from sparkify_dagster.automation.cursors import reports_broken_cursor
from sparkify_dagster.automation.run_requests import RunRequests, within_time_limit
from sparkify_dagster.batches import StoredObject
from sparkify_dagster.days import contiguous_blocks, days_between
from sparkify_dagster.partitions import is_in_window
from sparkify_dagster.sources.source import Source

NAME = "log_files"
_DIGEST_BYTES = 6
_DIGEST_CHARACTERS = 8


@dataclass(frozen=True)
class Seen:
    """What the sensor saw last: a digest of each day's files, and of the JSONPaths file by which they are read."""

    days: Mapping[date, str] = field(default_factory=dict)
    json_paths: str | None = None

    def write(self) -> dict[str, Any]:
        """Days without a gap share one text, so that ten years of days make a cursor of 30 kB."""
        blocks = contiguous_blocks(sorted(self.days))
        return {
            "days": {
                first.isoformat(): "".join(self.days[day] for day in days_between(first, last))
                for first, last in blocks
            },
            "json_paths": self.json_paths,
        }

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> "Seen":
        days = {}
        for first, digests in written["days"].items():
            for number in range(len(digests) // _DIGEST_CHARACTERS):
                start = number * _DIGEST_CHARACTERS
                day = date.fromisoformat(first) + timedelta(days=number)
                days[day] = digests[start : start + _DIGEST_CHARACTERS]
        return cls(days, written["json_paths"])


@dg.sensor(
    name=NAME,
    job=jobs.load_log_days,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Loads the days whose log files are new, changed or gone: one run a block of days, 25 at a time. Days "
    "of a failed run are tried again three times, after 1, 5 and 25 minutes. A changed JSONPaths file loads every day.",
)
def log_files(context: dg.SensorEvaluationContext, source: Source) -> dg.SensorResult:
    saved, seen = _read(context.cursor)
    runs = RunRequests(context, NAME, saved)
    listing, json_paths = within_time_limit(lambda: (source.list_log_files(), source.json_paths_etag() or ""))
    present = {day: _digest(files) for day, files in listing.by_day.items() if is_in_window(day)}
    is_read_otherwise = seen.json_paths not in (None, json_paths)
    changed = sorted(
        day
        for day in present.keys() | seen.days.keys()
        if is_in_window(day) and (present.get(day) != seen.days.get(day) or is_read_otherwise)
    )
    blocks = contiguous_blocks(changed)
    if is_read_otherwise and blocks:
        # A day that is not asked for now would no longer be known to be read otherwise.
        blocks = [(blocks[0][0], blocks[-1][1])]
    asked = blocks[: runs.ask(blocks)]
    days = dict(seen.days)
    for day in (day for first, last in asked for day in days_between(first, last)):
        days.pop(day, None)
        if day in present:
            days[day] = present[day]
    noted = Seen(days, seen.json_paths if is_read_otherwise and not asked else json_paths)
    found = f"{len(present):,} days with log files, "
    found += f"{len(changed):,} of them new, changed or gone" if changed else "none new, changed or gone"
    return dg.SensorResult(
        run_requests=runs.run_requests,
        skip_reason=None if runs.run_requests else found + runs.describe(),
        cursor=json.dumps({"version": 2, **runs.save(), **noted.write()}),
        asset_events=[dg.AssetMaterialization(log_data.key, metadata=log_listing_metadata(listing))] if asked else [],
    )


def _read(cursor: str | None) -> tuple[Mapping[str, Any], Seen]:
    if not cursor:
        return {}, Seen()
    when_empty = "the days are then looked at again, and what is loaded already is not read again"
    with reports_broken_cursor(NAME, when_empty=when_empty):
        saved = json.loads(cursor)
        if "version" not in saved:
            return {"number": saved["requests"]}, _seen_by_version_1(saved["days"])
        if saved["version"] == 2:
            return saved, Seen.read(saved)
        raise ValueError("a later version")


def _seen_by_version_1(days: Mapping[str, str]) -> Seen:
    """The first version wrote twice as many of the same digest's characters, and in hexadecimal."""
    return Seen({date.fromisoformat(day): _text(bytes.fromhex(digest)) for day, digest in days.items()})


def _digest(files: Sequence[StoredObject]) -> str:
    """Changes with any file of the day: its key, its ETag, its size."""
    content = json.dumps([(file.key, file.etag, file.size) for file in files])
    return _text(sha256(content.encode()).digest())


def _text(digest: bytes) -> str:
    return urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode()
