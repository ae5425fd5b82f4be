"""The simulation: generates songs and days of listening, and writes the files to an object store."""

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sparkify_dagster.simulator.catalogue import Song, catalogue
from sparkify_dagster.simulator.draws import generator
from sparkify_dagster.simulator.expectations import expected_key, expected_result
from sparkify_dagster.simulator.ground_truth import EXPECTATIONS
from sparkify_dagster.simulator.layout import JSONPATHS_KEY, jsonpaths_file, log_key, song_file, song_key
from sparkify_dagster.simulator.lines import LogEncoder
from sparkify_dagster.simulator.listeners import MAX_LISTENERS, listener, newcomers
from sparkify_dagster.simulator.listening import Listening
from sparkify_dagster.simulator.sessions import DAY_SECONDS, Songbook, Window, listen

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_EPOCH: Final = datetime.date(1970, 1, 1)
_CONNECTIONS: Final = 16


@dataclass(frozen=True, slots=True)
class SimulatedCounts:
    """Counts of what a simulation wrote."""

    log_files: int
    """Log files: days with at least one event."""
    events: int
    plays: int
    """Events that play a song."""
    songs: int
    """Song files."""
    matched_plays: int
    """Plays whose song has a file: title, artist name and duration agree once the log's text is repaired."""
    log_bytes: int


def simulate(
    store: "ObjectStore", *, users: int, days: int, start: datetime.date, songs: int, seed: int
) -> SimulatedCounts:
    """Writes log files, song files, the JSONPaths file and the expected query results under the store's root.

    The same arguments give the same bytes. Each UTC day with events has a log file, and `expected` has one CSV file per
    analytics query, over all days. Existing objects stay, unless they have the same key. More days do not change the
    log files of the first days, nor the songs. More users do not change the events of the others, except for session
    ids, which count all users' sessions. More songs change what is played.
    """
    for name, value in (("users", users), ("days", days), ("songs", songs)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    if users > MAX_LISTENERS:
        raise ValueError(f"users must be at most {MAX_LISTENERS}, not {users}")
    made = catalogue(seed, songs)
    store.put(JSONPATHS_KEY, jsonpaths_file())
    _write_songs(store, (song for song in made if song.catalogued))

    listening = simulate_listening(made, users=users, days=days, start=start, seed=seed)
    window = listening.window
    encoder = LogEncoder(made, listening.listeners, window.session_ids(), listening.ms)
    log_files = log_bytes = 0
    for offset, day in enumerate(window.days):
        if not day.second:
            continue
        content = encoder.encode(day, window.start + offset * DAY_SECONDS)
        store.put(log_key(start + datetime.timedelta(days=offset)), content)
        log_files += 1
        log_bytes += len(content)
    for name, query in EXPECTATIONS.items():
        store.put(expected_key(name), expected_result(query, listening))
    plays = listening.plays_by_song
    return SimulatedCounts(
        log_files=log_files,
        events=sum(len(day.second) for day in window.days),
        plays=plays.total(),
        songs=songs,
        matched_plays=_matched(plays, made),
        log_bytes=log_bytes,
    )


def simulate_listening(made: Sequence[Song], *, users: int, days: int, start: datetime.date, seed: int) -> Listening:
    """Simulates what happens, and writes nothing."""
    first = (start - _EPOCH).days * DAY_SECONDS
    window = Window(first, days)
    songbook = Songbook([song.duration for song in made])
    listeners = [listener(seed, number, first) for number in range(users)]
    listeners += newcomers(seed, users, first, window.end)
    for number, each in enumerate(listeners):
        registered = listen(generator(seed, f"sessions {each.user_id}"), number, each, window, songbook)
        if registered is not None:
            listeners[number] = replace(each, registered=registered)
    ms = int(generator(seed, "clock").random() * 1_000)
    return Listening(window, listeners, made, ms)


def _write_songs(store: "ObjectStore", songs: Iterable[Song]) -> None:
    def write(song: Song) -> None:
        store.put(song_key(song.track_id), song_file(song))

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        # Consuming the results raises the error of a failed write.
        for _ in pool.map(write, songs):
            pass


def _matched(plays: Counter[int], songs: Sequence[Song]) -> int:
    return sum(count for number, count in plays.items() if songs[number].catalogued)
