"""Checks of drift: similar days pass; renamed, emptied and lost fields are reported."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg
import pytest

from sparkify_dagster.checks import drift
from sparkify_dagster.config.aws import AwsAccess
from sparkify_dagster.simulator import simulate
from sparkify_dagster.sources.object_store import writable_store
from sparkify_dagster.warehouse.day_profiles import WITHHELD
from sparkify_dagster_tests.support.events import Item, event
from sparkify_dagster_tests.support.world import EVENTS, World, thrown_away

DAYS = [f"2018-11-{day:02}" for day in range(1, 8)]
DAY = DAYS[3]
STAGED = ["staging_events"]
NAMES = ("expected_fields", "null_rates", "accepted_values", "no_lost_events")
SAMPLE = Path(__file__).parents[2] / ".." / "shared" / "data" / "sample"

Change = Callable[[dict[str, Any]], object]


def events_of(day: str, *, plays: int = 20, others: int = 6, change: Change | None = None) -> list[dict[str, Any]]:
    """Returns plays, visits of another page and one signed-out event, each passed to `change`."""
    no_song = dict.fromkeys(("artist", "song", "length"))
    nobody = dict.fromkeys(("firstName", "lastName", "gender", "location", "registration", "userAgent"))
    events = [
        *(event(itemInSession=item, userId=str(8 + item % 3)) for item in range(plays)),
        *(event(itemInSession=100 + item, page="Home", method="GET", **no_song) for item in range(others)),
        event(itemInSession=200, page="Login", userId="", auth="Logged Out", **no_song, **nobody),
    ]
    for item, each in enumerate(events):
        each["ts"] = event(time=f"{day}T10:00:00")["ts"] + item
        if change:
            change(each)
    return events


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = World(tmp_path_factory.mktemp("loaded"))
    for day in DAYS:
        world.write_log(day, *events_of(day))
    world.load(DAYS[0], DAYS[-1], steps=STAGED)
    return world.folder


@pytest.fixture
def week(loaded: Path, tmp_path: Path) -> Iterator[World]:
    """Seven similar days, loaded by an earlier run."""
    with thrown_away(World(shutil.copytree(loaded, tmp_path / "week"))) as world:
        yield world


Results: TypeAlias = dict[str, dg.AssetCheckResult]
Findings: TypeAlias = dict[str, tuple[str, str]]


def check(world: World, run_id: str, day: str | None = DAY) -> Results:
    """Evaluates the checks of one day, or of all, in one transaction, as the run's step does."""
    days = (date.fromisoformat(day), date.fromisoformat(day)) if day else None
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        found = drift.read_drift(connection, days, run_id)
    assert found.checked or found.lost or day
    return {name: getattr(drift, name)(found) for name in NAMES}


def load(world: World, day: str = DAY, run_id: str = "now") -> Results:
    world.load(day, run_id=run_id, steps=STAGED)
    return check(world, run_id, day)


def reload(world: World, items: Sequence[Item], day: str = DAY) -> Results:
    world.write_log(day, *items)
    return load(world, day)


def findings(results: Results) -> Findings:
    """Returns severity and description of the failed checks."""
    return {
        name: (result.severity.value, result.description or "") for name, result in results.items() if not result.passed
    }


def table(result: dg.AssetCheckResult, name: str) -> list[dict[str, Any]]:
    found = result.metadata[name]
    assert isinstance(found, dg.TableMetadataValue)
    return [dict(record.data) for record in found.records]


def load_both(world: World) -> Results:
    """Loads the first two days in one load."""
    world.load(DAYS[0], DAYS[1], "now", steps=STAGED)
    return check(world, "now", None)


def renamed(key: str, name: str) -> Change:
    return lambda each: each.update({name: each.pop(key)}) if key in each else None


def test_similar_days_pass(week: World) -> None:
    assert findings(reload(week, events_of(DAY))) == {}


@pytest.mark.slow
@pytest.mark.parametrize("key", ["userId", "sessionId", "itemInSession", "level", "song", "artist", "length"])
def test_a_renamed_required_key_is_an_error_and_later_a_warning(week: World, key: str) -> None:
    """A NextSong without session or item is a load error, so those keys are renamed on other pages only."""
    plays = 0 if key in ("sessionId", "itemInSession") else 20
    results = reload(week, events_of(DAY, plays=plays, change=renamed(key, "renamed")))
    assert findings(results)["expected_fields"] == (
        "ERROR",
        f"{DAY}: no record has the key {key}, which 6 other days have (and 1 other finding)",
    )
    assert [row["finding"] for row in table(results["expected_fields"], "unexpected_fields")] == [
        f"no record has the key {key}, which 6 other days have",
        "no other day has the keys renamed",
    ]
    # The day is not loaded again, and no longer fails a run.
    assert findings(load(week, run_id="later"))["expected_fields"][0] == "WARN"
    # Other days are not reported.
    assert findings(load(week, DAYS[0], run_id="later")) == {}


@pytest.mark.slow
def test_the_run_that_loads_the_day_fails_and_later_runs_warn(week: World) -> None:
    """Runs the job, as the command line and the UI do."""
    week.write_log(DAY, *events_of(DAY, change=renamed("userId", "user_id")))
    key = ("staging_events", "expected_fields")
    outcome = week.materialize(DAY, job="load_log_days")
    assert outcome.failed_checks == {key}
    again = week.materialize(DAY, job="load_log_days")
    assert again.ok
    assert not again.evaluations[key].passed


def test_a_renamed_key_is_reported_once(week: World) -> None:
    """Its NULLs are not reported as well."""
    found = findings(reload(week, events_of(DAY, change=renamed("level", "plan"))))
    assert set(found) == {"expected_fields"}


def test_a_key_missing_on_all_days_is_a_warning(world_of: Callable[..., World]) -> None:
    world = world_of(change=lambda each: each.pop("gender"))
    assert findings(load_both(world)) == {
        "expected_fields": ("WARN", "2018-11-01: no record has the key gender (and 1 other finding)"),
    }


def test_keys_without_values_are_not_missing(world_of: Callable[..., World]) -> None:
    """The app omits keys without a value: songs if there are no plays, names if there are no users."""

    def signed_out(each: dict[str, Any]) -> None:
        each.update(userId="", auth="Logged Out", page="Home")
        for key in ("artist", "song", "length", "firstName", "lastName", "gender", "location", "registration"):
            each.pop(key)
        del each["userAgent"], each["userId"]

    world = world_of(change=signed_out)
    assert findings(load_both(world)) == {}


@pytest.mark.slow
def test_new_keys_are_reported_once_another_load_exists(week: World, world_of: Callable[..., World]) -> None:
    def add(each: dict[str, Any]) -> None:
        each.update({f"new{number:02}": number for number in range(25)})

    found = findings(reload(week, events_of(DAY, change=add)))
    severity, text = found["expected_fields"]
    assert severity == "WARN"
    assert text.startswith(f"{DAY}: no other day has the keys new00, new01, ")
    assert text.endswith("new19 and 5 more")
    # Once a second day has them, they are not unusual.
    assert findings(reload(week, events_of(DAYS[4], change=add), DAYS[4])) == {}
    first_load = world_of(change=lambda each: each.update(new=each["itemInSession"]) if each["ts"] % 2 else None)
    assert findings(load_both(first_load)) == {}


def test_a_column_that_is_all_null_is_an_error(week: World) -> None:
    found = findings(reload(week, events_of(DAY, change=lambda each: each.update(level=None, song=None))))
    assert set(found) == {"null_rates"}
    severity, text = found["null_rates"]
    assert severity == "ERROR"
    assert text == f"{DAY}: level is NULL in 100% of the events, usually in 0% (and 1 other finding)"


def test_a_share_of_nulls_that_differs_by_a_fifth_is_a_warning(week: World) -> None:
    def some(each: dict[str, Any]) -> None:
        if each["itemInSession"] in range(6):
            each["location"] = None

    found = findings(reload(week, events_of(DAY, plays=20, others=5, change=some)))
    assert found == {"null_rates": ("WARN", f"{DAY}: location is NULL in 24% of the events, usually in 0%")}

    def few(each: dict[str, Any]) -> None:
        if each["itemInSession"] in range(4):
            each["location"] = None

    assert findings(reload(week, events_of(DAY, plays=20, others=5, change=few))) == {}


@pytest.mark.slow
def test_shares_are_not_compared_on_small_or_few_days(week: World, world_of: Callable[..., World]) -> None:
    def no_level(each: dict[str, Any]) -> None:
        each["level"] = None

    assert findings(reload(week, events_of(DAY, plays=14, others=5, change=no_level))) == {}
    world = world_of()
    world.load(DAYS[0], DAYS[1], run_id="earlier", steps=STAGED)
    assert findings(reload(world, events_of(DAYS[1], change=no_level), DAYS[1])) == {}


def test_a_day_without_plays_is_an_error(week: World) -> None:
    found = findings(reload(week, events_of(DAY, plays=0, others=24)))
    assert found == {"null_rates": ("ERROR", f"{DAY}: no play, although other days have plays")}
    # Unless the day is small.
    assert findings(reload(week, events_of(DAYS[4], plays=0, others=14), DAYS[4])) == {}


def test_songs_played_on_another_page_are_an_error(week: World) -> None:
    def rename(each: dict[str, Any]) -> None:
        if each["page"] == "NextSong":
            each["page"] = "PlaySong"

    results = reload(week, events_of(DAY, change=rename))
    assert findings(results) == {
        "accepted_values": (
            "ERROR",
            f"{DAY}: 20 events have a song, but none has page NextSong (and 1 other finding)",
        )
    }
    assert table(results["accepted_values"], "unexpected_values")[1] == {
        "day": DAY,
        "finding": "page has new values: 'PlaySong'",
    }


def test_new_values_are_warnings_until_another_day_has_them(week: World) -> None:
    def gold(each: dict[str, Any]) -> None:
        each.update(level="gold ", method="POST")

    found = findings(reload(week, events_of(DAY, change=gold)))
    assert found == {
        "accepted_values": ("WARN", f"{DAY}: level has new values: 'gold' (and 1 other finding)"),
    }
    assert findings(reload(week, events_of(DAYS[4], change=gold), DAYS[4])) == {}


def test_every_page_of_the_app_is_known(week: World) -> None:
    pages = ["Thumbs Up", "Roll Advert", "Cancellation Confirmation", "Submit Registration", "Save Settings", "Error"]

    def visit(each: dict[str, Any]) -> None:
        if each["page"] == "Home":
            each.update(page=pages[each["itemInSession"] % 6], auth=["Cancelled", "Guest"][each["itemInSession"] % 2])

    assert findings(reload(week, events_of(DAY, change=visit))) == {}


def test_a_listeners_name_in_another_column_is_withheld(week: World) -> None:
    def swap(each: dict[str, Any]) -> None:
        if each["firstName"]:
            each["firstName"], each["gender"] = each["gender"], each["firstName"]

    assert findings(reload(week, events_of(DAY, change=swap)))["accepted_values"] == (
        "WARN",
        f"{DAY}: gender has new values: '{WITHHELD}'",
    )


@pytest.mark.slow
def test_a_day_that_lost_most_events_is_reported_by_the_run_that_loaded_it(week: World) -> None:
    results = reload(week, events_of(DAY, plays=6, others=6))
    assert findings(results) == {
        "no_lost_events": (
            "WARN",
            f"1 day lost more than half of the events, first {DAY}: restore the files if this was not intended",
        )
    }
    assert table(results["no_lost_events"], "first_days") == [
        {"day": DAY, "events_before": 27, "events": 13, "files": 1}
    ]
    assert findings(load(week, run_id="later")) == {}
    week.write_log(DAYS[4], *events_of(DAYS[4], plays=8, others=5))
    assert findings(load(week, DAYS[4], run_id="another")) == {}


def test_a_day_that_lost_just_half_of_its_events_is_not_reported(week: World) -> None:
    reload(week, events_of(DAY, plays=14, others=13))
    results = reload(week, events_of(DAY, plays=7, others=6))
    assert week.query(f"SELECT COUNT(*) FROM {EVENTS} WHERE log_date = '{DAY}'") == [(14,)]
    assert "no_lost_events" not in findings(results)


def test_a_last_day_whose_file_is_gone_is_reported(week: World) -> None:
    """no_missing_days reports only days between others."""
    week.delete(f"log_data/2018/11/{DAYS[-1]}-events.json")
    assert findings(load(week, DAYS[-1])) == {
        "no_lost_events": (
            "WARN",
            f"the files of 1 day are gone, first {DAYS[-1]}: restore the files if this was not intended",
        )
    }
    assert findings(load(week, DAYS[-1], run_id="later")) == {}


@pytest.fixture
def world_of(tmp_path: Path) -> Callable[..., World]:
    """Writes two days, not loaded yet."""

    def make(change: Change | None = None) -> World:
        world = World(tmp_path / "world_of")
        for day in DAYS[:2]:
            world.write_log(day, *events_of(day, change=change))
        return world

    return make


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the real sample is not available")
@pytest.mark.parametrize("days_per_load", [1, 14])
def test_real_days_have_no_findings(tmp_path: Path, days_per_load: int) -> None:
    folder = SAMPLE.resolve()
    world = World(tmp_path, log_data=f"{folder}/log_data", song_data=str(tmp_path / "song_data"))
    (tmp_path / "song_data").mkdir()
    for first in range(1, 15, days_per_load):
        run_id = f"run {first}"
        world.load(f"2018-11-{first:02}", f"2018-11-{first + days_per_load - 1:02}", run_id, steps=STAGED)
        assert findings(check(world, run_id, None)) == {}


@pytest.mark.slow
def test_a_simulated_year_has_no_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its days are small, and must not be reported for it."""
    store = writable_store(str(tmp_path), AwsAccess())
    simulate(store, users=25, days=365, start=date(2017, 11, 1), songs=50, seed=3)
    world = World(tmp_path)
    monkeypatch.setattr(drift, "is_in_window", lambda day: True)
    world.load("2017-11-01", "2018-07-01", "first", steps=STAGED)
    assert findings(check(world, "first", None)) == {}
    world.load("2017-11-01", "2018-10-31", "second", steps=STAGED)
    assert findings(check(world, "second", None)) == {}
    assert json.loads((tmp_path / "log_json_path.json").read_bytes())
