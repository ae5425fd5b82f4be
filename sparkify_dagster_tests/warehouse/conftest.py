from pathlib import Path

import pytest

from sparkify_dagster_tests.redshift_stand_in.fixtures import log_in
from sparkify_dagster_tests.support.killed_commands import WORLDS, write_six_days
from sparkify_dagster_tests.support.world import World


@pytest.fixture(params=["duckdb", "postgres", "redshift"])
def six_days(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A source of six days and an empty warehouse of each kind."""
    world = WORLDS[request.param](request, tmp_path)
    log_in(world.new_warehouse, monkeypatch)
    write_six_days(world)
    return world
