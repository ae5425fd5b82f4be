"""`sparkify etl` is killed between its steps: the next one, without days, sees to what was left half-way."""

import pytest

from sparkify_dagster_tests.support.killed_commands import DAYS, assert_loaded_as_from_scratch, project_of
from sparkify_dagster_tests.support.world import World


@pytest.mark.slow
def test_days_that_a_killed_command_emptied_are_seen_to(six_days: World) -> None:
    """The first, a middle and the last day go. The command that empties them dies, and so do two more, a step later."""
    project = project_of(six_days)
    six_days.load(DAYS[0], DAYS[-1])
    for day in (DAYS[0], DAYS[2], DAYS[-1]):
        six_days.delete(f"log_data/2018/11/{day}-events.json")
    steps = ["staging_events", "check_staging_events", "users"]
    if "SPARKIFY_WAREHOUSE" in project.environment:
        # The commands are the same on a server: loads that stop at their first step stand for the first two.
        for _ in steps[:2]:
            six_days.load(DAYS[0], DAYS[-1], steps=steps[:1])
            assert six_days.rows("staging.stale_days") != []
        steps = steps[2:]
    for step in steps:
        with project.start("sparkify", "etl") as killed:
            # A check that warns has another sign.
            killed.wait_for(f" {step} ")
            killed.kill_group()
    assert six_days.rows("staging.stale_days") != []
    project.sparkify("etl")
    assert six_days.rows("staging.stale_days") == []
    assert {start.date().isoformat() for start in six_days.column("time", "start_time")} == {*DAYS[1:2], *DAYS[3:-1]}
    assert_loaded_as_from_scratch(six_days)
