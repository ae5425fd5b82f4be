"""The contract's tests notice a mistake in the SQL of the star or a mart: each mutation leads to other rows.

One small world has a case of every rule. It is staged once; each mutation then rebuilds its star, in a
transaction that is rolled back.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from sparkify_dagster.schema import sql_files, tables
from sparkify_dagster.warehouse import transforms
from sparkify_dagster_tests.contract.reference import Reference, reference
from sparkify_dagster_tests.contract.test_reference import files_in
from sparkify_dagster_tests.support.events import event, millis, song
from sparkify_dagster_tests.support.world import PRODUCT, STAR, Row, World, in_order

# A Sunday, a Monday of the next ISO year, and a Tuesday of the next calendar year.
SUNDAY, MONDAY, TUESDAY = DAYS = ("2018-12-30", "2018-12-31", "2019-01-01")


@dataclass(frozen=True)
class Mutation:
    """A mistake in one SQL file: the first `old` behind `after` becomes `new`."""

    name: str
    old: str
    new: str
    after: str = ""

    def apply(self, sql: str) -> str:
        start = sql.index(self.after)
        assert self.old != self.new
        assert self.old in sql[start:], f"{self.name}: the SQL does not have {self.old!r}"
        return sql[:start] + sql[start:].replace(self.old, self.new, 1)


def untrimmed(*columns: str) -> list[Mutation]:
    """RTRIM is forgotten."""
    return [Mutation(f"blanks at the end of {name} kept", f"RTRIM({name}, ' ')", name) for name in columns]


def latest_song(attribute: str, after: str) -> list[Mutation]:
    return [
        Mutation(f"{attribute}: an unknown year first", "THEN 1 ELSE 0 END DESC", "THEN 1 ELSE 0 END", after),
        Mutation(f"{attribute}: the earliest year", "THEN c.year ELSE 0 END DESC", "THEN c.year ELSE 0 END", after),
        Mutation(
            f"{attribute}: a negative year is unknown", "WHEN c.year <> 0 THEN 1", "WHEN c.year > 0 THEN 1", after
        ),
        Mutation(f"{attribute}: the smallest song_id of a year", "c.song_id DESC", "c.song_id", after),
    ]


PAGE = "RTRIM(e.page, ' ') = 'NextSong'"
IN_DAYS = "e.log_date BETWEEN :first_day AND :last_day"
NO_SESSION, NO_ITEM = (f"e.{name} IS NULL THEN 0 ELSE 1" for name in ("session_id", "item_in_session"))


def pages(names: Mapping[str, tuple[str, str]]) -> list[Mutation]:
    """A column counts the events of another page than it should."""
    return [
        Mutation(f"{column} counts {wrong}", f"'{right}' THEN 1 END) AS {column}", f"'{wrong}' THEN 1 END) AS {column}")
        for column, (right, wrong) in names.items()
    ]


MUTATIONS_OF_THE_STAR: Mapping[str, Sequence[Mutation]] = {
    "songplays": [
        Mutation(
            "song and artist swapped",
            "e.match_song AS song,\n    e.match_artist",
            "e.match_artist AS song,\n    e.match_song",
        ),
        Mutation("song_id is the artist's", "RTRIM(m.song_id, ' ')", "RTRIM(m.artist_id, ' ')"),
        Mutation("artist_id is not joined", "RTRIM(m.artist_id, ' ')", "CAST(NULL AS VARCHAR)"),
        Mutation("location is the user_agent", "RTRIM(e.location, ' ')", "RTRIM(e.user_agent, ' ')"),
        Mutation("start_time is the registration", "e.ts AS", "e.registration AS"),
        Mutation("only plays that have a song", "LEFT JOIN", "INNER JOIN"),
        Mutation("matched without the title", "e.match_song = m.match_title\n        AND ", ""),
        Mutation("matched without the artist", "AND e.match_artist = m.match_artist", ""),
        Mutation("matched without the length", "AND e.length = m.duration", ""),
        Mutation("matched to the second", "e.length = m.duration", "FLOOR(e.length) = FLOOR(m.duration)"),
        Mutation("matched without the title's repair", "e.match_song = m", "RTRIM(e.song, ' ') = m"),
        Mutation("matched without the artist's repair", "e.match_artist = m", "RTRIM(e.artist, ' ') = m"),
        Mutation("song not repaired", "e.match_song AS song", "RTRIM(e.song, ' ') AS song"),
        Mutation("artist not repaired", "e.match_artist AS artist", "RTRIM(e.artist, ' ') AS artist"),
        Mutation("plays without a user", "AND e.user_id IS NOT NULL", ""),
        Mutation("every page", PAGE, "e.page <> ''"),
        Mutation("pages in any case", PAGE, "LOWER(RTRIM(e.page, ' ')) = 'nextsong'"),
        Mutation("pages that begin like NextSong", PAGE, "e.page LIKE 'NextSong%'"),
        Mutation("a tab at the end of a page does not count", "RTRIM(e.page, ' ')", "RTRIM(e.page, ' \t')"),
        Mutation("later days too", IN_DAYS, "e.log_date >= :first_day"),
        Mutation("without the last day", IN_DAYS, "e.log_date >= :first_day AND e.log_date < :last_day"),
        Mutation("songplay_id without a separator", "|| '|' || CAST(e.session_id", "|| CAST(e.session_id"),
        Mutation("songplay_id without the item", "|| '|' || CAST(e.item_in_session AS VARCHAR) ", ""),
        Mutation("songplay_id of seconds", "CAST(e.epoch_ms AS", "CAST(e.epoch_ms // 1000 AS"),
        *untrimmed("e.page", "e.level", "e.location", "e.user_agent", "m.song_id", "m.artist_id"),
    ],
    "song_matches": [
        Mutation("the greatest song_id", "RTRIM(c.song_id, ' ')", "RTRIM(c.song_id, ' ') DESC"),
        Mutation(
            "one song per title and artist",
            "c.match_artist, c.duration\n            ORDER",
            "c.match_artist\n            ORDER",
        ),
        Mutation("every song that matches", "m.preference = 1", "m.preference >= 1"),
        *untrimmed("c.song_id"),
    ],
    "current_songs": [
        Mutation("the first key wins", "s.source_key DESC", "s.source_key"),
        Mutation("the first song of a file wins", "s.object_number DESC", "s.object_number"),
        Mutation("keys do not count", "s.source_key DESC, ", ""),
        Mutation("every copy", "w.recency = 1", "w.recency >= 1"),
        *untrimmed("s.song_id"),
    ],
    "songs": [
        Mutation("year 0 kept", "NULLIF(c.year, 0)", "c.year"),
        Mutation("title is the artist's name", "RTRIM(c.title, ' ')", "RTRIM(c.artist_name, ' ')"),
        Mutation("artist_id is the song's", "RTRIM(c.artist_id, ' ')", "RTRIM(c.song_id, ' ')"),
        *untrimmed("c.song_id", "c.artist_id", "c.title"),
    ],
    "artists": [
        Mutation("the name on the greatest song_id", "n.song_count DESC, ", ""),
        Mutation("the rarest name", "n.song_count DESC", "n.song_count"),
        Mutation("a tie goes to the smallest song_id", "n.greatest_song_id DESC", "n.greatest_song_id"),
        Mutation("a tie is decided by each name's smallest song_id", "MAX(c.song_id)", "MIN(c.song_id)"),
        Mutation("a name of blanks counts", "    WHERE c.match_artist <> ''\n", ""),
        Mutation("blanks at the end of names count", "c.match_artist,", "c.artist_name AS match_artist,"),
        Mutation("a location of blanks counts", "c.artist_location <> ''", "c.artist_location IS NOT NULL"),
        Mutation("latitude without longitude", "AND c.artist_longitude IS NOT NULL", ""),
        Mutation("longitude without latitude", "c.artist_latitude IS NOT NULL\n        AND ", ""),
        Mutation("latitude is the longitude", "p.artist_latitude", "p.artist_longitude"),
        *latest_song("location", after="locations AS ("),
        *latest_song("position", after="positions AS ("),
        Mutation("only artists with a name", "LEFT JOIN names", "INNER JOIN names"),
        Mutation("only artists with a location", "LEFT JOIN locations", "INNER JOIN locations"),
        Mutation("only artists with a position", "LEFT JOIN positions", "INNER JOIN positions"),
        Mutation("copies of a song that do not win count", "staging.current_songs", "staging.staging_songs"),
        *untrimmed("c.song_id", "c.artist_id", "c.artist_location"),
    ],
    "user_days": [
        Mutation("the earliest event of a day", "e.ts DESC", "e.ts"),
        Mutation("the time does not count", "e.ts DESC,\n", ""),
        Mutation("the smallest session", "e.session_id DESC", "e.session_id"),
        Mutation("the smallest item", "e.item_in_session DESC", "e.item_in_session"),
        Mutation("a missing session is the greatest", NO_SESSION, NO_SESSION.replace("0 ELSE 1", "1 ELSE 0")),
        Mutation("a missing item is the greatest", NO_ITEM, NO_ITEM.replace("0 ELSE 1", "1 ELSE 0")),
        Mutation("only users who play", "e.user_id IS NOT NULL", "e.user_id IS NOT NULL AND e.page = 'NextSong'"),
    ],
    "users": [
        Mutation("as of the first day", "d.log_date DESC", "d.log_date"),
        Mutation("a row per day", "u.recency = 1", "u.recency >= 1"),
        Mutation("first_name is the last name", "RTRIM(u.first_name, ' ')", "RTRIM(u.last_name, ' ')"),
        Mutation("gender is the level", "RTRIM(u.gender, ' ')", "RTRIM(u.level, ' ')"),
        Mutation("empty text is NULL", "RTRIM(u.gender, ' ')", "NULLIF(RTRIM(u.gender, ' '), '')"),
        *untrimmed("u.first_name", "u.last_name", "u.gender", "u.level"),
    ],
    "time": [
        Mutation("a row per play", "SELECT DISTINCT", "SELECT"),
        Mutation("the next day's first moment too", "p.start_time < :end_day", "p.start_time <= :end_day"),
        Mutation("without the day's first moment", "p.start_time >= :first_day", "p.start_time > :first_day"),
        Mutation("without milliseconds", "    p.start_time,", "    DATE_TRUNC('second', p.start_time) AS start_time,"),
        Mutation("Monday is 0", "EXTRACT(DOW FROM p.start_time)", "EXTRACT(ISODOW FROM p.start_time) - 1"),
        Mutation("Sunday is 7", "EXTRACT(DOW ", "EXTRACT(ISODOW "),
        Mutation("Sunday is 1", "EXTRACT(DOW FROM p.start_time)", "EXTRACT(DOW FROM p.start_time) + 1"),
        Mutation(
            "weeks begin on January 1", "EXTRACT(WEEK FROM p.start_time)", "1 + EXTRACT(DOY FROM p.start_time) // 7"
        ),
        Mutation("the ISO week's year", "EXTRACT(YEAR ", "EXTRACT(ISOYEAR "),
        Mutation("the day of the year", "EXTRACT(DAY ", "EXTRACT(DOY "),
        Mutation("month is the day", "EXTRACT(MONTH ", "EXTRACT(DAY "),
        Mutation("hours from 1", "EXTRACT(HOUR FROM p.start_time)", "EXTRACT(HOUR FROM p.start_time) + 1"),
    ],
}
MUTATIONS_OF_MARTS: Mapping[str, Sequence[Mutation]] = {
    "events": [
        Mutation(
            "event_id is NULL without a session",
            "COALESCE(CAST(e.session_id AS VARCHAR), '')",
            "CAST(e.session_id AS VARCHAR)",
        ),
        Mutation(
            "event_id is NULL without a user", "COALESCE(CAST(e.user_id AS VARCHAR), '')", "CAST(e.user_id AS VARCHAR)"
        ),
        Mutation(
            "a missing session is 0",
            "COALESCE(CAST(e.session_id AS VARCHAR), '')",
            "COALESCE(CAST(e.session_id AS VARCHAR), '0')",
        ),
        Mutation("event_id of seconds", "CAST(e.epoch_ms AS", "CAST(e.epoch_ms // 1000 AS"),
        Mutation("event_id without a separator", "|| '|' || COALESCE(CAST(e.item", "|| COALESCE(CAST(e.item"),
        Mutation("only events of users", IN_DAYS, f"{IN_DAYS} AND e.user_id IS NOT NULL"),
        Mutation("only plays", IN_DAYS, f"{IN_DAYS} AND e.page = 'NextSong'"),
        Mutation("auth is the method", "RTRIM(e.auth, ' ')", "RTRIM(e.method, ' ')"),
        Mutation("later days too", IN_DAYS, "e.log_date >= :first_day"),
        *untrimmed("e.page", "e.auth", "e.method", "e.level"),
    ],
    "level_days": [
        Mutation("the time does not count", "e.ts,\n                CASE", "CASE"),
        Mutation("a missing session is the greatest", NO_SESSION, NO_SESSION.replace("0 ELSE 1", "1 ELSE 0")),
        Mutation("a missing item is the greatest", NO_ITEM, NO_ITEM.replace("0 ELSE 1", "1 ELSE 0")),
        Mutation("the items do not count", ",\n                e.item_in_session\n", "\n"),
        Mutation("the sessions backwards", "                e.session_id,", "                e.session_id DESC,"),
        Mutation("empty text is no level", "e.level IS NOT NULL", "e.level <> ''"),
        Mutation("only levels of plays", "e.level IS NOT NULL", "e.level IS NOT NULL AND e.page = 'NextSong'"),
        Mutation(
            "a row per event with a level",
            "c.previous_level IS NULL\n    OR c.level <> c.previous_level",
            "c.level <> ''",
        ),
        *untrimmed("e.level", "e.page"),
    ],
    "user_levels": [
        Mutation("a level per day", "    OR c.level <> c.previous_level", "    OR c.level <> ''"),
        Mutation("without the first level", "c.previous_level IS NULL\n    OR ", ""),
        Mutation(
            "versions across all users",
            "PARTITION BY c.user_id\n        ORDER BY c.position\n    ) AS version",
            "ORDER BY c.position\n    ) AS version",
        ),
        Mutation("versions of days", "AS version", "+ 1 AS version"),
        Mutation("valid_to is the level's own", "LEAD(c.ts)", "MIN(c.ts)"),
        Mutation(
            "the items backwards",
            "                    d.item_in_session\n",
            "                    d.item_in_session DESC\n",
        ),
        Mutation(
            "the sessions backwards", "                    d.session_id,", "                    d.session_id DESC,"
        ),
    ],
    "session_days": [
        Mutation("sessions of nobody", "e.user_id IS NOT NULL\n        AND ", ""),
        Mutation("events without a session", "AND e.session_id IS NOT NULL\n        ", ""),
        Mutation("the first page is the last", "s.position = 1 THEN s.page", "s.recency = 1 THEN s.page"),
        Mutation("the last page is the first", "s.recency = 1 THEN s.page", "s.position = 1 THEN s.page"),
        Mutation("level_at_start is that at the end", "s.position = 1 THEN s.level", "s.recency = 1 THEN s.level"),
        Mutation("level_at_end is the greatest", "CASE WHEN s.recency = 1 THEN s.level END", "s.level"),
        Mutation("seconds of all pages", "CASE WHEN s.page = 'NextSong' THEN s.length END", "s.length"),
        Mutation(
            "seconds are NULL without plays",
            "COALESCE(SUM(CASE WHEN s.page = 'NextSong' THEN s.length END), 0)",
            "SUM(CASE WHEN s.page = 'NextSong' THEN s.length END)",
        ),
        Mutation("400 is no error", "s.status >= 400", "s.status > 400"),
        Mutation("redirects are errors", "s.status >= 400", "s.status >= 300"),
        Mutation(
            "a missing item is the last",
            "e.ts, CASE WHEN e.item_in_session IS NULL THEN 0 ELSE 1 END",
            "e.ts, CASE WHEN e.item_in_session IS NULL THEN 1 ELSE 0 END",
        ),
        Mutation("the time does not count", "ORDER BY e.ts, CASE", "ORDER BY CASE"),
        *pages(
            {
                "upgrades": ("Submit Upgrade", "Upgrade"),
                "downgrades": ("Submit Downgrade", "Downgrade"),
                "plays": ("NextSong", "Home"),
            },
        ),
        *untrimmed("e.page", "e.level"),
    ],
    "sessions": [
        Mutation("a row per day", "GROUP BY s.session_id, s.user_id", "GROUP BY s.session_id, s.user_id, s.started_at"),
        Mutation("started_at is the latest day's", "MIN(s.started_at)", "MAX(s.started_at)"),
        Mutation("ended_at is the first day's", "MAX(s.ended_at)", "MIN(s.ended_at)"),
        Mutation(
            "the first page is the last day's", "s.position = 1 THEN s.first_page", "s.recency = 1 THEN s.first_page"
        ),
        Mutation(
            "level_at_end is the first day's", "s.recency = 1 THEN s.level_at_end", "s.position = 1 THEN s.level_at_end"
        ),
        Mutation("events of one day", "SUM(s.events)", "MAX(s.events)"),
        Mutation("plays of one day", "SUM(s.plays)", "MAX(s.plays)"),
        Mutation(
            "users of a session together",
            "PARTITION BY d.session_id, d.user_id\n            ORDER BY d.log_date\n",
            "PARTITION BY d.session_id\n            ORDER BY d.log_date\n",
        ),
    ],
    "daily_activity": [
        Mutation("level_at_end is the first", "e.ts DESC,", "e.ts,"),
        Mutation("level_at_end is the latest that there is", "CASE WHEN u.recency = 1 THEN u.level END", "u.level"),
        Mutation("every session_id", "COUNT(DISTINCT u.session_id)", "COUNT(u.session_id)"),
        Mutation(
            "a missing session is one", "COUNT(DISTINCT u.session_id)", "COUNT(DISTINCT COALESCE(u.session_id, -1))"
        ),
        Mutation(
            "songs by title alone", "            u.match_song,\n", "            CAST(NULL AS VARCHAR) AS match_song,\n"
        ),
        Mutation("a missing title is no song", "COUNT(*) AS songs", "COUNT(p.match_song) AS songs"),
        Mutation(
            "a missing artist is one", "COUNT(DISTINCT p.match_artist)", "COUNT(DISTINCT COALESCE(p.match_artist, ''))"
        ),
        Mutation("songs of all pages", "        WHERE u.page = 'NextSong'\n", ""),
        Mutation("only days with a play", "LEFT JOIN songs_played", "INNER JOIN songs_played"),
        Mutation("activity of nobody", "e.user_id IS NOT NULL\n        AND ", ""),
        Mutation("400 is no error", "u.status >= 400", "u.status > 400"),
        Mutation("seconds of all pages", "CASE WHEN u.page = 'NextSong' THEN u.length END", "u.length"),
        *pages(
            {
                "upgrades_seen": ("Upgrade", "Submit Upgrade"),
                "upgrades": ("Submit Upgrade", "Upgrade"),
                "downgrades_seen": ("Downgrade", "Submit Downgrade"),
                "downgrades": ("Submit Downgrade", "Downgrade"),
                "adverts": ("Roll Advert", "Advert"),
                "thumbs_up": ("Thumbs Up", "Thumbs Down"),
                "thumbs_down": ("Thumbs Down", "Thumbs Up"),
                "playlist_adds": ("Add to Playlist", "Add To Playlist"),
                "friend_adds": ("Add Friend", "Add to Playlist"),
                "help": ("Help", "About"),
                "cancelled": ("Cancellation Confirmation", "Cancel"),
            },
        ),
        *untrimmed("e.page", "e.level"),
    ],
}
MUTATIONS = {**MUTATIONS_OF_THE_STAR, **MUTATIONS_OF_MARTS}
# What a file builds of the star and the marts, in the order in which it is built.
TABLES_OF = {
    "song_matches": ["songplays"],
    "current_songs": ["songplays", "songs", "artists"],
    "user_days": ["users"],
    "level_days": ["user_levels"],
    "session_days": ["sessions"],
}
# The tables per day from which a transform rebuilds its table.
DAY_TABLES = {"users": "user_days", "user_levels": "level_days", "sessions": "session_days"}
ALL_TABLES = {**STAR, **{name.removeprefix("product."): columns for name, columns in PRODUCT.items()}}


# The world


def write_log(world: World, day: str, *changes: dict[str, Any]) -> None:
    """Events of a session each, unless they say otherwise."""
    first = DAYS.index(day) * 1_000
    world.write_log(
        day,
        *(
            event(time=f"{day}T12:00:00.{number:03}", sessionId=first + number) | of
            for number, of in enumerate(changes)
        ),
    )


def tied(user: int, *whens: tuple[int | None, int | None]) -> Iterator[dict[str, Any]]:
    """Events of a user at one time, with these sessions and items."""
    for session, item in whens:
        yield {
            "userId": str(user),
            "page": "Home",
            "ts": millis(f"{SUNDAY}T11:00:00"),
            "sessionId": session,
            "itemInSession": item,
            "firstName": f"session {session}, item {item}",
        }


# Over midnight, and shared with another user
IN_SESSION = {"userId": "30", "sessionId": 500}
PAGES = (
    *("Upgrade", "Submit Upgrade", "Submit Upgrade ", "Downgrade", "Downgrade", "Submit Downgrade", "Roll Advert"),
    *(
        "Roll Advert",
        "Thumbs Up",
        "Thumbs Up",
        "Thumbs Down",
        "Add to Playlist",
        "Add Friend",
        "Add Friend",
        "Help",
        "About",
    ),
    *("Cancel", "Cancel", "Cancellation Confirmation", "Advert"),
)


def all_pages() -> Iterator[dict[str, Any]]:
    """Events of one user that each mart counts in a column of its own."""
    for item, page in enumerate(PAGES):
        yield {**IN_SESSION, "page": page, "itemInSession": item, "level": "free", "method": "PUT "}
    yield {**IN_SESSION, "page": "NextSong", "length": 5, "itemInSession": 8}
    yield at(f"{SUNDAY}T09:00:00", **IN_SESSION, page="First", itemInSession=99)
    yield {**IN_SESSION, "page": "Error ", "status": 404, "auth": "Logged In "}
    yield {**IN_SESSION, "page": "Error", "status": 400, "itemInSession": 2}
    yield {**IN_SESSION, "page": "Home", "status": 307, "level": None}
    yield {"userId": "31", "sessionId": 500, "page": "Login", "level": "free", "itemInSession": 7}
    yield {"userId": "", "sessionId": 500, "page": "Home"}
    yield {"userId": "30", "sessionId": None, "page": "Home", "length": 9}
    yield {"userId": None, "sessionId": None, "itemInSession": None, "page": "Home"}
    for title, artist in (("t", "a"), ("t", "b"), ("t", None), (None, "b"), (None, None), ("Ã\x83Â©", "b"), ("é", "b")):
        yield {"userId": "32", "song": title, "artist": artist, "length": 1.5}
    yield {"userId": "32", "song": "of another page", "artist": "too", "page": "Home", "level": None}


def level_ties() -> Iterator[dict[str, Any]]:
    """Levels that begin in one millisecond, empty ones, and users without any."""
    moment = millis(f"{SUNDAY}T22:00:00")
    for user, places in (
        (50, [(1, 1, "free"), (1, 2, "paid"), (2, 1, "free")]),
        (51, [(None, 9, "paid"), (-5, 1, "free"), (3, 1, "paid")]),
        (52, [(1, None, "paid"), (1, -5, "free"), (1, 3, "paid")]),
        (53, [(9, 1, "free"), (10, 1, "paid")]),
        (54, [(1, 9, "free"), (1, 11, "free"), (1, 10, "paid"), (1, 12, "free ")]),
        (55, [(1, 1, ""), (1, 2, "free"), (1, 3, None), (1, 4, "")]),
        (56, [(1, 1, None)]),
    ):
        for session, item, level in places:
            yield {
                "userId": str(user),
                "ts": moment,
                "sessionId": session,
                "itemInSession": item,
                "level": level,
                "page": f"Page {session} {item} ",
            }
    yield {"userId": "57", "ts": moment - 1, "sessionId": 9, "level": "free", "page": "Home"}
    yield {"userId": "57", "ts": moment, "sessionId": 1, "level": "paid", "page": "Home"}
    yield {"userId": "40", "level": "paid", "page": "Home"}


def at(time: str, **changes: Any) -> dict[str, Any]:
    return {"ts": millis(time)} | changes


MATCHED = {"song": "one", "artist": "X", "length": 100.25}
BROKEN = {"song": "cafÃ\x83Â©", "artist": "BjÃ\x83Â¶rk", "length": 3}


def write_events(world: World) -> None:
    write_log(
        world,
        SUNDAY,
        {**MATCHED},
        {**MATCHED, "song": "other"},
        {**MATCHED, "artist": "other"},
        {**MATCHED, "length": 100.5},
        {**MATCHED, "length": None},
        {**BROKEN},
        {**BROKEN, "song": "café"},
        {**BROKEN, "artist": "Björk"},
        {"song": "two", "artist": "X", "length": 7},
        {"song": "blank", "artist": "X", "length": 8},
        {**MATCHED, "page": "NextSong "},
        {**MATCHED, "page": "NextSong\t"},
        {**MATCHED, "page": "nextsong"},
        {**MATCHED, "page": "Home"},
        {**MATCHED, "userId": ""},
        {"song": "s ", "artist": "a ", "level": "free ", "location": "P ", "userAgent": "U "},
        {"userId": "9", "page": "Home"},
        {"userId": "10", "firstName": "Ann ", "lastName": "B ", "gender": "F ", "level": "paid "},
        {"userId": "11", "gender": ""},
        {**MATCHED, "length": 100.75},
        at(f"{SUNDAY}T10:00:00.001", userId="8"),
        at(f"{SUNDAY}T10:00:00.001", userId="9"),
        at(f"{SUNDAY}T23:59:59.999"),
        # The same digits in another order, with the same separators left out
        at(f"{SUNDAY}T09:00:00", userId="1", sessionId=11, itemInSession=1, firstName="late"),
        at(f"{SUNDAY}T09:00:00", userId="11", sessionId=1, itemInSession=1),
        at(f"{SUNDAY}T08:00:00", userId="1", sessionId=99, firstName="early"),
        *tied(20, (9, 9), (10, 1)),
        *tied(21, (None, 9), (-5, 1)),
        *tied(22, (1, 9), (1, 10)),
        *tied(23, (1, None), (1, -5)),
        *all_pages(),
        *level_ties(),
    )
    write_log(
        world,
        MONDAY,
        at(f"{MONDAY}T00:00:00", level="paid", lastName="Monday"),
        at(f"{MONDAY}T23:59:59.999", level="free", page="Home"),
    )
    write_log(
        world,
        TUESDAY,
        at(f"{TUESDAY}T00:00:00"),
        {"page": "Home", "lastName": "Tuesday", "level": "paid"},
        {**IN_SESSION, "page": "NextSong", "level": "paid", "length": 3},
        {**IN_SESSION, "page": "About", "level": "paid", "itemInSession": 9},
        {"userId": "31", "sessionId": 500, "page": "Settings", "level": "paid"},
        {"userId": "40", "level": "paid", "page": "Help"},
        {"userId": "40", "level": "free", "page": "About", "itemInSession": 2},
    )


def write_songs(world: World) -> None:
    number = 0

    def of_artist(artist_id: str, *songs: dict[str, Any]) -> list[dict[str, Any]]:
        nonlocal number
        found = []
        for changes in songs:
            number += 1
            given = {"song_id": f"S{number:03}", "artist_id": artist_id, "duration": 1_000 + number, "artist_name": "N"}
            nowhere = {"artist_location": None, "artist_latitude": None, "artist_longitude": None}
            found.append(song(**(given | nowhere | changes)))
        return found

    def located(*years: int) -> list[dict[str, Any]]:
        return [
            {"year": year, "artist_location": f"{place}", "artist_latitude": place, "artist_longitude": -place}
            for place, year in enumerate(years, 1)
        ]

    world.write_songs(
        "M.json",
        *of_artist(
            "MATCH",
            {"title": "one", "artist_name": "X", "duration": 100.25, "year": 0},
            {"title": "one", "artist_name": "X", "duration": 100.25},
            {"title": "one", "artist_name": "X", "duration": 100.75},
            {"title": "café", "artist_name": "Björk", "duration": 3},
        ),
        # By bytes the second id is greater without blanks, and smaller with them.
        *of_artist(
            "BLANKS ",
            {"song_id": "T1 ", "title": "two", "artist_name": "X", "duration": 7},
            {"song_id": "T1\t", "title": "two", "artist_name": "X", "duration": 7},
            {"song_id": "T2 ", "title": "blank ", "artist_name": "X ", "duration": 8},
        ),
        *of_artist("BLANKS", {"artist_location": "P "}),
    )
    world.write_songs(
        "N.json",
        *of_artist("most", *({"artist_name": name} for name in ("X", "X", "X feat. Y"))),
        *of_artist("tie", *({"artist_name": name} for name in ("A", "B", "B", "A"))),
        *of_artist("blank", *({"artist_name": name} for name in ("", "  ", "Y"))),
        *of_artist("nameless", {"artist_name": None}),
        *of_artist("trimmed", *({"artist_name": name} for name in ("Z ", "Z  ", "Z", "W", "W"))),
        *of_artist("by id", {"song_id": "U1 ", "artist_name": "X"}, {"song_id": "U1\t", "artist_name": "Y"}),
        *of_artist("years", *located(1999, 2001, 0)),
        *of_artist("negative", *located(-5, 0)),
        *of_artist("same year", *located(2001, 2001)),
        *of_artist("nowhere", {"artist_location": "here", "year": 1999}, {"artist_location": "  ", "year": 2001}),
        *of_artist(
            "half",
            {"year": 1999, "artist_latitude": 1, "artist_longitude": 2},
            {"year": 2001, "artist_latitude": 3},
            {"year": 2002, "artist_longitude": 4},
        ),
    )
    # Copies of one song, whose losers would be seen
    world.write_songs("Ca.json", *of_artist("nothing wins", {"song_id": "C1", "title": "first"}))
    world.write_songs("Cb.json", *of_artist("winner", {"song_id": "C1", "title": "last"}))
    world.write_songs("Cc.json", *of_artist("loser", {"song_id": "C2"}), *of_artist("winner", {"song_id": "C2"}))
    world.write_songs("Cd.json", *of_artist("loser", {"song_id": "C3 "}))
    world.write_songs("Ce.json", *of_artist("winner", {"song_id": "C3"}))
    world.write_songs("Cf.json", *of_artist("loser", {}, {"song_id": "C4"}))
    world.write_songs("Cg.json", *of_artist("winner", {"song_id": "C4"}))


@dataclass(frozen=True)
class Staged:
    """The world in staging, and the star that it means."""

    engine: Engine
    meant: Reference


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staged]:
    world = World(tmp_path_factory.mktemp("mutations"))
    write_events(world)
    write_songs(world)
    world.load(SUNDAY, TUESDAY)
    logs, songs = files_in(world.folder / "log_data"), files_in(world.folder / "song_data")
    meant = reference(logs, songs, set(map(date.fromisoformat, DAYS)))
    assert not meant.errors
    with world.warehouse.connect("mutations") as engine:
        yield Staged(engine, meant)


@contextmanager
def mutated(file: str, mutation: Mutation) -> Iterator[None]:
    """Within the block, the file's SQL has the mutation."""

    def mutate(read: Callable[[str], str]) -> Callable[[str], str]:
        return lambda name: mutation.apply(read(name)) if name == file else read(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql_files, "select_sql", mutate(sql_files.select_sql))
        yield


def built_star(engine: Engine, names: Sequence[str]) -> dict[str, list[Row]] | None:
    """Some tables of the star, built from staging alone; None where a table refuses a row."""
    with engine.connect() as connection:
        try:
            return dict(_build(connection, names))
        except IntegrityError:
            return None
        finally:
            connection.rollback()


def _build(connection: Connection, names: Sequence[str]) -> Iterator[tuple[str, list[Row]]]:
    for view in sql_files.VIEWS:
        connection.execute(text(f"CREATE OR REPLACE VIEW staging.{view} AS {sql_files.select_sql(view)}"))
    for name in names:
        table = next(table for table in tables.READ_TABLES if table.name == name)
        connection.execute(table.delete())
        if name in DAY_TABLES:
            connection.execute(text(f"DELETE FROM staging.{DAY_TABLES[name]}"))
        if name in transforms.DAILY_TRANSFORMS:
            # The latest first: what an earlier day adds of a later one is not replaced then.
            for day in map(date.fromisoformat, reversed(DAYS)):
                transforms.DAILY_TRANSFORMS[name](connection, day, day)
        else:
            transforms.replace_song_dimension(connection, table)
        rows = connection.execute(text(f"SELECT {', '.join(ALL_TABLES[name])} FROM {table.fullname}"))
        yield name, in_order([tuple(row) for row in rows])


def meant_star(staged: Staged, names: Sequence[str]) -> dict[str, list[Row]]:
    return {name: in_order(getattr(staged.meant, name)) for name in names}


def test_without_a_mutation_all_tables_are_the_references(staged: Staged) -> None:
    built, meant = built_star(staged.engine, list(ALL_TABLES)), meant_star(staged, list(ALL_TABLES))
    assert built is not None
    for name, rows in meant.items():
        assert built[name] == rows, name


@pytest.mark.parametrize(
    ("file", "mutation"),
    [
        pytest.param(file, mutation, id=f"{file}: {mutation.name}")
        for file, mutations in MUTATIONS.items()
        for mutation in mutations
    ],
)
def test_a_mutation_is_noticed(staged: Staged, file: str, mutation: Mutation) -> None:
    names = TABLES_OF.get(file, [file])
    with mutated(file, mutation):
        assert built_star(staged.engine, names) != meant_star(staged, names)
