"""A small world: real files in a folder, the real jobs on a real DuckDB file, and the rows that come out.

world.write_log("2018-11-01", event(page="Home"), "not JSON")
world.materialize("2018-11-01")
assert world.column("staging.staging_events", "page") == ["Home"]
"""

import gzip
import json
import logging
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg
from sqlalchemy import Connection, text

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.automation.jobs import LOG_DAY_ASSETS, MARTS, QUERIES, SONG_ASSETS
from sparkify_dagster.batches import MAX_INFLATED_BYTES
from sparkify_dagster.days import Window, days_between
from sparkify_dagster.definitions import defs
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.ingest.load_logs import load_log_days
from sparkify_dagster.ingest.load_songs import SongLoad, load_songs
from sparkify_dagster.partitions import range_tags
from sparkify_dagster.schema import tables
from sparkify_dagster.sources.source import Source
from sparkify_dagster.warehouse import duckdb_instance, staging_tables, transforms
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
from sparkify_dagster_tests.support.computed_once import computed_once
from sparkify_dagster_tests.support.events import Item, lines, text_of
from sparkify_dagster_tests.support.outcome import Outcome, asset_key
from sparkify_dagster_tests.support.run_history import emptied_history

Row: TypeAlias = tuple[Any, ...]
# The rows of each table, in order.
Everything: TypeAlias = dict[str, list[Row]]
# Makes an empty warehouse; None stands for a DuckDB file.
NewWarehouse: TypeAlias = Callable[[], Warehouse] | None


STAR: Mapping[str, tuple[str, ...]] = {
    table.name: tuple(column.name for column in table.columns) for table in tables.STAR_TABLES
}
# The marts, by the name that SQL reads them by.
PRODUCT: Mapping[str, tuple[str, ...]] = {
    table.fullname: tuple(column.name for column in table.columns) for table in tables.PRODUCT_TABLES
}
STAR_DAY_ASSETS = tuple(name for name in LOG_DAY_ASSETS if name not in MARTS)
TABLES_OF_JOB = {
    "load_all": [*SONG_ASSETS, *STAR_DAY_ASSETS],
    "load_songs": SONG_ASSETS,
    "load_log_days": STAR_DAY_ASSETS,
}
# In the order of a run.
STEPS = ("staging_events", "staging_songs", "songplays", "time", "users", "songs", "artists")
EVENTS = "staging.staging_events"
SONGS = "staging.staging_songs"
ERRORS = "staging.load_errors"
OBJECTS = "staging.loaded_objects"
ERROR_COLUMNS = ("key", "line_number", "log_date", "column_name", "reason", "raw_text")


@cache
def definitions_on(kind: type[Warehouse]) -> dg.Definitions:
    """The project's definitions on a warehouse of that kind."""
    if kind is DuckDBWarehouse:
        return defs
    return dg.Definitions(
        assets=defs.assets,
        asset_checks=defs.asset_checks,
        jobs=defs.jobs,
        resources={**(defs.resources or {}), "warehouse": kind.configure_at_launch()},
        executor=defs.executor,
    )


@cache
def _empty_warehouse() -> bytes:
    """A DuckDB file with the tables and no rows: to copy it takes a tenth of the time that their creation does."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = DuckDBWarehouse(path=f"{folder}/warehouse.duckdb")
        with warehouse.connect("a test"):
            pass
        return Path(warehouse.path).read_bytes()


@contextmanager
def kept_open(world: "World") -> Iterator["World"]:
    """Yields the world, and spares DuckDB the writing and closing of its file after each transaction, servers a login.

    DuckDB's own way to keep a file open lets other processes have it in between, which costs as much.
    """
    warehouse = world.warehouse
    attached = duckdb_instance.attached(Path(warehouse.path)) if isinstance(warehouse, DuckDBWarehouse) else None
    with attached or warehouse.kept_open():
        yield world


@contextmanager
def thrown_away(world: "World") -> Iterator["World"]:
    """Keeps the world open, and at the end spares DuckDB the writing of a file that nobody reads afterwards.

    It would take a sixth of the time of a small load.
    """
    run = duckdb_instance.cursor().execute
    with ExitStack() as ending:
        ending.callback(run, "PRAGMA enable_checkpoint_on_shutdown")
        ending.enter_context(kept_open(world))
        ending.callback(run, "PRAGMA disable_checkpoint_on_shutdown")
        yield world


def _contents(location: str) -> list[tuple[str, bytes]]:
    """Returns the keys and bytes of the files below a folder."""
    files = (Path(folder, name) for folder, _, names in os.walk(location) for name in names)
    return sorted((str(file.relative_to(location)), file.read_bytes()) for file in files)


def _columns(table: str) -> Sequence[str]:
    """Returns the columns in the order of the MetaData, since an upgraded table may have them in another one."""
    return [column.name for column in tables.metadata.tables[table].columns] if table in tables.metadata.tables else "*"


@dataclass(frozen=True)
class Loads:
    """The outcome of the loads of days and of songs: each day that was read, with the reason if it was rejected."""

    days: Mapping[str, str | None]
    songs: SongLoad

    @property
    def rejected_days(self) -> list[str]:
        return [day for day, reason in self.days.items() if reason is not None]

    @property
    def ok(self) -> bool:
        """Returns whether nothing was rejected."""
        return not self.rejected_days and not self.songs.rejected


@dataclass
class World:
    """A source folder, a warehouse, and the jobs between them.

    With `marts`, all of these are about the marts too, which most rules do not concern.
    """

    folder: Path
    max_load_errors: int = 100
    warehouse_file: Path = field(default_factory=Path)
    log_data: str = ""
    song_data: str = ""
    log_jsonpath: str | None = None
    aws_endpoint_url: str | None = None
    new_warehouse: NewWarehouse = None
    max_inflated_bytes: int = MAX_INFLATED_BYTES
    marts: bool = False

    def __post_init__(self) -> None:
        for name in ("log_data", "song_data"):
            if not getattr(self, name):
                setattr(self, name, str(self.folder / name))
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        if self.warehouse_file == Path():
            self.warehouse_file = self.folder / "warehouse.duckdb"

    # Arranging

    def write_log(self, day: str, *items: Item, key: str | None = None, end: bytes = b"\n") -> Path:
        """A day's log file with an item a line, at the usual key or another; a key in .gz is compressed."""
        key = key or f"{day[:4]}/{day[5:7]}/{day}-events.json"
        return self.write(f"log_data/{key}", lines(*items).replace(b"\n", end))

    def write_songs(self, key: str, *items: Item) -> Path:
        """A song file with one object after the other."""
        return self.write(f"song_data/{key}", b"\n".join(map(text_of, items)))

    def write(self, key: str, content: bytes) -> Path:
        return self.put(key, gzip.compress(content, mtime=0) if key.endswith(".gz") else content)

    def put(self, key: str, content: bytes) -> Path:
        """The bytes as they are, whatever the key's name says."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        # A new file each time, as an object store has it: never the old one's inode and time.
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return path

    def delete(self, key: str) -> None:
        (self.folder / key).unlink()

    def map_keys(self, content: object) -> None:
        """Writes the JSONPaths file."""
        self.log_jsonpath = str(self.folder / "log_json_path.json")
        self.write("log_json_path.json", content if isinstance(content, bytes) else json.dumps(content).encode())

    # Acting

    @property
    def source(self) -> Source:
        return Source(**self._source_config)

    @property
    def _source_config(self) -> dict[str, Any]:
        return {
            "log_data": self.log_data,
            "song_data": self.song_data,
            "log_jsonpath": self.log_jsonpath,
            "aws_endpoint_url": self.aws_endpoint_url,
        }

    @cached_property
    def warehouse(self) -> Warehouse:
        if self.new_warehouse:
            return self.new_warehouse()
        if not self.warehouse_file.exists():
            self.warehouse_file.parent.mkdir(parents=True, exist_ok=True)
            self.warehouse_file.write_bytes(_empty_warehouse())
        return DuckDBWarehouse(path=str(self.warehouse_file))

    @property
    def warehouse_config(self) -> dict[str, Any]:
        return {name: getattr(self.warehouse, name) for name in type(self.warehouse).model_fields}

    @property
    def limits(self) -> Limits:
        return Limits(max_load_errors=self.max_load_errors, max_inflated_bytes=self.max_inflated_bytes)

    def materialize(
        self,
        first_day: str | None = "2018-11-01",
        last_day: str | None = None,
        *,
        job: str = "load_all",
        assets: Sequence[str] = (),
        queries: bool = False,
        full: bool = False,
        allow_empty: bool = False,
    ) -> Outcome:
        """Runs a job for the days (both included), as `sparkify etl` and the UI do. Its failures are in the outcome.

        Without `assets`, a job runs all of its assets except the analysts' queries.
        """
        kind = type(self.warehouse)
        loading = {"load_songs": ["staging_songs"], "load_log_days": ["staging_events"]}
        config: dict[str, Any] = {
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            "resources": {
                "source": {"config": self._source_config},
                "warehouse": {"config": self.warehouse_config},
                "limits": {
                    "config": {
                        "max_load_errors": self.max_load_errors,
                        "max_inflated_bytes": self.max_inflated_bytes,
                    }
                },
                "expected": {"config": {"location": str(self.folder / "expected")}},
            },
        }
        if full or allow_empty:
            ops = loading.get(job, ["staging_events", "staging_songs"])
            config["ops"] = {name: {"config": {"full": full, "allow_empty": allow_empty}} for name in ops}
        if not assets:
            marts = MARTS if self.marts and job != "load_songs" else ()
            assets = [*TABLES_OF_JOB.get(job, []), *marts, *(QUERIES if queries else [])]
        tags = None
        if first_day is not None and job != "load_songs":
            tags = range_tags(date.fromisoformat(first_day), date.fromisoformat(last_day or first_day))
        with kept_open(self):
            result = (
                definitions_on(kind)
                .resolve_job_def(job)
                .execute_in_process(
                    run_config=config,
                    tags=tags,
                    instance=emptied_history(),
                    asset_selection=[asset_key(name) for name in assets] or None,
                    raise_on_error=False,
                )
            )
        return Outcome(result)

    def etl(self, first_day: str = "2018-11-01", last_day: str | None = None, *, full: bool = False) -> Outcome:
        """The job, then the days that a change of the catalogue concerns, like `sparkify etl`."""
        outcome = self.materialize(first_day, last_day, full=full)
        for day in self.pending():
            self.materialize(day, job="load_log_days", assets=["songplays"])
        return outcome

    def load(
        self,
        first_day: str = "2018-11-01",
        last_day: str | None = None,
        run_id: str = "a test",
        *,
        full: bool = False,
        allow_empty: bool = True,
        steps: Collection[str] | None = None,
    ) -> Loads:
        """The same loaders and SQL without Dagster around them, at a tenth of the price. Raises what they raise.

        Without `steps` it builds the star, and the marts of a world that has them. A load with fewer steps does what a
        run does that has only these assets, or that got only so far. One of the whole star also matches the pending
        days, as `sparkify etl` does in runs of their own.
        """
        first, last = date.fromisoformat(first_day), date.fromisoformat(last_day or first_day)
        source, limits = self.source, self.limits
        days, songs = {}, SongLoad()
        if steps is None:
            steps = (*STEPS, *MARTS) if self.marts else STEPS

        def build(connection: Connection) -> None:
            for step in (step for step in (*STEPS[2:], *MARTS) if step in steps):
                _build(connection, step, first, last)
            if set(STAR) <= set(steps):
                for day in staging_tables.pending_days(connection):
                    transforms.replace_songplays(connection, day, day)

        with self.warehouse.connect("a test") as engine:
            if "staging_events" in steps:
                loading = load_log_days(
                    engine,
                    self.warehouse,
                    source,
                    source.list_log_files(),
                    source.json_paths().keys,
                    days_between(first, last),
                    limits,
                    run_id=run_id,
                    window=Window(first),
                    log=logging.getLogger(__name__),
                    full=full,
                    allow_empty=allow_empty,
                )
                days = {day.day.isoformat(): day.rejection for day in loading}
            if "staging_songs" in steps:
                songs = load_songs(
                    engine,
                    self.warehouse,
                    source.song_store(),
                    source.list_song_files(),
                    limits,
                    full=full,
                    allow_empty=allow_empty,
                )
            self.warehouse.run_in_transaction(engine, build)
        return Loads(days, songs)

    def stage(self, first_day: str = "2018-11-01", last_day: str | None = None) -> Outcome:
        """Materializes staging with its checks, then builds the star without Dagster: a third of the price."""
        outcome = self.materialize(first_day, last_day, assets=["staging_events", "staging_songs"])
        self.load(first_day, last_day, steps=tuple(STAR))
        return outcome

    def load_songs_alone(self) -> Loads:
        """Does what the job load_songs does, without Dagster."""
        return self.load(steps=TABLES_OF_JOB["load_songs"])

    def match_again(self, *days: str) -> None:
        """Does what the runs for pending days do, without Dagster."""
        with self.warehouse.connect("a test") as engine, engine.begin() as connection:
            for day in days:
                _build(connection, "songplays", date.fromisoformat(day), date.fromisoformat(day))

    def from_scratch(self, first_day: str = "2018-11-01", last_day: str | None = None) -> "World":
        """Another warehouse into which the files that are present now are loaded in one go."""
        fresh = World(
            self.folder,
            self.max_load_errors,
            self.folder / "from_scratch.duckdb",
            self.log_data,
            self.song_data,
            self.log_jsonpath,
            self.aws_endpoint_url,
            self.new_warehouse,
            marts=self.marts,
        )
        fresh.warehouse_file.unlink(missing_ok=True)
        fresh.load(first_day, last_day)
        return fresh

    def everything_from_scratch(self, first_day: str = "2018-11-01", last_day: str | None = None) -> Everything:
        """Returns `everything` of a new DuckDB file into which the local files present now are loaded in one go.

        Each warehouse has to hold these rows, so that one load serves all comparisons with the same files.
        """
        logs, songs = _contents(self.log_data), _contents(self.song_data)
        keys = Path(self.log_jsonpath).read_bytes() if self.log_jsonpath else None

        def load() -> Everything:
            with tempfile.TemporaryDirectory() as folder:
                fresh = replace(self, warehouse_file=Path(folder, "warehouse.duckdb"), new_warehouse=None)
                with thrown_away(fresh):
                    fresh.load(first_day, last_day)
                    return fresh.everything()

        state = (first_day, last_day, self.max_load_errors, self.max_inflated_bytes, self.marts, keys, logs, songs)
        loaded = computed_once(repr(state).encode(), load)
        # Of a local file the ETag changes with each copy.
        etags = {file.key: file.etag for file in self.source.list_log_files().files}
        etags_of_songs = {file.key: file.etag for file in self.source.list_song_files().files}
        objects = [
            (key, day, (etags_of_songs if day is None else etags)[key], *counts)
            for key, day, _, *counts in loaded[OBJECTS]
        ]
        return {**loaded, OBJECTS: in_order(objects)}

    # Looking

    def execute(self, *statements: str) -> None:
        """Changes the warehouse as a person does, by hand."""
        with self.warehouse.connect("a test") as engine, engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def query(self, sql: str) -> list[Row]:
        (rows,) = self._queries(sql)
        return rows

    def rows(self, table: str, *columns: str) -> list[Row]:
        """The table's rows, sorted; of the star all columns if none are named."""
        (rows,) = self._tables({table: columns}).values()
        return rows

    def _tables(self, columns_of: Mapping[str, Sequence[str]]) -> dict[str, list[Row]]:
        queries = [
            f"SELECT {', '.join(columns or _columns(table))} FROM {table}" for table, columns in columns_of.items()
        ]
        return dict(zip(columns_of, map(in_order, self._queries(*queries)), strict=True))

    def _queries(self, *queries: str) -> list[list[Row]]:
        """All in one transaction: a warehouse that is opened for each costs more than they do."""
        with self.warehouse.connect("a test") as engine, engine.begin() as connection:
            return [[tuple(row) for row in connection.execute(text(sql))] for sql in queries]

    def column(self, table: str, name: str) -> list[Any]:
        return [value for (value,) in self.rows(table, name)]

    def star(self) -> dict[str, list[Row]]:
        return self._tables({**STAR, **(PRODUCT if self.marts else {})})

    def everything(self) -> Everything:
        """Returns the star, the marts, staging and its bookkeeping, without load times."""
        return self._tables(
            {
                **STAR,
                **(PRODUCT if self.marts else {}),
                EVENTS: (),
                SONGS: (),
                OBJECTS: ("key", "log_date", "etag", "lines", "staged", "duplicates", "errors"),
                ERRORS: ERROR_COLUMNS,
            }
        )

    def errors(self) -> list[Row]:
        return self.rows(ERRORS, *ERROR_COLUMNS)

    def reasons(self) -> list[tuple[int | None, str | None, str]]:
        """Line, column and reason of each load error."""
        return [(line, column, reason) for _, line, _, column, reason, _ in self.errors()]

    def counts(self) -> dict[str, tuple[int, int, int, int]]:
        """lines, staged, duplicates and errors of each loaded object."""
        rows = self.rows(OBJECTS, "key", "lines", "staged", "duplicates", "errors")
        return {key: (lines, staged, duplicates, errors) for key, lines, staged, duplicates, errors in rows}

    def pending(self) -> list[str]:
        return [day.isoformat() for day in self.column("staging.pending_rematch", "log_date")]


def _build(connection: Connection, step: str, first: date, last: date) -> None:
    if step in transforms.DAILY_TRANSFORMS:
        transforms.DAILY_TRANSFORMS[step](connection, first, last)
    else:
        transforms.replace_song_dimension(connection, getattr(tables, step))


def refresh_queries(world: World, *names: str) -> None:
    """Brings the tables of some of the analysts' queries up to the star, without Dagster around it."""
    with world.warehouse.connect("a test") as engine:
        _, failed = refresh.refresh(world.warehouse, engine, [all_queries()[name] for name in names])
    assert not failed


def in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [(value is not None, value) for value in row])
