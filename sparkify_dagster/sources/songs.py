"""Inspects song files: one JSON object after the other, nearly always one, each of them a song or an error."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from sparkify_dagster.inspected import InspectedFile, InspectedSongs, LoadError, StoredObject
from sparkify_dagster.sources.events import BYTE_ORDER_MARK, json_error, raw_text
from sparkify_dagster.sources.keys import is_hidden
from sparkify_dagster.sources.object_store import ObjectStore
from sparkify_dagster.sources.values import (
    DEGREES,
    INTEGER,
    JSON_DECODER,
    SECONDS,
    SHORT_TEXT,
    TEXT,
    ValueProblem,
    convert_row,
)

SONGS_PER_BATCH = 20_000

_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "num_songs": INTEGER,
    "artist_id": SHORT_TEXT,
    "artist_latitude": DEGREES,
    "artist_longitude": DEGREES,
    "artist_location": TEXT,
    "artist_name": TEXT,
    "song_id": SHORT_TEXT,
    "title": TEXT,
    "duration": SECONDS,
    "year": INTEGER,
}
_COLUMNS = {column: (column, convert) for column, convert in _CONVERSIONS.items()}
_WHITE_SPACE = re.compile(r"[ \t\r\n]*")
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def is_song_file(stored: StoredObject) -> bool:
    """Returns whether the object is a song file: empty ones, dot-files and files under a dot-folder are none."""
    return stored.key.endswith((".json", ".json.gz")) and stored.size > 0 and not is_hidden(stored.key)


def inspect_songs(store: ObjectStore, keys: Sequence[str], *, keep_errors: int) -> Iterator[InspectedSongs]:
    """Reads and inspects the song files, some thousands at a time. Raises SourceError."""
    contents = store.read_many(keys)
    while batch := list(islice(contents, SONGS_PER_BATCH)):
        files: list[InspectedFile] = []
        rows: list[bytes] = []
        errors: list[LoadError] = []
        for source, content in batch:
            file, file_rows, file_errors = inspect_song_file(source, content)
            files.append(file)
            rows += file_rows
            errors += file_errors[: max(0, keep_errors - len(errors))]
        yield InspectedSongs(tuple(files), tuple(errors), b"\n".join(rows))


def inspect_song_file(
    source: StoredObject, content: bytes
) -> tuple[InspectedFile, Sequence[bytes], Sequence[LoadError]]:
    """One file's counts, its rows as JSON lines and its errors."""
    if source.key.endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            whole_file = LoadError(source.key, None, None, f"cannot be decompressed: {error}", None)
            return InspectedFile(source, lines=1, errors=1), (), (whole_file,)
    rows = []
    errors = []
    number = 0
    for number, (line_number, document, text) in enumerate(_documents(content), start=1):
        try:
            if isinstance(document, ValueProblem):
                raise document
            row = convert_row(document, _COLUMNS)
            for column in ("song_id", "artist_id"):
                if not (row[column] or "").rstrip(" "):
                    raise ValueProblem(f"{column}: is missing", column)
        except ValueProblem as problem:
            errors.append(
                LoadError(
                    source.key, line_number, problem.column, problem.reason, raw_text(text.encode(errors="replace"))
                )
            )
        else:
            rows.append(_ENCODER.encode(row | {"source_key": source.key, "object_number": number}))
    return InspectedFile(source, lines=number, errors=len(errors)), rows, errors


def _documents(content: bytes) -> Iterator[tuple[int, object, str]]:
    """Each JSON value with the line it starts on and its text; text that is not JSON is the last, as a ValueProblem."""
    content = content.removeprefix(BYTE_ORDER_MARK)
    undecodable = None
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        text = content[: error.start].decode()
        undecodable = ValueProblem(f"not UTF-8: byte {error.start + 1} of the file")
    position = line_number = counted = 0
    while True:
        position = _end_of_white_space(text, position)
        line_number += text.count("\n", counted, position)
        counted = position
        if position == len(text):
            break
        try:
            document, end = JSON_DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else f"not JSON: {json_error(error)}"
            yield line_number + 1, undecodable or ValueProblem(reason), text[position:]
            return
        yield line_number + 1, document, text[position:end]
        position = end
    if undecodable is not None:
        yield line_number + 1, undecodable, content[len(text.encode()) :].decode(errors="replace")


def _end_of_white_space(text: str, position: int) -> int:
    match = _WHITE_SPACE.match(text, position)
    return match.end() if match else position
