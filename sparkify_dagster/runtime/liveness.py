"""Distinguishes live runs from runs whose process is gone, and marks the latter as failed.

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
# Maximum time from the launch of a run in the UI until the run holds its lock.
START_SECONDS = 60
DIED = "The run's process ended before the run did (killed, or the machine stopped). Run it again."

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
    """Holds the run's lock until this process ends: no later hook of ours runs in a run that Dagster started."""
    path = _lock_path(instance, run_id)
    # The runs of an ephemeral instance are visible to this process only.
    if path not in _held and not instance.is_ephemeral:
        _take(path)
        atexit.register(_let_go, path)


def root_run_id(run: dg.DagsterRun) -> str:
    """Returns the id of the first run of a chain of retries, which is its own id if it retries none."""
    return run.root_run_id or run.run_id


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks unfinished runs whose process is gone as failed, or as canceled if they were to end; returns their ids."""
    dead = [run for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)) if is_dead(instance, run.run_id)]
    for run in dead:
        # A failed one is repeated.
        is_to_end = run.status is dg.DagsterRunStatus.CANCELING
        report = instance.report_run_canceled if is_to_end else instance.report_run_failed
        report(run, DIED)
    return [run.run_id for run in dead]


def is_dead(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Returns whether the run is not finished and its process is gone. It is False if that is unknown."""
    record = instance.get_run_record_by_id(run_id)
    if record is None or not _has_no_process(instance, record):
        return False
    # It may have finished in the meantime and released its lock.
    run = instance.get_run_by_id(run_id)
    return run is not None and not run.is_finished


def _take(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Renamed only once it is locked: an unlocked file means that the run is dead.
    unlocked = path.with_suffix(".new")
    lock = FileLock(unlocked)
    lock.acquire()
    unlocked.rename(path)
    _held[path] = lock


def _let_go(path: Path) -> None:
    _held.pop(path).release()
    path.unlink(missing_ok=True)


def _has_no_process(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    path = _lock_path(instance, record.dagster_run.run_id)
    if not path.exists():
        # It has not taken its lock yet, or it runs on another machine, which only a shared storage can show here.
        has_process = record.dagster_run.status != dg.DagsterRunStatus.NOT_STARTED
        # By name, so as not to import it: Dagster's own, or the one of runtime/history.py.
        is_of_this_machine = any(kind.__name__ == "SqliteRunStorage" for kind in type(instance.run_storage).__mro__)
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
