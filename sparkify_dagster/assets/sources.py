"""The source in S3 (or in local folders): external assets, which Dagster shows but does not make."""

import dagster as dg

from sparkify_dagster.config import current
from sparkify_dagster.partitions import is_in_window
from sparkify_dagster.sources.jsonpaths import JsonPaths
from sparkify_dagster.sources.object_keys import printable
from sparkify_dagster.sources.source import Listing

_log_data, _log_jsonpath, _song_data = current.source_locations()
_kinds = {"s3", "json"} if _log_data.startswith("s3://") else {"json"}
_owners = ["team:data-engineering"]

log_data = dg.AssetSpec(
    "log_data",
    group_name="source",
    description="The app's event log: one file a UTC day, one JSON object a line.",
    kinds=_kinds,
    owners=_owners,
    metadata={"dagster/uri": _log_data, "location": dg.MetadataValue.path(_log_data)},
)

log_json_path = dg.AssetSpec(
    "log_json_path",
    group_name="source",
    description="The JSONPaths file: which key of a log line is which column of staging_events. Where none is "
    "configured, the usual names hold.",
    kinds=_kinds,
    owners=_owners,
    metadata={
        "dagster/uri": _log_jsonpath or "",
        "location": dg.MetadataValue.path(_log_jsonpath or "not configured: the usual names hold"),
    },
)

song_data = dg.AssetSpec(
    "song_data",
    group_name="source",
    description="The catalogue: one JSON file a song, a part of the Million Song Dataset.",
    kinds=_kinds,
    owners=_owners,
    metadata={"dagster/uri": _song_data, "location": dg.MetadataValue.path(_song_data)},
)


def listing_metadata(listing: Listing) -> dict[str, dg.MetadataValue]:
    """Metadata of a listing: location, number of files, bytes, the newest, and the objects that are no files.

    `unrecognized_files` counts those under a name that no rule knows; `unrecognized_examples` has some of their keys.
    """
    examples = {"unrecognized_examples": dg.MetadataValue.json(list(listing.examples))} if listing.examples else {}
    newest: dict[str, dg.MetadataValue] = {}
    if listing.newest is not None:
        newest = {
            "newest_file": dg.MetadataValue.text(printable(listing.newest.key)),
            "newest_file_written": dg.MetadataValue.timestamp(listing.newest.modified),
        }
    return newest | {
        "location": dg.MetadataValue.path(listing.location),
        "files": dg.MetadataValue.int(len(listing.files)),
        "bytes": dg.MetadataValue.int(listing.bytes),
        "ignored_objects": dg.MetadataValue.int(listing.ignored),
        "unrecognized_files": dg.MetadataValue.int(len(listing.unrecognized)),
        **examples,
    }


def log_listing_metadata(listing: Listing) -> dict[str, dg.MetadataValue]:
    """The same of the log, and how many of its files lie outside the window of partitions."""
    outside = sum(len(files) for day, files in listing.by_day.items() if not is_in_window(day))
    return listing_metadata(listing) | {"files_outside_the_window": dg.MetadataValue.int(outside)}


def json_paths_metadata(location: str | None, json_paths: JsonPaths) -> dict[str, dg.MetadataValue]:
    """What was found of the JSONPaths file: location, whether it is there, bytes, the keys in column order."""
    return {
        "location": dg.MetadataValue.path(location or "not configured: the usual names hold"),
        "files": dg.MetadataValue.int(0 if json_paths.bytes is None else 1),
        "bytes": dg.MetadataValue.int(json_paths.bytes or 0),
        "keys": dg.MetadataValue.text(", ".join(json_paths.keys)),
    }
