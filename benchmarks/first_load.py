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
from datetime import timedelta
from pathlib import Path

from process_cost import cpu_seconds
from simulated import FIRST_DAY, many_days, million, month
from workplace import SPARKIFY, fresh, run

from sparkify_dagster.ingest.inspect_ahead import inspect_ahead, process_count
from sparkify_dagster.sources.events import EventInspector
from sparkify_dagster.sources.source import Source

LARGE_DAYS = 362
_STEP = re.compile(r"✓ (\w+) .* ([0-9.]+) s$", re.MULTILINE)


def inspection(folder: Path, rounds: int) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("inspection: this process has one core")
    for name, source, target in (
        ("S", month(folder), "1"),
        ("M", million(folder), "1.4"),
        ("L", many_days(folder, LARGE_DAYS), "1.7"),
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
    everyone = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before, started = cpu_seconds(*everyone), time.perf_counter()
    for _ in inspect_ahead(EventInspector(source.log_store(), keys, keep_errors=100), days):
        pass
    print(time.perf_counter() - started, cpu_seconds(*everyone) - before, process_count(days))


def load(folder: Path, rounds: int) -> None:
    for name, source, days in (("M", million(folder), 30), ("L", many_days(folder, LARGE_DAYS), LARGE_DAYS)):
        for _ in range(rounds):
            place = fresh(folder / "load", source)
            place.environment["SPARKIFY_LOG_END"] = str(FIRST_DAY + timedelta(days=days))
            cost, said = place.cost(SPARKIFY, "etl")
            steps = sorted(_STEP.findall(said), key=lambda step: -float(step[1]))[:8]
            slowest = ", ".join(f"{step} {taken}" for step, taken in steps)
            print(
                f"load {name}: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} s of CPU, "
                f"at most {cost.peak_bytes / 1e9:.2f} GB (target 1.5): {slowest}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["inspect"]:
        inspect(sys.argv[2], int(sys.argv[3]))
    else:
        run(__doc__, {"inspection": inspection, "load": load})
