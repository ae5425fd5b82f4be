"""Row counts: what a warehouse read is compared with what was inspected, and a day that differs is not kept."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection

from sparkify_dagster.batches import InspectedDay, InspectedSongs
from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import EVENTS, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.write_log("2018-11-01", event(), event(itemInSession=2))
    world.write_songs("A.json", song())
    return world


@pytest.fixture
def misses_rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Has the reader of events report one row too few, a number of times."""
    read = DuckDBWarehouse.read_events

    def miss(times: int) -> None:
        left = [1] * times

        def read_events(warehouse: DuckDBWarehouse, connection: Connection, days: Sequence[InspectedDay]) -> int:
            return read(warehouse, connection, days) - (left.pop() if left else 0)

        monkeypatch.setattr(DuckDBWarehouse, "read_events", read_events)

    return miss


def test_a_day_of_which_a_row_is_missed_is_inspected_again_and_loaded(
    world: World, misses_rows: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    # In a batch of days, then alone.
    misses_rows(2)
    world.load()
    assert world.column(EVENTS, "item_in_session") == [1, 2]
    assert caplog.text.count("2 events were inspected, duckdb read 1") == 2


def test_a_day_of_which_a_row_is_always_missed_keeps_its_rows(world: World, misses_rows: Callable[[int], None]) -> None:
    world.load()
    before = world.everything()
    world.write_log("2018-11-01", event(), event(itemInSession=2), event(itemInSession=3))
    misses_rows(100)
    with pytest.raises(WarehouseError, match="could not be loaded in 3 attempts: 3 events were inspected"):
        world.load()
    assert world.everything() == before


def test_song_files_of_which_a_row_is_missed_are_not_loaded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read = DuckDBWarehouse.read_songs

    def read_songs(warehouse: DuckDBWarehouse, connection: Connection, songs: InspectedSongs) -> int:
        return read(warehouse, connection, songs) - 1

    monkeypatch.setattr(DuckDBWarehouse, "read_songs", read_songs)
    with pytest.raises(WarehouseError, match=r"^1 songs were inspected, duckdb read 0"):
        world.load()
    assert world.column("songs", "song_id") == []


def test_a_warehouse_that_is_asked_to_copy_first_and_cannot_has_every_day_inspected(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(DuckDBWarehouse, "copies_first", lambda warehouse, location: True)
    world.load()
    assert "2018-11-01: the warehouse does not copy first; the day is inspected" in caplog.text
    assert world.column(EVENTS, "item_in_session") == [1, 2]
