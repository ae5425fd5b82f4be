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
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning(waiting if isinstance(waiting, str) else waiting())
        started = time.monotonic()
        lock.acquire(poll_interval=_POLL_SECONDS)
        log.info("Went on after %.1f s", time.monotonic() - started)
    try:
        yield
    finally:
        lock.release()
