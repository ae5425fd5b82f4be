"""Compares the names of the source's files with the rules, and the song files with those of the load before.

All is read from what the run's own listing recorded, so that the source is not listed again.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from sparkify_dagster.assets.sources import log_data, song_data
from sparkify_dagster.assets.staging import staging_songs
from sparkify_dagster.checks.check_results import Metadata
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import WINDOW
from sparkify_dagster.runtime.liveness import root_run_id
from sparkify_dagster.sources.emptiness import LOG_FILE_NAMES, SONG_FILE_NAMES


def log_files_recognized(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Warns of files under other names, and of log files none of which is in the window."""
    found = _latest_metadata(context, log_data.key)
    files, outside = found.get("files", 0), found.get("files_outside_the_window", 0)
    problems = []
    if 0 < files == outside:
        problems.append(f"all {pluralize(files, 'log file')} are outside the window, {WINDOW}")
    return _recognized(found, LOG_FILE_NAMES, problems, {"files_outside_the_window": outside})


def song_files_recognized(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Warns of files under other names."""
    return _recognized(_latest_metadata(context, song_data.key), SONG_FILE_NAMES, [], {})


def no_lost_song_files(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Warns of song files that were held, and are gone or have no good song any more."""
    load = _latest_metadata(context, staging_songs.key, root_run_id(context.run))
    gone, emptied = load.get("removed_files", 0), load.get("emptied_files", 0)
    parts = [
        *([f"gone since the load before: {pluralize(gone, 'song file')}"] if gone else []),
        *([f"without a good song since then: {pluralize(emptied, 'song file')}"] if emptied else []),
    ]
    return dg.AssetCheckResult(
        passed=not parts,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"removed_files": gone, "emptied_files": emptied},
        description=f"{', '.join(parts)}: restore the files if that is not meant" if parts else None,
    )


def _recognized(found: Mapping[str, Any], names: str, problems: list[str], metadata: Metadata) -> dg.AssetCheckResult:
    unrecognized = found.get("unrecognized_files", 0)
    if unrecognized:
        examples = ", ".join(found.get("unrecognized_examples", ()))
        problems = [f"{pluralize(unrecognized, 'file')} under other names, such as {examples}: {names}", *problems]
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"unrecognized_files": unrecognized, **metadata},
        description="; ".join(problems) or None,
    )


def _latest_metadata(
    context: dg.AssetCheckExecutionContext, key: dg.AssetKey, run_id: str | None = None
) -> Mapping[str, Any]:
    """Returns the values of an asset's latest materialization; none where another run than the given one made it."""
    latest = context.instance.get_latest_materialization_event(key)
    if latest is None or latest.asset_materialization is None:
        return {}
    if run_id is not None:
        run = context.instance.get_run_by_id(latest.run_id)
        if run is None or root_run_id(run) != run_id:
            return {}
    return {name: value.value for name, value in latest.asset_materialization.metadata.items()}
