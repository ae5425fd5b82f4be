"""SELECTs by which DuckDB reads what an inspection found: for its own tables, or on the way to another warehouse.

Each is yielded for the duration of a block, while the files that it names exist.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import msgspec
from duckdb_sqlalchemy import Dialect
from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from sparkify_dagster.batches import InspectedDay, InspectedFile, InspectedSongs
from sparkify_dagster.schema.event_columns import EVENT_COLUMNS, EventColumn, Kind
from sparkify_dagster.schema.tables import SONG_COLUMNS

_DUCKDB = Dialect()
# read_json takes these characters in a path for a pattern.
_GLOB_CHARACTERS = frozenset("*?[]{}")
# The types that read_json gives the values of a log event, and the expressions that make staging's values of them.
_EVENT_TYPES: Mapping[Kind, str] = {
    Kind.SHORT_TEXT: "VARCHAR",
    Kind.TEXT: "VARCHAR",
    Kind.INTEGER: "INTEGER",
    Kind.BIGINT: "BIGINT",
    Kind.USER_ID: "VARCHAR",
    Kind.SECONDS: "DECIMAL(10, 5)",
    Kind.EPOCH_MS: "DOUBLE",
}
_EVENT_CASTS: Mapping[Kind, str] = {
    Kind.USER_ID: "CAST(NULLIF(e.{}, '') AS BIGINT)",
    Kind.EPOCH_MS: "epoch_ms(CAST(e.{} AS BIGINT))",
}
_SONG_TYPES = {
    "num_songs": "INTEGER",
    "artist_latitude": "DECIMAL(9, 6)",
    "artist_longitude": "DECIMAL(9, 6)",
    "duration": "DECIMAL(10, 5)",
    "year": "INTEGER",
    "object_number": "INTEGER",
}


# DuckDB cuts the record that it quotes, also within a character: then its message is no UTF-8.
READ_ERRORS = (duckdb.Error, UnicodeDecodeError)
_PLACE = re.compile(r'in file "(?P<file>[^"\n]*)",.*? in line (?P<line>[0-9]+)')
_KINDS = {
    "has duplicate key": "a key twice",
    "Malformed JSON": "malformed JSON",
    "Failed to cast": "a value of another type",
}


def unreadable(days: Sequence[InspectedDay], error: BaseException) -> str:
    """Describes what DuckDB could not read: file, line and kind of error, without the record that DuckDB quotes."""
    orig = error.orig if isinstance(error, DBAPIError) else error
    said = orig.object.decode(errors="replace") if isinstance(orig, UnicodeDecodeError) else str(orig)
    kind = next((meaning for text, meaning in _KINDS.items() if text in said), type(orig).__name__)
    place = _PLACE.search(said)
    where = f"line {place['line']} of {_key_of(days, place['file'])}" if place else "a canonical file"
    return f"DuckDB cannot read {where}: {kind}"


@contextmanager
def events_select(days: Sequence[InspectedDay]) -> Iterator[str]:
    """Yields a SELECT of the days' events, in the column order of staging_events."""
    with tempfile.TemporaryDirectory(prefix="sparkify-") as name:
        folder = Path(name)
        repaired_texts = {broken: repaired for day in days for broken, repaired in day.repairs.items()}
        repairs = _written(
            folder / "repairs.json", ({"broken": key, "repaired": text} for key, text in repaired_texts.items())
        )
        files = _staged_files(days)
        paths = [_readable_path(file, folder / f"{number}.json") for number, file in enumerate(files)]
        # read_json needs at least one file.
        paths = paths or [_written(folder / "nothing.json", ())]
        keys = days[0].event_keys
        columns = list(zip(keys, EVENT_COLUMNS, strict=True))
        types = {key: _event_type(column) for key, column in columns}
        names = ", ".join(f"{_identifier(key)} AS {column.name}" for key, column in columns)
        values = ", ".join(_EVENT_CASTS.get(column.kind, "e.{}").format(column.name) for column in EVENT_COLUMNS)
        yield f"""
            WITH repairs AS MATERIALIZED (
                SELECT * FROM {_read_json([repairs], {"broken": "VARCHAR", "repaired": "VARCHAR"})}
            ),
            events AS (SELECT {names} FROM {_read_json(paths, types)})
            SELECT
                {values},
                CAST(epoch_ms(e.ts) AS DATE), e.ts,
                COALESCE(s.repaired, rtrim(e.song, ' ')), COALESCE(a.repaired, rtrim(e.artist, ' '))
            FROM events AS e
            LEFT JOIN repairs AS s ON rtrim(e.song, ' ') = s.broken
            LEFT JOIN repairs AS a ON rtrim(e.artist, ' ') = a.broken
        """  # noqa: S608 (names and types of the JSONPaths file, quoted)


@contextmanager
def songs_select(songs: InspectedSongs) -> Iterator[str]:
    """Yields a SELECT of the batch's songs, in the column order of staging_songs."""
    with tempfile.TemporaryDirectory(prefix="sparkify-") as folder:
        path = Path(folder) / "songs.json"
        path.write_bytes(songs.rows)
        names = (*SONG_COLUMNS, "source_key", "object_number")
        yield (
            f"SELECT {', '.join(f's.{name}' for name in names)}, rtrim(s.title, ' '), rtrim(s.artist_name, ' ')"  # noqa: S608 (names of this module)
            f" FROM {_read_json([path], {name: _SONG_TYPES.get(name, 'VARCHAR') for name in names})} AS s"
        )


@contextmanager
def rows_select(table: Table, rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Yields a SELECT of rows that all have the same columns, in the order and with the types of those."""
    types = {name: str(table.c[name].type.compile(_DUCKDB)) for name in rows[0]}
    with tempfile.TemporaryDirectory(prefix="sparkify-") as folder:
        yield f"SELECT * FROM {_read_json([_written(Path(folder) / 'rows.json', rows)], types)}"  # noqa: S608 (quoted)


def _event_type(column: EventColumn) -> str:
    # ts is an integer in a canonical file: the event's identity and its day need it exactly, at full speed.
    return "BIGINT" if column.name == "ts" else _EVENT_TYPES[column.kind]


def _written(path: Path, rows: Iterable[object]) -> Path:
    path.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    return path


def _read_json(paths: Sequence[Path], types: Mapping[str, str]) -> str:
    """Returns a read_json call for newline-delimited files with these columns; a DECIMAL's comma needs the quotes.

    Without Hive partitions: a folder called level=paid is a folder and sets no column.
    """
    columns = ", ".join(f"{_literal(name)}: {_literal(type_)}" for name, type_ in types.items())
    files = ", ".join(_literal(str(path)) for path in paths)
    options = f"columns = {{{columns}}}, format = 'newline_delimited', hive_partitioning = false"
    return f"read_json([{files}], {options})"


def _readable_path(file: InspectedFile, copy: Path) -> Path:
    """Returns a path by which DuckDB can read the file: its own, or that of a copy."""
    if file.local_path is None:
        copy.write_bytes(file.content)
        return copy
    if _GLOB_CHARACTERS & set(str(file.local_path)):
        return Path(shutil.copy(file.local_path, copy.with_suffix("".join(file.local_path.suffixes[-2:]))))
    return file.local_path


def _staged_files(days: Sequence[InspectedDay]) -> Sequence[InspectedFile]:
    return [file for day in days for file in day.files if file.staged]


def _key_of(days: Sequence[InspectedDay], path: str) -> str:
    """Returns the key of the object that DuckDB read at a path, which may be that of a copy."""
    files = _staged_files(days)
    number = Path(path).name.partition(".")[0]
    keys = [file.source.key for file in files if str(file.local_path) == path]
    if not keys and number.isdecimal() and int(number) < len(files):
        keys = [files[int(number)].source.key]
    return keys[0] if keys else path


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
