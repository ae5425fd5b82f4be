"""Runs a program so that no process that it starts outlives this one, however it ends.

    python -m sparkify_dagster.runtime.process_group PROGRAM ARGUMENT …

The program and all that it starts are a process group of their own. It gets SIGTERM when this process gets SIGINT,
SIGTERM or SIGHUP, when the program ends, and, from a watching process, when this one is killed; what is left of it is
killed after some seconds. A process of its own, since it lives as long as the program and imports nothing large.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress

# Dagster's services take some five seconds on a busy machine.
END_SECONDS = 8
_PR_SET_CHILD_SUBREAPER = 36


def run(command: list[str]) -> int:
    """Runs the program until it ends, whose status is returned, or until a signal comes: then it is 0."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup ignores it. SIGINT ends the program also where a script's `&` has it ignored.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: stop.set())
    if sys.platform == "linux":
        # Makes it the parent of the group's orphans: a zombie counts as one of the group, and not every container's
        # first process reaps.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    program = os.posix_spawn(command[0], command, os.environ, setpgroup=0)
    _watch(program)
    statuses: list[int] = []
    threading.Thread(target=_reap, args=(program, statuses, stop), daemon=True).start()
    stop.wait()
    status = statuses[0] if statuses else 0
    end_group(program, END_SECONDS)
    return status if status >= 0 else 128 - status


def _reap(program: int, statuses: list[int], stop: threading.Event) -> None:
    """Reaps all children, of which the watching one lives as long as this process."""
    with suppress(ChildProcessError):
        while True:
            ended, status = os.wait()
            if ended == program:
                statuses.append(os.waitstatus_to_exitcode(status))
                stop.set()


def _watch(group: int) -> None:
    """Starts a process that ends the group when this process has ended."""
    alive, held = os.pipe()
    if os.fork():
        os.close(alive)
        return
    # Not in the group of this process, with which it would be killed.
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.close(held)
    # Nobody writes: it returns when the last holder of the other end is gone.
    os.read(alive, 1)
    end_group(group, END_SECONDS)
    os._exit(0)


def end_group(group: int, seconds: float) -> None:
    """Lets the processes of a group end by SIGTERM, and kills those that live longer than the seconds."""
    _send(group, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while _send(group, 0):
        late = time.monotonic() - deadline
        if late > 0:
            _send(group, signal.SIGKILL)
        # What is left is a zombie that its parent does not reap.
        if late > 1:
            return
        time.sleep(0.05)


def _send(group: int, number: int) -> bool:
    """Returns whether the group has a process."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
