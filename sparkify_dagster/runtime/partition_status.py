"""Lets Dagster show single days as failed, as it has no way to say so of a step that succeeds.

To Dagster a partition has failed if the newest event about it is that a run, which then failed, would materialize it.
So this event is reported once more for the run that has failed because of the day.
"""

from collections.abc import Iterable

import dagster as dg

# Neither the event's data nor what builds and reports the event is exported publicly.
from dagster._core.events import AssetMaterializationPlannedData


def has_failed(instance: dg.DagsterInstance, run_id: str | None) -> bool:
    """Returns whether the run is in the history and has failed, or has not ended yet."""
    run = instance.get_run_by_id(run_id) if run_id else None
    return run is not None and (not run.is_finished or run.status is dg.DagsterRunStatus.FAILURE)


def show_as_failed(instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: Iterable[str], run_id: str) -> None:
    """Makes the run, if it fails or has failed, the one that counts for the partitions of the asset."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return
    for partition in partitions:
        planned = dg.DagsterEvent.build_asset_materialization_planned_event(
            run.job_name, asset.to_python_identifier(), AssetMaterializationPlannedData(asset, partition)
        )
        instance.report_dagster_event(planned, run_id)
