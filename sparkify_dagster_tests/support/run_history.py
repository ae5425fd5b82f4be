"""Histories of runs, which Dagster takes long to create."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import dagster as dg


def emptied_history() -> dg.DagsterInstance:
    """Returns the instance that all runs in this process share, without the runs of other tests.

    Creating one per run would be an eighth of a run's cost.
    """
    instance = _shared()
    instance.wipe()
    return instance


def new_history(folder: Path) -> dg.DagsterInstance:
    """Returns an instance with a history in the folder: a copy, since to create one takes five times as long."""
    return _instance_in(copy_empty_history(folder))


def copy_empty_history(folder: Path) -> Path:
    """Makes the folder that of a history without runs, and returns it."""
    return shutil.copytree(_empty_history(), folder)


@cache
def _shared() -> dg.DagsterInstance:
    return new_history(_temporary_folder() / "history")


@cache
def _empty_history() -> Path:
    folder = _temporary_folder()
    with _instance_in(folder):
        return folder


def _temporary_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="sparkify-history-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _instance_in(folder: Path) -> dg.DagsterInstance:
    storage = {"module": "sparkify_dagster.runtime.history", "class": "SqliteHistory"}
    logs = {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    custom = {**storage, "config": {"base_dir": str(folder)}}
    return dg.DagsterInstance.local_temp(str(folder), {"storage": {"custom": custom}, "compute_logs": logs})
