"""Effects of a failed blocking check: which assets it blocks, and which not."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from sparkify_dagster.warehouse.base import Read
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
from sparkify_dagster_tests.checks.conftest import DAYS
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import EVENTS, World


def run(world: World, first_day: str, last_day: str) -> tuple[set[str], set[tuple[str, str]]]:
    """Runs the pipeline. Returns the materialized assets and the failed checks."""
    outcome = world.materialize(first_day, last_day)
    return outcome.materialized, outcome.failed_checks


def lose_rows(monkeypatch: pytest.MonkeyPatch, loader: str, lost: str) -> None:
    """Makes the loader lose rows inside its transaction, as a faulty one would."""
    load = getattr(DuckDBWarehouse, loader)

    def load_and_lose(warehouse: DuckDBWarehouse, connection: Connection, loaded: object, read: Read) -> None:
        load(warehouse, connection, loaded, read)
        connection.execute(text(f"DELETE FROM {lost}"))

    monkeypatch.setattr(DuckDBWarehouse, loader, load_and_lose)


@pytest.mark.slow
def test_events_that_do_not_reconcile_do_not_reach_the_star(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_rows(monkeypatch, "insert_events", "staging.staging_events WHERE page = 'Home'")
    materialized, failed = run(world, *DAYS)
    assert failed == {("staging_events", "reconciliation")}
    # The catalogue is not affected.
    assert materialized == {"staging_events", "staging_songs", "songs", "artists"}
    assert world.column("songplays", "songplay_id") == []
    assert world.column("songs", "song_id") == ["SOCIWDW12A8C13D406", "SOOTHER"]


@pytest.mark.slow
def test_songs_that_do_not_reconcile_do_not_reach_the_star(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_rows(monkeypatch, "insert_songs", "staging.staging_songs WHERE song_id = 'SOOTHER'")
    materialized, failed = run(world, *DAYS)
    assert failed == {("staging_songs", "reconciliation")}
    assert materialized == {"staging_songs", "staging_events", "users"}
    assert world.column("songs", "song_id") == []


@pytest.mark.slow
def test_a_rejected_day_blocks_no_other_day(tmp_path: Path) -> None:
    world = World(tmp_path, max_load_errors=1)
    world.write_songs("A/A/A/TRAAA.json", song())
    world.write_log("2018-11-01", event())
    world.write_log("2018-11-02", event(time="2018-11-02T10:00:00"), "not JSON", "not JSON either")
    world.write_log("2018-11-03", event(time="2018-11-03T10:00:00"))
    materialized, failed = run(world, *DAYS)
    assert {"songplays", "users", "time"} <= materialized
    assert failed == {("staging_events", "no_rejected_loads")}
    assert [day.isoformat() for day in world.column(EVENTS, "log_date")] == ["2018-11-01", "2018-11-03"]
    assert [start.date().isoformat() for start in world.column("songplays", "start_time")] == [
        "2018-11-01",
        "2018-11-03",
    ]
