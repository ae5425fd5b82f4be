"""Inspects a day's log files: which are canonical, what the others hold, what is wrong with which line.

Canonical files (every warehouse's reader would parse them as docs/contract.md says) are loaded in place. For all others
a normalised copy is written, which keeps canonical lines as they are and rewrites the rest.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sparkify_dagster.batches import (
    MAX_INFLATED_BYTES,
    InspectedDay,
    InspectedFile,
    ListedDay,
    LoadError,
    StoredObject,
)
from sparkify_dagster.schema.event_columns import EVENT_COLUMNS, MAX_EXACT_JSON_INTEGER, NEXT_SONG, Kind
from sparkify_dagster.sources.coerce import (
    BIGINT,
    EPOCH_MS,
    INTEGER,
    SECONDS,
    SHORT_TEXT,
    TEXT,
    InvalidValueError,
    convert_row,
)
from sparkify_dagster.sources.decompression import DecompressionError, decompress, is_gzip
from sparkify_dagster.sources.fast_path import CanonicalDecoder, Identity, read_canonical
from sparkify_dagster.sources.log_fields import FieldTracker
from sparkify_dagster.sources.mojibake import repairs
from sparkify_dagster.sources.object_keys import is_hidden
from sparkify_dagster.sources.object_store import LocalFolder, ObjectNotFoundError, ObjectStore
from sparkify_dagster.sources.records import Document, Record, json_values, log_records, raw_text

_LOG_FILE = re.compile(r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})-events\.json(?:\.gz)?")
_CONVERSIONS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.SHORT_TEXT: SHORT_TEXT,
    Kind.TEXT: TEXT,
    Kind.INTEGER: INTEGER,
    Kind.BIGINT: BIGINT,
    Kind.USER_ID: BIGINT,
    Kind.SECONDS: SECONDS,
    Kind.EPOCH_MS: EPOCH_MS,
}
_BIGINT_COLUMNS = tuple(column.name for column in EVENT_COLUMNS if column.kind is Kind.BIGINT)


def log_date(key: str) -> date | None:
    """Returns the day in a log file's name, or None if the name is not that of a log file."""
    match = _LOG_FILE.fullmatch(key.rpartition("/")[2])
    if match is None or is_hidden(key):
        return None
    try:
        return date.fromisoformat(match["day"])
    except ValueError:
        return None


@dataclass(frozen=True)
class InspectionRules:
    """The JSON keys of the log's columns, how many errors of a day are kept, and how far a file may inflate."""

    keys: tuple[str, ...]
    keep_errors: int
    max_inflated_bytes: int = MAX_INFLATED_BYTES


@dataclass(frozen=True)
class LogFile:
    """A log file as it was read, and where a warehouse may read it too."""

    source: StoredObject
    content: bytes = field(repr=False)
    local_path: Path | None = None
    uri: str | None = None


def read_log_file(store: ObjectStore, key: str, *, s3_in_place: bool = False) -> LogFile:
    """Raises SourceError."""
    source, content = store.read(key)
    return LogFile(source, content, store.local_path(key), store.uri(key) if s3_in_place else None)


class EventInspector:
    """Inspects days of the log files of a store.

    With `s3_in_place` the content of canonical S3 objects is not kept: the warehouse reads the objects themselves.
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
        self.rules = InspectionRules(tuple(keys), keep_errors, max_inflated_bytes)
        self._days = DayInspector(self.rules)

    def inspect(self, day: date, objects: Sequence[StoredObject], *, rewrite: bool = False) -> InspectedDay:
        """Reads and inspects all files of a day, in the order of their keys. Raises SourceError.

        With `rewrite` every line is rewritten: for a canonical file that a warehouse could not read.
        """
        return self._days.inspect(day, map(self.read, objects), rewrite=rewrite)

    @property
    def folder(self) -> Path | None:
        """Returns the folder of the files, or None if they are in S3."""
        return self._store.folder if isinstance(self._store, LocalFolder) else None

    def read(self, listed: StoredObject) -> LogFile:
        """Reads a file as it is by now. Raises SourceError."""
        return read_log_file(self._store, listed.key, s3_in_place=self._s3_in_place)

    def list_day(self, day: date, objects: Sequence[StoredObject]) -> ListedDay:
        """Returns a day's files for a warehouse that reads them first."""
        uris = tuple(self._store.uri(stored.key) or "" for stored in objects)
        return ListedDay(day, tuple(objects), uris, self.rules.keys)

    def changed_files(self, days: Sequence[InspectedDay]) -> Sequence[str]:
        """Returns the keys of local files that changed after a warehouse read them in place. Raises SourceError.

        The warehouse itself says which version of an object in S3 it read.
        """
        return [file.source.key for day in days for file in day.files if file.local_path and self._has_changed(file)]

    def _has_changed(self, file: InspectedFile) -> bool:
        try:
            return self._store.head(file.source.key) != file.source
        except ObjectNotFoundError:
            return True


class DayInspector:
    """Inspects days of log files that have been read, whose events have their values under the rules' keys."""

    def __init__(self, rules: InspectionRules) -> None:
        self._rules = rules
        self._key_of = {column.name: key for column, key in zip(EVENT_COLUMNS, rules.keys, strict=True)}
        self._columns = {
            column.name: (self._key_of[column.name], _CONVERSIONS[column.kind]) for column in EVENT_COLUMNS
        }
        # What the days before have shown of the keys that records may lack.
        self._optional: set[str] = set()
        # Redshift and DuckDB both read a number's digits as they are written.
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def inspect(self, day: date, files: Iterable[LogFile], *, rewrite: bool = False) -> InspectedDay:
        """Inspects all files of a day, which are given in the order of their keys and held one at a time."""
        inspection = _DayInspection(
            day, CanonicalDecoder(day, self._key_of, self._optional), keep_errors=self._rules.keep_errors
        )
        inspected = tuple(self._inspect_file(file, inspection, rewrite=rewrite) for file in files)
        return InspectedDay(
            day,
            inspected,
            tuple(inspection.errors),
            repairs(inspection.non_ascii),
            self._rules.keys,
            inspection.fields.fields(self._key_of),
        )

    def _inspect_file(self, file: LogFile, inspection: "_DayInspection", *, rewrite: bool) -> InspectedFile:
        source, content = file.source, file.content
        is_compressed = is_gzip(content)
        if is_compressed:
            try:
                content = decompress(content, max_bytes=self._rules.max_inflated_bytes)
            except DecompressionError as error:
                inspection.add_error(LoadError(source.key, None, None, f"cannot be decompressed: {error}", None))
                return InspectedFile(source, lines=1, errors=1, canonical=False)
        canonical = None if rewrite else read_canonical(content, inspection.decoder)
        if (
            canonical is not None
            and canonical.has_no_duplicates
            and inspection.identities.isdisjoint(canonical.identities)
        ):
            inspection.accept(canonical.identities, canonical.texts, canonical.fields)
            # Warehouses recognise gzip by the name.
            in_place = is_compressed == source.key.endswith(".gz")
            path = file.local_path if in_place else None
            uri = file.uri if in_place else None
            return InspectedFile(
                source,
                lines=canonical.lines,
                content=b"" if path or uri else content,
                local_path=path,
                uri=uri,
                inflated_bytes=len(content),
            )
        return self._normalise(source, content, inspection, rewrite=rewrite)

    def _normalise(
        self, source: StoredObject, content: bytes, inspection: "_DayInspection", *, rewrite: bool
    ) -> InspectedFile:
        """Writes a normalised copy: one event per line, without the duplicates and errors."""
        lines = duplicates = errors = 0
        normalised = []
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
                    normalised.append(event.line)
        return InspectedFile(
            source,
            lines=lines,
            duplicates=duplicates,
            errors=errors,
            canonical=False,
            content=b"\n".join(normalised),
            inflated_bytes=len(content),
        )

    def _read_record(
        self, key: str, record: Record, inspection: "_DayInspection", *, rewrite: bool
    ) -> Iterator["_Event | LoadError"]:
        """Yields the events of a record, one per JSON value, or the errors of those that are rejected."""
        canonical = None if rewrite or record.problem else read_canonical(record.text, inspection.decoder)
        if canonical is not None and canonical.lines == 1:
            (identity,) = canonical.identities
            yield _Event(identity, record.text, canonical.texts, canonical.fields)
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
        """Returns an event's line in the normalised copy."""
        document = {key: row[column] for column, key in self._key_of.items()}
        document[self._key_of["user_id"]] = user
        for column in _BIGINT_COLUMNS:
            if row[column] is not None and abs(row[column]) > MAX_EXACT_JSON_INTEGER:
                document[self._key_of[column]] = str(row[column])
        return self._encoder.encode(document)


@dataclass
class _DayInspection:
    """State that the files of one day share: an event may be in several files, and the errors add up."""

    day: date
    decoder: "CanonicalDecoder"
    keep_errors: int
    identities: set[Identity] = field(default_factory=set)
    non_ascii: set[str] = field(default_factory=set)
    errors: list[LoadError] = field(default_factory=list)
    fields: FieldTracker = field(default_factory=FieldTracker)

    def add_error(self, error: LoadError) -> None:
        if len(self.errors) < self.keep_errors:
            self.errors.append(error)

    def accept(self, identities: set[Identity], texts: Iterable[object], fields: FieldTracker) -> None:
        """Adds events that are new to the day."""
        if self.identities:
            self.identities |= identities
        else:
            self.identities = identities
        self.non_ascii.update(text for text in texts if isinstance(text, str) and not text.isascii())
        self.fields.merge(fields)


class _Event(NamedTuple):
    """An event of a non-canonical file: its line in the normalised copy, and what the day keeps of it."""

    identity: Identity
    line: bytes
    texts: Iterable[object]
    fields: FieldTracker
