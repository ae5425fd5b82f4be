"""A lock that a process holds until it ends, and who holds it."""

import fcntl
import os
from pathlib import Path


def take(file: Path, who: str, *, inheritable: bool = False) -> str | None:
    """Takes the lock until this process ends. Returns who holds it if another process does.

    An inheritable one is kept when the process becomes another program.
    """
    # Not a FileLock, which ends when the process becomes another program.
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    if holder := _lock(lock):
        os.close(lock)
        return holder
    os.truncate(lock, 0)
    os.write(lock, who.encode())
    os.set_inheritable(lock, inheritable)
    return None


def holder(file: Path) -> str | None:
    """Returns who holds the lock, or None if nobody does."""
    if not file.exists():
        return None
    lock = os.open(file, os.O_RDONLY)
    try:
        return _lock(lock)
    finally:
        os.close(lock)


def _lock(lock: int) -> str | None:
    """Locks the open file. Returns who has locked it if another process has."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Empty for a moment, before it is written.
        return os.read(lock, 200).decode() or "another process"
    return None
