"""Six days of plays on each warehouse, and the commands of a person who has that source and that warehouse."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster.warehouse.server import ServerWarehouse
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.project import Project
from sparkify_dagster_tests.support.servers.postgres import PostgresServer
from sparkify_dagster_tests.support.world import World

DAYS = [f"2018-11-{number:02}" for number in range(1, 7)]


def write_six_days(world: World) -> None:
    """Users are in every day, so the days of one run touch rows of the other's."""
    for day, level in zip(DAYS, ["free", "paid"] * 3, strict=True):
        plays = (
            event(time=f"{day}T{hour:02}:00:00", userId=str(hour % 5), itemInSession=hour, level=level)
            for hour in range(24)
        )
        world.write_log(day, *plays)
    world.write_songs("A.json", song())


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
        project.environment["SPARKIFY_COPY_STAGING"] = str(world.warehouse.copy_staging)
    return project


def assert_loaded_as_from_scratch(world: World) -> None:
    assert world.everything() == world.from_scratch(DAYS[0], DAYS[-1]).everything()
    assert world.pending() == []
