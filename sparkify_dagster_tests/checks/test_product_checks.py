"""Checks of the marts: each passes on valid data, and fails when somebody has changed a table."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster_tests.checks.conftest import DAYS, Tables, numbers, rows, write_three_days
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.world import World, thrown_away

ERROR = dg.AssetCheckSeverity.ERROR
KEYS = {"events": 7, "user_levels": 4, "sessions": 2, "daily_activity": 3}
EVENTS, LEVELS, SESSIONS, ACTIVITY = KEYS
ALL = (
    *((table, "unique_key") for table in KEYS),
    (EVENTS, "row_count_matches_staging"),
    (EVENTS, "plays_match_songplays"),
    (LEVELS, "contiguous_levels"),
    (LEVELS, "plays_have_level"),
    (SESSIONS, "sums_match_events"),
    (ACTIVITY, "sums_match_events"),
)
FIRST, LAST = DAYS


@pytest.fixture(scope="module")
def marts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = World(tmp_path_factory.mktemp("loaded"), marts=True)
    write_three_days(world)
    # A session over midnight, in which the level changes twice.
    world.write_log(
        "2018-11-02",
        event(userId="8", itemInSession=9, time="2018-11-02T00:00:00.001", level="paid", page="Home"),
        event(userId="8", itemInSession=10, time="2018-11-02T00:01:00", level="free", page="Thumbs Up"),
        event(userId="9", sessionId=140, time="2018-11-02T10:00:00"),
    )
    world.load(*DAYS)
    return world.folder


@pytest.fixture
def marts(marts_folder: Path, tmp_path: Path) -> Iterator[Tables]:
    with thrown_away(World(shutil.copytree(marts_folder, tmp_path / "loaded"), marts=True)) as world:
        yield Tables(world)


@pytest.mark.parametrize("days", [(None, None), DAYS, ("2018-11-02", None)], ids=["all", "three days", "a day"])
def test_valid_marts_pass(marts: Tables, days: tuple[str | None, str | None]) -> None:
    outcome = marts.checks(*ALL, first_day=days[0], last_day=days[1])
    assert outcome.failures == {}
    assert set(outcome.checks) == set(ALL)
    assert all(outcome.checks.values())


def test_an_empty_warehouse_passes(tmp_path: Path) -> None:
    assert set(Tables(World(tmp_path)).checks(*ALL, first_day=FIRST).checks.values()) == {True}


def test_a_duplicate_key_fails_in_each_table_and_blocks(marts: Tables) -> None:
    for table in KEYS:
        marts.tamper(f"INSERT INTO product.{table} SELECT * FROM product.{table} ORDER BY ALL LIMIT 1")
    outcome = marts.checks(*((table, "unique_key") for table in KEYS))
    for table, count in KEYS.items():
        check = outcome.evaluations[table, "unique_key"]
        assert not check.passed, table
        assert check.blocking, table
        assert numbers(check) == {"rows": count + 1, "duplicates": 1, "missing": 0}, table
    assert outcome.evaluations[SESSIONS, "unique_key"].description == "session_id, user_id: 1 duplicate, 0 missing"


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE product.user_levels SET version = 4 WHERE user_id = 8 AND version = 3", "misnumbered"),
        ("DELETE FROM product.user_levels WHERE user_id = 8 AND version = 1", "misnumbered"),
        ("DELETE FROM product.user_levels WHERE user_id = 8 AND version = 3", "gaps"),
        ("UPDATE product.user_levels SET valid_to = valid_from WHERE user_id = 8 AND version = 1", "gaps"),
        ("UPDATE product.user_levels SET valid_to = '2019-01-01' WHERE user_id = 8 AND version = 1", "overlaps"),
        ("UPDATE product.user_levels SET valid_to = NULL WHERE user_id = 8 AND version = 1", "overlaps"),
        ("UPDATE product.user_levels SET level = 'free' WHERE user_id = 8", "repetitions"),
    ],
)
def test_levels_with_a_gap_an_overlap_or_a_repetition_fail_and_block(marts: Tables, sql: str, fault: str) -> None:
    marts.tamper(sql)
    check = marts.check(LEVELS, "contiguous_levels", "2018-11-02")
    assert not check.passed
    assert check.blocking
    assert check.severity is ERROR
    assert numbers(check)[fault] >= 1
    assert {row["user_id"] for row in rows(check, "first_levels")} == {8}


def test_levels_are_searched_among_the_users_of_the_run(marts: Tables) -> None:
    marts.tamper("UPDATE product.user_levels SET version = 2 WHERE user_id = 9")
    assert marts.check(LEVELS, "contiguous_levels", "2018-11-01").passed
    assert not marts.check(LEVELS, "contiguous_levels", "2018-11-02").passed
    assert not marts.check(LEVELS, "contiguous_levels").passed


def test_a_play_without_a_level_of_its_time_fails(marts: Tables) -> None:
    marts.tamper("UPDATE songplays SET level = 'paid' WHERE user_id = 9")
    check = marts.check(LEVELS, "plays_have_level")
    assert not check.passed
    assert numbers(check) == {"plays": 3, "without_level": 1}
    assert check.description == "1 play without a level of that time: materialize user_levels again"


def test_plays_that_differ_from_songplays_fail(marts: Tables) -> None:
    marts.tamper("UPDATE product.events SET event_id = 'other' WHERE user_id = 9")
    for first_day in (None, "2018-11-02"):
        check = marts.check(EVENTS, "plays_match_songplays", first_day)
        assert not check.passed
        assert (numbers(check)["without_songplay"], numbers(check)["without_event"]) == (1, 1)
    assert marts.check(EVENTS, "plays_match_songplays", "2018-11-01").passed


def test_events_that_differ_from_staging_fail(marts: Tables) -> None:
    marts.tamper("DELETE FROM product.events WHERE user_id IS NULL")
    check = marts.check(EVENTS, "row_count_matches_staging", FIRST, LAST)
    assert not check.passed
    assert [(row["staged"], row["events"]) for row in rows(check, "first_days")] == [(1, 0)]


@pytest.mark.parametrize(
    ("table", "sql", "column"),
    [
        (SESSIONS, "UPDATE product.sessions SET events = events + 1 WHERE session_id = 139", "events"),
        (SESSIONS, "UPDATE product.sessions SET plays = 0 WHERE session_id = 139", "plays"),
        (SESSIONS, "DELETE FROM product.sessions WHERE session_id = 140", "events"),
        (ACTIVITY, "UPDATE product.daily_activity SET thumbs_up = 0 WHERE thumbs_up = 1", "thumbs_up"),
        (ACTIVITY, "UPDATE product.daily_activity SET adverts = 1 WHERE user_id = 9", "adverts"),
        (ACTIVITY, "DELETE FROM product.daily_activity WHERE user_id = 9", "events"),
    ],
)
def test_sums_that_differ_from_the_events_fail(marts: Tables, table: str, sql: str, column: str) -> None:
    marts.tamper(sql)
    for first_day in (None, "2018-11-02"):
        check = marts.check(table, "sums_match_events", first_day)
        assert not check.passed
        assert numbers(check)[f"{column} of {table}"] != numbers(check)[f"{column} of events"]
