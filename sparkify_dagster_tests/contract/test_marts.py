"""The marts of all pages on every warehouse: what one small world means, row by row, in whatever order it is loaded."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from sparkify_dagster.warehouse import transforms
from sparkify_dagster_tests.support.events import event, utc
from sparkify_dagster_tests.support.world import World

FIRST, SECOND, THIRD = DAYS = ("2018-11-01", "2018-11-02", "2018-11-03")
NO_SONG = {"song": None, "artist": None, "length": None}


def on(time: str, page: str, user: str = "1", **changes: Any) -> dict[str, Any]:
    """An event of a page; a play has the song of `event()`."""
    return event(time=time, page=page, userId=user, **({} if page == "NextSong" else NO_SONG) | changes)


@pytest.fixture
def three_days(world: World) -> World:
    """A session and a change of level over midnight, adverts, a cancellation, and somebody who never signs in."""
    world.marts = True
    world.write_log(
        FIRST,
        on(f"{FIRST}T23:50:00", "NextSong", itemInSession=0),
        on(f"{FIRST}T23:54:00", "Roll Advert", itemInSession=1),
        on(f"{FIRST}T23:55:00", "Upgrade", itemInSession=2),
        on(f"{FIRST}T23:56:00", "Submit Upgrade", itemInSession=3, status=307),
        on(f"{FIRST}T12:00:00", "Home", "", sessionId=7, auth="Logged Out"),
    )
    world.write_log(
        SECOND,
        on(f"{SECOND}T00:00:01", "Home", itemInSession=4, level="paid"),
        on(f"{SECOND}T00:01:00", "NextSong", itemInSession=5, level="paid", song="Other ", length=10),
        on(f"{SECOND}T00:02:00", "NextSong", itemInSession=6, level="paid", song="Other", length=10),
        on(f"{SECOND}T00:03:00", "Error", itemInSession=7, level="paid", status=404),
        on(f"{SECOND}T09:00:00", "Cancellation Confirmation", "2", sessionId=9, auth="Cancelled"),
    )
    world.write_log(THIRD, on(f"{THIRD}T09:00:00", "Help", level=None, sessionId=140))
    return world


def test_the_rows_are_those_that_the_events_mean(three_days: World) -> None:
    for day in (THIRD, FIRST, SECOND, FIRST):
        three_days.load(day)
    assert three_days.rows("product.user_levels") == [
        (1, 1, utc(f"{FIRST}T23:50:00"), utc(f"{SECOND}T00:00:01"), "free", "NextSong"),
        (1, 2, utc(f"{SECOND}T00:00:01"), None, "paid", "Home"),
        (2, 1, utc(f"{SECOND}T09:00:00"), None, "free", "Cancellation Confirmation"),
    ]
    assert three_days.rows("product.sessions") == [
        (
            9,
            2,
            *(utc(f"{SECOND}T09:00:00"),) * 2,
            *("Cancellation Confirmation",) * 2,
            1,
            0,
            0,
            0,
            "free",
            "free",
            0,
            0,
        ),
        (
            *(139, 1, utc(f"{FIRST}T23:50:00"), utc(f"{SECOND}T00:03:00"), "NextSong", "Error"),
            *(8, 3, Decimal("266.30812"), 1, "free", "paid", 1, 0),
        ),
        (140, 1, *(utc(f"{THIRD}T09:00:00"),) * 2, "Help", "Help", 1, 0, 0, 0, None, None, 0, 0),
    ]
    assert three_days.rows("product.daily_activity") == [
        (1, date(2018, 11, 1), "free", 1, 4, 1, Decimal("246.30812"), 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0),
        (1, date(2018, 11, 2), "paid", 1, 4, 2, Decimal(20), 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (1, date(2018, 11, 3), None, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0),
        (2, date(2018, 11, 2), "free", 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
    ]
    assert len(three_days.rows("product.events")) == 11
    assert [page for user, page in three_days.rows("product.events", "user_id", "page") if user is None] == ["Home"]
    assert set(three_days.column("songplays", "songplay_id")) < set(three_days.column("product.events", "event_id"))
    assert three_days.everything() == three_days.everything_from_scratch(FIRST, THIRD)


def test_what_a_user_did_on_a_day_that_is_gone_is_gone(three_days: World) -> None:
    """The first day of a session and of a level goes, then every day of a user."""
    three_days.load(FIRST, THIRD)
    three_days.delete(f"log_data/2018/11/{FIRST}-events.json")
    three_days.load(FIRST)
    assert three_days.rows("product.user_levels", "user_id", "version", "level") == [(1, 1, "paid"), (2, 1, "free")]
    assert three_days.rows("product.sessions", "session_id", "events") == [(9, 1), (139, 4), (140, 1)]
    three_days.write_log(SECOND, on(f"{SECOND}T00:00:01", "Home", itemInSession=4, level="paid"))
    three_days.load(SECOND)
    assert set(three_days.column("product.user_levels", "user_id")) == {1}
    assert set(three_days.column("product.sessions", "user_id")) == {1}
    assert set(three_days.column("product.daily_activity", "user_id")) == {1}
    assert three_days.everything() == three_days.everything_from_scratch(FIRST, THIRD)


@pytest.mark.parametrize("days", [1, 2])
def test_a_long_range_is_built_a_part_at_a_time(three_days: World, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The star and the marts, of which a session and a user's levels cross the parts."""
    at_once = three_days.everything_from_scratch(FIRST, THIRD)
    monkeypatch.setattr(transforms, "MAX_DAYS_PER_STATEMENT", days)
    three_days.load(FIRST, THIRD)
    assert three_days.everything() == at_once
    assert set(three_days.column("product.daily_activity", "day")) == set(map(date.fromisoformat, DAYS))


@pytest.mark.slow
def test_the_jobs_build_them_and_their_checks_pass(three_days: World) -> None:
    outcome = three_days.materialize(FIRST, THIRD)
    assert outcome.ok
    for table, checks in {
        "events": {"unique_key", "row_count_matches_staging", "plays_match_songplays"},
        "user_levels": {"unique_key", "contiguous_levels", "plays_have_level"},
        "sessions": {"unique_key", "sums_match_events"},
        "daily_activity": {"unique_key", "sums_match_events"},
    }.items():
        assert {name for (asset, name), passed in outcome.checks.items() if asset == table and passed} == checks
    assert three_days.everything() == three_days.everything_from_scratch(FIRST, THIRD)
