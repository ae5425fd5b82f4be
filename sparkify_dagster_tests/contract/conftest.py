from pathlib import Path

import pytest

from sparkify_dagster_tests.postgres_server import PostgresServer
from sparkify_dagster_tests.world import NewWarehouse, World


@pytest.fixture(scope="session", params=["duckdb", "postgres"])
def new_warehouse(request: pytest.FixtureRequest) -> NewWarehouse:
    """Each test of the contract holds on every warehouse."""
    if request.param == "duckdb":
        return None
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return postgres.new_warehouse


@pytest.fixture
def world(tmp_path: Path, new_warehouse: NewWarehouse) -> World:
    return World(tmp_path, new_warehouse=new_warehouse)
