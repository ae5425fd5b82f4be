"""Sensor failure_alerts: reports failed runs and failed checks of severity ERROR in its log and to a webhook."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import dagster as dg

from sparkify_dagster.automation import jobs
from sparkify_dagster.automation.webhook import post
from sparkify_dagster.config import current
from sparkify_dagster.days import format_days
from sparkify_dagster.presentation.metadata_keys import REJECTED_BEFORE, REJECTED_LOADS
from sparkify_dagster.runtime.failures import failure_reason

NAME = "failure_alerts"
RUNS_PER_TICK = 20

_FAILED: Final = dg.DagsterEventType.RUN_FAILURE
_SUCCEEDED: Final = dg.DagsterEventType.RUN_SUCCESS
_ENDS: tuple[Literal[dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS], ...] = (_FAILED, _SUCCEEDED)


@dataclass(frozen=True)
class Report:
    """The report of one run: the reason of the first failure, further failures, and the run's URL."""

    lines: tuple[str, ...]
    run_id: str

    def text(self, ui_url: str) -> str:
        return "\n".join([*self.lines, f"{ui_url.rstrip('/')}/runs/{self.run_id}"])


@dg.sensor(
    name=NAME,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Reports each failed run and each failed check of severity ERROR, with the reason in the first line: "
    "in this sensor's log and, if set, to SPARKIFY_ALERT_WEBHOOK. Failures before it was switched on are not reported.",
)
def failure_alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    seen: dict[str, int] = json.loads(context.cursor) if context.cursor else {}
    reports = []
    for status in _ENDS:
        if status.value not in seen:
            newest = context.instance.fetch_run_status_changes(status, limit=1).records
            seen[status.value] = newest[0].storage_id if newest else 0
        changes = dg.RunStatusChangeRecordsFilter(status, after_storage_id=seen[status.value])
        for record in context.instance.fetch_run_status_changes(changes, limit=RUNS_PER_TICK, ascending=True).records:
            seen[status.value] = record.storage_id
            if report := _report(context.instance, record.event_log_entry.run_id):
                reports.append(report)
    texts = [report.text(current.ui_url()) for report in reports]
    for text in texts:
        context.log.error(text)
    if texts and (webhook := current.alert_webhook()) is not None:
        # If this fails, the tick fails and the cursor stays: the next tick reports the same runs again.
        post(webhook, "\n\n".join(texts))
    summary = "; ".join(report.lines[0] for report in reports)
    return dg.SensorResult(skip_reason=summary or "No new failures", cursor=json.dumps(seen))


def _report(instance: dg.DagsterInstance, run_id: str) -> Report | None:
    run = instance.get_run_by_id(run_id)
    if run is None or run.job_name == jobs.show_rejected_days.name:
        # The run that rejected the days has been reported.
        return None
    run_label = f" ({_describe(run)})"
    lines = [*_failed_steps(instance, run, run_label), *_failed_checks(instance, run, run_label)]
    return Report(tuple(lines), run_id) if lines else None


def _failed_steps(instance: dg.DagsterInstance, run: dg.DagsterRun, run_label: str) -> Iterator[str]:
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return
    failed = False
    for record in instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        failed = True
        yield f"{event.step_key} failed{run_label}: {_first_line(failure_reason(event))}"
    if not failed:
        records = instance.get_records_for_run(run.run_id, of_type=_FAILED).records
        yield f"Run failed{run_label}: {_first_line(records[-1].event_log_entry.message if records else '')}"


def _failed_checks(instance: dg.DagsterInstance, run: dg.DagsterRun, run_label: str) -> Iterator[str]:
    evaluated = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    for record in instance.get_records_for_run(run.run_id, of_type=evaluated).records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        evaluation = event.asset_check_evaluation_data
        if (
            not evaluation.passed
            and evaluation.severity is dg.AssetCheckSeverity.ERROR
            and not _is_known_rejection(evaluation)
        ):
            name = f"{evaluation.check_name} of {evaluation.asset_key.to_user_string()}"
            yield f"Check {name} failed{run_label}: {_first_line(evaluation.description or '')}"


def _is_known_rejection(evaluation: dg.AssetCheckEvaluation) -> bool:
    """Returns whether the check fails for rejected days alone that were shown, and so reported, before."""
    numbers = [
        evaluation.metadata[key].value for key in (REJECTED_LOADS, REJECTED_BEFORE) if key in evaluation.metadata
    ]
    return len(numbers) == 2 and numbers[0] == numbers[1]


def _describe(run: dg.DagsterRun) -> str:
    first, last = (run.tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    days = run.tags.get("dagster/partition")
    if first and last:
        days = format_days(date.fromisoformat(first), date.fromisoformat(last))
    return f"{run.job_name}, {days}" if days else run.job_name


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "reason unknown")
