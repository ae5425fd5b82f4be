from pathlib import Path

import pytest

from sparkify_dagster_tests.postgres_server import PostgresServer
from sparkify_dagster_tests.redshift.fixtures import RedshiftServers
from sparkify_dagster_tests.world import NewWarehouse, World


@pytest.fixture(scope="session", params=["duckdb", "postgres", "redshift"])
def new_warehouse(request: pytest.FixtureRequest) -> NewWarehouse:
    """Each test of the contract holds on every warehouse."""
    if request.param == "duckdb":
        return None
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        return postgres.new_warehouse
    redshift: RedshiftServers = request.getfixturevalue("redshift_servers")
    return redshift


@pytest.fixture(autouse=True)
def _login(new_warehouse: NewWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(new_warehouse, RedshiftServers):
        new_warehouse.login(monkeypatch)


@pytest.fixture
def world(tmp_path: Path, new_warehouse: NewWarehouse) -> World:
    return World(tmp_path, new_warehouse=new_warehouse)
