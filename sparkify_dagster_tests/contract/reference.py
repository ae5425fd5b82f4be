"""The star and the marts in plain Python, written from docs/contract.md and not from the code, for comparison.

It takes no shortcuts and shares nothing with the product, so where both agree they agree with the contract.
"""

import gzip
import hashlib
import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_UP, Context, Decimal
from typing import Any, TypeAlias

Row: TypeAlias = tuple[Any, ...]
# lines, staged, duplicates and errors of an object
Counts: TypeAlias = tuple[int, int, int, int]
# The line on which a record begins, None for a whole file, and its JSON value or BROKEN.
Record: TypeAlias = tuple[int | None, object]

EXACT = Context(prec=1_000, Emin=MIN_EMIN, Emax=MAX_EMAX)
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
BLANK = " "
JSON_SPACE = " \t\r\n"
STRING_OR_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[^][{}",: \t\r\n]+', re.DOTALL)
CUT_ARRAY = re.compile(r"[ \t\r\n]*\[[ \t\r\n]*\{")
BROKEN = object()


class Wrong(Exception):
    """An error of the data: not loaded, recorded."""


class Number(str):
    """A JSON number as written."""


@dataclass
class Staged:
    """The events or songs of some files, and what is counted about each file."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)
    # Key and line of each error
    errors: list[tuple[str, int | None]] = field(default_factory=list)

    def add(self, other: "Staged") -> None:
        self.rows += other.rows
        self.counts |= other.counts
        self.errors += other.errors


@dataclass
class Reference:
    """The rows that the warehouse must hold after a load from scratch."""

    songplays: list[Row]
    users: list[Row]
    songs: list[Row]
    artists: list[Row]
    time: list[Row]
    events: list[Row]
    user_levels: list[Row]
    sessions: list[Row]
    daily_activity: list[Row]
    counts: dict[str, Counts]
    errors: list[tuple[str, int | None]]
    # These hold nothing, and are in nothing above.
    rejected_days: set[date]
    songs_are_rejected: bool


def reference(
    log_data: Mapping[str, bytes], song_data: Mapping[str, bytes], days: set[date], *, max_load_errors: int = 1_000
) -> Reference:
    """The star of the files, by their keys relative to the prefix, when the days and all songs have been loaded."""
    held, rejected_days = Staged(), set()
    for day in sorted(days):
        of_day = read_day(log_data, day)
        if is_rejected(of_day, max_load_errors):
            rejected_days.add(day)
        else:
            held.add(of_day)
    catalogue = read_songs(song_data)
    songs_are_rejected = len(catalogue.errors) > max_load_errors
    if songs_are_rejected:
        catalogue = Staged()
    songs = winners(catalogue.rows)
    plays = [event for event in held.rows if is_play(event)]
    return Reference(
        songplays=[songplay(play, songs) for play in plays],
        users=users(held.rows),
        songs=[
            (song_id, shown(song["title"]), shown(song["artist_id"]), song["year"] or None, song["duration"])
            for song_id, song in songs.items()
        ],
        artists=artists(songs),
        time=[taken_apart(start) for start in {play["ts"] for play in plays}],
        events=[mart_event(event) for event in held.rows],
        user_levels=user_levels(held.rows),
        sessions=sessions(held.rows),
        daily_activity=daily_activity(held.rows),
        counts=held.counts | catalogue.counts,
        errors=held.errors + catalogue.errors,
        rejected_days=rejected_days,
        songs_are_rejected=songs_are_rejected,
    )


def is_rejected(day: Staged, max_load_errors: int) -> bool:
    """Returns whether a day has too many errors, or a file with errors and without a good record."""
    return len(day.errors) > max_load_errors or any(
        errors > 0 and errors == lines for lines, _, _, errors in day.counts.values()
    )


# Files


def inflated(content: bytes) -> bytes:
    """The text of a file: gzip is what begins like it, and the file's name says nothing."""
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise Wrong("cannot be decompressed") from error
    return content.removeprefix(b"\xef\xbb\xbf")


def parse(text: str) -> object:
    """One JSON value, numbers as written."""

    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise Wrong("not JSON") from error


def end_of_value(text: str, start: int) -> int:
    """Returns the end of the JSON value that begins at `start`. Raises Wrong if there is none."""
    position, depth = start, 0
    while position < len(text):
        character = text[position]
        if character in "[{":
            depth, position = depth + 1, position + 1
        elif character in "]}":
            depth, position = depth - 1, position + 1
        elif match := STRING_OR_WORD.match(text, position):
            position = match.end()
        else:
            position += 1
        if depth == 0:
            return position
    raise Wrong("cut")


def values(text: str, start: int = 0) -> Iterator[tuple[int, int, object]]:
    """Start, end and value of each JSON value, one after the other; other text is the last, as BROKEN."""
    while True:
        while start < len(text) and text[start] in JSON_SPACE:
            start += 1
        if start == len(text):
            return
        try:
            end = end_of_value(text, start)
            value = parse(text[start:end])
        except Wrong:
            yield start, len(text), BROKEN
            return
        yield start, end, value
        start = end


def line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def log_records(content: bytes) -> list[Record]:
    """The records of a log file: an array, pretty-printed objects, or lines."""
    try:
        content = inflated(content)
    except Wrong:
        return [(None, BROKEN)]
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return records_of_lines(content)
    begin = len(text) - len(text.lstrip(JSON_SPACE))
    try:
        if isinstance(parse(text), list):
            return list(elements(text, begin))
    except Wrong:
        pass
    first_line = text[begin:].partition("\n")[0]
    if CUT_ARRAY.match(text) and BROKEN in [value for _, _, value in values(first_line)]:
        return [(line_at(text, begin), BROKEN)]
    found = list(values(text))
    if found and isinstance(found[0][2], dict) and "\n" in text[found[0][0] : found[0][1]]:
        return [(line_at(text, start), value) for start, _, value in found]
    return records_of_lines(content)


def elements(text: str, begin: int) -> Iterator[Record]:
    """The elements of a text that is one JSON array."""
    position = begin + 1
    while True:
        while text[position] in JSON_SPACE + ",":
            position += 1
        if text[position] == "]":
            return
        end = end_of_value(text, position)
        yield line_at(text, position), parse(text[position:end])
        position = end


def records_of_lines(content: bytes) -> list[Record]:
    records: list[Record] = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip(b" \t\r"):
            continue
        try:
            found = [value for _, _, value in values(line.decode())]
        except UnicodeDecodeError:
            found = [BROKEN]
        records += [(number, BROKEN)] if BROKEN in found else [(number, value) for value in found]
    return records


def song_records(content: bytes) -> list[Record]:
    """The JSON values of a song file, one after the other; other text is the last, and broken."""
    try:
        content = inflated(content)
    except Wrong:
        return [(None, BROKEN)]
    try:
        text, rest = content.decode(), False
    except UnicodeDecodeError as error:
        text, rest = content[: error.start].decode(), True
    found = [(line_at(text, start), value) for start, _, value in values(text)]
    if rest and (not found or found[-1][1] is not BROKEN):
        found.append((line_at(text, len(text)), BROKEN))
    return [*found]


def is_hidden(key: str) -> bool:
    """Returns whether the key is a dot-file or in a dot-folder; `.` and `..` are segments like others."""
    return any(part.startswith(".") and part not in (".", "..") for part in key.split("/"))


# Values


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
    if abs(number) > 10**digits:
        raise Wrong("out of range")
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


def shown(text: str | None) -> str | None:
    """A text on its way out: blanks at the end do not count."""
    return None if text is None else text.rstrip(BLANK)


# Events


def read_day(log_data: Mapping[str, bytes], day: date) -> Staged:
    """A day's events; of an event that comes twice the copy whose key and line sort first."""
    staged = Staged()
    known = set()
    for key in sorted(log_data, key=str.encode):
        if day_of(key) != day:
            continue
        lines = events = errors = 0
        for number, record in log_records(log_data[key]):
            lines += 1
            try:
                event = read_event(record, day)
            except Wrong:
                errors += 1
                staged.errors.append((key, number))
                continue
            identity = (event["user_id"], event["session_id"], event["item_in_session"], event["ts"])
            if identity not in known:
                known.add(identity)
                staged.rows.append(event)
                events += 1
        staged.counts[key] = (lines, events, lines - events - errors, errors)
    return staged


def day_of(key: str) -> date | None:
    match = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})-events\.json(\.gz)?", key.rpartition("/")[2])
    if not match or is_hidden(key):
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def read_event(given: object, day: date) -> dict[str, Any]:
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
    if event["ts"] is None or not shown(event["page"]):
        raise Wrong("no ts or page")
    if shown(event["page"]) == "NextSong" and (event["session_id"] is None or event["item_in_session"] is None):
        raise Wrong("no session or item")
    if event["ts"].date() != day:
        raise Wrong("belongs elsewhere")
    return event


# Songs


def read_songs(song_data: Mapping[str, bytes]) -> Staged:
    """Every song, in the order in which later ones win."""
    staged = Staged()
    for key in sorted(song_data, key=str.encode):
        if is_hidden(key) or not key.endswith((".json", ".json.gz")) or not song_data[key]:
            continue
        objects = songs = 0
        for number, record in song_records(song_data[key]):
            objects += 1
            try:
                staged.rows.append(read_song(record))
                songs += 1
            except Wrong:
                staged.errors.append((key, number))
        staged.counts[key] = (objects, songs, 0, objects - songs)
    return staged


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
    if not shown(song["song_id"]) or not shown(song["artist_id"]):
        raise Wrong("no id")
    return song


def winners(songs: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The winning song of each id, by the id without blanks at its end."""
    return {str(shown(song["song_id"])): song for song in songs}


# The star


def is_play(event: Mapping[str, Any]) -> bool:
    return shown(event["page"]) == "NextSong" and event["user_id"] is not None


def songplay(play: dict[str, Any], songs: Mapping[str, dict[str, Any]]) -> Row:
    song, artist = repaired(play["song"]), repaired(play["artist"])
    matches = [
        song_id
        for song_id, candidate in songs.items()
        if None not in (song, artist, play["length"])
        and song == shown(candidate["title"])
        and artist == shown(candidate["artist_name"])
        and play["length"] == candidate["duration"]
    ]
    song_id = min(matches, key=str.encode, default=None)
    return (
        songplay_id(play),
        play["ts"],
        play["user_id"],
        shown(play["level"]),
        song_id,
        shown(songs[song_id]["artist_id"]) if song_id is not None else None,
        play["session_id"],
        shown(play["location"]),
        shown(play["user_agent"]),
        song,
        artist,
        play["length"],
    )


def songplay_id(play: Mapping[str, Any]) -> str:
    milliseconds = (play["ts"] - datetime(1970, 1, 1)) // timedelta(milliseconds=1)
    parts = (play["user_id"], play["session_id"], play["item_in_session"], milliseconds)
    return hashlib.md5("|".join("" if part is None else str(part) for part in parts).encode()).hexdigest()


def repaired(text: str | None) -> str | None:
    while text is not None and any(ord(character) > 127 for character in text):
        try:
            text = text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            break
    return shown(text)


def when(event: Mapping[str, Any]) -> Row:
    """Sorts events of a user: missing values are the lowest."""
    session, item = event["session_id"], event["item_in_session"]
    return event["ts"], session is not None, session or 0, item is not None, item or 0


def users(events: list[dict[str, Any]]) -> list[Row]:
    latest: dict[int, dict[str, Any]] = {}
    for event in sorted(events, key=when):
        if event["user_id"] is not None:
            latest[event["user_id"]] = event
    columns = ("first_name", "last_name", "gender", "level")
    return [(user, *(shown(event[column]) for column in columns)) for user, event in latest.items()]


def artists(songs: Mapping[str, dict[str, Any]]) -> list[Row]:
    by_artist: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for song_id, song in songs.items():
        by_artist[str(shown(song["artist_id"]))][song_id] = song
    rows = []
    for artist_id, own in by_artist.items():
        latest_first = [own[song_id] for song_id in sorted(own, key=lambda song_id: age(song_id, own), reverse=True)]
        location = next((shown(song["location"]) for song in latest_first if shown(song["location"])), None)
        places = ((song["latitude"], song["longitude"]) for song in latest_first)
        place = next((place for place in places if None not in place), (None, None))
        rows.append((artist_id, name_of(own), location, *place))
    return rows


def age(song_id: str, songs: Mapping[str, dict[str, Any]]) -> Row:
    """Sorts by (year, song_id), an unknown year lowest."""
    year = songs[song_id]["year"]
    return bool(year), year or 0, song_id.encode()


def name_of(songs: Mapping[str, dict[str, Any]]) -> str | None:
    named = [(song_id.encode(), shown(song["artist_name"])) for song_id, song in songs.items()]
    carried = Counter(name for _, name in named if name)
    if not carried:
        return None
    most = max(carried.values())
    return max((song_id, name) for song_id, name in named if name and carried[name] == most)[1]


def taken_apart(start: datetime) -> Row:
    _, week, weekday = start.replace(tzinfo=UTC).isocalendar()
    return start, start.hour, start.day, week, start.month, start.year, weekday % 7


# The marts


def mart_event(event: Mapping[str, Any]) -> Row:
    return (
        songplay_id(event),
        event["ts"],
        event["user_id"],
        event["session_id"],
        event["item_in_session"],
        shown(event["page"]),
        shown(event["auth"]),
        shown(event["method"]),
        event["status"],
        shown(event["level"]),
    )


def grouped(events: Sequence[dict[str, Any]], key: Callable[[dict[str, Any]], Row]) -> dict[Row, list[dict[str, Any]]]:
    """The events of users by a key, each group in order."""
    groups: dict[Row, list[dict[str, Any]]] = defaultdict(list)
    for event in sorted((event for event in events if event["user_id"] is not None), key=when):
        groups[key(event)].append(event)
    return groups


def user_levels(events: Sequence[dict[str, Any]]) -> list[Row]:
    rows = []
    for (user,), own in grouped(events, lambda event: (event["user_id"],)).items():
        changes: list[dict[str, Any]] = []
        for event in own:
            if event["level"] is None or (changes and shown(changes[-1]["level"]) == shown(event["level"])):
                continue
            changes.append(event)
        ends = [*(change["ts"] for change in changes[1:]), None]
        for version, (change, end) in enumerate(zip(changes, ends, strict=False), 1):
            rows.append((user, version, change["ts"], end, shown(change["level"]), shown(change["page"])))
    return rows


def on_page(events: Sequence[dict[str, Any]], page: str) -> int:
    return sum(shown(event["page"]) == page for event in events)


def seconds_played(events: Sequence[dict[str, Any]]) -> Decimal:
    return sum((event["length"] or Decimal(0) for event in events if is_play(event)), Decimal(0))


def failed(events: Sequence[dict[str, Any]]) -> int:
    return sum(event["status"] is not None and event["status"] >= 400 for event in events)


def sessions(events: Sequence[dict[str, Any]]) -> list[Row]:
    with_session = [event for event in events if event["session_id"] is not None]
    return [
        (
            session,
            user,
            own[0]["ts"],
            own[-1]["ts"],
            shown(own[0]["page"]),
            shown(own[-1]["page"]),
            len(own),
            on_page(own, "NextSong"),
            seconds_played(own),
            failed(own),
            shown(own[0]["level"]),
            shown(own[-1]["level"]),
            on_page(own, "Submit Upgrade"),
            on_page(own, "Submit Downgrade"),
        )
        for (session, user), own in grouped(with_session, lambda event: (event["session_id"], event["user_id"])).items()
    ]


def daily_activity(events: Sequence[dict[str, Any]]) -> list[Row]:
    rows = []
    for (user, day), own in grouped(events, lambda event: (event["user_id"], event["ts"].date())).items():
        songs = {(repaired(event["song"]), repaired(event["artist"])) for event in own if is_play(event)}
        rows.append(
            (
                user,
                day,
                shown(own[-1]["level"]),
                len({event["session_id"] for event in own} - {None}),
                len(own),
                on_page(own, "NextSong"),
                seconds_played(own),
                len(songs),
                len({artist for _, artist in songs} - {None}),
                failed(own),
                *(
                    on_page(own, page)
                    for page in (
                        "Upgrade",
                        "Submit Upgrade",
                        "Downgrade",
                        "Submit Downgrade",
                        "Roll Advert",
                        "Thumbs Up",
                        "Thumbs Down",
                        "Add to Playlist",
                        "Add Friend",
                        "Help",
                        "Cancellation Confirmation",
                    )
                ),
            )
        )
    return rows
