"""The simulated events in columns, per day, for computing the expected query results."""

import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress, groupby
from typing import Final

from sparkify_dagster.simulator.behaviour import STATES, State
from sparkify_dagster.simulator.catalogue import Song
from sparkify_dagster.simulator.listeners import Listener
from sparkify_dagster.simulator.page_rates import NEXT_SONG
from sparkify_dagster.simulator.sessions import DAY_SECONDS, Day, Window

_EPOCH: Final = datetime.datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class EventsOfDay:
    """Selected events of a UTC day, in parallel columns: `zip` two or more of them to read event by event.

    The events of each listener are in the order of (ts, session_id, item_in_session), which is the contract's; those of
    different listeners are not ordered. Listeners, sessions and songs are numbers: positions in the simulated lists,
    not the ids in the files. The numbers of listeners have the order of their ids.
    """

    start: datetime.datetime
    """The day's first moment, UTC."""
    all_events: Day
    selection: bytes
    """1 for each selected event, 0 for the others."""

    @property
    def date(self) -> datetime.date:
        """The UTC date."""
        return self.start.date()

    def __len__(self) -> int:
        return self.selection.count(1)

    @property
    def listeners(self) -> Iterable[int]:
        """The listener of each event."""
        return compress(self.all_events.listener, self.selection)

    @property
    def sessions(self) -> Iterable[int]:
        """The session of each event. A session has one listener, and a listener's sessions do not overlap."""
        return compress(self.all_events.session, self.selection)

    @property
    def songs(self) -> Iterable[int]:
        """The song of each event; NO_SONG if it is no play."""
        return compress(self.all_events.song, self.selection)

    @property
    def pages(self) -> Iterable[str]:
        """The page of each event."""
        return map(_PAGES.__getitem__, compress(self.all_events.state, self.selection))

    @property
    def statuses(self) -> Iterable[int]:
        """The HTTP status of each event."""
        return map(_STATUSES.__getitem__, compress(self.all_events.state, self.selection))

    @property
    def levels(self) -> Iterable[str]:
        """The listener's level at each event."""
        return map(_LEVELS.__getitem__, compress(self.all_events.state, self.selection))

    @property
    def seconds(self) -> Iterable[int]:
        """The time of each event, in whole seconds since the start of the day."""
        return compress(self.all_events.second, self.selection)


class Listening:
    """All events of a simulated window, with the listeners and the songs.

    `days` has the plays, `days_of_users` the events of all pages by a known user, `days_on` those of some pages. None
    of them has a day without an event of its kind.
    """

    def __init__(self, window: Window, listeners: Sequence[Listener], songs: Sequence[Song], ms: int) -> None:
        self.listeners: Final = listeners
        self.songs: Final = songs
        self.sessions: Final = window.sessions
        """The number of sessions, including those without a play."""
        self.ms: Final = ms
        """The milliseconds of every event's time."""
        self.window: Final = window
        """The events as recorded, of all pages and of guests and signed-out listeners too."""

    @cached_property
    def days(self) -> list[EventsOfDay]:
        """The plays per day, ordered by time, without days that have none."""
        return list(self._events(_PLAYING))

    @cached_property
    def days_of_users(self) -> list[EventsOfDay]:
        """The events with a user per day, ordered by time: those of guests and of signed-out listeners have none."""
        return list(self._events(_SIGNED_IN))

    @property
    def days_of_everybody(self) -> list[EventsOfDay]:
        """The events of all pages per day, those of guests and signed-out listeners included."""
        return list(self._events(_translation_table(lambda state: True)))

    def days_on(self, *pages: str) -> list[EventsOfDay]:
        """Returns the events of the given pages with a user per day, ordered by time."""
        return list(self._events(_translation_table(lambda state: state.signed_in and state.page in pages)))

    @property
    def weeks(self) -> Iterator[tuple[datetime.date, Iterator[EventsOfDay]]]:
        """The plays per ISO week: its Monday, and its days."""
        return groupby(self.days, lambda day: day.date - datetime.timedelta(days=day.date.weekday()))

    @cached_property
    def plays_by_song(self) -> Counter[int]:
        """Plays per song, without songs that were not played."""
        return Counter(chain.from_iterable(day.songs for day in self.days))

    @cached_property
    def plays_by_listener(self) -> Counter[int]:
        """Plays per listener, without listeners who played nothing."""
        return Counter(chain.from_iterable(day.listeners for day in self.days))

    def latest_levels(self) -> dict[int, str]:
        """Returns each listener's level at the latest event with a user, of any page."""
        levels: dict[int, str] = {}
        for events in self.days_of_users:
            levels.update(zip(events.listeners, events.levels, strict=True))
        return levels

    def _events(self, states: bytes) -> Iterator[EventsOfDay]:
        start = _EPOCH + datetime.timedelta(seconds=self.window.start)
        for offset, day in enumerate(self.window.days):
            selection = day.state.tobytes().translate(states)
            if 1 in selection:
                yield EventsOfDay(start + datetime.timedelta(seconds=offset * DAY_SECONDS), day, selection)


def _translation_table(is_selected: Callable[[State], bool]) -> bytes:
    """Returns a table for bytes.translate that maps the numbers of the selected states to 1, all other bytes to 0."""
    return bytes(map(is_selected, STATES)).ljust(256, b"\0")


_LEVELS: Final = tuple(state.level for state in STATES)
_PAGES: Final = tuple(state.page for state in STATES)
_STATUSES: Final = tuple(state.status for state in STATES)
_PLAYING: Final = _translation_table(lambda state: state.page == NEXT_SONG)
_SIGNED_IN: Final = _translation_table(lambda state: state.signed_in)
