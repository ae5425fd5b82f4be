"""The queries' check: what it compares, and what it makes of a warehouse that is not loaded yet."""

import dagster as dg
import pytest

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.formats import to_csv
from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster_tests.checks.conftest import DAYS, Tables, numbers, rows
from sparkify_dagster_tests.support.world import World, event, refresh_queries, song

TOP_SONGS = ("top_songs", "matches_expected")
EXPECTED = "song,artist,plays,listeners\nYou Gotta Be,Des'ree,2,2\nOf which nobody knows,Des'ree,1,1\n"


@pytest.fixture
def asked(world: World) -> Tables:
    """Top songs' answer is in its table, and it is the expected one. No record was rejected."""
    day = world.folder / "log_data/2018/11/2018-11-01-events.json"
    day.write_bytes(day.read_bytes().replace(b"not JSON\n", b""))
    world.write_songs("A/A/B/TRAAB.json", song(song_id="SOOTHER", title="Another"))
    world.load(*DAYS)
    tables = Tables(world)
    refresh_queries(tables.world, "top_songs")
    tables.world.write("expected/top_songs.csv", EXPECTED.encode())
    return tables


def test_an_answer_that_is_expected_passes(asked: Tables) -> None:
    check = asked.check(*TOP_SONGS)
    assert check.passed
    assert check.description == "2 rows as expected"
    assert numbers(check) == {"expected_rows": 2, "rows": 2}


def test_another_answer_fails_with_both_side_by_side(asked: Tables) -> None:
    asked.world.write("expected/top_songs.csv", EXPECTED.replace("Des'ree,2,2", "Des'ree,3,2").encode())
    check = asked.check(*TOP_SONGS)
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


def test_while_not_everything_is_loaded_a_difference_is_only_a_warning(asked: Tables) -> None:
    world = asked.world
    world.write("expected/top_songs.csv", EXPECTED.replace("Des'ree,2,2", "Des'ree,3,2").encode())
    world.write_log("2018-11-04", event(time="2018-11-04T10:00:00"))
    world.write_songs("A/A/C/TRAAC.json", song(song_id="SONEW"))
    check = asked.check(*TOP_SONGS)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == ("1 differs; 2 rows expected; not loaded: 1 of 4 days, 1 song file")


def test_while_a_record_or_a_day_is_rejected_a_difference_is_only_a_warning(asked: Tables) -> None:
    world = asked.world
    world.write("expected/top_songs.csv", EXPECTED.replace("Des'ree,2,2", "Des'ree,3,2").encode())
    world.write_log("2018-11-02", event(userId="9", sessionId=140, time="2018-11-02T10:00:00"), "broken")
    world.write_log("2018-11-03", "broken")
    world.load(*DAYS)
    check = asked.check(*TOP_SONGS)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "1 differs; 2 rows expected; not loaded: 1 rejected day, 1 rejected record"


def test_days_outside_the_window_need_not_be_loaded(asked: Tables) -> None:
    asked.world.write("expected/top_songs.csv", EXPECTED.replace("Des'ree,2,2", "Des'ree,3,2").encode())
    asked.world.write_log("2019-01-01", event(time="2019-01-01T10:00:00"))
    assert asked.check(*TOP_SONGS).severity is dg.AssetCheckSeverity.ERROR


def test_of_what_nothing_is_expected_a_warning_says_where_to_write_it(asked: Tables) -> None:
    asked.world.delete("expected/top_songs.csv")
    check = asked.check(*TOP_SONGS)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == f"nothing is expected: there is no top_songs.csv in {asked.world.folder}/expected"


def test_expected_results_that_cannot_be_read_fail_with_file_and_line(asked: Tables) -> None:
    asked.world.write("expected/top_songs.csv", EXPECTED.replace(",2,2", ",two,2").encode())
    check = asked.check(*TOP_SONGS)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "expected/top_songs.csv, line 2: plays is 'two', which is no BIGINT" in (check.description or "")


def test_a_query_that_was_never_asked_is_told(tables: Tables) -> None:
    tables.world.write("expected/top_songs.csv", EXPECTED.encode())
    check = tables.check(*TOP_SONGS)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "it has not been asked yet: materialize it"


def test_what_is_expected_is_what_a_query_writes(asked: Tables) -> None:
    query = all_queries()["top_songs"]
    with asked.world.warehouse.connect("a test") as engine, engine.begin() as connection:
        written = to_csv(query, refresh.ask(asked.world.warehouse, connection, query))
    asked.world.write("expected/top_songs.csv", written.encode())
    assert asked.check(*TOP_SONGS).passed
