"""Runs whose process was killed, and processes that wait for the warehouse."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from sparkify_dagster.runtime import liveness
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
from sparkify_dagster_tests.support.project import DEADLINE_SECONDS, Project, Started, wait_until
from sparkify_dagster_tests.support.world import World

FIRST_DAY, LAST_DAY = "2018-11-01", "2018-11-03"
Status = dg.DagsterRunStatus
# The file in whose absence the process lets go.
HOLD = "hold"
HOLD_A_RUN = """
import sys, time, dagster as dg
from sparkify_dagster.runtime import liveness
with dg.DagsterInstance.from_config(".") as instance, liveness.alive(instance, sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""
HOLD_A_WAREHOUSE = f"""
import sys, time
from pathlib import Path
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
with DuckDBWarehouse(path=sys.argv[1]).connect("somebody's load"):
    print("held", flush=True)
    while Path({HOLD!r}).exists():
        time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Project(tmp_path_factory.mktemp("simulated"))
    project.simulate(users=40, songs=100)
    return project.folder / "source"


@pytest.fixture
def project(tmp_path: Path, source: Path) -> Project:
    project = Project(tmp_path)
    project.use(source)
    return project


def statuses(project: Project) -> list[Status]:
    """Of all runs, the oldest first."""
    with project.instance() as instance:
        return [run.status for run in instance.get_runs()][::-1]


def holder(project: Project) -> str:
    """Returns the process that has the warehouse open, or had it open last."""
    try:
        return project.warehouse_file.with_name("warehouse.duckdb.holder").read_text()
    except FileNotFoundError:
        return ""


def kill_when_at(project: Project, started: Started, step: str) -> None:
    """Kills the command when it has opened the warehouse for the step, or has printed that the step is done."""
    wait_until(
        lambda: holder(project).startswith(step) or f"✓ {step}" in started.output or started.process.poll() is not None,
        f"{step} in the warehouse or in the output",
    )
    assert started.process.poll() is None, started.output
    started.process.kill()
    started.process.wait()


def assert_loaded_as_from_scratch(world: World) -> None:
    assert world.everything() == world.from_scratch(FIRST_DAY, LAST_DAY).everything()
    assert world.pending() == []


@contextmanager
def holding(project: Project, code: str, argument: str) -> Iterator[Started]:
    """Another process that holds what the code takes."""
    (project.folder / HOLD).touch()
    with project.start_code(code, argument) as started:
        started.wait_for("held")
        yield started


def add_run(instance: dg.DagsterInstance, status: Status = Status.STARTED) -> str:
    """A run in the history of which only its record exists."""
    return instance.add_run(dg.DagsterRun("load_all", run_id=str(uuid4()), status=status)).run_id


# Killed


@pytest.mark.slow
def test_a_killed_command_runs_again_as_if_nothing_had_been(project: Project) -> None:
    """Three are killed, each further on than the one before, and the fourth ends."""
    before: list[Status] = []
    for step in ("staging_events", "songplays", "checks"):
        with project.start("sparkify", "etl") as started:
            kill_when_at(project, started, step)
        assert statuses(project) == [*before, Status.STARTED]
        assert_says_that_a_run_had_died(started.output, bool(before))
        before.append(Status.FAILURE)
    output = project.sparkify("etl")
    assert_says_that_a_run_had_died(output, True)
    assert statuses(project) == [*before, Status.SUCCESS]
    assert_loaded_as_from_scratch(project.world)


def assert_says_that_a_run_had_died(output: str, had_died: bool) -> None:
    died = [line for line in output.splitlines()[:1] if line.startswith("Run ")]
    assert [line.endswith(" had died and is marked as failed.") for line in died] == [True] * had_died
    assert "Waiting for" not in output


@pytest.mark.slow
def test_a_launched_run_is_alive_until_it_is_killed(project: Project) -> None:
    launch = ("launch", "--job", "load_all", "--partition-range", f"{FIRST_DAY}...{LAST_DAY}")
    with project.start("dg", *launch) as started:
        with DuckDBWarehouse(path=str(project.warehouse_file)).connect("a test"):
            started.wait_for("Waiting for a test (process")
            with project.instance() as instance:
                assert liveness.fail_dead_runs(instance) == []
            assert statuses(project) == [Status.STARTED]
        kill_when_at(project, started, "staging_songs")
    assert statuses(project) == [Status.STARTED]
    assert " had died and is marked as failed." in project.sparkify("etl").splitlines()[0]
    assert statuses(project) == [Status.FAILURE, Status.SUCCESS]
    assert_loaded_as_from_scratch(project.world)


# DayMetadata apart


@pytest.fixture
def instance(project: Project) -> Iterator[dg.DagsterInstance]:
    with project.instance() as instance:
        yield instance


def status_of(instance: dg.DagsterInstance, run_id: str) -> Status:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.slow
@pytest.mark.parametrize("status", [Status.NOT_STARTED, Status.STARTED])
def test_a_run_is_dead_as_soon_as_its_process_is(
    project: Project, instance: dg.DagsterInstance, status: Status
) -> None:
    run_id = add_run(instance, status)
    with holding(project, HOLD_A_RUN, run_id) as process:
        assert liveness.fail_dead_runs(instance) == []
        assert status_of(instance, run_id) is status
        process.kill_group()
        assert liveness.fail_dead_runs(instance) == [run_id]
    assert status_of(instance, run_id) is Status.FAILURE
    assert liveness.fail_dead_runs(instance) == []


def test_a_run_that_has_no_lock_yet_is_left_alone_for_a_while(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = add_run(instance, Status.STARTING)
    assert liveness.fail_dead_runs(instance) == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + liveness.START_SECONDS + 1)
    assert liveness.fail_dead_runs(instance) == [run_id]
    assert status_of(instance, run_id) is Status.FAILURE


@pytest.mark.parametrize("status", [Status.STARTED, Status.CANCELING])
def test_a_dead_run_is_canceled_where_somebody_terminates_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    """By the UI's button, which has no process to reach, or before the process died: it is not to be repeated."""
    run_id = add_run(instance, status)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + liveness.START_SECONDS + 1)
    if status is Status.STARTED:
        assert instance.run_coordinator.cancel_run(run_id)
    else:
        assert liveness.fail_dead_runs(instance) == [run_id]
    assert status_of(instance, run_id) is Status.CANCELED


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.FAILURE, Status.CANCELED, Status.NOT_STARTED])
def test_runs_that_do_not_run_are_left_alone(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    run_id = add_run(instance, status)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + liveness.START_SECONDS + 1)
    assert liveness.fail_dead_runs(instance) == []
    assert status_of(instance, run_id) is status


def test_a_run_in_this_process_is_alive(instance: dg.DagsterInstance) -> None:
    run_id = add_run(instance)
    with liveness.alive(instance, run_id), liveness.alive(instance, run_id):
        assert liveness.fail_dead_runs(instance) == []
    # Its lock ends with it; from now on the run's status shows that it is no longer alive.
    assert status_of(instance, run_id) is Status.STARTED


def test_a_run_that_dagster_started_is_alive_until_the_process_ends(instance: dg.DagsterInstance) -> None:
    run_id = add_run(instance)
    liveness.alive_until_exit(instance, run_id)
    liveness.alive_until_exit(instance, run_id)
    assert liveness.fail_dead_runs(instance) == []


def test_the_warehouse_works_outside_of_a_run(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(path=str(tmp_path / "warehouse.duckdb"))
    with dg.build_resources({"warehouse": warehouse}) as resources, resources.warehouse.connect("a test"):
        pass


# The warehouse's lock


@pytest.mark.slow
@pytest.mark.parametrize("end", ["lets go", "is killed"])
def test_a_second_process_waits_for_the_first_and_says_so(project: Project, end: str) -> None:
    with (
        holding(project, HOLD_A_WAREHOUSE, str(project.warehouse_file)) as first,
        project.start("sparkify", "create-tables") as second,
    ):
        holder = f"somebody's load (process {first.process.pid})"
        second.wait_for(f"Waiting for {holder}, which has .sparkify/warehouse.duckdb open")
        assert second.process.poll() is None
        if end == "lets go":
            (project.folder / HOLD).unlink()
        else:
            first.process.kill()
        assert second.process.wait(DEADLINE_SECONDS) == 0
        assert "Tables are ready" in second.output
