"""Measures the cost of a change beside the history that lies behind it, as ratios of one run: `make benchmark-change`.

Each figure is the wall time of `sparkify etl` without days as a whole process, marts, queries and checks included; the
histories take turns, and the median of some rounds counts. A day has some 270 events, as in the simulated month.

- change: nothing new, and one new day with new content, after 10, 360 and 3,650 days. Nothing new beside a process that
          imports the definitions, opens history and warehouse and lists the source. Targets: 1.3 times that process,
          whatever the history; one new day after 360 days 1.5 times of after 10.
- apart:  a first load of two days, eight years apart and next to each other.
"""

import shutil
import statistics
import sys
from datetime import date, timedelta
from pathlib import Path

from simulated import log_file, simulate
from workplace import BENCHMARKS, SPARKIFY, Workplace, fresh, run

FIRST_DAY = date(2009, 1, 1)
HISTORIES = (10, 360, 3_650)
# More days than any round needs.
SPARE_DAYS = 30


class Growing:
    """A workplace into which days of a simulated source are put one after the other."""

    def __init__(self, folder: Path, simulated: Path, days: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._simulated, self._source, self._days = simulated, folder / "source", 0
        shutil.copytree(simulated / "song_data", self._source / "song_data")
        self.place = Workplace(
            folder / "place", self._source, str(FIRST_DAY), str(FIRST_DAY + timedelta(days=HISTORIES[-1] + SPARE_DAYS))
        )
        self.add(days)
        self.etl()

    def add(self, days: int) -> None:
        for number in range(self._days, self._days + days):
            day = FIRST_DAY + timedelta(days=number)
            log_file(self._source, day).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(log_file(self._simulated, day), log_file(self._source, day))
        self._days += days

    def etl(self) -> float:
        return self.place.seconds(SPARKIFY, "etl")

    def floor(self) -> float:
        return self.place.seconds(sys.executable, str(BENCHMARKS / "open_everything.py"))


def grown(folder: Path) -> dict[int, Growing]:
    days = HISTORIES[-1] + SPARE_DAYS
    simulated = simulate(folder / "ten-years", users=100, songs=400, days=days, start=FIRST_DAY)
    return {history: Growing(folder / f"after-{history}", simulated, history) for history in HISTORIES}


def change(folder: Path, rounds: int) -> None:
    places = grown(folder)
    nothing: dict[int, list[tuple[float, float]]] = {history: [] for history in HISTORIES}
    new_day: dict[int, list[float]] = {history: [] for history in HISTORIES}
    for _ in range(rounds):
        for history, growing in places.items():
            nothing[history].append((growing.etl(), growing.floor()))
            growing.add(1)
            new_day[history].append(growing.etl())
    days = {history: statistics.median(new_day[history]) for history in HISTORIES}
    for history in HISTORIES:
        ours, empty = (statistics.median(column) for column in zip(*nothing[history], strict=True))
        print(
            f"after {history:>5,} days: nothing {ours:.2f} s, {ours / empty:.2f} x of only opening and listing "
            f"(target 1.3); one new day {days[history]:.2f} s, {days[history] / days[HISTORIES[0]]:.2f} x of after "
            f"{HISTORIES[0]}"
        )


def apart(folder: Path, rounds: int) -> None:
    simulated = simulate(folder / "ten-years", users=100, songs=400, days=HISTORIES[-1] + SPARE_DAYS, start=FIRST_DAY)
    seconds: dict[str, list[float]] = {"eight years apart": [], "next to each other": []}
    for _ in range(rounds):
        for name, gap in zip(seconds, (8 * 365, 1), strict=True):
            source = folder / "two-days"
            shutil.rmtree(source, ignore_errors=True)
            shutil.copytree(simulated / "song_data", source / "song_data")
            for day in (FIRST_DAY, FIRST_DAY + timedelta(days=gap)):
                log_file(source, day).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(log_file(simulated, day), log_file(source, day))
            place = fresh(folder / "two-days-place", source)
            place.environment |= {"SPARKIFY_LOG_START": str(FIRST_DAY), "SPARKIFY_LOG_END": "2019-01-01"}
            seconds[name].append(place.seconds(SPARKIFY, "etl"))
    far, near = (statistics.median(column) for column in seconds.values())
    print(f"two days, first load: eight years apart {far:.2f} s, next to each other {near:.2f} s: {far / near:.2f} x")


if __name__ == "__main__":
    run(__doc__, {"change": change, "apart": apart})
