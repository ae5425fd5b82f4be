"""Measures a first load beside others who do that work, as ratios of one run: `make benchmark-peers`.

Each figure is of a whole process, local files to a persisted DuckDB: wall seconds, CPU seconds, and the largest memory
of all its processes together (proportional set size, which only Linux has). The competitors take turns, and the median
of some rounds counts. They load the same simulated source:

- month:       8,000 events in 30 days, 400 songs.
- million:     1,000,000 events in 30 days, 15,000 songs.
- ten-million: 11,500,000 events in 300 days, each a copy of one day, 15,000 songs.

The competitors:

- the script:   tuned.py, DuckDB with explicit columns and the project's SELECTs; the star alone, and with marts and
                queries.
- dbt-duckdb:   the star, as a dbt project with the same SELECTs, in a virtual environment that this installs.
- the floor:    Dagster with the project's graph, and nothing in it.
- sparkify etl: as it is, with inspection, load errors, star, marts, queries, checks and report.

The first round compares row counts and checksums of all that they have built with those of `sparkify etl`.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, partial
from pathlib import Path

import simulated
import tuned
from dbt_project import DATABASE, NotInstalledError, installed, write_project
from process_cost import Cost, median_cost
from same_work import require_same_rows
from simulated import FIRST_DAY, MONTH_DAYS
from workplace import BENCHMARKS, SPARKIFY, Workplace, fresh, run

STAR_TABLES = tuple(tuned.table_name(file) for file in tuned.STAR if file.startswith("star/"))
ALL_TABLES = (
    *STAR_TABLES,
    *(tuned.table_name(file) for file in tuned.MARTS if file.startswith("product/")),
    *map(tuned.table_name, tuned.QUERIES),
)
SCRIPT, SCRIPT_WITH_ALL = "the script, the star alone", "the script, with marts and queries"
DBT, FLOOR, ETL = "dbt-duckdb, the star alone", "the floor: Dagster with an empty graph", "`sparkify etl`"


@dataclass(frozen=True)
class Loads:
    """First loads of one source, each in a folder of its own that is emptied first."""

    folder: Path
    source: Path
    days: int
    dbt: str | None
    """The path of dbt, or None where it cannot be installed."""

    @cached_property
    def competitors(self) -> dict[str, Callable[[], Cost]]:
        found: dict[str, Callable[[], Cost]] = {
            SCRIPT: partial(self._script, "script", "star"),
            DBT: self._dbt,
            SCRIPT_WITH_ALL: partial(self._script, "script-with-all", "everything"),
            FLOOR: self._floor,
            ETL: self._etl,
        }
        return {name: load for name, load in found.items() if self.dbt or name != DBT}

    @property
    def last_day(self) -> date:
        return FIRST_DAY + timedelta(days=self.days - 1)

    def require_same_work(self) -> dict[str, int]:
        """Returns the rows per table. Raises DifferentWorkError."""
        ours = self.folder / "etl" / ".sparkify" / "warehouse.duckdb"
        rows = require_same_rows(ours, self.folder / "script-with-all" / "script.duckdb", ALL_TABLES)
        require_same_rows(ours, self.folder / "script" / "script.duckdb", STAR_TABLES)
        if self.dbt:
            require_same_rows(ours, self.folder / "dbt" / DATABASE, STAR_TABLES)
        return dict(rows)

    def _script(self, name: str, what: str) -> Cost:
        return self._python(name, "tuned.py", str(self.source), "script.duckdb", *self._window(), what)

    def _floor(self) -> Cost:
        return self._python("floor", "floor.py", *self._window())

    def _etl(self) -> Cost:
        return self._place("etl").cost(SPARKIFY, "etl")[0]

    def _dbt(self) -> Cost:
        assert self.dbt
        place = self._place("dbt")
        write_project(place.folder, self.source, FIRST_DAY, self.last_day)
        return place.cost(self.dbt, "run", "--profiles-dir", ".")[0]

    def _python(self, name: str, script: str, *arguments: str) -> Cost:
        return self._place(name).cost(sys.executable, str(BENCHMARKS / script), *arguments)[0]

    def _place(self, name: str) -> Workplace:
        place = fresh(self.folder / name, self.source)
        place.environment["SPARKIFY_LOG_END"] = str(self.last_day + timedelta(days=1))
        return place

    def _window(self) -> tuple[str, str]:
        return str(FIRST_DAY), str(self.last_day)


def compare(name: str, simulate: Callable[[Path], Path], days: int, folder: Path, rounds: int) -> None:
    try:
        dbt = installed(folder)
    except NotInstalledError as error:
        dbt = None
        print(f"{name}: without dbt-duckdb, which cannot be installed here: {error}", flush=True)
    source = simulate(folder)
    (folder / f"{name}-peers").mkdir(exist_ok=True)
    loads = Loads(folder / f"{name}-peers", source, days, dbt)
    costs: dict[str, list[Cost]] = {who: [] for who in loads.competitors}
    for number in range(rounds):
        for who, load in loads.competitors.items():
            costs[who].append(load())
        if number == 0:
            rows = loads.require_same_work()
            print(
                f"\n{name}: {days} days, {rows['product.events']:,} events, {rows['main.songplays']:,} plays; "
                f"the same rows in the {len(STAR_TABLES)} tables of the star for all, and in all {len(rows)} tables "
                "for the script with marts and queries\n",
                flush=True,
            )
    print_table({who: median_cost(measured) for who, measured in costs.items()}, rounds)


def print_table(medians: dict[str, Cost], rounds: int) -> None:
    print("| First load | Wall s | Ratio | CPU s | Ratio | Peak MiB | Ratio |\n| --- |" + " ---: |" * 6)
    base = medians[SCRIPT]
    for who, cost in medians.items():
        print(
            f"| {who} | {cost.seconds:.2f} | {cost.seconds / base.seconds:.2f} | {cost.cpu_seconds:.2f} "
            f"| {cost.cpu_seconds / base.cpu_seconds:.2f} | {cost.peak_bytes / 2**20:,.0f} "
            f"| {cost.peak_bytes / base.peak_bytes:.2f} |"
        )
    ours = (medians[ETL].seconds - medians[FLOOR].seconds) / medians[SCRIPT_WITH_ALL].seconds
    print(
        f"\nRounds: {rounds}, of which the medians count. Ratios to {SCRIPT}. "
        f"`sparkify etl` takes the floor + {ours:.2f} x {SCRIPT_WITH_ALL} (target 1.5)",
        flush=True,
    )


if __name__ == "__main__":
    run(
        __doc__,
        {
            "month": partial(compare, "month", simulated.month, MONTH_DAYS),
            "million": partial(compare, "million", simulated.million, MONTH_DAYS),
            "ten-million": partial(compare, "ten-million", partial(simulated.many_days, days=300), 300),
        },
    )
