"""Simulated log files: encoding of the lines, identities, sessions and behaviour of users."""

import datetime
import json
import re
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest

from sparkify_dagster_tests.support.simulated_files import START, Written, write

KEYS = [
    "artist",
    "auth",
    "firstName",
    "gender",
    "itemInSession",
    "lastName",
    "length",
    "level",
    "location",
    "method",
    "page",
    "registration",
    "sessionId",
    "song",
    "status",
    "ts",
    "userAgent",
    "userId",
]
ABOUT_USER = ("firstName", "gender", "lastName", "location", "registration", "userAgent")
ABOUT_SONG = ("artist", "length", "song")
RESPONSES = {
    "About": ("GET", 200),
    "Add Friend": ("PUT", 307),
    "Add to Playlist": ("PUT", 200),
    "Cancel": ("PUT", 307),
    "Cancellation Confirmation": ("GET", 200),
    "Downgrade": ("GET", 200),
    "Error": ("GET", 404),
    "Help": ("GET", 200),
    "Home": ("GET", 200),
    "Login": ("PUT", 307),
    "Logout": ("PUT", 307),
    "NextSong": ("PUT", 200),
    "Register": ("GET", 200),
    "Roll Advert": ("GET", 200),
    "Save Settings": ("PUT", 307),
    "Settings": ("GET", 200),
    "Submit Downgrade": ("PUT", 307),
    "Submit Registration": ("PUT", 307),
    "Submit Upgrade": ("PUT", 307),
    "Thumbs Down": ("PUT", 307),
    "Thumbs Up": ("PUT", 307),
    "Upgrade": ("GET", 200),
}


def _date(event: dict[str, Any]) -> datetime.date:
    return datetime.datetime.fromtimestamp(event["ts"] / 1000, datetime.UTC).date()


def _sessions(written: Written) -> dict[int, list[dict[str, Any]]]:
    sessions = defaultdict(list)
    for event in written.events():
        sessions[event["sessionId"]].append(event)
    return sessions


def test_lines_are_encoded_like_the_real_ones(month: Written) -> None:
    for line in month.lines():
        event = json.loads(line)
        assert list(event) == KEYS
        assert json.dumps(event, separators=(",", ":")).replace("/", "\\/").encode("ascii") == line


def test_values_have_the_types_of_the_real_ones(month: Written) -> None:
    for event in month.events():
        assert all(type(event[key]) is int for key in ("itemInSession", "sessionId", "status", "ts"))
        assert all(type(event[key]) is str for key in ("auth", "level", "method", "page", "userId"))
        assert all(type(event[key]) is str or event[key] is None for key in ("artist", "song", "firstName", "location"))
        assert type(event["length"]) is float or event["length"] is None
        assert type(event["registration"]) is float or event["registration"] is None
        if event["length"] is not None:
            assert re.fullmatch(r"\d+\.\d{1,5}", json.dumps(event["length"]))
        if event["registration"] is not None:
            assert event["registration"].is_integer()
            assert event["registration"] < event["ts"]


def test_files_contain_their_utc_day_in_order_without_a_trailing_newline(month: Written) -> None:
    logs = month.logs()

    assert len(logs) == month.counts.log_files
    assert sum(map(len, logs.values())) == month.counts.log_bytes
    for key, content in logs.items():
        events = [json.loads(line) for line in content.split(b"\n")]
        day = _date(events[0])
        assert key == f"log_data/{day:%Y/%m}/{day}-events.json"
        assert START <= day < START + datetime.timedelta(days=30)
        assert {_date(event) for event in events} == {day}
        assert all(before["ts"] <= after["ts"] for before, after in pairwise(events))


def test_a_day_without_events_has_no_file() -> None:
    written = write(users=1, days=20, seed=3)

    assert 0 < written.counts.log_files < 20
    assert all(written.logs().values())


def test_items_of_a_session_are_numbered_and_of_one_user(month: Written) -> None:
    sessions = _sessions(month)

    for events in sessions.values():
        assert [event["itemInSession"] for event in events] == list(range(len(events)))
        assert len({event["userId"] for event in events} - {""}) <= 1
    assert any(len({_date(event) for event in events}) == 2 for events in sessions.values())
    identities = {(e["userId"], e["sessionId"], e["itemInSession"], e["ts"]) for e in month.events()}
    assert len(identities) == month.counts.events


def test_songs_play_to_their_end_and_redirects_take_a_second(month: Written) -> None:
    for events in _sessions(month).values():
        for event, following in pairwise(events):
            seconds = (following["ts"] - event["ts"]) / 1000
            if event["page"] == following["page"] == "NextSong":
                assert seconds == int(event["length"])
            if following["status"] == 307:
                assert seconds == 1


@pytest.mark.parametrize(
    ("auth", "pages", "levels"),
    [
        ("Logged Out", {"About", "Error", "Help", "Home", "Login"}, {"free", "paid"}),
        ("Guest", {"About", "Error", "Help", "Home", "Register", "Submit Registration"}, {"free"}),
    ],
)
def test_lines_of_logged_out_users_and_guests_have_no_user(
    auth: str, pages: set[str], levels: set[str], month: Written
) -> None:
    anonymous = [event for event in month.events() if event["auth"] == auth]

    assert anonymous
    for event in anonymous:
        assert event["userId"] == ""
        assert {event[key] for key in ABOUT_USER} == {None}
        assert event["level"] in levels
    assert {event["page"] for event in anonymous} <= pages


def test_a_users_attributes_are_constant(month: Written) -> None:
    attributes = defaultdict(set)
    for event in month.events():
        if event["auth"] in ("Logged In", "Cancelled"):
            assert None not in {event[key] for key in ABOUT_USER}
            attributes[int(event["userId"])].add(tuple(event[key] for key in ABOUT_USER))

    assert min(attributes) == 2
    assert max(user for user in attributes if user < 1_000_000) <= 101
    assert {len(values) for values in attributes.values()} == {1}


def test_some_user_agents_keep_their_quotes(month: Written) -> None:
    agents = {event["userAgent"] for event in month.events()} - {None}

    assert {agent.startswith('"') and agent.endswith('"') for agent in agents} == {True, False}


def test_pages_have_their_method_status_and_song(month: Written) -> None:
    for event in month.events():
        assert (event["method"], event["status"]) == RESPONSES[event["page"]]
        plays = event["page"] == "NextSong"
        assert [event[key] is None for key in ABOUT_SONG] == [not plays] * 3
        if plays:
            assert event["auth"] == "Logged In"
        assert (event["auth"] == "Cancelled") == (event["page"] == "Cancellation Confirmation")
    assert {event["page"] for event in month.events()} == set(RESPONSES)


def test_volume_is_similar_to_the_real_month(month: Written) -> None:
    events = month.events()
    plays = [event for event in events if event["page"] == "NextSong"]
    last_level = {event["userId"]: event["level"] for event in events if event["userId"]}

    assert month.counts.events == len(events)
    assert month.counts.plays == len(plays)
    assert 6_000 < len(events) < 10_000
    # In the real month 0.85 of the events are plays; for 100 plays, the pages that it lacks add 16 events.
    assert 0.7 < len(plays) / len(events) < 0.8
    assert 0.6 < list(last_level.values()).count("free") / len(last_level) < 0.9
    assert len(_sessions(month)) > 600


def test_afternoons_are_busier_and_weekends_quieter(month: Written) -> None:
    hours, weekdays = [0] * 24, [0] * 7
    for event in month.events():
        moment = datetime.datetime.fromtimestamp(event["ts"] / 1000, datetime.UTC)
        hours[moment.hour] += 1
        weekdays[moment.weekday()] += 1

    assert sum(hours[13:19]) > 1.5 * sum(hours[1:7])
    assert sum(weekdays[5:]) / 2 < 0.8 * sum(weekdays[:5]) / 5
