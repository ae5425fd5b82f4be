"""The star in plain Python, written from the data contract and not from the code: slow, small, for comparison.

It takes no shortcuts and shares nothing with the product, so where both agree they agree with the contract.
"""

import gzip
import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, TypeAlias

Row: TypeAlias = tuple[Any, ...]

EXACT = Context(prec=1_000)
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
BLANK = " "


class Wrong(Exception):
    """An error of the data: not loaded, recorded."""


class Number(str):
    """A JSON number as written."""


@dataclass
class Reference:
    """What the warehouse must hold. songplays come without their songplay_id, which the contract does not spell out."""

    songplays: list[Row]
    users: list[Row]
    songs: list[Row]
    artists: list[Row]
    time: list[Row]
    # lines, staged, duplicates and errors of each object
    counts: dict[str, tuple[int, int, int, int]]


def reference(log_data: Mapping[str, bytes], song_data: Mapping[str, bytes], days: set[date]) -> Reference:
    """The star of the files, by their keys relative to the prefix, when the days and all songs have been loaded."""
    counts: dict[str, tuple[int, int, int, int]] = {}
    events = read_events(log_data, days, counts)
    songs = winners(read_songs(song_data, counts))
    plays = [event for event in events if event["page"] == "NextSong" and event["user_id"] is not None]
    return Reference(
        songplays=[songplay(play, songs) for play in plays],
        users=users(events),
        songs=[
            (song["song_id"], song["title"], song["artist_id"], song["year"] or None, song["duration"])
            for song in songs.values()
        ],
        artists=artists(list(songs.values())),
        time=[taken_apart(start) for start in {play["ts"] for play in plays}],
        counts=counts,
    )


# Values


def parse(text: str) -> object:
    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=no_constant)
    except ValueError as error:
        raise Wrong("not JSON") from error


def exact(value: object) -> Decimal | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not NUMBER.fullmatch(value):
        raise Wrong("not a number")
    return EXACT.create_decimal(value)


def integer(value: object, low: int, high: int) -> int | None:
    number = exact(value)
    if number is None:
        return None
    if number != EXACT.to_integral_value(number) or not low <= number <= high:
        raise Wrong("not an integer of that size")
    return int(number)


def decimal(value: object, digits: int, scale: int) -> Decimal | None:
    number = exact(value)
    if number is None:
        return None
    rounded = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, EXACT)
    if abs(rounded) >= 10 ** (digits - scale):
        raise Wrong("out of range")
    return abs(rounded) if rounded == 0 else rounded


def time_of(value: object) -> datetime | None:
    milliseconds = integer(value, -(10**18), 10**18)
    if milliseconds is None:
        return None
    try:
        return datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise Wrong("outside the years 1 to 9999") from error


def text(value: object, size: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Wrong("not text")
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise Wrong("not storable")
    if len(value.encode()) > size:
        raise Wrong("too long")
    return str(value)


# Events


def read_events(
    log_data: Mapping[str, bytes], days: set[date], counts: dict[str, tuple[int, int, int, int]]
) -> list[dict[str, Any]]:
    events: dict[tuple[Any, ...], dict[str, Any]] = {}
    for key in sorted(log_data, key=str.encode):
        day = day_of(key)
        if day is None or day not in days:
            continue
        lines = staged = 0
        errors = 0
        for line in lines_of(key, log_data[key]):
            lines += 1
            try:
                event = read_event(line, day)
            except Wrong:
                errors += 1
                continue
            identity = (event["user_id"], event["session_id"], event["item_in_session"], event["ts"])
            if identity not in events:
                events[identity] = event
                staged += 1
        counts[key] = (lines, staged, lines - staged - errors, errors)
    return list(events.values())


def day_of(key: str) -> date | None:
    *folders, name = key.split("/")
    match = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})-events\.json(\.gz)?", name)
    if not match or any(folder.startswith(".") for folder in folders):
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def lines_of(key: str, content: bytes) -> Iterator[bytes | None]:
    """None is a file that cannot be decompressed."""
    try:
        content = gzip.decompress(content) if key.endswith(".gz") else content
    except (OSError, EOFError, zlib.error):
        yield None
        return
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = line.removesuffix(b"\r")
        if line.strip(b" \t"):
            yield line


def read_event(line: bytes | None, day: date) -> dict[str, Any]:
    if line is None:
        raise Wrong("cannot be decompressed")
    try:
        given = parse(line.decode())
    except UnicodeDecodeError as error:
        raise Wrong("not UTF-8") from error
    if not isinstance(given, dict):
        raise Wrong("not an object")
    event: dict[str, Any] = {
        "artist": text(given.get("artist"), 1024),
        "auth": text(given.get("auth"), 64),
        "first_name": text(given.get("firstName"), 1024),
        "gender": text(given.get("gender"), 64),
        "item_in_session": integer(given.get("itemInSession"), -(2**31), 2**31 - 1),
        "last_name": text(given.get("lastName"), 1024),
        "length": decimal(given.get("length"), 10, 5),
        "level": text(given.get("level"), 64),
        "location": text(given.get("location"), 1024),
        "method": text(given.get("method"), 64),
        "page": text(given.get("page"), 64),
        "registration": time_of(given.get("registration")),
        "session_id": integer(given.get("sessionId"), -(2**63), 2**63 - 1),
        "song": text(given.get("song"), 1024),
        "status": integer(given.get("status"), -(2**31), 2**31 - 1),
        "ts": time_of(given.get("ts")),
        "user_agent": text(given.get("userAgent"), 1024),
        "user_id": integer(given.get("userId"), -(2**63), 2**63 - 1),
    }
    if event["ts"] is None or not event["page"]:
        raise Wrong("no ts or page")
    if event["page"] == "NextSong" and (event["session_id"] is None or event["item_in_session"] is None):
        raise Wrong("no session or item")
    if event["ts"].date() != day:
        raise Wrong("belongs elsewhere")
    return event


# Songs


def read_songs(
    song_data: Mapping[str, bytes], counts: dict[str, tuple[int, int, int, int]]
) -> Iterator[dict[str, Any]]:
    """Every song, in the order in which later ones win."""
    for key in sorted(song_data, key=str.encode):
        hidden = any(part.startswith(".") for part in key.split("/"))
        if hidden or not key.endswith((".json", ".json.gz")) or not song_data[key]:
            continue
        objects = staged = 0
        for found in objects_of(key, song_data[key]):
            objects += 1
            try:
                song = read_song(found)
            except Wrong:
                continue
            staged += 1
            yield song
        counts[key] = (objects, staged, 0, objects - staged)


def objects_of(key: str, content: bytes) -> Iterator[object]:
    """The JSON values, one after the other; None is what is none, and the last."""
    try:
        content = gzip.decompress(content) if key.endswith(".gz") else content
        remaining = content.removeprefix(b"\xef\xbb\xbf").decode().lstrip(" \t\r\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        yield None
        return
    while remaining:
        # The shortest start that is JSON; a number is none before its end, and the tests have none at the top.
        for end in range(1, len(remaining) + 1):
            if remaining[end - 1] not in '}]"el' and end < len(remaining):
                continue
            try:
                found = parse(remaining[:end])
            except Wrong:
                continue
            yield found
            remaining = remaining[end:].lstrip(" \t\r\n")
            break
        else:
            yield None
            return


def read_song(given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Wrong("not an object")
    song: dict[str, Any] = {
        "num_songs": integer(given.get("num_songs"), -(2**31), 2**31 - 1),
        "artist_id": text(given.get("artist_id"), 64),
        "latitude": decimal(given.get("artist_latitude"), 9, 6),
        "longitude": decimal(given.get("artist_longitude"), 9, 6),
        "location": text(given.get("artist_location"), 1024),
        "artist_name": text(given.get("artist_name"), 1024),
        "song_id": text(given.get("song_id"), 64),
        "title": text(given.get("title"), 1024),
        "duration": decimal(given.get("duration"), 10, 5),
        "year": integer(given.get("year"), -(2**31), 2**31 - 1),
    }
    if not song["song_id"] or not song["artist_id"]:
        raise Wrong("no id")
    return song


def winners(songs: Iterator[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {song["song_id"]: song for song in songs}


# The star


def songplay(play: dict[str, Any], songs: Mapping[str, dict[str, Any]]) -> Row:
    matches = [
        song
        for song in songs.values()
        if None not in (play["song"], play["artist"], play["length"], song["title"], song["artist_name"])
        and repaired(play["song"]) == song["title"].rstrip(BLANK)
        and repaired(play["artist"]) == song["artist_name"].rstrip(BLANK)
        and play["length"] == song["duration"]
    ]
    match = min(matches, key=lambda song: str(song["song_id"]).encode(), default={"song_id": None, "artist_id": None})
    return (
        *(play["ts"], play["user_id"], play["level"], match["song_id"], match["artist_id"]),
        *(play["session_id"], play["location"], play["user_agent"]),
    )


def repaired(text: str) -> str:
    while any(ord(character) > 127 for character in text):
        try:
            text = text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            break
    return text.rstrip(BLANK)


def users(events: list[dict[str, Any]]) -> list[Row]:
    def when(event: dict[str, Any]) -> Row:
        session, item = event["session_id"], event["item_in_session"]
        return event["ts"], session is not None, session or 0, item is not None, item or 0

    latest: dict[int, dict[str, Any]] = {}
    for event in sorted(events, key=when):
        if event["user_id"] is not None:
            latest[event["user_id"]] = event
    return [
        (user, event["first_name"], event["last_name"], event["gender"], event["level"])
        for user, event in latest.items()
    ]


def artists(songs: list[dict[str, Any]]) -> list[Row]:
    by_artist = defaultdict(list)
    for song in songs:
        by_artist[song["artist_id"]].append(song)
    rows = []
    for artist_id, own in by_artist.items():
        by_age = sorted(own, key=lambda song: (*known_year(song["year"]), song["song_id"].encode()), reverse=True)
        location = next((song["location"] for song in by_age if (song["location"] or "").strip(BLANK)), None)
        places = ((song["latitude"], song["longitude"]) for song in by_age)
        place = next((place for place in places if None not in place), (None, None))
        rows.append((artist_id, name_of(own), location, *place))
    return rows


def known_year(year: int | None) -> tuple[bool, int]:
    return bool(year), year or 0


def name_of(songs: list[dict[str, Any]]) -> str | None:
    named = [((song["artist_name"] or "").rstrip(BLANK), song["song_id"].encode()) for song in songs]
    carried = Counter(name for name, _ in named if name)
    if not carried:
        return None
    most = max(carried.values())
    return max((song_id, name) for name, song_id in named if carried[name] == most)[1]


def taken_apart(start: datetime) -> Row:
    _, week, weekday = start.replace(tzinfo=UTC).isocalendar()
    return start, start.hour, start.day, week, start.month, start.year, weekday % 7
