from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from sparkify_dagster_tests.contract.cases import Loaded, load_cases
from sparkify_dagster_tests.contract.copied_first import new_world_copied_first
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers, log_in
from sparkify_dagster_tests.redshift_stand_in.real_cluster import CLUSTER
from sparkify_dagster_tests.support.servers.postgres import PostgresServer
from sparkify_dagster_tests.support.world import NewWarehouse, World, thrown_away

# A real cluster takes minutes for what the stand-in does in seconds, so it is used only if one is named.
WAREHOUSES = ["duckdb", "postgres", "redshift", *(["cluster"] if CLUSTER else [])]


@pytest.fixture(scope="session", params=WAREHOUSES)
def new_warehouse(request: pytest.FixtureRequest) -> NewWarehouse:
    """Each test of the contract holds on every warehouse."""
    return warehouse_named(request.param, request)


@pytest.fixture
def warehouses(request: pytest.FixtureRequest) -> Mapping[str, NewWarehouse]:
    """All warehouses, by name: for a test that compares them."""
    return {name: warehouse_named(name, request) for name in WAREHOUSES}


def warehouse_named(name: str, request: pytest.FixtureRequest) -> NewWarehouse:
    if name == "cluster":
        assert CLUSTER is not None
        return CLUSTER
    if name == "duckdb":
        return None
    if name == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        return postgres.new_warehouse
    redshift: RedshiftServers = request.getfixturevalue("redshift_servers")
    return redshift


@pytest.fixture(autouse=True)
def _login(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    # Asked for like this, it does not repeat the tests that need no warehouse.
    new_warehouse = request.getfixturevalue("new_warehouse") if "new_warehouse" in request.fixturenames else None
    log_in(new_warehouse, monkeypatch)


NewWorld: TypeAlias = Callable[[], World]


@pytest.fixture(scope="module")
def new_world(tmp_path_factory: pytest.TempPathFactory, new_warehouse: NewWarehouse) -> Iterator[NewWorld]:
    """Makes worlds that the tests of a module share: the cases of many tests, loaded once on each warehouse."""
    with pytest.MonkeyPatch.context() as environment, ExitStack() as opened:
        log_in(new_warehouse, environment)
        yield lambda: opened.enter_context(
            thrown_away(World(tmp_path_factory.mktemp("shared"), new_warehouse=new_warehouse))
        )


@pytest.fixture(scope="module")
def loaded_cases(
    request: pytest.FixtureRequest,
    new_world: NewWorld,
    new_warehouse: NewWarehouse,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Loaded]:
    """The cases of the module, loaded at once; on Redshift once more, with COPY before any inspection."""
    module = request.module.__name__
    loaded = {"inspected": load_cases(module, new_world())}
    if isinstance(new_warehouse, RedshiftServers):
        world = new_world_copied_first(tmp_path_factory.mktemp("copied_first"), new_warehouse)
        loaded["copied first"] = load_cases(module, world)
    return loaded


@pytest.fixture
def world(tmp_path: Path, new_warehouse: NewWarehouse) -> Iterator[World]:
    with thrown_away(World(tmp_path, new_warehouse=new_warehouse)) as world:
        yield world
