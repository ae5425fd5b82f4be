"""Measures the cost of the warehouse, as ratios of one run: `make benchmark`.

Each figure is the wall time of a whole process, local files to a persisted DuckDB star; the competitors take turns, and
the median of some rounds counts.

- month:   8,000 events against Dagster's floor, the same graph with empty bodies. Target: at most 1.15.
- million: 1,000,000 events and 15,000 songs in 30 days against the floor plus a hand-tuned DuckDB script,
           which builds the star, the marts and the queries as well. Target: at most 1.5.
- growth:  one more day of 33,000 events, always of the same content, after 10 and after 360 days. Target: the same.
"""

import shutil
import statistics
import sys
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import simulated
from simulated import COPIED_DAY, log_file, write_days
from workplace import BENCHMARKS, SPARKIFY, Workplace, fresh, run

MONTH = ("2018-11-01", "2018-11-30")


class Competitor(Protocol):
    """Loads the source in the folder. Returns the seconds that it took."""

    __name__: str

    def __call__(self, folder: Path, source: Path) -> float: ...


def etl(folder: Path, source: Path) -> float:
    return fresh(folder, source).seconds(SPARKIFY, "etl", "--from", MONTH[0], "--to", MONTH[1])


def floor(folder: Path, source: Path) -> float:
    return fresh(folder, source).seconds(sys.executable, str(BENCHMARKS / "floor.py"), *MONTH)


def tuned(folder: Path, source: Path) -> float:
    place = fresh(folder, source)
    return place.seconds(
        sys.executable, str(BENCHMARKS / "tuned.py"), str(source), "tuned.duckdb", *MONTH, "everything"
    )


def medians(rounds: int, folder: Path, source: Path, *competitors: Competitor) -> list[float]:
    times = [[competitor(folder / competitor.__name__, source) for competitor in competitors] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def month(folder: Path, rounds: int) -> None:
    source = simulated.month(folder)
    ours, empty = medians(rounds, folder, source, etl, floor)
    print(f"month:   sparkify etl {ours:.2f} s, floor {empty:.2f} s: {ours / empty:.2f} x the floor (target 1.15)")


def million(folder: Path, rounds: int) -> None:
    source = simulated.million(folder)
    ours, empty, script = medians(rounds, folder, source, etl, floor, tuned)
    print(
        f"million: sparkify etl {ours:.2f} s, floor {empty:.2f} s, tuned script {script:.2f} s: "
        f"floor + {(ours - empty) / script:.2f} x the script (target 1.5)"
    )


def growth(folder: Path, rounds: int) -> None:
    """Days are copies of one simulated day, so that only the history grows."""
    first = simulated.FIRST_DAY
    source = folder / "growth"
    template = simulated.million(folder)
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(template / "song_data", source / "song_data")
    day_log = log_file(template, COPIED_DAY).read_text("utf-8").splitlines()
    write_days(source, first, 362, day_log, COPIED_DAY)
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


if __name__ == "__main__":
    run(__doc__, {"month": month, "million": million, "growth": growth})
