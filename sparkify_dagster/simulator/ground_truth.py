"""Expected query results, computed from the simulator's ground truth.

The simulator knows which song was played, by whom and when, so nothing here reads a file, matches texts or queries a
warehouse. The queries are those in `sparkify_dagster/sql/analytics`, over all simulated days. Each is implemented a
second time here, in Python and on different data, so that the two implementations verify each other.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from heapq import nsmallest
from typing import Final, TypeVar

from sparkify_dagster.simulator.catalogue import Song
from sparkify_dagster.simulator.expectations import MAX_ROWS, Expectations, Row, length_of, quotient
from sparkify_dagster.simulator.listening import Listening
from sparkify_dagster.simulator.page_rates import FREE, PAID
from sparkify_dagster.simulator.product_truth import PRODUCT_EXPECTATIONS

Key = TypeVar("Key")

_WEEKDAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


EXPECTATIONS: Final = Expectations(PRODUCT_EXPECTATIONS)
_expects = EXPECTATIONS.expects


# By time


@_expects("day", "plays", "listeners", "sessions", "plays_7_days")
def plays_by_day(listening: Listening) -> Iterator[Row]:
    plays = {day.date: len(day) for day in listening.days}
    for day in listening.days:
        last_week = [plays.get(day.date - timedelta(days=back), 0) for back in range(7)]
        days_so_far = (day.date - listening.days[0].date).days + 1
        mean = quotient(sum(last_week), min(days_so_far, 7), digits=2)
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
        yield day.date, len(day), matched, quotient(matched, len(day), digits=4)


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
        yield cohort, weeks_later, listeners, quotient(listeners, retained[cohort, 0], digits=4)


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
        paid_share = quotient(plays[PAID], plays.total(), digits=4)
        yield week, plays.total(), plays[PAID], paid_share, len(listeners[FREE]), len(listeners[PAID])


# By listener


@_expects("location", "plays", "listeners", "plays_per_listener")
def plays_by_area(listening: Listening) -> Iterator[Row]:
    plays: Counter[str] = Counter()
    listeners: Counter[str] = Counter()
    for number, count in listening.plays_by_listener.items():
        location = listening.listeners[number].location
        plays[location] += count
        listeners[location] += 1
    for location, count in sorted(plays.items(), key=_most_plays_first):
        yield location, count, listeners[location], quotient(count, listeners[location], digits=2)


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
        return None if song.catalogued else (_title(song), _artist(song), length_of(song))

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
    return nsmallest(MAX_ROWS, plays.items(), key=_most_plays_first)


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
