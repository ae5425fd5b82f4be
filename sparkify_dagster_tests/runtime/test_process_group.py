"""A program that is run in a process group leaves no process, whichever signal ends it or what runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparkify_dagster.runtime import process_group
from sparkify_dagster_tests.support.project import DEADLINE_SECONDS, wait_until

# A program with a child of its own, both of which write down who they are.
PROGRAM = """
import os, subprocess, sys, time
print(os.getpid(), flush=True)
if sys.argv[1] == "parent":
    subprocess.Popen([sys.executable, "-c", sys.argv[2], "child"])
    time.sleep(float(sys.argv[3]))
    sys.exit(3)
time.sleep(600)
"""


@contextmanager
def started(
    folder: Path, *, seconds: float = 600, ignored: tuple[int, ...] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """The process that runs the program in a group, and the processes of that group."""

    def ignore() -> None:
        # Whatever the tests themselves were started by.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    output = folder / "pids.txt"
    command = [sys.executable, "-m", process_group.__name__, sys.executable, "-c", PROGRAM, "parent", PROGRAM]
    with output.open("wb") as stream:
        process = subprocess.Popen([*command, str(seconds)], stdout=stream, start_new_session=True, preexec_fn=ignore)
    try:
        wait_until(lambda: output.read_text().count("\n") == 2, "the program's child")
        yield process, [int(line) for line in output.read_text().splitlines()]
    finally:
        process.kill()
        process.wait()


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        status = Path("/proc", str(pid), "stat")
        # A zombie is waiting for its parent to read its status.
        if status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
            found.append(pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_and_what_it_started(tmp_path: Path, number: int) -> None:
    """SIGINT too where a script's `&` has it ignored."""
    with started(tmp_path, ignored=(signal.SIGINT,)) as (process, pids):
        process.send_signal(number)
        # Sent twice, as somebody does who is impatient.
        process.send_signal(number)
        assert process.wait(DEADLINE_SECONDS) == 0
        assert alive(pids) == []


def test_nothing_outlives_the_process_when_it_is_killed(tmp_path: Path) -> None:
    with started(tmp_path) as (process, pids):
        # With its group, as a shell's `kill -9 %1` does.
        os.killpg(process.pid, signal.SIGKILL)
        wait_until(lambda: not alive(pids), "the end of all")


def test_a_program_that_ends_takes_its_children_along(tmp_path: Path) -> None:
    with started(tmp_path, seconds=0.5) as (process, pids):
        assert process.wait(DEADLINE_SECONDS) == 3
        assert alive(pids) == []


def test_under_nohup_the_end_of_the_terminal_ends_nothing(tmp_path: Path) -> None:
    with started(tmp_path, ignored=(signal.SIGHUP,)) as (process, pids):
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        assert alive(pids) == pids


def test_what_ignores_sigterm_is_killed() -> None:
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout is not None
        process.stdout.readline()
        start = time.monotonic()
        process_group.end_group(process.pid, 0.2)
        assert process.wait(5) == -signal.SIGKILL
        assert time.monotonic() - start >= 0.2
