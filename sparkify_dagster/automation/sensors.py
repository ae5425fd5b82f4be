"""The sensors: a dropped or changed log file, and a song that came after its plays, become runs.

No sensor opens the warehouse. Sensors list, compare with what they saw last, and ask for one run a block of days.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import dagster as dg

from sparkify_dagster.assets.sources import log_data, log_listing_metadata
from sparkify_dagster.assets.staging import staging_songs
from sparkify_dagster.assets.star import songplays
from sparkify_dagster.automation import jobs
from sparkify_dagster.inspected import StoredObject
from sparkify_dagster.partitions import contiguous_blocks, log_days, range_tags
from sparkify_dagster.sources.resource import Source

RUNS_PER_TICK = 25


@dataclass(frozen=True)
class Seen:
    """The cursor of log_files: a digest of each day's files, and how often runs were asked for."""

    days: Mapping[str, str] = field(default_factory=dict)
    requests: int = 0

    @classmethod
    def read(cls, cursor: str | None) -> "Seen":
        return cls(**json.loads(cursor)) if cursor else cls()

    def write(self) -> str:
        return json.dumps({"days": dict(sorted(self.days.items())), "requests": self.requests})


@dg.sensor(
    job=jobs.load_log_days,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Loads the days whose log files are new, changed or gone: one run a block of days.",
)
def log_files(context: dg.SensorEvaluationContext, source: Source) -> dg.SensorResult | dg.SkipReason:
    listing = source.list_log_files()
    seen = Seen.read(context.cursor)
    present = {
        day.isoformat(): _digest(files)
        for day, files in listing.by_day.items()
        if log_days.has_partition_key(day.isoformat())
    }
    changed = {day for day in present.keys() | seen.days.keys() if present.get(day) != seen.days.get(day)}
    in_window = sorted(date.fromisoformat(day) for day in changed if log_days.has_partition_key(day))
    blocks = contiguous_blocks(in_window)[:RUNS_PER_TICK]
    if not blocks:
        return dg.SkipReason(f"{len(present)} days with log files, none new, changed or gone")
    asked = {day.isoformat() for day in in_window if day <= blocks[-1][1]}
    days = {day: digest for day, digest in seen.days.items() if day not in asked}
    days |= {day: digest for day, digest in present.items() if day in asked}
    return dg.SensorResult(
        run_requests=[
            # A key made of the content alone would skip content that comes back for ever.
            dg.RunRequest(run_key=f"log-files-{seen.requests}-{first}-{last}", tags=range_tags(first, last))
            for first, last in blocks
        ],
        cursor=Seen(days, seen.requests + 1).write(),
        asset_events=[dg.AssetMaterialization(log_data.key, metadata=log_listing_metadata(listing))],
    )


@dg.sensor(
    job=jobs.load_log_days,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Matches again the plays that a change of the catalogue concerns, on whatever day they are.",
)
def late_songs(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    records = context.instance.fetch_materializations(staging_songs.key, limit=1).records
    if not records or (event := records[0].asset_materialization) is None:
        return dg.SkipReason("No songs have been loaded yet")
    load = records[0]
    if context.cursor == str(load.storage_id):
        return dg.SkipReason("No songs have been loaded since the last look")
    run = context.instance.get_run_by_id(load.run_id)
    if run is not None and not run.is_finished:
        return dg.SkipReason("The run that loads songs may match these plays itself; waiting for its end")
    # A materialization that a person reported by hand has no such metadata.
    noted = event.metadata.get("days_to_rematch")
    pending = noted.value if noted is not None and isinstance(noted.value, list) else []
    days = [day for day in pending if log_days.has_partition_key(day)]
    done = _days_matched_since(context.instance, load.storage_id, days)
    blocks = contiguous_blocks(sorted(date.fromisoformat(day) for day in days if day not in done))
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"late-songs-{load.storage_id}-{first}-{last}",
                asset_selection=[songplays.key],
                tags=range_tags(first, last),
            )
            for first, last in blocks
        ],
        cursor=str(load.storage_id),
        skip_reason=None if blocks else "Every play matches as the catalogue says",
    )


def _digest(files: Sequence[StoredObject]) -> str:
    """Changes with any file of the day: its key, its ETag, its size."""
    content = json.dumps([(file.key, file.etag, file.size) for file in files])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _days_matched_since(instance: dg.DagsterInstance, storage_id: int, days: Sequence[str]) -> set[str | None]:
    if not days:
        return set()
    since = dg.AssetRecordsFilter(songplays.key, asset_partitions=days, after_storage_id=storage_id)
    # A day may have been matched several times since; more than once each is rare.
    return {record.partition_key for record in instance.fetch_materializations(since, limit=10 * len(days)).records}
