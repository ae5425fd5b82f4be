"""Operating-system locks, which end with the process that holds them, however it ends."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05


@contextmanager
def exclusive(path: Path, waiting: str | Callable[[], str]) -> Iterator[None]:
    """Holds the lock of a file, which is created with its folder. Logs the reason if it has to wait.

    Raises OSError if the file cannot be created, for which FileLock itself would wait for ever.
    """
    lock, turn = _lock(path), _turn(path)
    try:
        if not (_acquire_at_once(turn) and _acquire_at_once(lock)):
            log.warning(waiting if isinstance(waiting, str) else waiting())
            started = time.monotonic()
            turn.acquire(poll_interval=_POLL_SECONDS)
            lock.acquire(poll_interval=_POLL_SECONDS)
            log.info("Went on after %.1f s", time.monotonic() - started)
    finally:
        turn.release(force=True)
    try:
        yield
    finally:
        lock.release()


def is_awaited(path: Path) -> bool:
    """Returns whether another process waits for the lock, which the caller holds. Raises OSError."""
    turn = _turn(path)
    try:
        return not _acquire_at_once(turn)
    finally:
        turn.release()


def _acquire_at_once(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _turn(path: Path) -> FileLock:
    """Returns the lock that the next one holds while it waits, so that a holder who lets go is not the first again."""
    return _lock(path.with_name(f"{path.name}.next"))


def _lock(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
    return FileLock(path)
