"""Measures the cost of the warehouse, as ratios of one run: `make benchmark`.

Each figure is the wall time of a whole process, local files to a persisted DuckDB star; the competitors take turns, and
the median of some rounds counts.

- month:   8,000 events against Dagster's floor, the same graph with empty bodies. Target: at most 1.3.
- million: 1,000,000 events and 15,000 songs in 30 days against the floor plus a hand-tuned DuckDB script. Target: 2.
- growth:  one more day of 33,000 events, always of the same content, after 10 and after 360 days. Target: the same.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
SPARKIFY = str(Path(sys.executable).with_name("sparkify"))
MONTH = ("2018-11-01", "2018-11-30")


class Competitor(Protocol):
    """Loads the source in the folder. Returns the seconds that it took."""

    __name__: str

    def __call__(self, folder: Path, source: Path) -> float: ...


class Workplace:
    """A folder with its own Dagster history and warehouse, like a fresh clone."""

    def __init__(self, folder: Path, source: Path, start: str = "2018-11-01", end: str = "2018-12-01") -> None:
        self.folder = folder
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("SPARKIFY_", "AWS_"))},
            "SPARKIFY_CONFIG": "",
            "SPARKIFY_LOG_DATA": str(source / "log_data"),
            "SPARKIFY_SONG_DATA": str(source / "song_data"),
            "SPARKIFY_LOG_START": start,
            "SPARKIFY_LOG_END": end,
        }
        self.environment.pop("DAGSTER_HOME", None)
        folder.mkdir()
        shutil.copy(ROOT / "dagster.yaml", folder)

    def seconds(self, *command: str) -> float:
        started = time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return time.perf_counter() - started


def fresh(folder: Path, source: Path) -> Workplace:
    shutil.rmtree(folder, ignore_errors=True)
    return Workplace(folder, source)


def etl(folder: Path, source: Path) -> float:
    return fresh(folder, source).seconds(SPARKIFY, "etl", "--from", MONTH[0], "--to", MONTH[1])


def floor(folder: Path, source: Path) -> float:
    return fresh(folder, source).seconds(sys.executable, str(BENCHMARKS / "floor.py"), *MONTH)


def tuned(folder: Path, source: Path) -> float:
    place = fresh(folder, source)
    return place.seconds(sys.executable, str(BENCHMARKS / "tuned.py"), str(source), "tuned.duckdb", *MONTH)


def simulate(out: Path, *, users: int, songs: int, days: int = 30, start: date = date(2018, 11, 1)) -> Path:
    if not out.exists():
        command = [SPARKIFY, "simulate", "--out", str(out), "--users", str(users), "--songs", str(songs)]
        subprocess.run([*command, "--days", str(days), "--start", str(start), "--seed", "1"], check=True, cwd=ROOT)
    return out


def medians(rounds: int, folder: Path, source: Path, *competitors: Competitor) -> list[float]:
    times = [[competitor(folder / competitor.__name__, source) for competitor in competitors] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def month(folder: Path, rounds: int) -> None:
    source = simulate(folder / "month", users=100, songs=400)
    ours, empty = medians(rounds, folder, source, etl, floor)
    print(f"month:   sparkify etl {ours:.2f} s, floor {empty:.2f} s: {ours / empty:.2f} x the floor (target 1.3)")


def million(folder: Path, rounds: int) -> None:
    source = simulate(folder / "million", users=12_800, songs=15_000)
    ours, empty, script = medians(rounds, folder, source, etl, floor, tuned)
    print(
        f"million: sparkify etl {ours:.2f} s, floor {empty:.2f} s, tuned script {script:.2f} s: "
        f"floor + {(ours - empty) / script:.2f} x the script (target 2)"
    )


def growth(folder: Path, rounds: int) -> None:
    """Days are copies of one simulated day, so that only the history grows."""
    first = date(2018, 11, 1)
    source = folder / "growth"
    template = simulate(folder / "month-of-33k-days", users=12_800, songs=15_000)
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(template / "song_data", source / "song_data")
    day_log = (template / "log_data/2018/11/2018-11-14-events.json").read_text("utf-8").splitlines()
    write_days(source, first, 362, day_log, date(2018, 11, 14))
    shutil.rmtree(folder / "growing", ignore_errors=True)
    place = Workplace(folder / "growing", source, end=(first + timedelta(days=400)).isoformat())
    results = {}
    loaded = 0
    for history in (10, 360):
        if history > loaded:
            place.seconds(
                SPARKIFY, "etl", "--from", str(first + timedelta(days=loaded)), "--to",
                str(first + timedelta(days=history - 1)),
            )  # fmt: skip
        day = str(first + timedelta(days=history))
        results[history] = statistics.median(
            place.seconds(SPARKIFY, "etl", "--from", day, "--to", day, "--full") for _ in range(rounds)
        )
        loaded = history + 1
    print(
        f"growth:  one more day after 10 days {results[10]:.2f} s, after 360 days {results[360]:.2f} s: "
        f"{results[360] / results[10]:.2f} x (target 1)"
    )


def write_days(source: Path, first: date, days: int, lines: list[str], of: date) -> None:
    """Writes the lines once per day, shifted to that day."""
    import json

    events = [json.loads(line) for line in lines]
    for number in range(days):
        day = first + timedelta(days=number)
        shift = (day - of).days * 86_400_000
        path = source / "log_data" / f"{day:%Y/%m}" / f"{day}-events.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(json.dumps({**event, "ts": event["ts"] + shift}) for event in events), "utf-8")


def run(description: str | None, benchmarks: Mapping[str, Callable[[Path, int], None]]) -> None:
    """The command line of some benchmarks, each of which is given a folder and a number of rounds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=list(benchmarks))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Where to work; kept if given, so that data is simulated once.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sparkify-benchmark-") as temporary:
        folder = (arguments.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        for what in arguments.what:
            benchmarks[what](folder, arguments.rounds)


if __name__ == "__main__":
    run(__doc__, {"month": month, "million": million, "growth": growth})
