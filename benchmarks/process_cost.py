"""Measures what a command costs with all its processes. Only Linux has the proportional set size."""

import re
import resource
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

_SECONDS_BETWEEN_LOOKS = 0.1


class Cost(NamedTuple):
    seconds: float
    """Wall time."""
    cpu_seconds: float
    peak_bytes: float
    """The largest memory of all processes together: the sum of their proportional set sizes, looked at ten times per
    second."""


def cost_of(command: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path) -> tuple[int, Cost]:
    """Runs a command, whose output goes to a file. Returns its exit code and its cost."""
    before, ended, peaks = cpu_seconds(resource.RUSAGE_CHILDREN), Event(), [0]

    def look(pid: int) -> None:
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            peaks.append(sum(map(_proportional_bytes, _tree(pid))))

    with output.open("w", encoding="utf-8") as file:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT)
        looking = Thread(target=look, args=(process.pid,))
        looking.start()
        exit_code = process.wait()
        seconds = time.perf_counter() - started
        ended.set()
        looking.join()
    return exit_code, Cost(seconds, cpu_seconds(resource.RUSAGE_CHILDREN) - before, max(peaks))


def median_cost(costs: Sequence[Cost]) -> Cost:
    return Cost(*(statistics.median(column) for column in zip(*costs, strict=True)))


def cpu_seconds(*whose: int) -> float:
    """Returns the CPU seconds of RUSAGE_SELF, or of the RUSAGE_CHILDREN that have ended."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))


def _tree(pid: int) -> Iterator[int]:
    """Yields a process and all below it."""
    yield pid
    try:
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in _read(task / "children").split()]
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))


def _proportional_bytes(pid: int) -> int:
    """Returns the memory of a process; what several share is divided among them."""
    found = re.search(r"^Pss: +([0-9]+) kB$", _read(Path(f"/proc/{pid}/smaps_rollup")), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _read(path: Path) -> str:
    """Returns a file's text, or nothing if the process has ended."""
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
