"""Duplicates: an event that is delivered twice is staged once."""

from collections.abc import Iterator
from typing import Any

import pytest

from sparkify_dagster_tests.contract.cases import Day, case
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.world import EVENTS, World

DAY = "2018-11-01"


@case
def test_twice_in_a_file_the_first_line_is_kept(day: Day) -> Iterator[None]:
    """In a file of plain lines, and in one with an odd line."""
    for session, odd in enumerate([{}, {"status": "200"}]):
        first, second = (day.event(location=place, sessionId=session) for place in ("first", "second"))
        day.write(first | odd, second, folder=f"{session}")
    yield
    assert day.column(EVENTS, "location") == ["first", "first"]
    assert day.column("songplays", "location") == ["first", "first"]
    assert day.counts() == {day.key("0"): (2, 1, 1, 0), day.key("1"): (2, 1, 1, 0)}


@case
def test_in_two_files_the_key_that_sorts_first_is_kept(day: Day) -> Iterator[None]:
    day.write(day.event(location="a"), folder="a")
    day.write(day.event(location="B"), day.event(itemInSession=2), folder="B", end=".json.gz")
    yield
    assert day.rows(EVENTS, "item_in_session", "location")[0] == (1, "B")
    assert day.counts() == {day.key("B", ".json.gz"): (2, 2, 0, 0), day.key("a"): (1, 0, 1, 0)}


@case
def test_keys_sort_by_their_utf8_bytes(day: Day) -> Iterator[None]:
    """In UTF-16, as some systems sort, the emoji would come before the other."""
    names = ["\uff5e", "😀", "Z", "a", "é", "z", "a-", "a.", "a/b"]
    in_order = sorted(names, key=lambda name: f"{name}/".encode())
    # Event n is in all files but the first n, so that each file is the first one of an event.
    for place, name in enumerate(in_order):
        day.write(*(day.event(location=name, itemInSession=number) for number in range(place + 1)), folder=name)
    yield
    assert [name for _, name in day.rows(EVENTS, "item_in_session", "location")] == in_order


def test_when_the_kept_copy_goes_the_next_one_takes_its_place(world: World) -> None:
    world.write_log(DAY, event(location="a"), key="a/2018-11-01-events.json")
    world.write_log(DAY, event(location="b"), key="b/2018-11-01-events.json")
    world.load(DAY)
    world.delete("log_data/a/2018-11-01-events.json")
    world.load(DAY)
    assert world.column("songplays", "location") == ["b"]


@case
def test_null_is_equal_to_null(day: Day) -> Iterator[None]:
    """In each part of the identity, in a file of its own."""
    keys = ("userId", "sessionId", "itemInSession")
    for number, key in enumerate(keys):
        known = day.event(page="Home", itemInSession=number)
        without = {name: value for name, value in known.items() if name != key}
        day.write(known | {key: None}, without, known | {key: ""}, known, folder=key)
    yield
    assert day.counts() == {day.key(key): (4, 2, 2, 0) for key in keys}


@case
def test_values_are_compared_and_not_how_they_are_written(day: Day) -> Iterator[None]:
    day.write(
        day.event(),
        day.event(userId=8),
        day.event(userId="008"),
        day.event(userId="8.0", sessionId="139", itemInSession=1.0),
        day.event(ts=str(day.event()["ts"])),
    )
    yield
    assert day.counts() == {day.key(): (5, 1, 4, 0)}


@case
def test_each_part_of_the_identity_makes_another_event(day: Day) -> Iterator[None]:
    changes: list[dict[str, Any]] = [
        {"userId": "9"},
        {"userId": ""},
        {"sessionId": 140},
        {"itemInSession": 2},
        {"ts": day.event()["ts"] + 1},
    ]
    day.write(day.event(location="0"), *(day.event(location=str(n)) | each for n, each in enumerate(changes, 1)))
    yield
    assert day.column(EVENTS, "location") == ["0", "1", "2", "3", "4", "5"]


@case
def test_a_difference_outside_the_identity_makes_no_other_event(day: Day) -> Iterator[None]:
    day.write(day.event(), day.event(page="Home", song=None, level="paid", auth="Logged Out", status=404))
    yield
    assert day.column(EVENTS, "page") == ["NextSong"]


@case
def test_an_error_is_not_the_first_copy(day: Day) -> Iterator[None]:
    day.write(day.event(location="first", status="OK"), day.event(location="second"))
    yield
    assert day.column(EVENTS, "location") == ["second"]
    assert day.counts() == {day.key(): (2, 1, 0, 1)}


@pytest.mark.slow
def test_a_whole_file_delivered_twice_under_another_name_adds_nothing(world: World) -> None:
    events = [event(itemInSession=number) for number in range(50)]
    world.write_log(DAY, *events)
    world.load(DAY)
    before = world.star()
    world.write_log(DAY, *events, key="copy/2018-11-01-events.json.gz")
    assert world.load(DAY).ok
    assert world.star() == before
    assert len(world.rows("songplays")) == 50
