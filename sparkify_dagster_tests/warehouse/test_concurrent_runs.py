"""Several runs at once on each warehouse: they take turns, and lose and double nothing."""

from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import pytest

from sparkify_dagster_tests.support.killed_commands import DAYS, assert_loaded_as_from_scratch, project_of
from sparkify_dagster_tests.support.project import DEADLINE_SECONDS, wait_until
from sparkify_dagster_tests.support.world import World


@pytest.mark.slow
def test_two_commands_at_once_both_succeed(six_days: World) -> None:
    project = project_of(six_days)
    with (
        project.instance() as instance,
        project.start("sparkify", "etl", "--from", DAYS[0], "--to", DAYS[3]) as one,
        project.start("sparkify", "etl", "--from", DAYS[2], "--to", DAYS[5]) as other,
    ):
        # Neither of them can be done before both have begun.
        with six_days.warehouse.connect("a test") as engine, engine.begin():
            wait_until(lambda: statuses(instance) == [dg.DagsterRunStatus.STARTED] * 2, "two runs", pause=0.1)
        for command in (one, other):
            assert command.process.wait(DEADLINE_SECONDS) == 0, command.output
            assert "Checks: 34 passed, 0 warn, 0 failed" in command.output
            assert "had died" not in command.output
        assert statuses(instance) == [dg.DagsterRunStatus.SUCCESS] * 2
    assert_loaded_as_from_scratch(six_days)


def statuses(instance: dg.DagsterInstance) -> list[dg.DagsterRunStatus]:
    return [run.status for run in instance.get_runs()]


@pytest.mark.slow
@pytest.mark.parametrize("six_days", ["postgres", "redshift"], indirect=True)
def test_many_writers_at_once_lose_and_double_nothing(six_days: World) -> None:
    """Loads alone, which meet more often than those of whole commands."""
    loads = [(DAYS[0], DAYS[3]), (DAYS[2], DAYS[5]), (DAYS[5], DAYS[5]), (DAYS[0], DAYS[5]), (DAYS[1], DAYS[1])]
    with ThreadPoolExecutor(3) as writers:
        for done in [writers.submit(six_days.load, *days) for days in loads]:
            done.result()
    assert_loaded_as_from_scratch(six_days)
