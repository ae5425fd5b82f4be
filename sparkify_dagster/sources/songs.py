"""Inspects song files: JSON objects, nearly always one per file, each of which is a song or an error."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from sparkify_dagster.batches import MAX_INFLATED_BYTES, InspectedFile, InspectedSongs, LoadError, StoredObject
from sparkify_dagster.sources.coerce import DEGREES, INTEGER, SECONDS, SHORT_TEXT, TEXT, InvalidValueError, convert_row
from sparkify_dagster.sources.decompression import DecompressionError, decompress, is_gzip
from sparkify_dagster.sources.object_keys import is_hidden
from sparkify_dagster.sources.object_store import ObjectStore
from sparkify_dagster.sources.records import BYTE_ORDER_MARK, Document, documents_of, raw_text, require_within_limits

SONG_FILES_PER_BATCH = 20_000
BYTES_PER_BATCH = 64 << 20

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
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def is_song_file(stored: StoredObject) -> bool:
    """Returns whether the object is a song file, which empty objects, dot-files and files in dot-folders are not."""
    return stored.key.endswith((".json", ".json.gz")) and stored.size > 0 and not is_hidden(stored.key)


def inspect_songs(
    store: ObjectStore, keys: Sequence[str], *, keep_errors: int, max_inflated_bytes: int = MAX_INFLATED_BYTES
) -> Iterator[InspectedSongs]:
    """Reads and inspects song files in batches of some thousand files or some megabytes. Raises SourceError."""
    files: list[InspectedFile] = []
    rows: list[bytes] = []
    errors: list[LoadError] = []
    size = 0
    for source, content in store.read_many(keys):
        file, file_rows, file_errors = inspect_song_file(source, content, max_inflated_bytes)
        files.append(file)
        rows += file_rows
        errors += file_errors[: max(0, keep_errors - len(errors))]
        size += file.inflated_bytes
        if len(files) == SONG_FILES_PER_BATCH or size >= BYTES_PER_BATCH:
            yield InspectedSongs(tuple(files), tuple(errors), b"\n".join(rows))
            files, rows, errors, size = [], [], [], 0
    if files:
        yield InspectedSongs(tuple(files), tuple(errors), b"\n".join(rows))


def inspect_song_file(
    source: StoredObject, content: bytes, max_inflated_bytes: int = MAX_INFLATED_BYTES
) -> tuple[InspectedFile, Sequence[bytes], Sequence[LoadError]]:
    """Returns one file's counts, its rows as JSON lines and its errors."""
    if is_gzip(content):
        try:
            content = decompress(content, max_bytes=max_inflated_bytes)
        except DecompressionError as error:
            whole_file = LoadError(source.key, None, None, f"cannot be decompressed: {error}", None)
            return InspectedFile(source, lines=1, errors=1), (), (whole_file,)
    rows = []
    errors = []
    number = 0
    for number, document in enumerate(_documents(content), start=1):
        try:
            require_within_limits(document)
            row = convert_row(document.value, _COLUMNS)
            for column in ("song_id", "artist_id"):
                if not (row[column] or "").rstrip(" "):
                    raise InvalidValueError(f"{column}: is missing", column)
        except InvalidValueError as problem:
            raw = raw_text(document.text.encode(errors="replace"))
            errors.append(LoadError(source.key, document.line_number, problem.column, problem.reason, raw))
        else:
            rows.append(_ENCODER.encode(row | {"source_key": source.key, "object_number": number}))
    file = InspectedFile(source, lines=number, errors=len(errors), inflated_bytes=len(content))
    return file, rows, errors


def _documents(content: bytes) -> Iterator[Document]:
    """Yields the file's JSON values. Text that is not JSON, or not UTF-8, comes last, as an InvalidValueError."""
    content = content.removeprefix(BYTE_ORDER_MARK)
    try:
        yield from documents_of(content.decode())
    except UnicodeDecodeError as error:
        text = content[: error.start].decode()
        undecodable = InvalidValueError(f"not UTF-8: byte {error.start + 1} of the file")
        for document in documents_of(text):
            if isinstance(document.value, InvalidValueError):
                yield document._replace(value=undecodable)
                return
            yield document
        yield Document(text.count("\n") + 1, content[error.start :].decode(errors="replace"), undecodable)
