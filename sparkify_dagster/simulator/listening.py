"""What was listened to: the simulated plays in columns, a day at a time, as queries about them need it."""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress, groupby
from typing import Final

from sparkify_dagster.simulator.behaviour import LOGGED_IN, NEXT_SONG, STATES, State
from sparkify_dagster.simulator.catalogue import Song
from sparkify_dagster.simulator.listeners import Listener
from sparkify_dagster.simulator.sessions import DAY_SECONDS, Day, Window

_EPOCH: Final = datetime.datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class EventsOfDay:
    """Some events of a UTC day, in columns that go together; those of one listener are in the order of time.

    Listeners, sessions and songs are numbers: positions in what was simulated, not the ids that the files hold.
    """

    start: datetime.datetime
    """The day's first moment, UTC."""
    everything: Day
    chosen: bytes
    """1 for each event that counts, 0 for the others."""

    @property
    def date(self) -> datetime.date:
        """The day."""
        return self.start.date()

    def __len__(self) -> int:
        return self.chosen.count(1)

    @property
    def listeners(self) -> Iterable[int]:
        """Who did it."""
        return compress(self.everything.listener, self.chosen)

    @property
    def sessions(self) -> Iterable[int]:
        """In which session; none is of two listeners, and a listener's do not overlap."""
        return compress(self.everything.session, self.chosen)

    @property
    def songs(self) -> Iterable[int]:
        """What was played."""
        return compress(self.everything.song, self.chosen)

    @property
    def levels(self) -> Iterable[str]:
        """What the listener paid."""
        return map(_LEVELS.__getitem__, compress(self.everything.state, self.chosen))

    @property
    def seconds(self) -> Iterable[int]:
        """When, in whole seconds since the day's start."""
        return compress(self.everything.second, self.chosen)


class Listening:
    """All plays of a simulated window, with those who listened and the songs that there are."""

    def __init__(self, window: Window, listeners: Sequence[Listener], songs: Sequence[Song], ms: int) -> None:
        self.listeners: Final = listeners
        self.songs: Final = songs
        self.sessions: Final = window.sessions
        """How many sessions there are, those without a play included."""
        self.ms: Final = ms
        """Milliseconds by which every event is later than its whole second."""
        self._window: Final = window

    @cached_property
    def days(self) -> list[EventsOfDay]:
        """The plays of each day that has any, in the order of time."""
        return [plays for plays in self._events(_PLAYING) if len(plays)]

    @property
    def weeks(self) -> Iterator[tuple[datetime.date, Iterator[EventsOfDay]]]:
        """The same by ISO week: its Monday, and its days."""
        return groupby(self.days, lambda day: day.date - datetime.timedelta(days=day.date.weekday()))

    @cached_property
    def plays_by_song(self) -> Counter[int]:
        """How often each song was played; those that were not are missing."""
        return Counter(chain.from_iterable(day.songs for day in self.days))

    @cached_property
    def plays_by_listener(self) -> Counter[int]:
        """How often each listener played something; those who did not are missing."""
        return Counter(chain.from_iterable(day.listeners for day in self.days))

    def latest_levels(self) -> dict[int, str]:
        """Each listener's level as of the latest event that tells who it was: one while logged in, on any page."""
        levels: dict[int, str] = {}
        for events in self._events(_LOGGED_IN):
            levels.update(zip(events.listeners, events.levels, strict=True))
        return levels

    def _events(self, of_interest: bytes) -> Iterator[EventsOfDay]:
        start = _EPOCH + datetime.timedelta(seconds=self._window.start)
        for offset, day in enumerate(self._window.days):
            chosen = day.state.tobytes().translate(of_interest)
            yield EventsOfDay(start + datetime.timedelta(seconds=offset * DAY_SECONDS), day, chosen)


def _table(states: Iterable[State]) -> bytes:
    """Maps the number of each of the states to 1, every other byte to 0."""
    chosen = frozenset(states)
    return bytes(state in chosen for state in STATES).ljust(256, b"\0")


_LEVELS: Final = tuple(state.level for state in STATES)
_PLAYING: Final = _table(state for state in STATES if state.page == NEXT_SONG)
_LOGGED_IN: Final = _table(state for state in STATES if state.auth == LOGGED_IN)
