"""Rejected days in the partition status: which ones no run shows as failed, and those that one has shown before."""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from sparkify_dagster.partitions import is_in_window
from sparkify_dagster.runtime import partition_status
from sparkify_dagster.warehouse.staging_tables import Rejection


def not_shown(instance: dg.DagsterInstance, rejections: Sequence[Rejection]) -> list[date]:
    """Returns the rejected days of the window that no run of this history shows as failed."""
    failed = {run_id: partition_status.has_failed(instance, run_id) for run_id in {r.shown_in for r in rejections}}
    return [rejection.day for rejection in rejections if is_in_window(rejection.day) and not failed[rejection.shown_in]]


def show_again(
    instance: dg.DagsterInstance, asset: dg.AssetKey, rejections: Sequence[Rejection], days: Sequence[date]
) -> None:
    """Shows rejected days as failed that a run has just materialized, by the run that has failed because of them."""
    days_of_run: dict[str, list[str]] = {}
    for rejection in rejections:
        if rejection.shown_in is not None and days[0] <= rejection.day <= days[-1]:
            days_of_run.setdefault(rejection.shown_in, []).append(rejection.day.isoformat())
    for run_id, shown in days_of_run.items():
        if partition_status.has_failed(instance, run_id):
            partition_status.show_as_failed(instance, asset, shown, run_id)
