"""The source files in S3 or local folders, as external assets: Dagster shows but does not materialize them."""

import dagster as dg

from sparkify_dagster.config import current
from sparkify_dagster.partitions import is_in_window
from sparkify_dagster.presentation.metadata_keys import (
    FILES,
    FILES_OUTSIDE_WINDOW,
    UNRECOGNIZED_EXAMPLES,
    UNRECOGNIZED_FILES,
)
from sparkify_dagster.sources.jsonpaths import JsonPaths
from sparkify_dagster.sources.object_keys import printable
from sparkify_dagster.sources.source import Listing

_log_data, _log_jsonpath, _song_data = current.source_locations()
_kinds = {"s3", "json"} if _log_data.startswith("s3://") else {"json"}
_owners = ["team:data-engineering"]

NOT_CONFIGURED = "not configured: the default keys apply"

log_data = dg.AssetSpec(
    "log_data",
    group_name="source",
    description="Event log of the app: one file per UTC day, one JSON object per line.",
    kinds=_kinds,
    owners=_owners,
    metadata={"dagster/uri": _log_data, "location": dg.MetadataValue.path(_log_data)},
)

log_json_path = dg.AssetSpec(
    "log_json_path",
    group_name="source",
    description="JSONPaths file that maps the keys of a log line to the columns of staging_events. If none is "
    "configured, the default keys apply.",
    kinds=_kinds,
    owners=_owners,
    metadata={
        "dagster/uri": _log_jsonpath or "",
        "location": dg.MetadataValue.path(_log_jsonpath or NOT_CONFIGURED),
    },
)

song_data = dg.AssetSpec(
    "song_data",
    group_name="source",
    description="Song catalogue: one JSON file per song, a subset of the Million Song Dataset.",
    kinds=_kinds,
    owners=_owners,
    metadata={"dagster/uri": _song_data, "location": dg.MetadataValue.path(_song_data)},
)


def listing_metadata(listing: Listing) -> dict[str, dg.MetadataValue]:
    """Returns the metadata of a listing: location, files, bytes, the newest file, ignored and unrecognized objects.

    Ignored objects include the unrecognized ones, whose names match no rule.
    """
    metadata: dict[str, dg.MetadataValue] = {
        "location": dg.MetadataValue.path(listing.location),
        FILES: dg.MetadataValue.int(len(listing.files)),
        "bytes": dg.MetadataValue.int(listing.bytes),
        "ignored_objects": dg.MetadataValue.int(listing.ignored),
        UNRECOGNIZED_FILES: dg.MetadataValue.int(len(listing.unrecognized)),
    }
    if listing.newest is not None:
        metadata["newest_file"] = dg.MetadataValue.text(printable(listing.newest.key))
        metadata["newest_file_modified"] = dg.MetadataValue.timestamp(listing.newest.modified)
    if listing.examples:
        metadata[UNRECOGNIZED_EXAMPLES] = dg.MetadataValue.json(list(listing.examples))
    return metadata


def log_listing_metadata(listing: Listing) -> dict[str, dg.MetadataValue]:
    """Returns the metadata of a log listing, with the number of files outside the window of partitions."""
    outside = sum(len(files) for day, files in listing.by_day.items() if not is_in_window(day))
    return listing_metadata(listing) | {FILES_OUTSIDE_WINDOW: dg.MetadataValue.int(outside)}


def json_paths_metadata(location: str | None, json_paths: JsonPaths) -> dict[str, dg.MetadataValue]:
    """Returns the metadata of the JSONPaths file: location, number of files (0 or 1), bytes, keys in column order."""
    return {
        "location": dg.MetadataValue.path(location or NOT_CONFIGURED),
        FILES: dg.MetadataValue.int(0 if json_paths.bytes is None else 1),
        "bytes": dg.MetadataValue.int(json_paths.bytes or 0),
        "keys": dg.MetadataValue.text(", ".join(json_paths.keys)),
    }
