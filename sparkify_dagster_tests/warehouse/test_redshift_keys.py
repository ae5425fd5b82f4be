"""Redshift enforces no key, and plans as if each declared one held: none is declared, and the checks see duplicates."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from sparkify_dagster.schema.tables import STAR_TABLES, key_columns
from sparkify_dagster.warehouse.ddl import create_tables
from sparkify_dagster_tests.checks.conftest import DAYS, Tables, write_three_days
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.redshift_stand_in.stand_in import RedshiftStandIn
from sparkify_dagster_tests.support.world import World

DECLARED = (
    "SELECT table_name FROM information_schema.table_constraints WHERE constraint_type = 'PRIMARY KEY' ORDER BY 1"
)


@pytest.fixture
def loaded(tmp_path: Path, redshift_servers: RedshiftServers, monkeypatch: pytest.MonkeyPatch) -> World:
    redshift_servers.login(monkeypatch)
    world = write_three_days(World(tmp_path, new_warehouse=redshift_servers))
    world.load(*DAYS)
    return world


def change(world: World, *statements: str) -> None:
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_the_stand_in_trusts_declared_keys_as_redshift_does(redshift: RedshiftStandIn) -> None:
    engine: Engine = create_engine(redshift.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TEMP TABLE t (k INT PRIMARY KEY, v INT)"))
        connection.execute(text("INSERT INTO t VALUES (1, 1), (1, 1)"))
        counts = text("SELECT COUNT(DISTINCT k), COUNT(DISTINCT v) FROM t")
        assert tuple(connection.execute(counts).one()) == (2, 1)
        assert list(connection.scalars(text("SELECT DISTINCT k FROM t"))) == [1, 1]
        connection.execute(text("ALTER TABLE t DROP CONSTRAINT t_pkey"))
        assert tuple(connection.execute(counts).one()) == (1, 1)
    engine.dispose()


def test_no_key_is_declared(loaded: World) -> None:
    assert loaded.query(DECLARED) == []


def test_keys_that_an_earlier_version_declared_are_dropped(loaded: World) -> None:
    change(
        loaded,
        "ALTER TABLE users ADD PRIMARY KEY (user_id)",
        "ALTER TABLE staging.user_days ADD PRIMARY KEY (log_date, user_id)",
        "CREATE TABLE of_somebody_else (k INT PRIMARY KEY)",
    )
    assert loaded.query(DECLARED) == [("of_somebody_else",), ("user_days",), ("users",)]
    with loaded.warehouse.connect("a test") as engine, engine.begin() as connection:
        create_tables(connection)
    assert loaded.query(DECLARED) == [("of_somebody_else",)]


def test_a_duplicate_in_any_table_of_the_star_fails_its_check(loaded: World) -> None:
    """With keys declared too, as on a warehouse that somebody has altered."""
    keys = {table.name: key_columns(table)[0] for table in STAR_TABLES}
    change(
        loaded,
        *(f"ALTER TABLE {name} ADD PRIMARY KEY ({key})" for name, key in keys.items()),
        *(
            f"INSERT INTO {name} SELECT * FROM {name} WHERE {key} = (SELECT MIN({key}) FROM {name})"
            for name, key in keys.items()
        ),
    )
    checks = Tables(loaded).checks(*((name, "unique_key") for name in keys))
    assert {name: evaluation.description for (name, _), evaluation in checks.evaluations.items()} == {
        name: f"{key}: 1 duplicate, 0 missing" for name, key in keys.items()
    }
