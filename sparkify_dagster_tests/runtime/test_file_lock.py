"""The lock of a file, which one process holds at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sparkify_dagster.runtime import interrupts
from sparkify_dagster.runtime.file_lock import exclusive

HOLD = """
import fcntl, sys
with open(sys.argv[1], "a") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="flock is of POSIX")
def test_who_waits_is_interrupted_even_if_the_handlers_exception_is_lost(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with interrupts.noticed():
            # As if the exception had been raised in a callback, whose exceptions Python ignores.
            signal.signal(signal.SIGTERM, lambda number, frame: None)
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt), exclusive(lock, "Waiting"):
                pass
        holder.kill()
