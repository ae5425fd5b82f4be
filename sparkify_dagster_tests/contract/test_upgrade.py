"""A warehouse that version 0.1.0 made goes on working, on each of the three."""

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.schema.tables import metadata
from sparkify_dagster.warehouse import ddl
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import NewWarehouse, World, refresh_queries

DAYS = "2018-11-01", "2018-11-02"
MADE = Path(__file__).with_name("version_0_1_0.sql")


@pytest.fixture
def world(tmp_path: Path, new_warehouse: NewWarehouse) -> World:
    """The source of 0.1.0's warehouse, in which the rejected day is still rejected."""
    world = World(tmp_path, new_warehouse=new_warehouse, max_load_errors=1, marts=True)
    world.write_log(DAYS[0], event(), event(itemInSession=2, page="Home", song=None, artist=None, length=None), "x")
    world.write_log(DAYS[1], "broken", "and broken")
    world.write_songs("A/B/C/TRABC.json", song())
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        ddl.drop_tables(connection)
        for statement in MADE.read_text("utf-8").split(";\n"):
            if statement.strip():
                connection.execute(text(statement.replace(":", "\\:")))
        ddl.create_tables(connection)
    return world


def test_a_warehouse_of_version_0_1_0_keeps_what_it_holds(world: World) -> None:
    assert world.query("SELECT log_date, errors, reason FROM staging.rejected_loads") == [(date(2018, 11, 2), 2, None)]
    assert world.query("SELECT query FROM staging.analytics_refreshes") == [("songs_the_catalogue_lacks",)]
    assert len(world.rows("songplays")) == 2
    assert world.query("SELECT COUNT(*) FROM staging.current_songs") == [(1,)]
    # The marts that it does not have yet are built by the next load without days.
    stale = world.rows("staging.stale_days", "log_date", "table_name")
    assert {name for _, name in stale} == {"events", "user_levels", "sessions", "daily_activity"}
    assert {day for day, _ in stale} == {date(2018, 11, 1), date(2018, 11, 2)}


@pytest.mark.slow
def test_a_warehouse_of_version_0_1_0_loads_on(world: World) -> None:
    world.load(*DAYS)
    assert world.query("SELECT COUNT(*) FROM staging.rejected_loads") == [(1,)]
    world.write_log(DAYS[1], event(time="2018-11-02T11:00:00"))
    world.load(*DAYS)
    assert world.everything() == world.everything_from_scratch(*DAYS)
    refresh_queries(world, *all_queries())
    world.warehouse.run("a test", lambda connection: refresh.drop_orphaned_tables(connection, all_queries()))
    refreshed = {name for (name,) in world.query("SELECT query FROM staging.analytics_refreshes")}
    assert refreshed == set(all_queries())
    with pytest.raises(Exception, match="songs_the_catalogue_lacks"):
        world.query("SELECT COUNT(*) FROM analytics.songs_the_catalogue_lacks")


def test_a_column_that_an_upgrade_adds_to_staging_is_loaded(tmp_path: Path, new_warehouse: NewWarehouse) -> None:
    world = World(tmp_path, new_warehouse=new_warehouse)
    world.write_log(DAYS[0], event(), event(itemInSession=2, userAgent="Lynx"))
    world.write_songs("A/B/C/TRABC.json", song())
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        for table in ("staging_events", "staging_songs"):
            column = metadata.tables[f"staging.{table}"].columns[0].name
            connection.execute(text(f"ALTER TABLE staging.{table} DROP COLUMN {column}"))
        # Which is NOT NULL.
        connection.execute(text("ALTER TABLE songplays DROP COLUMN session_id"))
        ddl.create_tables(connection)
    world.load(DAYS[0])
    assert world.everything() == world.everything_from_scratch(DAYS[0])
