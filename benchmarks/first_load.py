"""Measures the first load of large sources, as ratios of one run: `make benchmark-first-load`.

- inspection: the inspection alone, without a load, on one core and on two, of 8,000 events in 30 days (S), of 1,000,000
              in 30 days (M) and of 13,900,000 in 362 days (L). Targets: at least 1.4 on M, 1.7 on L; none is lost on S.
- load:       a whole `sparkify etl` of M and L into a new DuckDB file: seconds, CPU seconds, seconds per step, and the
              largest memory of all its processes together (proportional set size). Target: at most 1.5 GB.

Only Linux has the affinity and the proportional set size. Other work on the machine distorts all of it: competitors
take turns, and the median counts.
"""

import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from cost import SPARKIFY, fresh, run, simulate, write_days

from sparkify_dagster.ingest.inspect_ahead import inspect_ahead, process_count
from sparkify_dagster.sources.events import EventInspector
from sparkify_dagster.sources.source import Source

FIRST_DAY = date(2018, 11, 1)
COPIED_DAY = date(2018, 11, 14)
LARGE_DAYS = 362
_STEP = re.compile(r"✓ (\w+) .* ([0-9.]+) s$", re.MULTILINE)


def small(folder: Path) -> Path:
    return simulate(folder / "month", users=100, songs=400)


def million(folder: Path) -> Path:
    return simulate(folder / "million", users=12_800, songs=15_000)


def large(folder: Path) -> Path:
    """Returns a source whose days are copies of one day of a million's month."""
    source, template = folder / "large", million(folder)
    if not source.exists():
        lines = (template / f"log_data/{COPIED_DAY:%Y/%m}/{COPIED_DAY}-events.json").read_text("utf-8").splitlines()
        write_days(source, FIRST_DAY, LARGE_DAYS, lines, COPIED_DAY)
        (source / "song_data").symlink_to(template / "song_data")
    return source


def inspection(folder: Path, rounds: int) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("inspection: this process has one core")
    for name, source, target in (
        ("S", small(folder), "1"),
        ("M", million(folder), "1.4"),
        ("L", large(folder), "1.7"),
    ):
        taken: dict[int, list[float]] = {1: [], 2: []}
        cpu: dict[int, list[float]] = {1: [], 2: []}
        processes = {}
        for _ in range(rounds):
            for cores in taken:
                command = [sys.executable, __file__, "inspect", str(source), str(cores)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                seconds, of_cpu, processes[cores] = map(float, done.stdout.split())
                taken[cores].append(seconds)
                cpu[cores].append(of_cpu)
        one, two = map(statistics.median, taken.values())
        print(
            f"inspection {name}: one core {one:.2f} s ({statistics.median(cpu[1]):.1f} s of CPU), two {two:.2f} s "
            f"({statistics.median(cpu[2]):.1f}; processes: {processes[2]:.0f}): {one / two:.2f} x (target {target})",
            flush=True,
        )


def inspect(location: str, cores: int) -> None:
    """Inspects a source on some cores, and prints seconds, CPU seconds and the number of processes."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    source = Source(log_data=f"{location}/log_data", song_data=f"{location}/song_data")
    days, keys = source.list_log_files().by_day, source.json_paths().keys
    before, started = _cpu_seconds(), time.perf_counter()
    for _ in inspect_ahead(EventInspector(source.log_store(), keys, keep_errors=100), days):
        pass
    print(time.perf_counter() - started, _cpu_seconds() - before, process_count(days))


def load(folder: Path, rounds: int) -> None:
    for name, source, days in (("M", million(folder), 30), ("L", large(folder), LARGE_DAYS)):
        for _ in range(rounds):
            place = fresh(folder / "load", source)
            place.environment["SPARKIFY_LOG_END"] = str(FIRST_DAY + timedelta(days=days))
            before, started, peak = _cpu_seconds(), time.perf_counter(), 0
            with (place.folder / "output").open("w", encoding="utf-8") as output:
                etl = subprocess.Popen([SPARKIFY, "etl"], cwd=place.folder, env=place.environment, stdout=output)
                while etl.poll() is None:
                    peak = max(peak, sum(map(_proportional_bytes, _tree(etl.pid))))
                    time.sleep(0.1)
            seconds = time.perf_counter() - started
            said = (place.folder / "output").read_text("utf-8")
            if etl.returncode:
                raise SystemExit(said)
            steps = sorted(_STEP.findall(said), key=lambda step: -float(step[1]))[:8]
            print(
                f"load {name}: {seconds:.1f} s, {_cpu_seconds() - before:.1f} s of CPU, at most {peak / 1e9:.2f} GB "
                f"(target 1.5): {', '.join(f'{step} {taken}' for step, taken in steps)}",
                flush=True,
            )


def _cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


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


if __name__ == "__main__":
    if sys.argv[1:2] == ["inspect"]:
        inspect(sys.argv[2], int(sys.argv[3]))
    else:
        run(__doc__, {"inspection": inspection, "load": load})
