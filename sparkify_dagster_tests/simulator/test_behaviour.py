"""Behaviour of simulated users: levels, guests who register, listeners who leave, and rates of pages."""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest

from sparkify_dagster_tests.support.simulated_files import Written, write

# Events of page per 10,000 plays in the churn data set of 286,500 events.
PAGES_PER_10_000_PLAYS = {
    "Thumbs Up": 550,
    "Add to Playlist": 286,
    "Add Friend": 187,
    "Roll Advert": 172,
    "Logout": 141,
    "Thumbs Down": 112,
    "Downgrade": 90,
    "Settings": 66,
    "Help": 64,
    "Upgrade": 22,
    "Save Settings": 14,
    "Error": 11,
    "Submit Upgrade": 7,
    "Submit Downgrade": 2.8,
    "Cancellation Confirmation": 2.3,
}
# Those who register in the simulated time have higher ids.
FIRST_NEW_ID = 1_000_000

Event = dict[str, Any]


@pytest.fixture(scope="module")
def crowd() -> list[Event]:
    """The events of many users in a month."""
    return write(users=600, songs=20).events()


@pytest.fixture(scope="module")
def users(crowd: list[Event]) -> dict[int, list[Event]]:
    """The events of each user."""
    events_by_user = defaultdict(list)
    for event in crowd:
        if event["userId"]:
            events_by_user[int(event["userId"])].append(event)
    return events_by_user


@pytest.mark.parametrize(
    ("before", "page", "after"), [("free", "Submit Upgrade", "paid"), ("paid", "Submit Downgrade", "free")]
)
def test_levels_change_only_by_submitting_a_change(
    before: str, page: str, after: str, users: dict[int, list[Event]]
) -> None:
    changes = 0
    for events in users.values():
        for event, following in pairwise(events):
            if event["page"] == page:
                assert event["level"] == before
                assert (following["page"], following["level"]) == ("Home", after)
                changes += 1
            elif event["level"] == before:
                assert following["level"] == before
    assert changes


def test_guests_become_users_by_registering(crowd: list[Event], users: dict[int, list[Event]]) -> None:
    sessions = defaultdict(list)
    for event in crowd:
        sessions[event["sessionId"]].append(event)
    registrations = [
        (event, following)
        for events in sessions.values()
        for event, following in pairwise(events)
        if event["page"] == "Submit Registration"
    ]

    assert registrations
    for event, following in registrations:
        assert (event["auth"], event["userId"]) == ("Guest", "")
        assert (following["page"], following["auth"], following["level"]) == ("Home", "Logged In", "free")
        assert following["registration"] == event["ts"]
        assert users[int(following["userId"])][0] == following
    new_ids = [int(following["userId"]) for _, following in registrations]
    assert sorted(new_ids) == sorted(user for user in users if user > FIRST_NEW_ID)


def test_listeners_who_cancel_leave_for_good(crowd: list[Event], users: dict[int, list[Event]]) -> None:
    left = [events for events in users.values() if events[-1]["page"] == "Cancellation Confirmation"]

    assert len(left) == sum(event["page"] == "Cancellation Confirmation" for event in crowd)
    assert left
    for events in left:
        assert [(event["page"], event["auth"]) for event in events[-2:]] == [
            ("Cancel", "Logged In"),
            ("Cancellation Confirmation", "Cancelled"),
        ]


def test_pages_are_about_as_frequent_as_in_the_churn_data_set(crowd: list[Event]) -> None:
    pages = Counter(event["page"] for event in crowd)

    for page, expected in PAGES_PER_10_000_PLAYS.items():
        assert expected / 2.5 < pages[page] / pages["NextSong"] * 10_000 < expected * 2.5, page


def test_adverts_are_nearly_only_for_free_users(crowd: list[Event]) -> None:
    adverts = Counter(event["level"] for event in crowd if event["page"] == "Roll Advert")

    assert adverts["free"] > 10 * adverts["paid"] > 0


def test_the_newcomers_month_has_a_bit_of_everything(month: Written) -> None:
    pages = Counter(event["page"] for event in month.events())

    for page in ("Submit Upgrade", "Submit Downgrade", "Cancellation Confirmation", "Submit Registration"):
        assert pages[page] >= 2, page
    assert pages["Roll Advert"] > 50


def test_about_as_many_come_as_leave(crowd: list[Event]) -> None:
    """Otherwise a long simulation would die out, or grow."""
    pages = Counter(event["page"] for event in crowd)

    assert 0.5 < pages["Submit Registration"] / pages["Cancellation Confirmation"] < 2
