"""Several runs at once on each warehouse: they take turns, and lose and double nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.warehouse.redshift import RedshiftWarehouse
from sparkify_dagster.warehouse.server import ServerWarehouse
from sparkify_dagster_tests.postgres_server import PostgresServer
from sparkify_dagster_tests.project import DEADLINE_SECONDS, Project, wait_until
from sparkify_dagster_tests.redshift.fixtures import log_in
from sparkify_dagster_tests.world import World, event, song

DAYS = [f"2018-11-{number:02}" for number in range(1, 7)]


@pytest.fixture(params=["duckdb", "postgres", "redshift"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Users are in every day, so the days of one run touch rows of the other's."""
    world = WORLDS[request.param](request, tmp_path)
    log_in(world.new_warehouse, monkeypatch)
    for day, level in zip(DAYS, ["free", "paid"] * 3, strict=True):
        plays = (
            event(time=f"{day}T{hour:02}:00:00", userId=str(hour % 5), itemInSession=hour, level=level)
            for hour in range(24)
        )
        world.write_log(day, *plays)
    world.write_songs("A.json", song())
    return world


def on_duckdb(request: pytest.FixtureRequest, folder: Path) -> World:
    return World(folder, warehouse_file=folder / ".sparkify" / "warehouse.duckdb")


def on_postgres(request: pytest.FixtureRequest, folder: Path) -> World:
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return World(folder, new_warehouse=postgres.new_warehouse)


def on_redshift(request: pytest.FixtureRequest, folder: Path) -> World:
    return World(folder, new_warehouse=request.getfixturevalue("redshift_servers"))


WORLDS: dict[str, Callable[[pytest.FixtureRequest, Path], World]] = {
    "duckdb": on_duckdb,
    "postgres": on_postgres,
    "redshift": on_redshift,
}


def project_of(world: World) -> Project:
    """The commands of a person who has that source and that warehouse."""
    project = Project(world.folder)
    project.use(world.folder, days=len(DAYS))
    if isinstance(world.warehouse, ServerWarehouse):
        project.environment["SPARKIFY_WAREHOUSE"] = world.warehouse.address
    if isinstance(world.warehouse, RedshiftWarehouse):
        project.environment["SPARKIFY_STAGING"] = str(world.warehouse.staging)
    return project


@pytest.mark.slow
def test_two_commands_at_once_both_succeed(world: World) -> None:
    project = project_of(world)
    with (
        project.instance() as instance,
        project.start("sparkify", "etl", "--from", DAYS[0], "--to", DAYS[3]) as one,
        project.start("sparkify", "etl", "--from", DAYS[2], "--to", DAYS[5]) as other,
    ):
        # Neither of them can be done before both have begun.
        with world.warehouse.transaction("a test"):
            wait_until(lambda: statuses(instance) == [dg.DagsterRunStatus.STARTED] * 2, "two runs", pause=0.1)
        for command in (one, other):
            assert command.process.wait(DEADLINE_SECONDS) == 0, command.output
            assert "Checks: 24 passed, 0 warn, 0 failed" in command.output
            assert "had died" not in command.output
        # A load and the questions each.
        assert statuses(instance) == [dg.DagsterRunStatus.SUCCESS] * 4
    assert_loaded_as_from_scratch(world)


def statuses(instance: dg.DagsterInstance) -> list[dg.DagsterRunStatus]:
    return [run.status for run in instance.get_runs()]


@pytest.mark.slow
@pytest.mark.parametrize("world", ["postgres", "redshift"], indirect=True)
def test_many_writers_at_once_lose_and_double_nothing(world: World) -> None:
    """Loads alone, which meet more often than those of whole commands."""
    loads = [(DAYS[0], DAYS[3]), (DAYS[2], DAYS[5]), (DAYS[5], DAYS[5]), (DAYS[0], DAYS[5]), (DAYS[1], DAYS[1])]
    with ThreadPoolExecutor(3) as writers:
        for done in [writers.submit(world.load, *days) for days in loads]:
            done.result()
    assert_loaded_as_from_scratch(world)


def assert_loaded_as_from_scratch(world: World) -> None:
    assert world.everything() == world.from_scratch(DAYS[0], DAYS[-1]).everything()
    assert world.pending() == []
