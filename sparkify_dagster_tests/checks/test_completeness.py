"""Checks of completeness: missing days, and days with an unusual volume."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster_tests.checks.conftest import Tables, numbers, rows
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.world import World, thrown_away

WARN = dg.AssetCheckSeverity.WARN
# Four Thursdays with a median of 150; each test sets the fifth.
THURSDAYS = {"01": 140, "08": 160, "15": 100, "22": 400}
LAST = "2018-11-29"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with thrown_away(World(tmp_path)) as world:
        yield world


def load(world: World, events_by_day: dict[str, int]) -> Tables:
    """Loads November with the given numbers of events per day; the other days have no file."""
    for day, events in events_by_day.items():
        day = f"2018-11-{day}"
        world.write_log(day, *(event(page="Home", itemInSession=number, time=day) for number in range(events)))
    world.load("2018-11-01", "2018-11-30")
    return Tables(world)


def missing(tables: Tables, *days: str) -> dg.AssetCheckEvaluation:
    return tables.check("staging_events", "no_missing_days", *days)


def volume(tables: Tables, *days: str) -> dg.AssetCheckEvaluation:
    return tables.check("staging_events", "volume_anomaly", *days)


def test_missing_days_between_others_warn(world: World) -> None:
    tables = load(world, {"05": 1, "06": 1, "10": 1, "12": 1})
    # Regardless of the run's days: a run over a missing day would have nothing to load.
    for check in (missing(tables), missing(tables, "2018-11-06")):
        assert not check.passed
        assert check.severity is WARN
        assert not check.blocking
        assert numbers(check) == {"staged_days": 4, "missing_days": 4}
        assert rows(check, "first_missing") == [
            {"first_day": "2018-11-07", "last_day": "2018-11-09", "days": 3},
            {"first_day": "2018-11-11", "last_day": "2018-11-11", "days": 1},
        ]
        assert check.description is not None
        assert check.description.startswith("No log file is loaded for 4 days between 2018-11-05 and 2018-11-12")


def test_a_day_with_an_empty_file_is_not_missing(world: World) -> None:
    assert missing(load(world, {"05": 1, "06": 0, "07": 1})).passed


def test_a_rejected_day_is_not_missing(world: World) -> None:
    world.max_load_errors = 0
    world.write_log("2018-11-06", "not JSON")
    assert missing(load(world, {"05": 1, "07": 1})).passed


def test_days_outside_the_window_are_not_missing(world: World) -> None:
    tables = load(world, {"03": 1})
    # As if loaded before the window was changed.
    tables.tamper("UPDATE staging.loaded_objects SET log_date = '2018-10-30'")
    world.write_log("2018-11-04", event(time="2018-11-04"))
    world.load("2018-11-04")
    check = missing(tables)
    assert check.passed
    assert numbers(check) == {"staged_days": 1, "missing_days": 0}


@pytest.mark.parametrize("events", [50, 450], ids=["a third", "three times as many"])
def test_a_day_within_three_times_the_median_passes(world: World, events: int) -> None:
    check = volume(load(world, THURSDAYS | {"29": events}), LAST)
    assert check.passed
    assert numbers(check) == {"days_compared": 1, "unusual_days": 0}


@pytest.mark.parametrize("events", [0, 49, 451], ids=["an empty file", "a holiday", "a rush"])
def test_a_day_far_from_the_median_of_its_weekday_warns(world: World, events: int) -> None:
    tables = load(world, THURSDAYS | {"29": events, "30": 1})
    for check in (volume(tables), volume(tables, LAST, "2018-11-30")):
        assert not check.passed
        assert check.severity is WARN
        assert not check.blocking
        assert numbers(check) == {"days_compared": 1, "unusual_days": 1}
        assert rows(check, "first_unusual") == [{"day": "2018-11-29 Thursday", "events": events, "median": "150"}]
        assert check.description is not None
        assert f"first 2018-11-29 with {events}, median 150" in check.description


def test_a_run_checks_only_its_own_days(world: World) -> None:
    check = volume(load(world, THURSDAYS | {"29": 1, "30": 1}), "2018-11-30")
    assert check.passed
    assert numbers(check)["days_compared"] == 0


def test_small_differences_pass(world: World) -> None:
    few = {day: events // 2 for day, events in THURSDAYS.items()}
    check = volume(load(world, few | {"29": 1}), LAST)
    assert check.passed
    assert numbers(check)["days_compared"] == 1


def test_three_earlier_days_are_too_few_to_compare(world: World) -> None:
    check = volume(load(world, {"08": 200, "15": 200, "22": 200, "29": 1}), LAST)
    assert check.passed
    assert numbers(check)["days_compared"] == 0


@pytest.mark.slow
def test_later_days_do_not_change_the_result(world: World) -> None:
    tables = load(world, {"01": 1, "08": 200, "15": 200, "22": 200, "29": 200})
    assert numbers(volume(tables, "2018-11-01"))["days_compared"] == 0
