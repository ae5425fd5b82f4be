"""DuckDB: the embedded default. One file, no server, one writer at a time."""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import msgspec
from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from sparkify_dagster.inspected import InspectedDay, InspectedFile, InspectedSongs
from sparkify_dagster.warehouse.base import ReadMismatch, Warehouse, WarehouseError, create_tables
from sparkify_dagster.warehouse.tables import SONG_COLUMNS

log = logging.getLogger(__name__)

LOCK_POLL_SECONDS = 0.05
# read_json takes these characters in a path for a pattern.
_GLOB_CHARACTERS = frozenset("*?[]{}")
# A progress bar has no place in a log, and a checkpoint in the middle of a load writes everything twice.
_SESSION = "SET enable_progress_bar = false; SET wal_autocheckpoint = '1GB'"
# How read_json sees the keys of a log line, in staging's column order; the loader casts from there.
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


class DuckDBWarehouse(Warehouse):
    """A DuckDB file. An operating-system lock, which dies with its holder, keeps other processes waiting."""

    path: str

    @property
    def kind(self) -> str:
        return "duckdb"

    @property
    def database(self) -> str:
        return f"duckdb:///{self.path}"

    @contextmanager
    def open(self, purpose: str) -> Iterator[Engine]:
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _file_lock(path, purpose):
            # One connection, closed at the end: it keeps DuckDB's own lock, and closing it costs a checkpoint.
            engine = create_engine(self.database, poolclass=StaticPool)
            event.listen(engine, "connect", lambda connection, _: connection.execute(_SESSION))
            try:
                _create_tables_once(path, engine)
                yield engine
            except DBAPIError as error:
                if isinstance(error.orig, duckdb.IOException) and "lock" in str(error.orig):
                    raise WarehouseError(
                        f"{self.path} is open in another program; close it there and run again: {error.orig}"
                    ) from error
                raise
            finally:
                engine.dispose()

    def insert_events(self, connection: Connection, days: Sequence[InspectedDay]) -> None:
        files = [file for day in days for file in day.files if file.staged]
        if not files:
            return
        with tempfile.TemporaryDirectory(prefix="sparkify-") as name:
            folder = Path(name)
            repairs = folder / "repairs.json"
            meant = {broken: repaired for day in days for broken, repaired in day.repairs.items()}
            _write_json_lines(repairs, [{"broken": broken, "repaired": repaired} for broken, repaired in meant.items()])
            paths = [str(_readable_path(file, folder / f"{number}.json")) for number, file in enumerate(files)]
            try:
                inserted = connection.exec_driver_sql(
                    _insert_events_sql(days[0].event_keys), (str(repairs), paths)
                ).rowcount
            except DBAPIError as error:
                raise ReadMismatch(f"DuckDB cannot read what looked plain: {error.orig}") from error
        expected = sum(file.staged for file in files)
        if inserted != expected:
            raise ReadMismatch(f"{expected:,} events were inspected, DuckDB read {inserted:,}")

    def insert_songs(self, connection: Connection, songs: InspectedSongs) -> None:
        if not songs.rows:
            return
        with tempfile.TemporaryDirectory(prefix="sparkify-") as folder:
            path = Path(folder) / "songs.json"
            path.write_bytes(songs.rows)
            inserted = connection.exec_driver_sql(_insert_songs_sql(), (str(path),)).rowcount
        if inserted != songs.staged:
            raise WarehouseError(f"{songs.staged:,} songs were inspected, DuckDB read {inserted:,}")

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        # As a file, since DuckDB takes a fraction of a millisecond to look at each value of a parameter.
        if not rows:
            return
        names = list(rows[0])
        types = {name: str(table.c[name].type.compile(connection.dialect)) for name in names}
        with tempfile.TemporaryDirectory(prefix="sparkify-") as folder:
            path = Path(folder) / "rows.json"
            _write_json_lines(path, rows)
            connection.exec_driver_sql(
                f"INSERT INTO {table.fullname} ({', '.join(map(_identifier, names))})"  # noqa: S608 (MetaData's names)
                f" SELECT * FROM {_read_json('$1', types)}",
                (str(path),),
            )


def _write_json_lines(path: Path, rows: Iterable[object]) -> None:
    path.write_bytes(msgspec.json.Encoder().encode_lines(rows))


def _read_json(paths: str, types: Mapping[str, str]) -> str:
    """read_json of newline-delimited files with just these columns; a DECIMAL's comma needs the quotes."""
    columns = ", ".join(f"{_literal(name)}: {_literal(type_)}" for name, type_ in types.items())
    return f"read_json({paths}, columns = {{{columns}}}, format = 'newline_delimited')"


_files_with_tables: set[tuple[Path, int]] = set()


def _create_tables_once(path: Path, engine: Engine) -> None:
    # A file that was removed and made anew since has another inode.
    if not path.exists() or (path, path.stat().st_ino) not in _files_with_tables:
        create_tables(engine)
        _files_with_tables.add((path, path.stat().st_ino))


def _readable_path(file: InspectedFile, copy: Path) -> Path:
    """Where DuckDB can read the file: in place where it can, from a copy elsewhere."""
    if file.local_path is None:
        copy.write_bytes(file.content)
        return copy
    if _GLOB_CHARACTERS & set(str(file.local_path)):
        return Path(shutil.copy(file.local_path, copy.with_suffix("".join(file.local_path.suffixes[-2:]))))
    return file.local_path


def _insert_events_sql(keys: tuple[str, ...]) -> str:
    types = {key: type_ for key, (_, type_) in zip(keys, _EVENT_TYPES, strict=True)}
    names = ", ".join(f"{_identifier(key)} AS {name}" for key, (name, _) in zip(keys, _EVENT_TYPES, strict=True))
    return f"""
        WITH repairs AS MATERIALIZED (SELECT * FROM {_read_json("$1", {"broken": "VARCHAR", "repaired": "VARCHAR"})}),
        events AS (SELECT {names} FROM {_read_json("$2::VARCHAR[]", types)})
        INSERT INTO staging.staging_events
        SELECT
            e.artist, e.auth, e.first_name, e.gender, e.item_in_session, e.last_name, e.length, e.level, e.location,
            e.method, e.page, epoch_ms(CAST(e.registration AS BIGINT)), e.session_id, e.song, e.status,
            epoch_ms(e.ts), e.user_agent, CAST(NULLIF(e.user_id, '') AS BIGINT),
            CAST(epoch_ms(e.ts) AS DATE), e.ts,
            COALESCE(s.repaired, rtrim(e.song, ' ')), COALESCE(a.repaired, rtrim(e.artist, ' '))
        FROM events AS e
        LEFT JOIN repairs AS s ON rtrim(e.song, ' ') = s.broken
        LEFT JOIN repairs AS a ON rtrim(e.artist, ' ') = a.broken
    """  # noqa: S608 (names and types of the JSONPaths file, quoted)


def _insert_songs_sql() -> str:
    names = (*SONG_COLUMNS, "source_key", "object_number")
    return f"""
        INSERT INTO staging.staging_songs
        SELECT {", ".join(f"s.{name}" for name in names)}, rtrim(s.title, ' '), rtrim(s.artist_name, ' ')
        FROM {_read_json("$1", {name: _SONG_TYPES.get(name, "VARCHAR") for name in names})} AS s
    """  # noqa: S608 (names and types of this module)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _file_lock(path: Path, purpose: str) -> Iterator[None]:
    """Waits, with a line that says for whom, until no other process has the file open."""
    holder = path.with_name(path.name + ".holder")
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("Waiting for %s, which has %s open", _read_holder(holder), path)
        started = time.monotonic()
        lock.acquire(poll_interval=LOCK_POLL_SECONDS)
        log.info("Went on after %.1f s", time.monotonic() - started)
    try:
        holder.write_text(f"{purpose} (process {os.getpid()})", "utf-8")
        yield
    finally:
        lock.release()


def _read_holder(holder: Path) -> str:
    try:
        return holder.read_text("utf-8") or "another process"
    except OSError:
        return "another process"
