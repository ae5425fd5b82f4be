"""Evaluates the checks of a step in one transaction, and notes which new rows they have seen."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TypeAlias

import dagster as dg
from sqlalchemy import Connection

from sparkify_dagster.checks.check_results import is_settled
from sparkify_dagster.partitions import partition_days
from sparkify_dagster.presentation.metadata_keys import NO_REJECTED_LOADS
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.warehouse import pending_steps
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.pending_steps import PendingStep

Results: TypeAlias = Mapping[dg.AssetCheckKey, dg.AssetCheckResult]


def evaluate(
    context: dg.AssetCheckExecutionContext,
    warehouse: Warehouse,
    specs: Sequence[dg.AssetCheckSpec],
    checks: Callable[[Connection, dg.AssetCheckKey], dg.AssetCheckResult],
) -> Iterator[dg.AssetCheckResult]:
    """Yields the results of those of the step's checks that the run selects. `specs` are all checks of the step.

    New rows count as seen if every check of their table has looked at their days, and none of them failed. A rejected
    load is no failure in this sense: it stands until a load is accepted, and checking it again changes nothing.
    """
    purpose = f"checks of run {context.run.run_id}"
    step = context.op_execution_context.op.name
    keys = sorted(context.selected_asset_check_keys)

    def read(connection: Connection) -> tuple[Sequence[PendingStep], Results]:
        return pending_steps.read(connection, step), {key: checks(connection, key) for key in keys}

    with as_dagster_failures():
        pending, results = warehouse.read(purpose, read)
        seen = _seen(pending, results, [spec.key for spec in specs], partition_days(context))
        if seen:
            warehouse.run(purpose, lambda connection: pending_steps.remove(connection, seen))
    for key, result in results.items():
        yield result._replace(asset_key=key.asset_key, check_name=key.name)


def _seen(
    pending: Sequence[PendingStep],
    results: Results,
    all_keys: Sequence[dg.AssetCheckKey],
    days: tuple[date, date] | None,
) -> Sequence[PendingStep]:
    settled = {key for key, result in results.items() if is_settled(result) or key.name == NO_REJECTED_LOADS}
    unsettled = {key.asset_key.path[-1] for key in all_keys if key not in settled}
    return [each for each in pending if each.table not in unsettled and _covers(days, each.days)]


def _covers(checked: tuple[date, date] | None, written: tuple[date, date] | None) -> bool:
    return checked is None or written is None or (checked[0] <= written[0] and written[1] <= checked[1])
