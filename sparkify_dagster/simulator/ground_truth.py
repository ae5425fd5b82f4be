"""Expected query results, computed from the simulator's ground truth.

The simulator knows which song was played, by whom and when, so nothing here reads a file, matches texts or queries a
warehouse. The queries are those in `sparkify_dagster/sql/analytics`, over all simulated days. Each is implemented a
second time here, in Python and on different data, so that the two implementations verify each other.
"""

import csv
import io
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from heapq import nsmallest
from typing import Final, TypeVar

from sparkify_dagster.simulator.catalogue import Song
from sparkify_dagster.simulator.listening import Listening
from sparkify_dagster.simulator.page_rates import FREE, PAID

Value = str | int | Decimal | date | datetime
Row = tuple[Value, ...]
Compute = Callable[[Listening], Iterable[Row]]
Key = TypeVar("Key")

_MAX_ROWS: Final = 20
_WEEKDAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


@dataclass(frozen=True, slots=True)
class Expectation:
    """A query's columns, and the function that computes its rows, in order, from the simulated plays."""

    columns: tuple[str, ...]
    compute: Compute


EXPECTATIONS: Final[dict[str, Expectation]] = {}


def expected_key(name: str) -> str:
    """Returns the key of a query's expected result."""
    return f"expected/{name}.csv"


def expected_result(query: Expectation, listening: Listening) -> bytes:
    """Returns the expected result as CSV in UTF-8: column names, then the rows in order.

    Dates are YYYY-MM-DD, timestamps UTC with milliseconds, decimals have the scale of their column.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(query.columns)
    for row in query.compute(listening):
        writer.writerow([_field(value) for value in row])
    return text.getvalue().encode()


def _expects(*columns: str) -> Callable[[Compute], Compute]:
    """Registers the decorated function for the query of the same name."""

    def register(compute: Compute) -> Compute:
        EXPECTATIONS[compute.__name__] = Expectation(columns, compute)
        return compute

    return register


# By time


@_expects("day", "plays", "listeners", "sessions", "plays_7_days")
def plays_by_day(listening: Listening) -> Iterator[Row]:
    plays = {day.date: len(day) for day in listening.days}
    for day in listening.days:
        last_week = [plays.get(day.date - timedelta(days=back), 0) for back in range(7)]
        days_so_far = (day.date - listening.days[0].date).days + 1
        mean = _quotient(sum(last_week), min(days_so_far, 7), digits=2)
        yield day.date, len(day), len(set(day.listeners)), len(set(day.sessions)), mean


@_expects("weekday", "day", "hour", "plays")
def plays_by_hour(listening: Listening) -> Iterator[Row]:
    plays: Counter[tuple[int, int]] = Counter()
    for day in listening.days:
        weekday = day.date.isoweekday() % 7
        for hour, count in Counter(second // 3_600 for second in day.seconds).items():
            plays[weekday, hour] += count
    for (weekday, hour), count in sorted(plays.items()):
        yield weekday, _WEEKDAYS[weekday], hour, count


@_expects("day", "plays", "matched", "match_rate")
def match_rate_by_day(listening: Listening) -> Iterator[Row]:
    catalogued = [song.catalogued for song in listening.songs]
    for day in listening.days:
        matched = sum(catalogued[song] for song in day.songs)
        yield day.date, len(day), matched, _quotient(matched, len(day), digits=4)


@_expects("day", "listeners", "new_listeners", "returning_listeners")
def new_and_returning_listeners(listening: Listening) -> Iterator[Row]:
    known: set[int] = set()
    for day in listening.days:
        listeners = set(day.listeners)
        yield day.date, len(listeners), len(listeners - known), len(listeners & known)
        known |= listeners


@_expects("cohort", "weeks_later", "listeners", "share")
def weekly_cohorts(listening: Listening) -> Iterator[Row]:
    cohorts: dict[int, date] = {}
    retained: Counter[tuple[date, int]] = Counter()
    for week, days in listening.weeks:
        for listener in {listener for day in days for listener in day.listeners}:
            cohort = cohorts.setdefault(listener, week)
            retained[cohort, (week - cohort).days // 7] += 1
    for (cohort, weeks_later), listeners in sorted(retained.items()):
        yield cohort, weeks_later, listeners, _quotient(listeners, retained[cohort, 0], digits=4)


# By level


@_expects("week", "plays", "paid_plays", "paid_share", "free_listeners", "paid_listeners")
def free_and_paid(listening: Listening) -> Iterator[Row]:
    for week, days in listening.weeks:
        plays: Counter[str] = Counter()
        listeners: dict[str, set[int]] = {FREE: set(), PAID: set()}
        for day in days:
            plays.update(day.levels)
            for level, listener in set(zip(day.levels, day.listeners, strict=True)):
                listeners[level].add(listener)
        paid_share = _quotient(plays[PAID], plays.total(), digits=4)
        yield week, plays.total(), plays[PAID], paid_share, len(listeners[FREE]), len(listeners[PAID])


@_expects("level", "sessions", "plays", "plays_per_session", "minutes", "longest_minutes")
def sessions_by_level(listening: Listening) -> Iterator[Row]:
    plays = array("q", [0]) * listening.sessions
    first_minutes = array("q", plays)
    last_minutes = array("q", plays)
    levels = [FREE] * listening.sessions
    for day in listening.days:
        day_minutes = (day.date - listening.days[0].date).days * 1_440
        for session, level, second in zip(day.sessions, day.levels, day.seconds, strict=True):
            minute = day_minutes + second // 60
            if not plays[session]:
                levels[session] = level
                first_minutes[session] = minute
            plays[session] += 1
            last_minutes[session] = minute
    for level in (FREE, PAID):
        sessions = [number for number, count in enumerate(plays) if count and levels[number] == level]
        if not sessions:
            continue
        played = sum(plays[session] for session in sessions)
        minutes = [last_minutes[session] - first_minutes[session] for session in sessions]
        yield (
            level,
            len(sessions),
            played,
            _quotient(played, len(sessions), digits=2),
            _quotient(sum(minutes), len(sessions), digits=2),
            max(minutes),
        )


@_expects("changed_at", "user_id", "first_name", "last_name", "old_level", "new_level")
def level_changes(listening: Listening) -> Iterator[Row]:
    levels: dict[int, str] = {}
    changes: list[tuple[datetime, int, str, str]] = []
    for day in listening.days:
        for number, level, second in zip(day.listeners, day.levels, day.seconds, strict=True):
            before = levels.get(number, level)
            if level != before:
                changed_at = day.start + timedelta(seconds=second, milliseconds=listening.ms)
                changes.append((changed_at, number, before, level))
            levels[number] = level
    # Listeners' numbers have the order of their ids.
    for changed_at, number, before, level in sorted(changes):
        listener = listening.listeners[number]
        yield changed_at, listener.user_id, listener.first_name, listener.last_name, before, level


# By listener


@_expects("user_id", "first_name", "last_name", "level", "plays", "sessions", "days", "hours")
def most_active_users(listening: Listening) -> Iterator[Row]:
    # Listeners' numbers have the order of their ids.
    most_active = _with_most_plays(listening.plays_by_listener)
    lengths = [_length(song) for song in listening.songs]
    sessions: dict[int, set[int]] = {number: set() for number, _ in most_active}
    days: Counter[int] = Counter()
    seconds: defaultdict[int, Decimal] = defaultdict(Decimal)
    for day in listening.days:
        for number, session, song in zip(day.listeners, day.sessions, day.songs, strict=True):
            if number in sessions:
                sessions[number].add(session)
                seconds[number] += lengths[song]
        days.update(set(day.listeners))
    levels = listening.latest_levels()
    for number, plays in most_active:
        listener = listening.listeners[number]
        yield (
            listener.user_id,
            listener.first_name,
            listener.last_name,
            levels[number],
            plays,
            len(sessions[number]),
            days[number],
            _quotient(seconds[number], 3_600, digits=2),
        )


@_expects("location", "plays", "listeners", "plays_per_listener")
def plays_by_area(listening: Listening) -> Iterator[Row]:
    plays: Counter[str] = Counter()
    listeners: Counter[str] = Counter()
    for number, count in listening.plays_by_listener.items():
        location = listening.listeners[number].location
        plays[location] += count
        listeners[location] += 1
    for location, count in sorted(plays.items(), key=_most_plays_first):
        yield location, count, listeners[location], _quotient(count, listeners[location], digits=2)


# By song


@_expects("song", "artist", "plays", "listeners")
def top_songs(listening: Listening) -> Iterator[Row]:
    for (title, artist), plays, listeners in _most_played(listening, lambda song: (_title(song), _artist(song))):
        yield title, artist, plays, listeners


@_expects("artist", "plays", "songs", "listeners")
def top_artists(listening: Listening) -> Iterator[Row]:
    names = _catalogue_names(listening.songs)

    def artist(song: Song) -> str:
        return names[song.artist.artist_id] if song.catalogued else _artist(song)

    titles: defaultdict[str, set[str]] = defaultdict(set)
    for number in listening.plays_by_song:
        song = listening.songs[number]
        titles[artist(song)].add(_title(song))
    for name, plays, listeners in _most_played(listening, artist):
        yield name, plays, len(titles[name]), listeners


@_expects("song", "artist", "length", "plays", "listeners")
def unmatched_songs(listening: Listening) -> Iterator[Row]:
    def recording(song: Song) -> tuple[str, str, Decimal] | None:
        return None if song.catalogued else (_title(song), _artist(song), _length(song))

    for (title, artist, length), plays, listeners in _most_played(listening, recording):
        yield title, artist, length, plays, listeners


def _most_played(listening: Listening, group_by: Callable[[Song], Key | None]) -> Iterator[tuple[Key, int, int]]:
    """Yields the most played groups of songs with their plays and listeners. Songs without a group do not count."""
    groups: dict[int, Key] = {}
    plays: Counter[Key] = Counter()
    for number, count in listening.plays_by_song.items():
        group = group_by(listening.songs[number])
        if group is not None:
            groups[number] = group
            plays[group] += count
    most_played = _with_most_plays(plays)
    # Listeners are counted for these groups only: those of every song would not fit into memory.
    listeners: dict[Key, set[int]] = {group: set() for group, _ in most_played}
    listeners_by_song = {number: listeners[group] for number, group in groups.items() if group in listeners}
    for day in listening.days:
        for number, listener in zip(day.songs, day.listeners, strict=True):
            if number in listeners_by_song:
                listeners_by_song[number].add(listener)
    for group, count in most_played:
        yield group, count, len(listeners[group])


def _with_most_plays(plays: Counter[Key]) -> list[tuple[Key, int]]:
    return nsmallest(_MAX_ROWS, plays.items(), key=_most_plays_first)


def _most_plays_first(counted: tuple[Key, int]) -> tuple[int, Key]:
    """Returns the sort key: plays, descending, then the group; code points sort texts like UTF-8's bytes."""
    key, plays = counted
    return -plays, key


def _catalogue_names(songs: Iterable[Song]) -> dict[str, str]:
    """Returns the name per artist of the catalogue: that on most songs; of several, that with the highest song id."""
    songs_by_name: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for song in songs:
        if song.catalogued:
            songs_by_name[song.artist.artist_id][_artist(song)].append(song.song_id)
    return {
        artist_id: max(names, key=lambda name: (len(names[name]), max(names[name])))
        for artist_id, names in songs_by_name.items()
    }


def _title(song: Song) -> str:
    return song.title.rstrip(" ")


def _artist(song: Song) -> str:
    return song.artist_name.rstrip(" ")


def _length(song: Song) -> Decimal:
    return Decimal(f"{song.duration:.5f}")


def _quotient(dividend: int | Decimal, divisor: int, *, digits: int) -> Decimal:
    """Returns the quotient rounded to the given digits, half away from zero."""
    return (Decimal(dividend) / divisor).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def _field(value: Value) -> str:
    return value.isoformat(" ", "milliseconds") if isinstance(value, datetime) else str(value)
