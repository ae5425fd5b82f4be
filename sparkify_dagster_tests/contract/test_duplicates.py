"""Duplicates: an event that is delivered twice is staged once."""

from typing import Any

import pytest

from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.world import EVENTS, World

DAY = "2018-11-01"


def home(**changes: Any) -> dict[str, Any]:
    return event(page="Home", **changes)


@pytest.mark.slow
@pytest.mark.parametrize("odd", [False, True], ids=["plain", "odd"])
def test_twice_in_a_file_the_first_line_is_kept(world: World, odd: bool) -> None:
    first, second = event(location="first"), event(location="second")
    world.write_log(DAY, first | {"status": "200"} if odd else first, second)
    assert world.load(DAY).ok
    assert world.column(EVENTS, "location") == ["first"]
    assert world.column("songplays", "location") == ["first"]
    assert world.counts() == {"2018/11/2018-11-01-events.json": (2, 1, 1, 0)}


@pytest.mark.slow
def test_in_two_files_the_key_that_sorts_first_is_kept(world: World) -> None:
    world.write_log(DAY, event(location="a"), key="a/2018-11-01-events.json")
    world.write_log(DAY, event(location="B"), event(itemInSession=2), key="B/2018-11-01-events.json.gz")
    assert world.load(DAY).ok
    assert world.rows(EVENTS, "item_in_session", "location")[0] == (1, "B")
    assert world.counts() == {"B/2018-11-01-events.json.gz": (2, 2, 0, 0), "a/2018-11-01-events.json": (1, 0, 1, 0)}


@pytest.mark.slow
def test_keys_sort_by_their_utf8_bytes(world: World) -> None:
    """In UTF-16, as some systems sort, the emoji would come before the other."""
    names = ["\uff5e", "😀", "Z", "a", "é", "z", "a-", "a.", "a/b"]
    in_order = sorted(names, key=lambda name: f"{name}/".encode())
    # Event n is in all files but the first n, so that each file is the first one of an event.
    for place, name in enumerate(in_order):
        copies = (event(location=name, itemInSession=number) for number in range(place + 1))
        world.write_log(DAY, *copies, key=f"{name}/2018-11-01-events.json")
    world.load(DAY)
    assert [name for _, name in world.rows(EVENTS, "item_in_session", "location")] == in_order


def test_when_the_kept_copy_goes_the_next_one_takes_its_place(world: World) -> None:
    world.write_log(DAY, event(location="a"), key="a/2018-11-01-events.json")
    world.write_log(DAY, event(location="b"), key="b/2018-11-01-events.json")
    world.load(DAY)
    world.delete("log_data/a/2018-11-01-events.json")
    world.load(DAY)
    assert world.column("songplays", "location") == ["b"]


def test_null_is_equal_to_null(world: World) -> None:
    """In each part of the identity, in the file of a day of its own."""
    days = {"userId": DAY, "sessionId": "2018-11-02", "itemInSession": "2018-11-03"}
    for key, day in days.items():
        known = home(time=f"{day}T10:00:00")
        without = {name: value for name, value in known.items() if name != key}
        world.write_log(day, known | {key: None}, without, known | {key: ""}, known)
    world.load(DAY, "2018-11-03")
    assert world.counts() == {f"2018/11/{day}-events.json": (4, 2, 2, 0) for day in days.values()}


def test_values_are_compared_and_not_how_they_are_written(world: World) -> None:
    world.write_log(
        DAY,
        event(),
        event(userId=8),
        event(userId="008"),
        event(userId="8.0", sessionId="139", itemInSession=1.0),
        event(ts=str(event()["ts"])),
    )
    world.load(DAY)
    assert world.counts() == {"2018/11/2018-11-01-events.json": (5, 1, 4, 0)}


def test_each_part_of_the_identity_makes_another_event(world: World) -> None:
    changes: list[dict[str, Any]] = [
        {"userId": "9"},
        {"userId": ""},
        {"sessionId": 140},
        {"itemInSession": 2},
        {"ts": event()["ts"] + 1},
    ]
    world.write_log(DAY, event(location="0"), *(event(location=str(n)) | each for n, each in enumerate(changes, 1)))
    world.load(DAY)
    assert world.column(EVENTS, "location") == ["0", "1", "2", "3", "4", "5"]


def test_a_difference_outside_the_identity_makes_no_other_event(world: World) -> None:
    world.write_log(DAY, event(), event(page="Home", song=None, level="paid", auth="Logged Out", status=404))
    world.load(DAY)
    assert world.column(EVENTS, "page") == ["NextSong"]


def test_an_error_is_not_the_first_copy(world: World) -> None:
    world.write_log(DAY, event(location="first", status="OK"), event(location="second"))
    world.load(DAY)
    assert world.column(EVENTS, "location") == ["second"]
    assert world.counts() == {"2018/11/2018-11-01-events.json": (2, 1, 0, 1)}


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
