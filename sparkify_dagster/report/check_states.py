"""The latest result of each check, from Dagster's history."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import dagster as dg


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
    return [_state(instance, spec) for spec in specs]


def _state(instance: dg.DagsterInstance, spec: dg.AssetCheckSpec) -> CheckState:
    asset, rule = spec.asset_key.to_user_string(), spec.description or ""
    record = instance.get_latest_asset_check_evaluation_record(spec.key)
    event = record.event.dagster_event if record and record.event else None
    if event is None or event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return CheckState(asset, spec.name, rule, Outcome.NOT_RUN)
    evaluation = event.asset_check_evaluation_data
    outcome = Outcome.PASSED
    if not evaluation.passed:
        outcome = Outcome.FAILED if evaluation.severity is dg.AssetCheckSeverity.ERROR else Outcome.WARNED
    return CheckState(asset, spec.name, rule, outcome, evaluation.description or "")
