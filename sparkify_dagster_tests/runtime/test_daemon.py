"""The real daemon on real files: it is killed, or a command is, while runs are in progress."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import dagster as dg
import pytest

from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.project import Project, wait_until
from sparkify_dagster_tests.support.world import World

# Two blocks, a run each: dagster.yaml lets one run of a sensor start, and the other waits in the queue.
EARLY, LATE = "2018-11-01", "2018-11-03"
FIRST_DAY = "dagster/asset_partition_range_start"
Status = dg.DagsterRunStatus


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "source")
    for day in (EARLY, LATE):
        world.write_log(day, *(event(time=f"{day}T{hour}:00:00", itemInSession=hour) for hour in (10, 11, 12)))
    return world


@pytest.fixture
def project(tmp_path: Path, world: World) -> Project:
    project = Project(tmp_path)
    project.use(world.folder)
    # Dagster's own commands want it said; and runs to repeat are looked for each second instead of every five.
    project.environment |= {"DAGSTER_HOME": str(tmp_path), "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1"}
    return project


Expected: TypeAlias = tuple[str, bool, Status]


@dataclass
class History:
    """The runs of a sensor, or of commands, oldest first: the day, whether it retries another run, the status."""

    instance: dg.DagsterInstance
    sensor: str | None

    @property
    def runs(self) -> list[Expected]:
        return [(run.tags[FIRST_DAY], run.parent_run_id is not None, run.status) for run in self._runs]

    @property
    def _runs(self) -> list[dg.DagsterRun]:
        return [run for run in self.instance.get_runs() if run.tags.get("dagster/sensor_name") == self.sensor][::-1]

    def becomes_repeatable(self) -> None:
        """Waits for the origin by which the daemon finds a run's code; a command's run has it just after its start."""
        wait_until(lambda: self._runs[-1].remote_job_origin is not None, "the origin in the history")

    def becomes(self, *expected: Expected) -> None:
        wait_until(lambda: self.runs == list(expected), f"{expected} in the history", pause=0.2)


@pytest.mark.slow
def test_runs_of_a_killed_daemon_and_of_a_killed_command_are_repeated(project: Project) -> None:
    warehouse = DuckDBWarehouse(path=str(project.warehouse_file))
    with project.instance() as instance:
        history, commands = History(instance, "log_files"), History(instance, None)
        with project.start("dagster-daemon", "run") as first:
            # While the test has the warehouse, a run that has started cannot end.
            with warehouse.connect("a test"):
                project.run("dagster", "sensor", "start", "log_files")
                history.becomes((EARLY, False, Status.STARTED), (LATE, False, Status.QUEUED))
                first.process.kill()
            # Its run has outlived it.
            history.becomes((EARLY, False, Status.SUCCESS), (LATE, False, Status.QUEUED))
            with warehouse.connect("a test"), project.start("dagster-daemon", "run") as second:
                history.becomes((EARLY, False, Status.SUCCESS), (LATE, False, Status.STARTED))
                second.kill_group()
                with project.start("sparkify", "etl", "--from", EARLY, "--to", LATE) as command:
                    commands.becomes((EARLY, False, Status.STARTED))
                    commands.becomes_repeatable()
                    command.process.kill()
            with project.start("dagster-daemon", "run"):
                repeated = (LATE, False, Status.FAILURE), (LATE, True, Status.SUCCESS)
                history.becomes((EARLY, False, Status.SUCCESS), *repeated)
                commands.becomes((EARLY, False, Status.FAILURE), (EARLY, True, Status.SUCCESS))
    assert project.world.everything() == project.world.from_scratch(EARLY, LATE).everything()
