"""Ends a run that somebody terminates in the UI, which sets its status: each run looks at its own every second.

Dagster itself reaches only the processes that a code server started.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

# The name of the tag is not exported publicly.
from dagster._core.storage.tags import GRPC_INFO_TAG

from sparkify_dagster.runtime import interrupts, statements

POLL_SECONDS = 1.0
CANCELS_PER_INTERRUPT = 4


def is_of_code_server(run: dg.DagsterRun) -> bool:
    """Returns whether a code server started the run's process, and interrupts it."""
    return GRPC_INFO_TAG in run.tags


@contextmanager
def watched(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Interrupts the block, which the main thread executes, and cancels its statements once the run is to end."""
    done = threading.Event()
    watching = threading.Thread(target=_watch, args=(instance, run_id, done), name="termination", daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()


def _watch(instance: dg.DagsterInstance, run_id: str, done: threading.Event) -> None:
    while not done.wait(POLL_SECONDS):
        try:
            run = instance.get_run_by_id(run_id)
        except Exception:  # noqa: S112 (a history that cannot be read now may be readable in a second)
            continue
        if run is not None and run.status is dg.DagsterRunStatus.CANCELING:
            _end(done, interrupted=is_of_code_server(run))


def _end(done: threading.Event, *, interrupted: bool) -> None:
    """Interrupts the main thread until it is done: a driver may turn an interrupt into an error of its statement.

    The next step would begin then, as after any other error.
    """
    while not done.is_set():
        if not interrupted:
            interrupts.terminate()
        interrupted = False
        for _ in range(CANCELS_PER_INTERRUPT):
            if not done.wait(statements.REPEAT_SECONDS):
                statements.cancel_running()
