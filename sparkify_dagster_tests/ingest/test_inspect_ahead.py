"""Days that are inspected ahead of their load, in this process or in several."""

import logging
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from sparkify_dagster.batches import InspectedDay, StoredObject
from sparkify_dagster.days import Window, days_between
from sparkify_dagster.ingest import inspect_ahead as module
from sparkify_dagster.ingest import load_logs
from sparkify_dagster.ingest.inspect_ahead import inspect_ahead, process_count
from sparkify_dagster.ingest.load_logs import load_log_days
from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.sources.events import EventInspector, log_date
from sparkify_dagster.sources.inspection_process import InspectionProcess
from sparkify_dagster.sources.object_store import LocalFolder, ObjectNotFoundError, ObjectStore, SourceError
from sparkify_dagster_tests.support.events import event, lines
from sparkify_dagster_tests.support.memory import MemoryStore
from sparkify_dagster_tests.support.world import ERRORS, EVENTS, OBJECTS, World

FIRST = date(2018, 11, 1)
LAST = date(2018, 11, 6)
# Imports of every start of the library that a process would wait for, or that would hold memory in each of them.
HEAVY = ("dagster", "duckdb", "sqlalchemy", "boto3", "pydantic", "click")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Six days: canonical, compressed, with duplicates, with errors, without a good record, and in two files."""
    world = World(tmp_path, max_load_errors=2)
    days = [str(day) for day in days_between(FIRST, LAST)]
    plays = {day: event(time=f"{day}T10:00:00") for day in days}
    world.write_log(days[0], plays[days[0]], event(time=f"{days[0]}T11:00:00", artist="BjÃ\x83Â¶rk"))
    world.write_log(days[1], plays[days[1]], key=f"{days[1]}-events.json.gz")
    world.write_log(days[2], plays[days[2]], plays[days[2]], event(time=f"{days[2]}T11:00:00", userId=9))
    world.write_log(days[3], plays[days[3]], "not JSON", event(time=days[0]))
    world.write_log(days[4], "not JSON")
    world.write_log(days[5], plays[days[5]], key=f"a/{days[5]}-events.json")
    world.write_log(days[5], event(time=f"{days[5]}T11:00:00", more=1), key=f"b/{days[5]}-events.json")
    return world


def inspector_of(store: ObjectStore) -> EventInspector:
    return EventInspector(store, DEFAULT_KEYS, keep_errors=10)


def files_by_day(store: ObjectStore) -> Mapping[date, Sequence[StoredObject]]:
    days: dict[date, list[StoredObject]] = {}
    for stored in store.list():
        day = log_date(stored.key)
        assert day is not None
        days.setdefault(day, []).append(stored)
    return days


def inspected(store: ObjectStore, processes: int) -> list[InspectedDay]:
    days = files_by_day(store)
    return [day for batch in inspect_ahead(inspector_of(store), days, processes) for day in batch]


def in_memory(world: World) -> MemoryStore:
    folder = Path(world.log_data)
    return MemoryStore({str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*-events.json*")})


def test_processes_find_what_one_finds_in_a_folder(world: World) -> None:
    store = LocalFolder(Path(world.log_data))
    days = inspected(store, 2)
    assert days == inspected(store, 1)
    assert [day.error_count for day in days] == [0, 0, 0, 2, 1, 0]


def test_processes_are_given_what_is_in_no_folder(world: World) -> None:
    store = in_memory(world)
    days = inspected(store, 2)
    assert days == inspected(store, 1)
    assert {day.day.day: day.staged for day in days} == {1: 2, 2: 1, 3: 2, 4: 1, 5: 0, 6: 2}
    (file,) = next(day for day in days if day.day == FIRST).files
    assert file.content == store.read(file.source.key)[1]


def test_a_load_by_processes_is_that_of_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with a batch per day, and with a second load of days of which one has changed."""
    monkeypatch.setattr(module, "BATCH_BYTES", 1)

    def staged() -> list[object]:
        tables = {EVENTS: (), ERRORS: ("key", "line_number", "reason"), OBJECTS: ("key", "etag", "staged")}
        return [world.rows(table, *columns) for table, columns in tables.items()]

    results = []
    for number in (1, 3):
        monkeypatch.setattr(module, "process_count", lambda objects, number=number: number)
        world.write_log("2018-11-02", event(time="2018-11-02T10:00:00"), key="2018-11-02-events.json.gz")
        first = world.load(str(FIRST), str(LAST), full=True)
        before = staged()
        world.write_log("2018-11-02", event(time="2018-11-02T10:00:01"), key="2018-11-02-events.json.gz")
        second = world.load(str(FIRST), str(LAST))
        results.append((first, [row[:-1] for row in before[0]], before[1], second, len(staged()[0])))  # type: ignore[attr-defined,arg-type]
    assert results[0] == results[1]
    assert results[0][0].rejected_days == ["2018-11-05"]
    assert list(results[0][3].days) == ["2018-11-05", "2018-11-02"]


def test_the_content_of_loaded_days_is_not_kept(world: World) -> None:
    """Whoever lists what was loaded would hold the whole source otherwise."""
    source = world.source
    with world.warehouse.connect("a test") as engine:
        loaded = load_log_days(
            engine,
            world.warehouse,
            source,
            source.list_log_files(),
            DEFAULT_KEYS,
            days_between(FIRST, LAST),
            world.limits,
            run_id="a test",
            window=Window(FIRST),
            log=logging.getLogger(__name__),
        )
        days = [day.inspected for day in loaded if day.inspected is not None]
    assert sum(day.lines for day in days) == 12
    assert not any(file.content for day in days for file in day.files)


def test_a_batch_is_not_kept_while_the_next_one_is_inspected(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From S3, its content would be in memory twice."""
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    kept: list[date] = []

    def watched(
        inspector: EventInspector, objects: Mapping[date, Sequence[StoredObject]]
    ) -> Iterator[Sequence[InspectedDay]]:
        before: list[weakref.ref[InspectedDay]] = []
        for batch in inspect_ahead(inspector, objects):
            kept.extend(day.day for reference in before if (day := reference()) is not None)
            before = [weakref.ref(day) for day in batch]
            yield batch

    monkeypatch.setattr(load_logs, "inspect_ahead", watched)
    assert len(world.load(str(FIRST), str(LAST)).days) == 6
    assert kept == []


def test_an_interrupted_load_ends_the_inspection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the exception is handled: the process would wait at its end for what is still being inspected."""
    ended = []

    def watched(
        inspector: EventInspector, objects: Mapping[date, Sequence[StoredObject]]
    ) -> Iterator[Sequence[InspectedDay]]:
        try:
            yield from inspect_ahead(inspector, objects)
        finally:
            ended.append(True)

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(load_logs, "inspect_ahead", watched)
    monkeypatch.setattr("sparkify_dagster.warehouse.staging_tables.replace_days", interrupted)
    with pytest.raises(KeyboardInterrupt) as handled:
        world.load(str(FIRST), str(LAST))
    assert ended, handled


def test_a_file_that_is_gone_is_said_to_be(world: World) -> None:
    store = LocalFolder(Path(world.log_data))
    days = files_by_day(store)
    world.delete("log_data/2018/11/2018-11-03-events.json")
    with pytest.raises(ObjectNotFoundError, match="there is no such file"):
        list(inspect_ahead(inspector_of(store), days, 2))


def test_the_end_of_a_process_is_said_of_the_day(world: World) -> None:
    store = LocalFolder(Path(world.log_data))
    process = InspectionProcess(inspector_of(store).rules, store.folder)
    try:
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(SourceError, match=r"2018-11-01 was not inspected: .* ended with status -9"):
            process.inspect(FIRST, files_by_day(store)[FIRST])
    finally:
        process.close()


def test_no_more_is_read_ahead_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten days of 1,000 bytes: with batches of two, three more may be in the works while the first is loaded."""
    days = {f"2018-11-{day:02}-events.json": b" " * 1_000 for day in range(1, 11)}
    read = []

    class Counting(MemoryStore):
        def read(self, key: str) -> tuple[StoredObject, bytes]:
            read.append(key)
            return super().read(key)

    monkeypatch.setattr(module, "BATCH_BYTES", 2_000)
    monkeypatch.setattr(module, "AHEAD_BYTES", (1_000, 3_000))
    store = Counting(days)
    batches = inspect_ahead(inspector_of(store), files_by_day(store), 2)
    assert len(next(batches)) == 2
    assert len(list(wait_for_reads(read))) == 5
    assert [len(batch) for batch in batches] == [2] * 4


def wait_for_reads(read: list[str]) -> Iterator[str]:
    """Yields what has been read when nothing more is read for a while."""
    before = -1
    while len(read) > before:
        before = len(read)
        time.sleep(0.5)
    yield from read


def test_a_day_larger_than_the_limit_is_inspected_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AHEAD_BYTES", (1, 1))
    assert len(inspected(LocalFolder(Path(world.log_data)), 2)) == 6


@pytest.mark.parametrize(
    ("days", "megabytes", "suffix", "cores", "processes"),
    [
        (30, 6, "", 2, 1),
        (30, 7, "", 2, 2),
        (30, 7, "", 1, 1),
        (30, 1, ".gz", 2, 2),
        (1, 500, "", 2, 1),
        (30, 50, "", 4, 4),
        (30, 50, "", 64, 8),
    ],
)
def test_processes_are_started_only_for_much_work(
    days: int, megabytes: int, suffix: str, cores: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: cores)
    objects = {
        FIRST + timedelta(days=number): [
            StoredObject(f"events.json{suffix}", "", megabytes << 20, datetime(2018, 11, 1, tzinfo=UTC))
        ]
        for number in range(days)
    }
    assert process_count(objects) == processes
    assert process_count({}) == 1


def test_a_process_imports_neither_dagster_nor_a_database() -> None:
    program = "import sys, sparkify_dagster.sources.inspection_process; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = ran.stdout.split()
    assert "msgspec" in loaded
    assert not set(HEAVY) & set(loaded)


PARENT = """
import sys, threading
from datetime import date
from pathlib import Path
from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.sources.events import EventInspector
from sparkify_dagster.sources.object_store import LocalFolder
from sparkify_dagster.ingest.inspect_ahead import inspect_ahead

store = LocalFolder(Path(sys.argv[1]))
short, long = store.list()
days = {date(2018, 11, 1): [short], date(2018, 11, 2): [long], date(2018, 11, 3): [long]}
import sparkify_dagster.ingest.inspect_ahead as module
module.BATCH_BYTES = 1
batches = inspect_ahead(EventInspector(store, DEFAULT_KEYS, keep_errors=1), days, 2)
next(batches)
threading.Timer(0.5, print, ["inspecting"], {"flush": True}).start()
next(batches)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_their_parent(end: signal.Signals, tmp_path: Path) -> None:
    """Also while they inspect, which takes two minutes here. They hold the pipe of errors open until they end."""
    (tmp_path / "2018-11-01-events.json").write_bytes(lines(event()))
    (tmp_path / "2018-11-02-events.json").write_bytes(b"not JSON\n" * 4_000_000)
    started = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "inspecting\n"
    started.send_signal(end)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == -end
    assert errors.count("Traceback") == (1 if end is signal.SIGINT else 0)
