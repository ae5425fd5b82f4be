"""The records that an inspection hands to a warehouse's loader. Both sides know these records and not each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from sparkify_dagster.formatting import pluralize

# The default of SPARKIFY_MAX_INFLATED_BYTES.
MAX_INFLATED_BYTES = 8 << 30


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of the source as a listing or a read shows it. The key is relative to the source's prefix.

    `modified` (UTC) is for people only: an upload may keep it, so it does not identify a version.
    """

    key: str
    etag: str
    size: int
    modified: datetime = field(compare=False)


@dataclass(frozen=True)
class LoadError:
    """A log event or a song that is rejected. line_number counts from 1; None means the whole file."""

    key: str
    line_number: int | None
    column_name: str | None
    reason: str
    raw_text: str | None

    @property
    def place(self) -> str:
        """Returns the file, and the line if the error is in one line."""
        return self.key if self.line_number is None else f"{self.key} line {self.line_number}"


@dataclass(frozen=True)
class InspectedFile:
    """One object with its counts of records: lines = staged + duplicates + errors.

    A canonical object is read in place if the warehouse can: at `local_path` in a folder, at `uri` in S3. If not, the
    warehouse reads `content`: a canonical object's own bytes (decompressed), or the normalised copy of any other.
    """

    source: StoredObject
    lines: int
    duplicates: int = 0
    errors: int = 0
    canonical: bool = True
    content: bytes = field(default=b"", repr=False)
    local_path: Path | None = None
    uri: str | None = None
    inflated_bytes: int = 0

    @property
    def staged(self) -> int:
        return self.lines - self.duplicates - self.errors


@dataclass(frozen=True)
class LogFields:
    """The keys of a day's log records, by the columns that they are read into.

    `missing` maps each column that should have a key, but has none in any record, to that key. `unknown` has the first
    keys by name that belong to no column.
    """

    present: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class InspectedDay:
    """The log files of a UTC day. `repairs` maps double-encoded text, without blanks at its end, to what was meant.

    `fields` is None if the warehouse itself checked the records.
    """

    day: date
    files: tuple[InspectedFile, ...]
    errors: tuple[LoadError, ...]
    repairs: Mapping[str, str]
    event_keys: tuple[str, ...]
    fields: LogFields | None = None

    @property
    def error_count(self) -> int:
        return sum(file.errors for file in self.files)

    @property
    def staged(self) -> int:
        return sum(file.staged for file in self.files)

    @property
    def duplicates(self) -> int:
        return sum(file.duplicates for file in self.files)

    @property
    def lines(self) -> int:
        return sum(file.lines for file in self.files)

    @property
    def inflated_bytes(self) -> int:
        """Returns the decompressed size of the files."""
        return sum(file.inflated_bytes for file in self.files)

    def without_content(self) -> "InspectedDay":
        """Returns the day without what a warehouse would read, for keeping when it is loaded."""
        return replace(self, files=tuple(replace(file, content=b"") for file in self.files))

    def rejection(self, max_load_errors: int) -> str | None:
        """Returns why the day must not replace the staged one, or None if it may."""
        for file in self.files:
            if file.errors and file.staged + file.duplicates == 0:
                return f"{file.source.key} has {pluralize(file.errors, 'error')} and no good record"
        if self.error_count > max_load_errors:
            records = pluralize(self.lines, "record")
            return f"{self.error_count:,} of {records} have errors, the limit is {max_load_errors:,}"
        return None


@dataclass(frozen=True)
class ListedDay:
    """The log files of a UTC day in S3 as the listing shows them, with their URLs. Nobody has read them."""

    day: date
    files: tuple[StoredObject, ...]
    uris: tuple[str, ...]
    event_keys: tuple[str, ...]


@dataclass(frozen=True)
class InspectedSongs:
    """A batch of song files. `rows` is newline-delimited JSON of staging_songs' own columns."""

    files: tuple[InspectedFile, ...]
    errors: tuple[LoadError, ...]
    rows: bytes = field(repr=False)

    @property
    def staged(self) -> int:
        return sum(file.staged for file in self.files)
