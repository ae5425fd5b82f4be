"""SELECTs by which DuckDB reads what an inspection found: for its own tables, or on the way to another warehouse.

Each is given within a block, for whose time the files that it names exist.
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
from sparkify_dagster.schema.tables import SONG_COLUMNS

_DUCKDB = Dialect()
# read_json takes these characters in a path for a pattern.
_GLOB_CHARACTERS = frozenset("*?[]{}")
# How read_json sees the keys of a log line, in staging's column order; the SELECT casts from there.
_EVENT_TYPES = (
    ("artist", "VARCHAR"),
    ("auth", "VARCHAR"),
    ("first_name", "VARCHAR"),
    ("gender", "VARCHAR"),
    ("item_in_session", "INTEGER"),
    ("last_name", "VARCHAR"),
    ("length", "DECIMAL(10, 5)"),
    ("level", "VARCHAR"),
    ("location", "VARCHAR"),
    ("method", "VARCHAR"),
    ("page", "VARCHAR"),
    ("registration", "DOUBLE"),
    ("session_id", "BIGINT"),
    ("song", "VARCHAR"),
    ("status", "INTEGER"),
    ("ts", "BIGINT"),
    ("user_agent", "VARCHAR"),
    ("user_id", "VARCHAR"),
)
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
    """What DuckDB could not read of inspected days: file, line and kind, without the record that DuckDB quotes."""
    orig = error.orig if isinstance(error, DBAPIError) else error
    said = orig.object.decode(errors="replace") if isinstance(orig, UnicodeDecodeError) else str(orig)
    kind = next((meaning for text, meaning in _KINDS.items() if text in said), type(orig).__name__)
    place = _PLACE.search(said)
    where = f"line {place['line']} of {_key_of(days, place['file'])}" if place else "what looked plain"
    return f"DuckDB cannot read {where}: {kind}"


@contextmanager
def events_select(days: Sequence[InspectedDay]) -> Iterator[str]:
    """The days' events, in the order of staging_events' columns."""
    with tempfile.TemporaryDirectory(prefix="sparkify-") as name:
        folder = Path(name)
        meant = {broken: repaired for day in days for broken, repaired in day.repairs.items()}
        repairs = _written(folder / "repairs.json", ({"broken": key, "repaired": text} for key, text in meant.items()))
        files = _staged_files(days)
        paths = [_readable_path(file, folder / f"{number}.json") for number, file in enumerate(files)]
        # read_json wants one file at least.
        paths = paths or [_written(folder / "nothing.json", ())]
        keys = days[0].event_keys
        types = {key: type_ for key, (_, type_) in zip(keys, _EVENT_TYPES, strict=True)}
        names = ", ".join(f"{_identifier(key)} AS {name}" for key, (name, _) in zip(keys, _EVENT_TYPES, strict=True))
        yield f"""
            WITH repairs AS MATERIALIZED (
                SELECT * FROM {_read_json([repairs], {"broken": "VARCHAR", "repaired": "VARCHAR"})}
            ),
            events AS (SELECT {names} FROM {_read_json(paths, types)})
            SELECT
                e.artist, e.auth, e.first_name, e.gender, e.item_in_session, e.last_name, e.length, e.level,
                e.location, e.method, e.page, epoch_ms(CAST(e.registration AS BIGINT)), e.session_id, e.song, e.status,
                epoch_ms(e.ts), e.user_agent, CAST(NULLIF(e.user_id, '') AS BIGINT),
                CAST(epoch_ms(e.ts) AS DATE), e.ts,
                COALESCE(s.repaired, rtrim(e.song, ' ')), COALESCE(a.repaired, rtrim(e.artist, ' '))
            FROM events AS e
            LEFT JOIN repairs AS s ON rtrim(e.song, ' ') = s.broken
            LEFT JOIN repairs AS a ON rtrim(e.artist, ' ') = a.broken
        """  # noqa: S608 (names and types of the JSONPaths file, quoted)


@contextmanager
def songs_select(songs: InspectedSongs) -> Iterator[str]:
    """The batch's songs, in the order of staging_songs' columns."""
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
    """Rows of this process, which all have the same columns, in the order and with the types of these."""
    types = {name: str(table.c[name].type.compile(_DUCKDB)) for name in rows[0]}
    with tempfile.TemporaryDirectory(prefix="sparkify-") as folder:
        yield f"SELECT * FROM {_read_json([_written(Path(folder) / 'rows.json', rows)], types)}"  # noqa: S608 (quoted)


def _written(path: Path, rows: Iterable[object]) -> Path:
    path.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    return path


def _read_json(paths: Sequence[Path], types: Mapping[str, str]) -> str:
    """read_json of newline-delimited files with just these columns; a DECIMAL's comma needs the quotes.

    Without Hive partitions: a folder called level=paid is a folder and sets no column.
    """
    columns = ", ".join(f"{_literal(name)}: {_literal(type_)}" for name, type_ in types.items())
    files = ", ".join(_literal(str(path)) for path in paths)
    options = f"columns = {{{columns}}}, format = 'newline_delimited', hive_partitioning = false"
    return f"read_json([{files}], {options})"


def _readable_path(file: InspectedFile, copy: Path) -> Path:
    """Where DuckDB can read the file: in place where it can, from a copy elsewhere."""
    if file.local_path is None:
        copy.write_bytes(file.content)
        return copy
    if _GLOB_CHARACTERS & set(str(file.local_path)):
        return Path(shutil.copy(file.local_path, copy.with_suffix("".join(file.local_path.suffixes[-2:]))))
    return file.local_path


def _staged_files(days: Sequence[InspectedDay]) -> Sequence[InspectedFile]:
    return [file for day in days for file in day.files if file.staged]


def _key_of(days: Sequence[InspectedDay], path: str) -> str:
    """The key of the object that DuckDB has read at a path, its own or that of a copy."""
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
