"""Encoder of log lines, which joins fragments that are encoded once."""

from collections.abc import Sequence
from typing import Final

from sparkify_dagster.simulator.behaviour import STATES
from sparkify_dagster.simulator.catalogue import Song
from sparkify_dagster.simulator.layout import log_json, log_text
from sparkify_dagster.simulator.listeners import Listener
from sparkify_dagster.simulator.sessions import Day

# A user's attributes, with the JSON between them and the values that change from line to line.
_Attributes = tuple[str, str, str, str, str]


class LogEncoder:
    """Encodes the events of a day. The milliseconds of all times are one constant, as in eventsim's output."""

    def __init__(
        self, songs: Sequence[Song], listeners: Sequence[Listener], session_ids: Sequence[int], ms: int
    ) -> None:
        self._songs: Final = [
            (log_json(log_text(song.artist_name)), log_json(song.duration), log_json(log_text(song.title)))
            for song in songs
        ]
        # NO_SONG is -1, the position of this last item.
        self._songs.append(("null", "null", "null"))
        self._listeners: Final = [_listener_attributes(listener, ms) for listener in listeners]
        self._session_ids: Final = session_ids
        self._ms: Final = ms

    def encode(self, day: Day, start: int) -> bytes:
        """Returns the day's lines, ordered by time; `start` is the start of the day (epoch seconds, UTC)."""
        songs, listeners, session_ids = self._songs, self._listeners, self._session_ids
        seconds, numbers, sessions, items = day.second, day.listener, day.session, day.item
        states, played = day.state, day.song
        start_ms = start * 1_000 + self._ms
        lines = []
        # Sorting is stable, and events are recorded per user in the order of time: ties keep that order.
        for event in sorted(range(len(seconds)), key=seconds.__getitem__):
            artist, length, title = songs[played[event]]
            auth, level, page, status, anonymous = _STATES[states[event]]
            first, last, place, registered, agent = _ANONYMOUS if anonymous else listeners[numbers[event]]
            lines.append(
                f'{{"artist":{artist}{auth}{first}{items[event]}{last}{length}{level}{place}{page}{registered}'
                f'{session_ids[sessions[event]]},"song":{title}{status}{start_ms + seconds[event] * 1_000}{agent}'
            )
        return "\n".join(lines).encode("ascii")


def _state_pieces() -> list[tuple[str, str, str, str, bool]]:
    return [
        (
            f',"auth":{log_json(state.auth)},"firstName":',
            f',"level":{log_json(state.level)},"location":',
            f',"method":{log_json(state.method)},"page":{log_json(state.page)},"registration":',
            f',"status":{state.status},"ts":',
            not state.signed_in,
        )
        for state in STATES
    ]


def _attributes(
    first_name: str | None,
    gender: str | None,
    last_name: str | None,
    location: str | None,
    registration: float | None,
    user_agent: str | None,
    user_id: str,
) -> _Attributes:
    return (
        f'{log_json(first_name)},"gender":{log_json(gender)},"itemInSession":',
        f',"lastName":{log_json(last_name)},"length":',
        log_json(location),
        f'{log_json(registration)},"sessionId":',
        f',"userAgent":{log_json(user_agent)},"userId":{log_json(user_id)}}}',
    )


def _listener_attributes(listener: Listener, ms: int) -> _Attributes:
    return _attributes(
        listener.first_name,
        listener.gender,
        listener.last_name,
        listener.location,
        None if listener.registered is None else float(listener.registered * 1_000 + ms),
        listener.user_agent,
        str(listener.user_id),
    )


_STATES: Final = _state_pieces()
_ANONYMOUS: Final = _attributes(None, None, None, None, None, None, "")
