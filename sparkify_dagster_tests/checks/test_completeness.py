"""The checks of completeness: days without a file, and days unlike their weekday's usual."""

from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster_tests.checks.conftest import Tables, numbers, rows
from sparkify_dagster_tests.support.world import World, event

WARN = dg.AssetCheckSeverity.WARN
# Four Thursdays whose median is 150, and a fifth for each test to decide on.
THURSDAYS = {"01": 140, "08": 160, "15": 100, "22": 400}
LAST = "2018-11-29"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def load(world: World, events_of: dict[str, int]) -> Tables:
    """November with so many events on these days, and without a file on the others."""
    for day, events in events_of.items():
        day = f"2018-11-{day}"
        world.write_log(day, *(event(page="Home", itemInSession=number, time=day) for number in range(events)))
    world.load("2018-11-01", "2018-11-30")
    return Tables(world)


def missing(tables: Tables, *days: str) -> dg.AssetCheckEvaluation:
    return tables.check("staging_events", "no_missing_days", *days)


def volume(tables: Tables, *days: str) -> dg.AssetCheckEvaluation:
    return tables.check("staging_events", "volume_anomaly", *days)


def test_days_without_a_file_between_others_warn(world: World) -> None:
    tables = load(world, {"05": 1, "06": 1, "10": 1, "12": 1})
    # Whatever days the run is about: a day without a file is never a day of a run by itself.
    for check in (missing(tables), missing(tables, "2018-11-06")):
        assert not check.passed
        assert check.severity is WARN
        assert not check.blocking
        assert numbers(check) == {"days_held": 4, "missing_days": 4}
        assert rows(check, "first_missing") == [
            {"first_day": "2018-11-07", "last_day": "2018-11-09", "days": 3},
            {"first_day": "2018-11-11", "last_day": "2018-11-11", "days": 1},
        ]
        assert check.description is not None
        assert check.description.startswith("No log file is loaded for 4 days between 2018-11-05 and 2018-11-12")


def test_an_empty_file_is_no_missing_day(world: World) -> None:
    assert missing(load(world, {"05": 1, "06": 0, "07": 1})).passed


def test_a_refused_day_is_no_missing_day(world: World) -> None:
    world.max_load_errors = 0
    world.write_log("2018-11-06", "not JSON")
    assert missing(load(world, {"05": 1, "07": 1})).passed


def test_days_outside_the_window_are_not_missed(world: World) -> None:
    tables = load(world, {"03": 1})
    # It was loaded before the window became what it is.
    tables.tamper("UPDATE staging.loaded_objects SET log_date = '2018-10-30'")
    world.write_log("2018-11-04", event(time="2018-11-04"))
    world.load("2018-11-04")
    check = missing(tables)
    assert check.passed
    assert numbers(check) == {"days_held": 1, "missing_days": 0}


@pytest.mark.parametrize("events", [50, 450], ids=["a third", "three times as many"])
def test_a_day_within_three_times_its_weekday_is_usual(world: World, events: int) -> None:
    check = volume(load(world, THURSDAYS | {"29": events}), LAST)
    assert check.passed
    assert numbers(check) == {"days_compared": 1, "unusual_days": 0}


@pytest.mark.parametrize("events", [0, 49, 451], ids=["an empty file", "a holiday", "a rush"])
def test_a_day_far_from_its_weekdays_median_warns(world: World, events: int) -> None:
    tables = load(world, THURSDAYS | {"29": events, "30": 1})
    for check in (volume(tables), volume(tables, LAST, "2018-11-30")):
        assert not check.passed
        assert check.severity is WARN
        assert not check.blocking
        assert numbers(check) == {"days_compared": 1, "unusual_days": 1}
        assert rows(check, "first_unusual") == [{"day": "2018-11-29 Thursday", "events": events, "usually": "150"}]
        assert check.description is not None
        assert f"first 2018-11-29 with {events}, usually 150" in check.description


def test_a_run_judges_its_own_days_alone(world: World) -> None:
    check = volume(load(world, THURSDAYS | {"29": 1, "30": 1}), "2018-11-30")
    assert check.passed
    assert numbers(check)["days_compared"] == 0


def test_small_numbers_vary_by_chance(world: World) -> None:
    few = {day: events // 2 for day, events in THURSDAYS.items()}
    check = volume(load(world, few | {"29": 1}), LAST)
    assert check.passed
    assert numbers(check)["days_compared"] == 1


def test_three_days_of_a_weekday_are_too_few_to_tell(world: World) -> None:
    check = volume(load(world, {"08": 200, "15": 200, "22": 200, "29": 1}), LAST)
    assert check.passed
    assert numbers(check)["days_compared"] == 0


def test_later_days_do_not_change_the_verdict(world: World) -> None:
    tables = load(world, {"01": 1, "08": 200, "15": 200, "22": 200, "29": 200})
    assert numbers(volume(tables, "2018-11-01"))["days_compared"] == 0
