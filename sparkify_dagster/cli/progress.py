"""Prints the progress of a run at a terminal, asset by asset, from the events that Dagster records."""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg
from rich.console import Console
from rich.table import Table

from sparkify_dagster.checks.analytics_checks import NOT_LOADED
from sparkify_dagster.formatting import pluralize, visible
from sparkify_dagster.runtime import interrupts
from sparkify_dagster.runtime.failures import failure_reason

# What Dagster logs, as an error, of each step after a failed one.
_NOT_EXECUTED = re.compile(r"Dependencies for step \S+ (failed|were not executed): ")


@dataclass
class Progress:
    """Listens to the events of one or several runs, prints them, and collects failures and check results."""

    console: Console
    runs: int = 0
    """The number of runs that have ended."""
    failed_steps: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    """The number of rows per asset."""
    checks: dict[dg.AssetCheckKey, dg.AssetCheckEvaluation] = field(default_factory=dict)
    """The worst evaluation per check, since each run evaluates its own days."""
    latest_evaluation_counts: bool = False
    """Set if the latest evaluation counts instead: a run for late songs may fix what an earlier run found."""
    _assets: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The assets per step."""
    _not_run: list[str] = field(default_factory=list)
    """Steps of the present run that come after a failed one."""
    _evaluations: dict[str, list[dg.AssetCheckEvaluation]] = field(default_factory=lambda: defaultdict(list))

    @property
    def ok(self) -> bool:
        return not self.failed_steps and not self.count_checks()["error"]

    def count_checks(self) -> Counter[str]:
        """Returns the number of checks by outcome: passed, warn, error, or consequence (of something not loaded)."""

        def outcome(check: dg.AssetCheckEvaluation) -> str:
            if is_consequence(check):
                return "consequence"
            return "passed" if check.passed else check.severity.value.lower()

        return Counter(map(outcome, self.checks.values()))

    def handle(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            if _NOT_EXECUTED.match(entry.user_message):
                self._not_run.append(entry.step_key or "")
            elif int(entry.level) >= logging.WARNING:
                self._print_lines(entry.user_message)
            return
        step = event.step_key or ""
        match event.event_type:
            case dg.DagsterEventType.ASSET_MATERIALIZATION:
                self._asset_materialized(step, event.step_materialization_data.materialization)
            case dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                self._evaluated(step, event.asset_check_evaluation_data)
            case dg.DagsterEventType.STEP_SUCCESS:
                self._finished(step, event.step_success_data.duration_ms / 1_000)
            case dg.DagsterEventType.STEP_FAILURE:
                self._failed(step, interrupts.describe() or failure_reason(event) or "failed")
            case dg.DagsterEventType.STEP_SKIPPED:
                self.failed_steps.append(step)
                self._not_run.append(step)
            case _:
                pass

    def print_not_run(self) -> None:
        """Prints the steps that were not run in one line, at the end of a run."""
        if self._not_run:
            steps = ", ".join(dict.fromkeys(self._not_run))
            self.console.print(f"  [yellow]-[/yellow] Not run, since an upstream step failed: {steps}", markup=True)
        self._not_run.clear()

    def _asset_materialized(self, step: str, materialization: dg.AssetMaterialization) -> None:
        rows = materialization.metadata.get("dagster/row_count")
        if rows is not None and isinstance(rows.value, int):
            asset = materialization.asset_key.to_user_string()
            self.rows[asset] = rows.value
            self._assets[step].add(asset)

    def _evaluated(self, step: str, check: dg.AssetCheckEvaluation) -> None:
        self._evaluations[step].append(check)
        earlier = self.checks.get(check.asset_check_key)
        if earlier is None or self.latest_evaluation_counts or _badness(check) >= _badness(earlier):
            self.checks[check.asset_check_key] = check

    def _finished(self, step: str, seconds: float) -> None:
        evaluations = self._evaluations.pop(step, [])
        if evaluations:
            passed = sum(check.passed for check in evaluations)
            sign = "[green]✓[/green]" if passed == len(evaluations) else "[yellow]![/yellow]"
            self.console.print(
                f"  {sign} {step:<22}{passed:>4} of {len(evaluations)} checks passed {seconds:>7.1f} s", markup=True
            )
            self._print_failure(evaluations)
        else:
            assets = self._assets.pop(step, {step})
            rows = [self.rows[asset] for asset in assets if asset in self.rows]
            size = pluralize(len(assets), "table") if len(assets) > 1 else "".join(f"{count:,} rows" for count in rows)
            self.console.print(f"  [green]✓[/green] {step:<22}{size:>17} {seconds:>13.1f} s", markup=True)

    def _failed(self, step: str, reason: str) -> None:
        self.failed_steps.append(step)
        evaluations = self._evaluations.pop(step, [])
        self.console.print(f"  [red]✗[/red] {step}", markup=True)
        self._print_failure(evaluations)
        if not evaluations:
            self._print_lines(reason)

    def _print_failure(self, evaluations: Sequence[dg.AssetCheckEvaluation]) -> None:
        consequences = [check for check in evaluations if is_consequence(check)]
        if consequences:
            cause = consequences[0].metadata[NOT_LOADED].value
            self._print_lines(
                f"WARN: {consequences[0].check_name}: {len(consequences):,} of {pluralize(len(evaluations), 'result')} "
                f"not as expected, since not all of the source is loaded: {cause}"
            )
        for check in evaluations:
            if not check.passed and check not in consequences:
                where = f"{check.asset_key.to_user_string()}.{check.check_name}"
                self._print_lines(f"{check.severity.value}: {where}: {check.description or ''}")
                for line in _first_rows(check):
                    self._print_lines(line, indent=6)

    def _print_lines(self, text: str, indent: int = 4) -> None:
        """Prints each line of a text below its step's line."""
        for line in text.split("\n"):
            self.console.print(f"{' ' * indent}{line}")


def is_consequence(check: dg.AssetCheckEvaluation) -> bool:
    """Returns whether a query's result is unexpected while not all of the source is loaded."""
    return not check.passed and NOT_LOADED in check.metadata


def _badness(check: dg.AssetCheckEvaluation) -> int:
    return 0 if check.passed else 1 + (check.severity is dg.AssetCheckSeverity.ERROR)


def print_counts(console: Console, counts: dict[str, int]) -> None:
    table = Table("Table", "Rows", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name, rows in counts.items():
        table.add_row(name, f"{rows:,}")
    console.print(table)


def _first_rows(check: dg.AssetCheckEvaluation, limit: int = 5) -> list[str]:
    """Returns the first rows of the check's tables, one line per row."""
    tables = [value for value in check.metadata.values() if isinstance(value, dg.TableMetadataValue)]
    rows = []
    for table in tables:
        rows += [
            visible(", ".join(f"{name} {value}" for name, value in record.data.items()))
            for record in table.records[:limit]
        ]
        if len(table.records) > limit:
            rows.append(f"(showing the first {limit})")
    return rows
