"""Inspects a day's log files: which are plain, what the others hold, what is wrong with which line.

A plain file holds nothing that any warehouse's own reader could read in another way than the contract says. It is
read as it is; from any other a cleaned copy is made: the plain lines as they are, the odd ones written anew.
"""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any, TypeAlias

import msgspec

from sparkify_dagster.inspected import (
    RAW_TEXT_CHARACTERS,
    SHORT_TEXT_BYTES,
    TEXT_BYTES,
    InspectedDay,
    InspectedFile,
    LoadError,
    StoredObject,
    UninspectedDay,
)
from sparkify_dagster.sources.keys import is_hidden
from sparkify_dagster.sources.object_store import ObjectMissing, ObjectStore
from sparkify_dagster.sources.text_repair import repairs
from sparkify_dagster.sources.values import (
    BIGINT,
    EPOCH_MS,
    EPOCH_MS_RANGE,
    INTEGER,
    JSON_DECODER,
    SECONDS,
    SHORT_TEXT,
    TEXT,
    ValueProblem,
    convert_row,
)

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# COPY refuses a JSON object of more than 4 MB, DuckDB one of more than 16 MB; neither is tried with large ones.
PLAIN_LINE_BYTES = 1 << 20
# Decoded in parts that stay in the processor's cache: a third faster than a file at once.
DECODED_AT_ONCE_BYTES = 128 << 10
DAY_MS = 86_400_000
_LOOKED_UP_AT_ONCE = 16

_LOG_FILE = re.compile(r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})-events\.json(?:\.gz)?")
# No page says that COPY reads larger JSON numbers exactly; in quotes, as in a cleaned copy, it does.
_EXACT_IN_JSON = 2**53
_EXACT_BIGINT = Annotated[int, msgspec.Meta(ge=-_EXACT_IN_JSON, le=_EXACT_IN_JSON)]
_INTEGER = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
# A character is four bytes at most.
_SHORT_TEXT = Annotated[str, msgspec.Meta(max_length=SHORT_TEXT_BYTES // 4)]
_TEXT = Annotated[str, msgspec.Meta(max_length=TEXT_BYTES // 4)]
_NOTHING = msgspec.Raw(b"null")
# Narrower than the contract: leading zeros, a null user and numbers where text is usual go the exact way.
_PLAIN_EVENT: dict[str, tuple[Any, ...]] = {
    "artist": (_TEXT | None, None),
    "auth": (_SHORT_TEXT | None, None),
    "first_name": (_TEXT | None, None),
    "gender": (_SHORT_TEXT | None, None),
    "item_in_session": (_INTEGER,),
    "last_name": (_TEXT | None, None),
    "length": (msgspec.Raw, _NOTHING),
    "level": (_SHORT_TEXT | None, None),
    "location": (_TEXT | None, None),
    "method": (_SHORT_TEXT | None, None),
    "page": (Annotated[str, msgspec.Meta(min_length=1, max_length=SHORT_TEXT_BYTES)],),
    "registration": (msgspec.Raw, _NOTHING),
    "session_id": (_EXACT_BIGINT,),
    "song": (_TEXT | None, None),
    "status": (_INTEGER | None, None),
    "ts": (int,),
    "user_agent": (_TEXT | None, None),
    "user_id": (str,),
}
_PLAIN_USER = re.compile(r"(?:0|[1-9][0-9]{0,17})?")
_PLAIN_LENGTH = re.compile(rb"null|[0-9]{1,5}(?:\.[0-9]{1,5})?")
_PLAIN_EPOCH_MS = re.compile(rb"null|[0-9]{1,14}(?:\.0)?")
_SHORT_COLUMNS = ("auth", "gender", "level", "method", "page")
_TEXT_COLUMNS = ("artist", "first_name", "last_name", "location", "song", "user_agent")
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_SHORT_COLUMNS, SHORT_TEXT),
    **dict.fromkeys(_TEXT_COLUMNS, TEXT),
    "item_in_session": INTEGER,
    "status": INTEGER,
    "session_id": BIGINT,
    "user_id": BIGINT,
    "length": SECONDS,
    "registration": EPOCH_MS,
    "ts": EPOCH_MS,
}
_identity = attrgetter("user_id", "session_id", "item_in_session", "ts")

# user_id as text, "" where there is none; then session, item and epoch milliseconds.
Identity: TypeAlias = tuple[str, int | None, int | None, int]


def log_date(key: str) -> date | None:
    """The day that a log file's name gives; None for a name that is not a log file's."""
    match = _LOG_FILE.fullmatch(key.rpartition("/")[2])
    if match is None or is_hidden(key):
        return None
    try:
        return date.fromisoformat(match["day"])
    except ValueError:
        return None


class EventInspector:
    """Inspects days of log files whose lines carry their values under `keys`, in staging's column order.

    With `s3_in_place` the content of plain S3 objects is not kept: the warehouse reads the objects themselves.
    """

    def __init__(self, store: ObjectStore, keys: Sequence[str], *, keep_errors: int, s3_in_place: bool = False) -> None:
        self._store = store
        self._s3_in_place = s3_in_place
        self._keys = tuple(keys)
        self._keep_errors = keep_errors
        self._columns = {
            column: (key, _CONVERSIONS[column]) for column, key in zip(_PLAIN_EVENT, self._keys, strict=True)
        }
        # Redshift and DuckDB both read a number's digits as they are written.
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def inspect(self, day: date, objects: Sequence[StoredObject], *, rewrite: bool = False) -> InspectedDay:
        """Reads and inspects all files of a day, in the order of their keys. Raises SourceError.

        With `rewrite` no line is taken as it is: for a file that looked plain and that a warehouse could not read.
        """
        inspection = _DayInspection(day, self._plain_decoder(day), keep_errors=self._keep_errors)
        files = tuple(self._inspect_file(listed.key, inspection, rewrite=rewrite) for listed in objects)
        return InspectedDay(day, files, tuple(inspection.errors), repairs(inspection.non_ascii), self._keys)

    def pass_over(self, day: date, objects: Sequence[StoredObject]) -> UninspectedDay:
        """The files of a day as they are now, not looked into. Raises SourceError."""
        keys = [stored.key for stored in objects]
        return UninspectedDay(
            day, tuple(map(self._store.look_up, keys)), tuple(self._store.uri(key) or "" for key in keys), self._keys
        )

    def changed_files(self, days: Sequence[InspectedDay]) -> Sequence[str]:
        """The keys of files that a warehouse has read in place, and that are others by now. Raises SourceError."""
        read_in_place = [file for day in days for file in day.files if file.local_path or file.uri]
        with ThreadPoolExecutor(_LOOKED_UP_AT_ONCE) as lookers:
            changed = lookers.map(self._has_changed, read_in_place)
            return [file.source.key for file, is_changed in zip(read_in_place, changed, strict=True) if is_changed]

    def _has_changed(self, file: InspectedFile) -> bool:
        try:
            return self._store.look_up(file.source.key) != file.source
        except ObjectMissing:
            return True

    def _plain_decoder(self, day: date) -> "msgspec.json.Decoder[Any]":
        """Decodes the day's plain events and refuses nearly all others; _are_plain sees to the rest."""
        start_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000
        of_the_day = Annotated[int, msgspec.Meta(ge=start_ms, lt=start_ms + DAY_MS)]
        event = msgspec.defstruct(
            "PlainEvent",
            [(column, *definition) for column, definition in (_PLAIN_EVENT | {"ts": (of_the_day,)}).items()],
            rename=dict(zip(_PLAIN_EVENT, self._keys, strict=True)),
            kw_only=True,
            gc=False,
        )
        return msgspec.json.Decoder(event)

    def _inspect_file(self, key: str, inspection: "_DayInspection", *, rewrite: bool) -> InspectedFile:
        source, content = self._store.read(key)
        if key.endswith(".gz"):
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error) as error:
                inspection.add_error(LoadError(key, None, None, f"cannot be decompressed: {error}", None))
                return InspectedFile(source, lines=1, errors=1, plain=False)
        plain = None if rewrite else _read_plain(content, inspection.decoder)
        if plain is not None and plain.holds_no_event_twice and inspection.identities.isdisjoint(plain.identities):
            inspection.add_identities(plain.identities)
            inspection.note_texts(plain.texts)
            path = self._store.local_path(key)
            uri = self._store.uri(key) if self._s3_in_place else None
            return InspectedFile(
                source, lines=plain.lines, content=b"" if path or uri else content, local_path=path, uri=uri
            )
        return self._clean(source, content, inspection, rewrite=rewrite)

    def _clean(
        self, source: StoredObject, content: bytes, inspection: "_DayInspection", *, rewrite: bool
    ) -> InspectedFile:
        lines = duplicates = errors = 0
        cleaned = []
        for number, line in _lines(content.removeprefix(BYTE_ORDER_MARK)):
            lines += 1
            try:
                identity, texts, text = self._read_line(line, inspection, rewrite=rewrite)
            except ValueProblem as problem:
                errors += 1
                inspection.add_error(LoadError(source.key, number, problem.column, problem.reason, raw_text(line)))
                continue
            if identity in inspection.identities:
                duplicates += 1
                continue
            inspection.identities.add(identity)
            inspection.note_texts(texts)
            cleaned.append(text)
        return InspectedFile(
            source, lines=lines, duplicates=duplicates, errors=errors, plain=False, content=b"\n".join(cleaned)
        )

    def _read_line(
        self, line: bytes, inspection: "_DayInspection", *, rewrite: bool
    ) -> tuple[Identity, Iterable[str | None], bytes]:
        """The event's identity, its texts that may need a repair, and its line in the cleaned copy."""
        if not rewrite and (plain := _read_plain(line, inspection.decoder)) is not None:
            (identity,) = plain.identities
            return identity, plain.texts, line
        row = self._read_odd_line(line, inspection.day)
        user = "" if row["user_id"] is None else str(row["user_id"])
        identity = (user, row["session_id"], row["item_in_session"], row["ts"])
        document = {key: row[column] for column, (key, _) in self._columns.items()}
        document[self._columns["user_id"][0]] = user
        if row["session_id"] is not None and abs(row["session_id"]) > _EXACT_IN_JSON:
            document[self._columns["session_id"][0]] = str(row["session_id"])
        return identity, (row["artist"], row["song"]), self._encoder.encode(document)

    def _read_odd_line(self, line: bytes, day: date) -> dict[str, Any]:
        row = convert_row(decode_json(line), self._columns)
        page = (row["page"] or "").rstrip(" ")
        for column, is_missing in (("ts", row["ts"] is None), ("page", not page)):
            if is_missing:
                raise ValueProblem(f"{column}: is missing", column)
        if page == "NextSong":
            for column in ("session_id", "item_in_session"):
                if row[column] is None:
                    raise ValueProblem(f"{column}: is missing on a NextSong", column)
        happened = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=row["ts"])
        if happened.date() != day:
            raise ValueProblem(f"ts: belongs to {happened.date()}", "ts")
        return row


@dataclass
class _DayInspection:
    """What the files of one day share: an event may come in several, and the errors count together."""

    day: date
    decoder: "msgspec.json.Decoder[Any]"
    keep_errors: int
    identities: set[Identity] = field(default_factory=set)
    non_ascii: set[str] = field(default_factory=set)
    errors: list[LoadError] = field(default_factory=list)

    def add_error(self, error: LoadError) -> None:
        if len(self.errors) < self.keep_errors:
            self.errors.append(error)

    def add_identities(self, identities: set[Identity]) -> None:
        if self.identities:
            self.identities |= identities
        else:
            self.identities = identities

    def note_texts(self, texts: Iterable[str | None]) -> None:
        self.non_ascii.update(text for text in texts if text is not None and not text.isascii())


def decode_json(line: bytes) -> object:
    """A line's one JSON value, numbers as they are written. Raises ValueProblem."""
    try:
        text = line.decode()
        document, end = JSON_DECODER.raw_decode(text, len(text) - len(text.lstrip(" \t\r\n")))
    except UnicodeDecodeError as error:
        raise ValueProblem(f"not UTF-8: byte {error.start + 1} of the line") from None
    except RecursionError:
        raise ValueProblem("not readable: nested too deeply") from None
    except ValueError as error:
        raise ValueProblem(f"not JSON: {json_error(error)}") from None
    if text[end:].strip(" \t\r\n"):
        raise ValueProblem(f"not JSON: more text after the object, at character {end + 1}")
    return document


def json_error(error: ValueError) -> str:
    """What is wrong and at which character, without the decoder's own count of lines."""
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    return f"{error.msg.removesuffix(' at')} at character {error.pos + 1}"


def raw_text(line: bytes) -> str:
    """A line as load_errors keeps it; PostgreSQL and Redshift hold no NUL."""
    shown = line[: 4 * RAW_TEXT_CHARACTERS].decode(errors="replace")[:RAW_TEXT_CHARACTERS]
    return shown.replace("\x00", "\N{REPLACEMENT CHARACTER}")


@dataclass
class _PlainLines:
    """What is kept of lines that decode to our types: few distinct values, which are looked at together."""

    has_non_ascii: bool
    lines: int = 0
    identities: set[Identity] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    lengths: set[bytes] = field(default_factory=set)
    registrations: set[bytes] = field(default_factory=set)
    pages: set[str] = field(default_factory=set)
    texts: set[str | None] = field(default_factory=set)

    def add(self, events: Sequence[Any]) -> None:
        self.lines += len(events)
        self.identities.update(map(_identity, events))
        self.users.update([event.user_id for event in events])
        self.lengths.update(b"\n".join([event.length for event in events]).split(b"\n"))
        self.registrations.update(b"\n".join([event.registration for event in events]).split(b"\n"))
        self.pages.update([event.page for event in events])
        if self.has_non_ascii:
            self.texts.update([event.artist for event in events])
            self.texts.update([event.song for event in events])

    @property
    def holds_no_event_twice(self) -> bool:
        return len(self.identities) == self.lines

    def are_plain(self) -> bool:
        """Whether every warehouse's reader takes the values alike."""
        return (
            all(map(_PLAIN_USER.fullmatch, self.users))
            and all(map(_PLAIN_LENGTH.fullmatch, self.lengths))
            and all(map(_PLAIN_EPOCH_MS.fullmatch, self.registrations))
            and all(value == b"null" or float(value) <= EPOCH_MS_RANGE[1] for value in self.registrations)
            and all(len(page.encode()) <= SHORT_TEXT_BYTES for page in self.pages)
            # One of blanks alone is missing.
            and not any(page.endswith(" ") for page in self.pages)
        )


def _read_plain(content: bytes, decoder: "msgspec.json.Decoder[Any]") -> _PlainLines | None:
    """The lines, if every one is plain."""
    plain = _PlainLines(has_non_ascii=not content.isascii() or b"\\u" in content)
    for chunk in _chunks(content):
        events = _decode_lines(chunk, decoder)
        if events is None:
            return None
        plain.add(events)
    return plain if plain.are_plain() else None


def _decode_lines(body: bytes, decoder: "msgspec.json.Decoder[Any]") -> list[Any] | None:
    # With so many lines and just such boundaries between them, each object is exactly one line.
    lines = body.count(b"\n") + 1
    if body.count(b"}\n{") != lines - 1 or b"\r" in body or b"\\u0000" in body:
        return None
    if not _is_utf8(body) or not _has_short_lines(body):
        return None
    try:
        events = decoder.decode_lines(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return events if len(events) == lines else None


def _has_short_lines(content: bytes) -> bool:
    """Whether no line is longer than PLAIN_LINE_BYTES; tells so of some lines of half that length already."""
    window = PLAIN_LINE_BYTES // 2
    return all(content.find(b"\n", start, start + window) >= 0 for start in range(0, len(content) - window, window))


def _chunks(content: bytes) -> Iterator[bytes]:
    """The content in parts of whole lines, so that a large file is never held decoded as a whole."""
    start = 0
    last = len(content) - content.endswith(b"\n")
    while start < last:
        end = last
        if start + DECODED_AT_ONCE_BYTES < last:
            end = content.rfind(b"\n", start, start + DECODED_AT_ONCE_BYTES)
            if end < 0:
                end = content.find(b"\n", start, last)
            if end < 0:
                end = last
        yield content[start:end]
        start = end + 1


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        line = line.removesuffix(b"\r")
        if line.strip(b" \t"):
            yield number, line


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
