"""Inspects a day's log files: which are plain, what the others hold, what is wrong with which line.

A plain file holds nothing that any warehouse's own reader could read in another way than docs/contract.md says. It is
read as it is; from any other a cleaned copy is made: the plain lines as they are, the odd ones written anew.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec

from sparkify_dagster.batches import (
    NEXT_SONG,
    SHORT_TEXT_BYTES,
    TEXT_BYTES,
    InspectedDay,
    InspectedFile,
    LoadError,
    StoredObject,
    TrustedDay,
)
from sparkify_dagster.sources.coerce import (
    BIGINT,
    EPOCH_MS,
    EPOCH_MS_RANGE,
    INTEGER,
    SECONDS,
    SHORT_TEXT,
    TEXT,
    InvalidValueError,
    convert_row,
)
from sparkify_dagster.sources.decompression import MAX_INFLATED_BYTES, DecompressionError, decompress, is_gzip
from sparkify_dagster.sources.log_fields import ABSENT, ABSENT_RAW, FieldTracker
from sparkify_dagster.sources.mojibake import repairs
from sparkify_dagster.sources.object_keys import is_hidden
from sparkify_dagster.sources.object_store import ObjectNotFoundError, ObjectStore
from sparkify_dagster.sources.records import MAX_NESTING, Document, Record, json_values, log_records, raw_text

# COPY refuses a JSON object of more than 4 MB, DuckDB one of more than 16 MB; neither is tried with large ones.
CANONICAL_LINE_BYTES = 1 << 20
# Decoded in parts that stay in the processor's cache: a third faster than a file at once.
DECODE_CHUNK_BYTES = 128 << 10
DAY_MS = 86_400_000
_MAX_CONCURRENT_HEADS = 16

_LOG_FILE = re.compile(r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})-events\.json(?:\.gz)?")
# No page says that COPY reads larger JSON numbers exactly; in quotes, as in a cleaned copy, it does.
_EXACT_IN_JSON = 2**53
_EXACT_BIGINT = Annotated[int, msgspec.Meta(ge=-_EXACT_IN_JSON, le=_EXACT_IN_JSON)]
_INTEGER = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
# A character is four bytes at most.
_SHORT_TEXT = Annotated[str, msgspec.Meta(max_length=SHORT_TEXT_BYTES // 4)]
_TEXT = Annotated[str, msgspec.Meta(max_length=TEXT_BYTES // 4)]
_MAYBE_SHORT_TEXT = (_SHORT_TEXT | None | msgspec.UnsetType, ABSENT)
_MAYBE_TEXT = (_TEXT | None | msgspec.UnsetType, ABSENT)
_MAYBE_NUMBER = (msgspec.Raw, ABSENT_RAW)
# Narrower than the contract: leading zeros, a null user and numbers where text is usual go the exact way.
_CANONICAL_EVENT: dict[str, tuple[Any, ...]] = {
    "artist": _MAYBE_TEXT,
    "auth": _MAYBE_SHORT_TEXT,
    "first_name": _MAYBE_TEXT,
    "gender": _MAYBE_SHORT_TEXT,
    "item_in_session": (_INTEGER,),
    "last_name": _MAYBE_TEXT,
    "length": _MAYBE_NUMBER,
    "level": _MAYBE_SHORT_TEXT,
    "location": _MAYBE_TEXT,
    "method": _MAYBE_SHORT_TEXT,
    "page": (Annotated[str, msgspec.Meta(min_length=1, max_length=SHORT_TEXT_BYTES)],),
    "registration": _MAYBE_NUMBER,
    "session_id": (_EXACT_BIGINT,),
    "song": _MAYBE_TEXT,
    "status": (_INTEGER | None | msgspec.UnsetType, ABSENT),
    "ts": (int,),
    "user_agent": _MAYBE_TEXT,
    "user_id": (str,),
}
_CANONICAL_USER = re.compile(r"(?:0|[1-9][0-9]{0,17})?")
_CANONICAL_LENGTH = re.compile(rb"null|[0-9]{1,5}(?:\.[0-9]{1,5})?")
_CANONICAL_EPOCH_MS = re.compile(rb"null|[0-9]{1,14}(?:\.0)?")
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

    def __init__(
        self,
        store: ObjectStore,
        keys: Sequence[str],
        *,
        keep_errors: int,
        max_inflated_bytes: int = MAX_INFLATED_BYTES,
        s3_in_place: bool = False,
    ) -> None:
        self._store = store
        self._s3_in_place = s3_in_place
        self._keys = tuple(keys)
        self._keep_errors = keep_errors
        self._max_inflated_bytes = max_inflated_bytes
        self._key_of = dict(zip(_CANONICAL_EVENT, self._keys, strict=True))
        self._columns = {column: (key, _CONVERSIONS[column]) for column, key in self._key_of.items()}
        # Redshift and DuckDB both read a number's digits as they are written.
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def inspect(self, day: date, objects: Sequence[StoredObject], *, rewrite: bool = False) -> InspectedDay:
        """Reads and inspects all files of a day, in the order of their keys. Raises SourceError.

        With `rewrite` no line is taken as it is: for a file that looked plain and that a warehouse could not read.
        """
        inspection = _DayInspection(day, _CanonicalDecoder(day, self._key_of), keep_errors=self._keep_errors)
        files = tuple(self._inspect_file(listed.key, inspection, rewrite=rewrite) for listed in objects)
        return InspectedDay(
            day,
            files,
            tuple(inspection.errors),
            repairs(inspection.non_ascii),
            self._keys,
            inspection.fields.fields(self._key_of),
        )

    def skip_inspection(self, day: date, objects: Sequence[StoredObject]) -> TrustedDay:
        """The files of a day as they are now, not looked into. Raises SourceError."""
        keys = [stored.key for stored in objects]
        return TrustedDay(
            day, tuple(map(self._store.head, keys)), tuple(self._store.uri(key) or "" for key in keys), self._keys
        )

    def changed_files(self, days: Sequence[InspectedDay]) -> Sequence[str]:
        """The keys of files that a warehouse has read in place, and that are others by now. Raises SourceError."""
        read_in_place = [file for day in days for file in day.files if file.local_path or file.uri]
        with ThreadPoolExecutor(_MAX_CONCURRENT_HEADS) as lookers:
            changed = lookers.map(self._has_changed, read_in_place)
            return [file.source.key for file, is_changed in zip(read_in_place, changed, strict=True) if is_changed]

    def _has_changed(self, file: InspectedFile) -> bool:
        try:
            return self._store.head(file.source.key) != file.source
        except ObjectNotFoundError:
            return True

    def _inspect_file(self, key: str, inspection: "_DayInspection", *, rewrite: bool) -> InspectedFile:
        source, content = self._store.read(key)
        is_compressed = is_gzip(content)
        if is_compressed:
            try:
                content = decompress(content, max_bytes=self._max_inflated_bytes)
            except DecompressionError as error:
                inspection.add_error(LoadError(key, None, None, f"cannot be decompressed: {error}", None))
                return InspectedFile(source, lines=1, errors=1, plain=False)
        plain = None if rewrite else _read_canonical(content, inspection.decoder)
        if plain is not None and plain.has_no_duplicates and inspection.identities.isdisjoint(plain.identities):
            inspection.accept(plain.identities, plain.texts, plain.fields)
            # Warehouses tell gzip by the name.
            in_place = is_compressed == key.endswith(".gz")
            path = self._store.local_path(key) if in_place else None
            uri = self._store.uri(key) if in_place and self._s3_in_place else None
            return InspectedFile(
                source,
                lines=plain.lines,
                content=b"" if path or uri else content,
                local_path=path,
                uri=uri,
                inflated_bytes=len(content),
            )
        return self._clean(source, content, inspection, rewrite=rewrite)

    def _clean(
        self, source: StoredObject, content: bytes, inspection: "_DayInspection", *, rewrite: bool
    ) -> InspectedFile:
        """Makes a cleaned copy: each record on a line of its own, without the duplicates and errors."""
        lines = duplicates = errors = 0
        cleaned = []
        for record in log_records(content):
            for event in self._read_record(source.key, record, inspection, rewrite=rewrite):
                lines += 1
                if isinstance(event, LoadError):
                    errors += 1
                    inspection.add_error(event)
                elif event.identity in inspection.identities:
                    duplicates += 1
                else:
                    inspection.accept({event.identity}, event.texts, event.fields)
                    cleaned.append(event.line)
        return InspectedFile(
            source,
            lines=lines,
            duplicates=duplicates,
            errors=errors,
            plain=False,
            content=b"\n".join(cleaned),
            inflated_bytes=len(content),
        )

    def _read_record(
        self, key: str, record: Record, inspection: "_DayInspection", *, rewrite: bool
    ) -> Iterator["_Event | LoadError"]:
        """Returns the events of a record's text, one per JSON value, or why they are none."""
        plain = None if rewrite or record.problem else _read_canonical(record.text, inspection.decoder)
        if plain is not None and plain.lines == 1:
            (identity,) = plain.identities
            yield _Event(identity, record.text, plain.texts, plain.fields)
            return
        try:
            documents = json_values(record)
        except InvalidValueError as problem:
            yield LoadError(key, record.line_number, None, problem.reason, raw_text(record.text))
            return
        for document in documents:
            try:
                yield self._read_document(document, inspection.day)
            except InvalidValueError as problem:
                raw = raw_text(document.text.encode(errors="replace"))
                yield LoadError(key, record.line_number, problem.column, problem.reason, raw)

    def _read_document(self, document: Document, day: date) -> "_Event":
        """Raises InvalidValueError."""
        row = self._convert(document, day)
        user = "" if row["user_id"] is None else str(row["user_id"])
        fields = FieldTracker()
        if isinstance(document.value, dict):
            fields.add_record(document.value, row, self._key_of)
        return _Event(
            (user, row["session_id"], row["item_in_session"], row["ts"]),
            self._encode(row, user),
            (row["artist"], row["song"]),
            fields,
        )

    def _convert(self, document: Document, day: date) -> dict[str, Any]:
        """Returns a record's typed values by column. Raises InvalidValueError."""
        row = convert_row(document.value, self._columns)
        page = (row["page"] or "").rstrip(" ")
        for column, is_missing in (("ts", row["ts"] is None), ("page", not page)):
            if is_missing:
                raise InvalidValueError(f"{column}: is missing", column)
        if page == NEXT_SONG:
            for column in ("session_id", "item_in_session"):
                if row[column] is None:
                    raise InvalidValueError(f"{column}: is missing on a NextSong", column)
        happened = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=row["ts"])
        if happened.date() != day:
            raise InvalidValueError(f"ts: belongs to {happened.date()}", "ts")
        return row

    def _encode(self, row: Mapping[str, Any], user: str) -> bytes:
        """Returns a record's line in the cleaned copy."""
        document = {key: row[column] for column, key in self._key_of.items()}
        document[self._key_of["user_id"]] = user
        if row["session_id"] is not None and abs(row["session_id"]) > _EXACT_IN_JSON:
            document[self._key_of["session_id"]] = str(row["session_id"])
        return self._encoder.encode(document)


@dataclass
class _DayInspection:
    """What the files of one day share: an event may come in several, and the errors count together."""

    day: date
    decoder: "_CanonicalDecoder"
    keep_errors: int
    identities: set[Identity] = field(default_factory=set)
    non_ascii: set[str] = field(default_factory=set)
    errors: list[LoadError] = field(default_factory=list)
    fields: FieldTracker = field(default_factory=FieldTracker)

    def add_error(self, error: LoadError) -> None:
        if len(self.errors) < self.keep_errors:
            self.errors.append(error)

    def accept(self, identities: set[Identity], texts: Iterable[object], fields: FieldTracker) -> None:
        """Adds events none of which is there already."""
        if self.identities:
            self.identities |= identities
        else:
            self.identities = identities
        self.non_ascii.update(text for text in texts if isinstance(text, str) and not text.isascii())
        self.fields.merge(fields)


class _Event(NamedTuple):
    """An event of a file that is not plain: its line in the cleaned copy, and what the day keeps of it."""

    identity: Identity
    line: bytes
    texts: Iterable[object]
    fields: FieldTracker


class _CanonicalDecoder:
    """Decodes the day's plain events and refuses nearly all others; _CanonicalLines.are_canonical sees to the rest."""

    def __init__(self, day: date, key_of: Mapping[str, str]) -> None:
        start_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000
        of_the_day = Annotated[int, msgspec.Meta(ge=start_ms, lt=start_ms + DAY_MS)]
        columns = [(column, *definition) for column, definition in (_CANONICAL_EVENT | {"ts": (of_the_day,)}).items()]
        self._keys = frozenset(key_of.values())
        # The first one is for records that have no other keys than ours, which most do.
        self._known, self._any = (
            msgspec.json.Decoder(
                msgspec.defstruct(
                    "PlainEvent",
                    columns,
                    rename=dict(key_of),
                    kw_only=True,
                    gc=False,
                    forbid_unknown_fields=forbid_unknown_fields,
                )
            )
            for forbid_unknown_fields in (True, False)
        )
        self._objects = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def decode(self, lines: bytes) -> tuple[list[Any], Set[str]]:
        """Returns the events, and the keys of theirs that are no column's. Raises MsgspecError or RecursionError."""
        try:
            return self._known.decode_lines(lines), frozenset()
        except msgspec.ValidationError:
            events = self._any.decode_lines(lines)
            return events, frozenset().union(*self._objects.decode_lines(lines)) - self._keys


@dataclass
class _CanonicalLines:
    """What is kept of lines that decode to our types: few distinct values, which are looked at together."""

    has_non_ascii: bool
    lines: int = 0
    identities: set[Identity] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    lengths: set[bytes] = field(default_factory=set)
    registrations: set[bytes] = field(default_factory=set)
    pages: set[str] = field(default_factory=set)
    texts: set[object] = field(default_factory=set)
    fields: FieldTracker = field(default_factory=FieldTracker)

    def add(self, events: Sequence[Any], unknown_keys: Set[str]) -> None:
        self.lines += len(events)
        self.identities.update(map(_identity, events))
        self.users.update([event.user_id for event in events])
        self.lengths.update(b"\n".join([event.length for event in events]).split(b"\n"))
        self.registrations.update(b"\n".join([event.registration for event in events]).split(b"\n"))
        self.pages.update([event.page for event in events])
        if self.has_non_ascii:
            self.texts.update([event.artist for event in events])
            self.texts.update([event.song for event in events])
        self.fields.add_canonical(events, unknown_keys)

    @property
    def has_no_duplicates(self) -> bool:
        return len(self.identities) == self.lines

    def are_canonical(self) -> bool:
        """Whether every warehouse's reader takes the values alike."""
        return (
            all(map(_CANONICAL_USER.fullmatch, self.users))
            and all(map(_CANONICAL_LENGTH.fullmatch, self.lengths))
            and all(map(_CANONICAL_EPOCH_MS.fullmatch, self.registrations))
            and all(value == b"null" or float(value) <= EPOCH_MS_RANGE[1] for value in self.registrations)
            and all(len(page.encode()) <= SHORT_TEXT_BYTES for page in self.pages)
            # One of blanks alone is missing.
            and not any(page.endswith(" ") for page in self.pages)
        )


def _read_canonical(content: bytes, decoder: _CanonicalDecoder) -> _CanonicalLines | None:
    """The lines, if every one is plain."""
    plain = _CanonicalLines(has_non_ascii=not content.isascii() or b"\\u" in content)
    for chunk in _chunks(content):
        if not _is_canonical_text(chunk):
            return None
        try:
            events, unknown_keys = decoder.decode(chunk)
        except (msgspec.MsgspecError, RecursionError):
            return None
        if len(events) != chunk.count(b"\n") + 1:
            return None
        plain.add(events, unknown_keys)
    return plain if plain.are_canonical() else None


def _is_canonical_text(chunk: bytes) -> bool:
    """Returns whether each object of the chunk, if it is one of events, is exactly one line of plain UTF-8."""
    lines = chunk.count(b"\n") + 1
    return (
        chunk.count(b"}\n{") == lines - 1
        and b"\r" not in chunk
        and b"\\u0000" not in chunk
        and chunk.count(b"{") + chunk.count(b"[") < lines + MAX_NESTING
        and _is_utf8(chunk)
        and _has_short_lines(chunk)
    )


def _has_short_lines(content: bytes) -> bool:
    """Whether no line is longer than CANONICAL_LINE_BYTES; tells so of some lines of half that length already."""
    window = CANONICAL_LINE_BYTES // 2
    return all(content.find(b"\n", start, start + window) >= 0 for start in range(0, len(content) - window, window))


def _chunks(content: bytes) -> Iterator[bytes]:
    """The content in parts of whole lines, so that a large file is never held decoded as a whole."""
    start = 0
    last = len(content) - content.endswith(b"\n")
    while start < last:
        end = last
        if start + DECODE_CHUNK_BYTES < last:
            end = content.rfind(b"\n", start, start + DECODE_CHUNK_BYTES)
            if end < 0:
                end = content.find(b"\n", start, last)
            if end < 0:
                end = last
        yield content[start:end]
        start = end + 1


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
