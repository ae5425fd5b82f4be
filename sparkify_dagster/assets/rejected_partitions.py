"""Rejected days: what to do about them, and how Dagster shows them as failed until they are loaded.

A load of many days goes on without those that it rejects, so its run succeeds and Dagster would show them as
materialized. So one run of a single day follows, which fails for all days that were rejected since the last such run,
with the reasons from the bookkeeping. When a later load has met them again unchanged, they are shown as failed by that
same run.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import dagster as dg
from sqlalchemy import Connection

from sparkify_dagster.batches import LoadError
from sparkify_dagster.days import days_between
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import required_partition_days
from sparkify_dagster.presentation.materialization import result
from sparkify_dagster.presentation.metadata_keys import LOAD_STATUS, LoadStatus
from sparkify_dagster.presentation.rejections import not_shown
from sparkify_dagster.presentation.rows import SHOWN_ROWS, rows_metadata
from sparkify_dagster.runtime import partition_status
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.schema import tables
from sparkify_dagster.warehouse import staging_tables
from sparkify_dagster.warehouse.base import Warehouse, count_rows
from sparkify_dagster.warehouse.staging_tables import Rejection

NOT_SPLIT_BY_UTC_DAY = "Every error is an event of another UTC day: split the files by UTC day, not by local time"


def are_all_of_other_days(reasons: Sequence[str]) -> bool:
    """Returns whether all load errors are events of other days, given the errors' reasons."""
    return bool(reasons) and all("belongs to " in reason for reason in reasons)


def describe_days(days: Sequence[date]) -> str:
    """Returns the beginning of a sentence about rejected days, which are in order."""
    if len(days) == 1:
        return f"{days[0]} is rejected"
    return f"{pluralize(len(days), 'day')} are rejected, the first is {days[0]}"


def remedy(first_day: date, last_day: date, reasons: Sequence[str], *, too_many: bool) -> str:
    """Returns what to do about rejected days, given their load errors' reasons; `too_many`: more than the limit."""
    if are_all_of_other_days(reasons):
        return NOT_SPLIT_BY_UTC_DAY
    correct = f"Correct the file (`sparkify load-errors --from {first_day} --to {last_day}` shows the records)"
    return f"{correct}, or raise SPARKIFY_MAX_LOAD_ERRORS" if too_many else correct


def show(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult[None]:
    """Fails the run because of its day, if that stands rejected, and because of all rejected days not yet shown so.

    Returns the result of a load that changes nothing if no such day is left, since all were loaded in the meantime.
    """
    own_days = days_between(*required_partition_days(context))

    def read(connection: Connection) -> tuple[Sequence[Rejection], Sequence[LoadError], int]:
        rejections = staging_tables.rejections(connection)
        days = {*not_shown(context.instance, rejections), *own_days}
        rejected = [rejection for rejection in rejections if rejection.day in days]
        errors = staging_tables.first_load_errors(connection, [rejection.day for rejection in rejected], SHOWN_ROWS)
        return rejected, errors, count_rows(connection, tables.staging_events)

    run_id = context.run.run_id
    with as_dagster_failures(), warehouse.connect(f"rejected days of run {run_id}") as engine:
        rejected, errors, total = warehouse.run_in_transaction(engine, read)
        if not rejected:
            return result(warehouse, total, {LOAD_STATUS: LoadStatus.UNCHANGED.value})
        days = [rejection.day for rejection in rejected]
        for day in own_days:
            if day not in days:
                # It was loaded in the meantime, and must not fail with the others.
                context.log_event(dg.AssetMaterialization(context.asset_key, partition=day.isoformat()))
        others = [day.isoformat() for day in days if day not in own_days]
        partition_status.show_as_failed(context.instance, context.asset_key, others, run_id)
        warehouse.run_in_transaction(engine, lambda connection: staging_tables.note_shown(connection, days, run_id))
    raise dg.Failure(
        _describe(rejected, [error.reason for error in errors]),
        {
            "rejected_days": rows_metadata([{"day": each.day, "reason": each.reason} for each in rejected]),
            **({"first_errors": rows_metadata(list(map(_row, errors)))} if errors else {}),
        },
        allow_retries=False,
    )


def _describe(rejected: Sequence[Rejection], reasons: Sequence[str]) -> str:
    first, last = rejected[0], rejected[-1]
    which = describe_days([rejection.day for rejection in rejected])
    too_many = any(rejection.errors > rejection.max_load_errors for rejection in rejected)
    return (
        f"{which}: {first.reason}. {remedy(first.day, last.day, reasons, too_many=too_many)}. Then Jobs > load_all > "
        "Materialize all > Failed and missing loads what is red, as `sparkify etl` does; this run only shows it, also "
        "when it is re-executed."
    )


def _row(error: LoadError) -> Mapping[str, object]:
    return {
        "file": error.key,
        "line": error.line_number,
        "column": error.column_name,
        "reason": error.reason,
    }
