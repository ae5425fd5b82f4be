"""Tells runs that are alive from runs whose process is gone, and marks the latter as failed.

Each run holds an operating-system lock on a file of its own while its process lives. However the process ends, the lock
ends with it, so a run that is not finished and whose lock is free is dead.
"""

import atexit
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# A run that the UI launches needs this long at most until it takes its lock.
START_SECONDS = 60

_held: dict[Path, FileLock] = {}


@contextmanager
def alive(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Holds the run's lock. Nested calls of one process share it."""
    path = _lock_path(instance, run_id)
    if path in _held:
        yield
        return
    _take(path)
    try:
        yield
    finally:
        _let_go(path)


def alive_until_exit(instance: dg.DagsterInstance, run_id: str) -> None:
    """Holds the run's lock until this process ends: code of ours sees no other end of a run that Dagster started."""
    path = _lock_path(instance, run_id)
    # Nobody else can see the runs of an instance that is kept in memory.
    if path not in _held and not instance.is_ephemeral:
        _take(path)
        atexit.register(_let_go, path)


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks unfinished runs whose process is gone as failed and returns their ids."""
    dead = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        if _is_dead(instance, record):
            instance.report_run_failed(
                run, "The run's process ended before the run did (killed, or the machine stopped). Run it again."
            )
            dead.append(run.run_id)
    return dead


def _take(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    lock.acquire()
    _held[path] = lock


def _let_go(path: Path) -> None:
    _held.pop(path).release()
    path.unlink(missing_ok=True)


def _is_dead(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    path = _lock_path(instance, record.dagster_run.run_id)
    if not path.exists():
        # It never came as far as its lock, or it runs on another machine, whose runs only a shared storage shows here.
        has_process = record.dagster_run.status != dg.DagsterRunStatus.NOT_STARTED
        is_of_this_machine = type(instance.run_storage).__name__ == "SqliteRunStorage"
        started = record.start_time or record.create_timestamp.timestamp()
        return has_process and is_of_this_machine and time.time() - started > START_SECONDS
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    path.unlink(missing_ok=True)
    return True


def _lock_path(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.storage_directory()) / "live_runs" / f"{run_id}.lock"
