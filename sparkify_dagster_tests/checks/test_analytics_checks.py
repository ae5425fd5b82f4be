"""Check matches_expected of the analytics tables, with and without expected results."""

import dagster as dg
import pytest

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.formats import to_csv
from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster_tests.checks.conftest import DAYS, Tables, numbers, rows
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import World, refresh_queries

TOP_SONGS = ("top_songs", "matches_expected")
EXPECTED = "song,artist,plays,listeners\nYou Gotta Be,Des'ree,2,2\nNot in the catalogue,Des'ree,1,1\n"


@pytest.fixture
def refreshed(world: World) -> Tables:
    """A warehouse without rejected records, in which the table top_songs matches its expected result."""
    day = world.folder / "log_data/2018/11/2018-11-01-events.json"
    day.write_bytes(day.read_bytes().replace(b"not JSON\n", b""))
    world.write_songs("A/A/B/TRAAB.json", song(song_id="SOOTHER", title="Another"))
    world.load(*DAYS)
    tables = Tables(world)
    refresh_queries(tables.world, "top_songs")
    tables.world.write("expected/top_songs.csv", EXPECTED.encode())
    return tables


def test_an_expected_result_passes(refreshed: Tables) -> None:
    check = refreshed.check(*TOP_SONGS)
    assert check.passed
    assert check.description == "2 rows as expected"
    assert numbers(check) == {"expected_rows": 2, "rows": 2}


def test_a_different_result_fails_with_both_side_by_side(refreshed: Tables) -> None:
    refreshed.world.write("expected/top_songs.csv", EXPECTED.replace("Des'ree,2,2", "Des'ree,3,2").encode())
    check = refreshed.check(*TOP_SONGS)
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert check.description == "1 differs; 2 rows expected"
    assert rows(check, "first_differences") == [
        {
            "row": "differs",
            "song": "You Gotta Be",
            "artist": "Des'ree",
            "plays": "expected 3, found 2",
            "listeners": "2",
        }
    ]


def test_a_difference_warns_while_days_or_songs_are_not_loaded(refreshed: Tables) -> None:
    world = refreshed.world
    world.write("expected/top_songs.csv", EXPECTED.replace("Des'ree,2,2", "Des'ree,3,2").encode())
    world.write_log("2018-11-04", event(time="2018-11-04T10:00:00"))
    world.write_songs("A/A/C/TRAAC.json", song(song_id="SONEW"))
    check = refreshed.check(*TOP_SONGS)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "1 differs; 2 rows expected; not loaded: 1 of 4 days, 1 song file"


@pytest.mark.slow
def test_a_difference_warns_while_records_or_days_are_rejected(refreshed: Tables) -> None:
    world = refreshed.world
    world.write("expected/top_songs.csv", EXPECTED.replace("Des'ree,2,2", "Des'ree,3,2").encode())
    world.write_log("2018-11-02", event(userId="9", sessionId=140, time="2018-11-02T10:00:00"), "broken")
    world.write_log("2018-11-03", "broken")
    world.load(*DAYS)
    check = refreshed.check(*TOP_SONGS)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "1 differs; 2 rows expected; not loaded: 1 rejected day, 1 rejected record"


def test_days_outside_the_window_need_not_be_loaded(refreshed: Tables) -> None:
    refreshed.world.write("expected/top_songs.csv", EXPECTED.replace("Des'ree,2,2", "Des'ree,3,2").encode())
    refreshed.world.write_log("2019-01-01", event(time="2019-01-01T10:00:00"))
    assert refreshed.check(*TOP_SONGS).severity is dg.AssetCheckSeverity.ERROR


def test_a_missing_expected_result_warns_with_its_location(refreshed: Tables) -> None:
    refreshed.world.delete("expected/top_songs.csv")
    check = refreshed.check(*TOP_SONGS)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == f"no expected result: top_songs.csv not found in {refreshed.world.folder}/expected"


def test_invalid_expected_results_fail_with_file_and_line(refreshed: Tables) -> None:
    refreshed.world.write("expected/top_songs.csv", EXPECTED.replace(",2,2", ",two,2").encode())
    check = refreshed.check(*TOP_SONGS)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "expected/top_songs.csv, line 2: 'two' is not a valid BIGINT for plays" in (check.description or "")


def test_a_table_that_was_never_materialized_warns(tables: Tables) -> None:
    tables.world.write("expected/top_songs.csv", EXPECTED.encode())
    check = tables.check(*TOP_SONGS)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "not materialized yet: materialize it"


def test_the_csv_output_of_a_query_is_a_valid_expected_result(refreshed: Tables) -> None:
    query = all_queries()["top_songs"]
    with refreshed.world.warehouse.connect("a test") as engine, engine.begin() as connection:
        written = to_csv(query, refresh.run_query(refreshed.world.warehouse, connection, query))
    refreshed.world.write("expected/top_songs.csv", written.encode())
    assert refreshed.check(*TOP_SONGS).passed
