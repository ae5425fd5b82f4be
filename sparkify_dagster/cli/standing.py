"""Prints what stands from earlier runs: rejected loads, and the latest result of each check."""

from collections import Counter
from collections.abc import Sequence

import dagster as dg
from rich.console import Console

from sparkify_dagster.definitions import CHECK_SPECS
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.presentation.metadata_keys import NO_REJECTED_LOADS
from sparkify_dagster.report.check_states import Outcome, check_states
from sparkify_dagster.warehouse.staging_tables import Rejection, SongRejection

_SHOWN_DAYS = 5


def print_rejections(console: Console, days: Sequence[Rejection], songs: SongRejection | None) -> None:
    """Prints which loads were rejected by earlier runs, and still are."""
    for rejection in days[:_SHOWN_DAYS]:
        console.print(f"{rejection.day} stands rejected: {rejection.reason}", style="red", markup=False)
    if len(days) > _SHOWN_DAYS:
        console.print(f"{pluralize(len(days) - _SHOWN_DAYS, 'more day')} rejected, the last is {days[-1].day}")
    if songs is not None:
        console.print(f"The song files stand rejected: {songs.reason}", style="red", markup=False)
    if days or songs is not None:
        console.print("Correct the files (`sparkify load-errors` shows the records) and run `sparkify etl` again")


def print_checks(console: Console, instance: dg.DagsterInstance) -> None:
    """Prints the latest results of the checks, from the run history."""
    states = check_states(instance, CHECK_SPECS)
    for state in states:
        if state.outcome in (Outcome.WARNED, Outcome.FAILED) and state.name != NO_REJECTED_LOADS:
            severity = "WARN" if state.outcome is Outcome.WARNED else "ERROR"
            console.print(f"{severity}: {state.asset}.{state.name}: {state.result}", markup=False)
    counts = Counter(state.outcome for state in states)
    console.print(
        f"Checks, as of their last run: {counts[Outcome.PASSED]} passed, {counts[Outcome.WARNED]} warn, "
        f"{counts[Outcome.FAILED]} failed"
    )
