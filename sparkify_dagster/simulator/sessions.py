"""Sessions of listeners, simulated like eventsim's and stored in compact columns per day.

All times are whole epoch seconds, UTC; a day is a UTC day.
"""

from __future__ import annotations

import math
import random
from array import array
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from sparkify_dagster.simulator.behaviour import FIRST, FOLLOWING, STATES
from sparkify_dagster.simulator.draws import exponential
from sparkify_dagster.simulator.listeners import Listener
from sparkify_dagster.simulator.page_rates import CANCELLED, NEXT_SONG, SUBMIT_REGISTRATION

DAY_SECONDS: Final = 86_400
NO_SONG: Final = -1

_SESSION_GAP_SECONDS: Final = 1_800
# The largest shift of the time of day towards the afternoon, as a share of a day.
_DAMPING: Final = 0.09375
_WEEKEND_DAMPING: Final = 0.5
# The weekday of 1 January 1970, a Thursday, counted from Sunday.
_EPOCH_WEEKDAY: Final = 4
_SATURDAY: Final = 6
_SUNDAY: Final = 0

_PLAYING: Final = tuple(state.page == NEXT_SONG for state in STATES)
_REDIRECTING: Final = tuple(state.redirecting for state in STATES)
_REGISTERING: Final = tuple(state.page == SUBMIT_REGISTRATION for state in STATES)


class Songbook:
    """The songs that listeners choose from, with a heavy-tailed distribution, most popular first."""

    def __init__(self, durations: Sequence[float]) -> None:
        self.whole_seconds: Final = [int(duration) for duration in durations]
        self._cumulative: Final = list(accumulate((rank + 20) ** -0.8 for rank in range(len(durations))))

    def choose(self, rng: random.Random) -> int:
        """Returns the position of the song to play next."""
        return bisect(self._cumulative, rng.random() * self._cumulative[-1], hi=len(self._cumulative) - 1)


@dataclass(slots=True)
class Day:
    """The events of a day, in columns: Python objects would take twenty times the memory."""

    second: array[int] = field(default_factory=lambda: array("i"))
    listener: array[int] = field(default_factory=lambda: array("i"))
    session: array[int] = field(default_factory=lambda: array("i"))
    item: array[int] = field(default_factory=lambda: array("i"))
    state: array[int] = field(default_factory=lambda: array("b"))
    song: array[int] = field(default_factory=lambda: array("i"))


class Window:
    """The simulated days and their events."""

    def __init__(self, start: int, days: int) -> None:
        self.start: Final = start
        self.end: Final = start + days * DAY_SECONDS
        self.days: Final = [Day() for _ in range(days)]
        self._session_starts: Final = array("q")

    def open_session(self, start: int) -> int:
        """Opens a session that starts at the given time. Returns its number, counted in the order of opening."""
        self._session_starts.append(start)
        return len(self._session_starts) - 1

    @property
    def sessions(self) -> int:
        """The number of sessions opened."""
        return len(self._session_starts)

    def session_ids(self) -> array[int]:
        """Returns the id per session number: ids count all users' sessions by start time, from 1."""
        starts = self._session_starts
        ids = array("i", [0]) * len(starts)
        for session_id, number in enumerate(sorted(range(len(starts)), key=starts.__getitem__), start=1):
            ids[number] = session_id
        return ids

    def record(self, time: int, listener: int, session: int, item: int, state: int, song: int) -> None:
        """Adds an event to its day."""
        index, second = divmod(time - self.start, DAY_SECONDS)
        day = self.days[index]
        day.second.append(second)
        day.listener.append(listener)
        day.session.append(session)
        day.item.append(item)
        day.state.append(state)
        day.song.append(song)


def listen(rng: random.Random, number: int, listener: Listener, window: Window, songbook: Songbook) -> int | None:
    """Simulates a listener up to the end of the window, or up to the cancellation of the subscription.

    Events before a time do not depend on the end of the window. Returns when the listener registered, if in the window.
    """
    last = listener.arrived
    registered = None
    auth, level = listener.auth, listener.level
    while auth != CANCELLED:
        time = _next_session(rng, last, listener.pause_seconds)
        if time >= window.end:
            break
        session = window.open_session(time)
        state = FIRST[auth, level].at(rng.random())
        item = 0
        song_end = time
        while state is not None and time < window.end:
            song = NO_SONG
            if _PLAYING[state]:
                song = songbook.choose(rng)
                song_end = time + songbook.whole_seconds[song]
            elif _REGISTERING[state]:
                registered = time
            window.record(time, number, session, item, state, song)
            item += 1
            last = time
            auth, level = STATES[state].auth, STATES[state].level
            state = FOLLOWING[state].at(rng.random())
            if state is None:
                break
            if _REDIRECTING[state]:
                time += 1
            elif _PLAYING[state] and time < song_end:
                time = song_end
            else:
                time += int(exponential(rng, listener.page_seconds))
        if time >= window.end:
            break
    return registered


def _next_session(rng: random.Random, last: int, pause_seconds: float) -> int:
    """Returns the start of the session after the last event, more often in the afternoon, less often at weekends."""
    origin = last
    while True:
        time = _shift_to_afternoon(origin + _SESSION_GAP_SECONDS + int(exponential(rng, pause_seconds)))
        if time <= last:
            continue
        if rng.random() >= _damping(time):
            return time
        origin = time


def _shift_to_afternoon(time: int) -> int:
    second = time % DAY_SECONDS
    angle = 2 * math.pi * (second - 3 * 3_600) / DAY_SECONDS
    return time + int(_DAMPING * DAY_SECONDS * math.sin(angle))


def _damping(time: int) -> float:
    weekday = (time // DAY_SECONDS + _EPOCH_WEEKDAY) % 7
    return _WEEKEND_DAMPING if weekday in (_SATURDAY, _SUNDAY) else 0.0
