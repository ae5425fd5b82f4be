"""Checks of the source's file names, and of song files that disappeared since the last load.

They read the metadata that the run's own listing recorded, so the source is not listed again.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from sparkify_dagster.assets.sources import log_data, song_data
from sparkify_dagster.assets.staging import staging_songs
from sparkify_dagster.checks.check_results import Metadata
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import WINDOW
from sparkify_dagster.presentation.metadata_keys import (
    EMPTIED_FILES,
    FILES,
    FILES_OUTSIDE_WINDOW,
    REMOVED_FILES,
    UNRECOGNIZED_EXAMPLES,
    UNRECOGNIZED_FILES,
)
from sparkify_dagster.runtime.liveness import root_run_id
from sparkify_dagster.sources.emptiness import LOG_FILE_NAMES, SONG_FILE_NAMES


def log_files_recognized(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Warns of files with unrecognized names, and if no log file is in the window."""
    found = _latest_metadata(context, log_data.key)
    files, outside = found.get(FILES, 0), found.get(FILES_OUTSIDE_WINDOW, 0)
    problems = []
    if 0 < files == outside:
        problems.append(f"all {pluralize(files, 'log file')} are outside the window, {WINDOW}")
    return _recognized(found, LOG_FILE_NAMES, problems, {FILES_OUTSIDE_WINDOW: outside})


def song_files_recognized(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Warns of files with unrecognized names."""
    return _recognized(_latest_metadata(context, song_data.key), SONG_FILE_NAMES, [], {})


def no_lost_song_files(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Warns of staged song files that are gone, or whose songs are all rejected now."""
    load = _latest_metadata(context, staging_songs.key, root_run_id(context.run))
    removed, emptied = load.get(REMOVED_FILES, 0), load.get(EMPTIED_FILES, 0)
    parts = []
    if removed:
        parts.append(f"{pluralize(removed, 'song file')} removed since the last load")
    if emptied:
        parts.append(f"{pluralize(emptied, 'song file')} with no valid song left")
    return dg.AssetCheckResult(
        passed=not parts,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={REMOVED_FILES: removed, EMPTIED_FILES: emptied},
        description=f"{', '.join(parts)}: restore the files if this was not intended" if parts else None,
    )


def _recognized(found: Mapping[str, Any], names: str, problems: list[str], metadata: Metadata) -> dg.AssetCheckResult:
    unrecognized = found.get(UNRECOGNIZED_FILES, 0)
    if unrecognized:
        examples = ", ".join(found.get(UNRECOGNIZED_EXAMPLES, ()))
        problems = [
            f"{pluralize(unrecognized, 'file')} with unrecognized names, such as {examples}: {names}",
            *problems,
        ]
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={UNRECOGNIZED_FILES: unrecognized, **metadata},
        description="; ".join(problems) or None,
    )


def _latest_metadata(
    context: dg.AssetCheckExecutionContext, key: dg.AssetKey, run_id: str | None = None
) -> Mapping[str, Any]:
    """Returns the metadata of an asset's latest materialization; empty if a run other than the given one made it."""
    latest = context.instance.get_latest_materialization_event(key)
    if latest is None or latest.asset_materialization is None:
        return {}
    if run_id is not None:
        run = context.instance.get_run_by_id(latest.run_id)
        if run is None or root_run_id(run) != run_id:
            return {}
    return {name: value.value for name, value in latest.asset_materialization.metadata.items()}
