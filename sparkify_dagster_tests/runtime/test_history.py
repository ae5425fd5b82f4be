"""The storage of dagster.yaml: the files are Dagster's own, and stay open between statements."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from queue import Queue
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import Engine, event

from sparkify_dagster.runtime.history import EventLog, RunTable, ScheduleTable

OWN = {"sqlite": {"base_dir": "history"}}
OURS = {
    "custom": {
        "module": "sparkify_dagster.runtime.history",
        "class": "SqliteHistory",
        "config": {"base_dir": "history"},
    }
}


@dg.asset
def listened() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"plays": 3})


@dg.asset_check(asset=listened)
def complete() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def instance_with(storage: object) -> dg.DagsterInstance:
    Path("dagster.yaml").write_text(f"storage: {storage}\ntelemetry: {{enabled: false}}\n", "utf-8")
    return dg.DagsterInstance.from_config(".")


def run(instance: dg.DagsterInstance) -> str:
    return dg.materialize([listened, complete], instance=instance).run_id


def seen(instance: dg.DagsterInstance, run_id: str) -> tuple[object, ...]:
    """Returns what the UI shows of a run and of its asset."""
    status = instance.get_run_by_id(run_id)
    materialization = instance.get_latest_materialization_event(listened.key)
    assert status is not None
    assert materialization is not None
    return (
        status.status,
        [(entry.dagster_event_type, entry.message) for entry in instance.all_logs(run_id)],
        instance.get_run_stats(run_id),
        materialization.run_id,
        materialization.asset_materialization,
    )


@dg.asset
def failing() -> None:
    raise ValueError


def test_a_run_whose_failure_can_be_seen_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster's daemon repeats no killed run if it sees the failure before the status."""
    statuses: list[dg.DagsterRunStatus] = []
    store = SqliteEventLogStorage.store_event

    def store_and_look(log: SqliteEventLogStorage, entry: dg.EventLogEntry) -> None:
        store(log, entry)
        if entry.dagster_event_type is dg.DagsterEventType.RUN_FAILURE:
            (run,) = instance.get_runs()
            statuses.append(run.status)

    monkeypatch.setattr(SqliteEventLogStorage, "store_event", store_and_look)
    with instance_with(OURS) as instance:
        dg.materialize([failing], instance=instance, raise_on_error=False)
    assert statuses == [dg.DagsterRunStatus.FAILURE]


@pytest.mark.slow
@pytest.mark.parametrize(("writer", "reader"), [(OWN, OURS), (OURS, OWN)])
def test_each_storage_reads_and_continues_what_the_other_has_written(writer: object, reader: object) -> None:
    with instance_with(writer) as instance:
        first = run(instance)
        written = seen(instance, first)
    with instance_with(reader) as instance:
        assert seen(instance, first) == written
        second = run(instance)
        assert [run.run_id for run in instance.get_runs()] == [second, first]
        assert seen(instance, second)[0] is dg.DagsterRunStatus.SUCCESS


def test_files_are_not_opened_for_each_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where Dagster opens its files otherwise than by what the storage overrides."""
    opened = []
    connect = sqlite3.connect

    def counted(name: str, **options: Any) -> sqlite3.Connection:
        opened.append(name)
        connection: sqlite3.Connection = connect(name, **options)
        return connection

    with instance_with(OURS) as instance:
        monkeypatch.setattr(sqlite3.dbapi2, "connect", counted)
        run_id = run(instance)
        statements = len(instance.all_logs(run_id))
    assert statements > 10
    assert len(opened) < 8


def test_tables_are_looked_for_once() -> None:
    """Fails where Dagster looks for what its migrations add in another way than the storage overrides."""
    statements: list[str] = []
    with instance_with(OURS) as instance:
        run(instance)

        @event.listens_for(Engine, "before_cursor_execute")
        def count(connection: object, cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

        try:
            run(instance)
        finally:
            event.remove(Engine, "before_cursor_execute", count)
    assert len(statements) > 50
    assert [text for text in statements if re.search("PRAGMA.*asset|FROM secondary_indexes", text)] == []


def test_no_event_waits_for_the_disk() -> None:
    """A wait takes milliseconds, and a run has hundreds of events."""
    with instance_with(OURS) as instance:
        events, runs, ticks = instance.event_log_storage, instance.run_storage, instance.schedule_storage
        assert isinstance(events, EventLog)
        assert isinstance(runs, RunTable)
        assert isinstance(ticks, ScheduleTable)
        for connection in (events.index_connection(), events.run_connection("a run"), runs.connect(), ticks.connect()):
            with connection as opened:
                assert opened.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
                assert opened.exec_driver_sql("PRAGMA synchronous").scalar() == 1


@pytest.mark.slow
def test_the_tables_are_dagsters_own(tmp_path: Path) -> None:
    """Fails where a new version of Dagster creates other tables for a run."""

    def tables(file: Path) -> set[tuple[str, ...]]:
        with closing(sqlite3.connect(file)) as connection:
            return {
                (*row, *connection.execute("SELECT version_num FROM alembic_version").fetchone())
                for row in connection.execute("SELECT type, name, tbl_name FROM sqlite_master")
            }

    files = []
    for storage in (OURS, OWN):
        with instance_with(storage) as instance:
            files.append(tmp_path / "history" / "history" / "runs" / f"{run(instance)}.db")
    ours, own = map(tables, files)
    assert ours == own


@pytest.mark.slow
def test_the_page_of_a_run_shows_each_event_at_once() -> None:
    """The UI's process watches the run's file, which must change with the event, not at the run's end."""
    events: Queue[str | None] = Queue()
    with instance_with(OURS) as page, instance_with(OURS) as instance:
        first_run = run(instance)
        page.watch_event_logs(first_run, None, lambda entry, _: events.put(entry.message))
        for number in range(3):
            stored = instance.get_run_by_id(first_run)
            assert stored is not None
            instance.report_engine_event(f"event {number}", stored)
            while events.get(timeout=30) != f"event {number}":
                pass


@pytest.mark.slow
def test_a_file_that_is_no_longer_used_is_closed(tmp_path: Path) -> None:
    with instance_with(OURS) as instance:
        run(instance)
    assert list(tmp_path.rglob("*.db")) != []
    # SQLite deletes it when the last connection is closed.
    assert list(tmp_path.rglob("*.db-wal")) == []


@pytest.mark.slow
def test_a_history_that_was_wiped_starts_again() -> None:
    with instance_with(OURS) as instance:
        run(instance)
        instance.wipe()
        assert instance.get_runs_count() == 0
        run_id = run(instance)
        assert seen(instance, run_id)[0] is dg.DagsterRunStatus.SUCCESS
