"""The latest result of each check, from Dagster's history."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import dagster as dg

# Not exported publicly; cli/test_commands.py fails when what is read of it changes.
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord


class Outcome(StrEnum):
    """Outcomes of a check; the values are shown."""

    FAILED = "failed"
    WARNED = "warning"
    NOT_RUN = "not run"
    PASSED = "passed"


@dataclass(frozen=True)
class CheckState:
    """A check: what must hold, and how its latest evaluation went."""

    asset: str
    name: str
    rule: str
    outcome: Outcome
    result: str = ""


def check_states(instance: dg.DagsterInstance, specs: Iterable[dg.AssetCheckSpec]) -> Sequence[CheckState]:
    """Returns the state of each check, in the order of the checks."""
    by_key = {spec.key: spec for spec in specs}
    # The instance itself reads one at a time, which takes five times as long.
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(by_key))
    return [_state(spec, latest.get(key)) for key, spec in by_key.items()]


def _state(spec: dg.AssetCheckSpec, record: AssetCheckExecutionRecord | None) -> CheckState:
    asset, rule = spec.asset_key.to_user_string(), spec.description or ""
    event = record.event.dagster_event if record and record.event else None
    if event is None or event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return CheckState(asset, spec.name, rule, Outcome.NOT_RUN)
    evaluation = event.asset_check_evaluation_data
    outcome = Outcome.PASSED
    if not evaluation.passed:
        outcome = Outcome.FAILED if evaluation.severity is dg.AssetCheckSeverity.ERROR else Outcome.WARNED
    return CheckState(asset, spec.name, rule, outcome, evaluation.description or "")
