"""Splits a log in one file into a log file per UTC day, line by line: memory does not grow with the file."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from sparkify_dagster.config.aws import AwsAccess
from sparkify_dagster.config.keys import MAX_LOG_DAY, MIN_LOG_DAY
from sparkify_dagster.days import log_file_key
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.schema.event_columns import DAY_MS
from sparkify_dagster.sources.coerce import EPOCH_MS, InvalidValueError, convert_row
from sparkify_dagster.sources.decompression import DecompressionError, inflate, is_gzip
from sparkify_dagster.sources.destination import Destination, open_destination
from sparkify_dagster.sources.object_store import stream_object
from sparkify_dagster.sources.records import BYTE_ORDER_MARK, MAX_RECORD_BYTES, Record, json_values

# What is kept in memory before it is appended to the files.
_BUFFER_BYTES: Final = 32 << 20
_MAX_EXAMPLES: Final = 5
_EXPECTED: Final = "each line should be a JSON object with an event's time in ts; nothing was written"
_EPOCH: Final = date(1970, 1, 1)


class SplitError(SparkifyError):
    """The file is not a log in lines of JSON, or cannot be decompressed."""


@dataclass
class Split:
    """The outcome: the records per day, and those that belong to no day, with line and reason of the first ones."""

    records: dict[date, int] = field(default_factory=lambda: defaultdict(int))
    unplaced: int = 0
    examples: list[tuple[int, str]] = field(default_factory=list)
    unplaced_path: str = ""


class _Timed(msgspec.Struct):
    ts: int


_decode_time = msgspec.json.Decoder(_Timed).decode


def split_log(
    location: str,
    to: str,
    access: AwsAccess,
    *,
    overwrite: bool = False,
    on_read: Callable[[int, int], None] = lambda read, size: None,
    on_written: Callable[[int, int], None] = lambda written, files: None,
) -> Split:
    """Writes the lines of a file below `to`, each as it is into the file of its UTC day.

    Records that belong to no day get a file that is not named like a log file. Until all is read, no file has its name.
    `on_read` is called with the bytes read and the file's size, `on_written` with the number of files.

    Raises SourceError, DestinationError, SplitError.
    """
    stored, pieces = stream_object(location, access)
    unplaced_key = _unplaced_key(stored.key)
    destination = open_destination(to, access, overwrite=overwrite)
    with destination.unfinished() as folder:
        splitter = _Splitter(destination, folder, unplaced_key)
        try:
            splitter.read(_inflated(_reported(pieces, lambda read: on_read(read, stored.size))))
        except DecompressionError as error:
            raise SplitError(f"{location}: cannot be decompressed: {error}; nothing was written") from error
        except _NotLinesError as error:
            raise SplitError(f"{location}, {error}: {_EXPECTED}") from error
        found = splitter.found
        if not found.records:
            problem = "line {}: {}".format(*found.examples[0]) if found.examples else "no line"
            raise SplitError(f"{location}, {problem}: {_EXPECTED}")
        keys = sorted(splitter.keys)
        for number, key in enumerate(keys, start=1):
            destination.publish(folder / key, key)
            on_written(number, len(keys))
        if not found.unplaced and unplaced_key in destination:
            destination.remove(unplaced_key)
        found.unplaced_path = destination.path(unplaced_key)
        return found


class _NotLinesError(Exception):
    """The file is not JSON in lines."""


def _unplaced_key(key: str) -> str:
    """Returns a name that no log file and no song file has, and that every store can address."""
    return re.sub("[^A-Za-z0-9._-]", "_", key.rpartition("/")[2].lstrip(".")) + ".unplaced.txt"


class _Splitter:
    """Appends each line to the unfinished file of its day, of which none stays open: there may be thousands."""

    def __init__(self, destination: Destination, folder: Path, unplaced_key: str) -> None:
        self.found = Split()
        self.keys: set[str] = set()
        self._destination = destination
        self._folder = folder
        self._unplaced_key = unplaced_key
        self._day_of: dict[int, date] = {}
        self._buffers: dict[date | None, bytearray] = defaultdict(bytearray)

    def read(self, pieces: Iterable[bytes]) -> None:
        buffered = 0
        for first_number, lines in _lines(pieces):
            for number, line in enumerate(lines, start=first_number):
                day = self._day_at_once(line)
                if day is not None:
                    self._add_event(day, line)
                elif line.strip(b" \t\r"):
                    self._add_exactly(number, line)
            buffered += sum(map(len, lines))
            if buffered >= _BUFFER_BYTES:
                self._flush()
                buffered = 0
        self._flush()

    def _day_at_once(self, line: bytes) -> date | None:
        """Returns the day of a line that is one usual event, and None for any other."""
        try:
            time = _decode_time(line).ts
            if not line.isascii():
                line.decode()
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        return self._day(time)

    def _day(self, time: int) -> date | None:
        """Returns the day of epoch milliseconds, or None for one that no load takes."""
        number = time // DAY_MS
        day = self._day_of.get(number)
        if day is None and (MIN_LOG_DAY - _EPOCH).days <= number <= (MAX_LOG_DAY - _EPOCH).days:
            day = self._day_of[number] = _EPOCH + timedelta(days=number)
            self._begin(day)
        return day

    def _add_exactly(self, number: int, line: bytes) -> None:
        """Adds a line of several records, with a time in another form, or without one. Raises _NotLinesError."""
        try:
            documents = json_values(Record(number, line))
        except InvalidValueError as problem:
            if not (self.found.records or self.found.unplaced) and line.lstrip()[:1] == b"[":
                raise _NotLinesError(f"line {number}: begins an array") from problem
            self._add_unplaced(number, line, problem.reason)
            return
        for document in documents:
            # A line with one record stays as it is, blanks included.
            text = line if len(documents) == 1 else document.text.encode(errors="surrogatepass")
            try:
                self._add_event(self._require_day(document.value), text)
            except InvalidValueError as problem:
                self._add_unplaced(number, text, problem.reason)

    def _require_day(self, value: object) -> date:
        """Raises InvalidValueError."""
        time = convert_row(value, {"ts": ("ts", EPOCH_MS)})["ts"]
        if time is None:
            raise InvalidValueError("ts: is missing")
        day = self._day(time)
        if day is None:
            raise InvalidValueError(f"ts: {time} is not within {MIN_LOG_DAY} and {MAX_LOG_DAY}")
        return day

    def _add_event(self, day: date, text: bytes) -> None:
        self.found.records[day] += 1
        self._add(day, text)

    def _add_unplaced(self, number: int, text: bytes, reason: str) -> None:
        if not self.found.unplaced:
            self._begin(None)
        self.found.unplaced += 1
        if len(self.found.examples) < _MAX_EXAMPLES:
            self.found.examples.append((number, reason))
        self._add(None, text)

    def _begin(self, day: date | None) -> None:
        key = self._key(day)
        self._destination.require_free(key, day)
        (self._folder / key).parent.mkdir(parents=True, exist_ok=True)
        self.keys.add(key)

    def _add(self, day: date | None, text: bytes) -> None:
        buffer = self._buffers[day]
        buffer += text
        buffer += b"\n"

    def _flush(self) -> None:
        for day, buffer in self._buffers.items():
            with (self._folder / self._key(day)).open("ab") as file:
                file.write(buffer)
        self._buffers.clear()

    def _key(self, day: date | None) -> str:
        return self._unplaced_key if day is None else log_file_key(day)


def _reported(pieces: Iterable[bytes], on_read: Callable[[int], None]) -> Iterator[bytes]:
    read = 0
    for piece in pieces:
        yield piece
        read += len(piece)
        on_read(read)


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the content, decompressed if it is gzip. Raises DecompressionError."""
    first = next(pieces, b"")
    all_pieces = chain([first], pieces)
    return inflate(all_pieces) if is_gzip(first) else all_pieces


def _lines(pieces: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yields the lines without their ends, many at a time, and the number of the first. Raises _NotLinesError."""
    number, rest = 1, b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > MAX_RECORD_BYTES:
            raise _NotLinesError(f"line {number + len(lines)}: is longer than {MAX_RECORD_BYTES:,} bytes")
        if lines:
            yield number, _without_mark(number, lines)
        number += len(lines)
    yield number, _without_mark(number, [rest])


def _without_mark(number: int, lines: list[bytes]) -> list[bytes]:
    return [lines[0].removeprefix(BYTE_ORDER_MARK), *lines[1:]] if number == 1 else lines
