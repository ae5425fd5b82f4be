"""Tests of a module that share one load per warehouse: each arranges the files of a day, and looks at that day.

@case
def test_a_byte_order_mark_is_dropped(day: Day) -> Iterator[None]:
    day.put(b"\\xef\\xbb\\xbf" + lines(day.event()))
    yield  # By now the days of all cases are loaded.
    assert len(day.rows(EVENTS)) == 1
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from sparkify_dagster.schema import tables
from sparkify_dagster_tests.support.events import Item, event
from sparkify_dagster_tests.support.world import (
    ERROR_COLUMNS,
    ERRORS,
    EVENTS,
    OBJECTS,
    STAR,
    Everything,
    Row,
    World,
    in_order,
)

FIRST_DAY = date(2018, 11, 1)
COLUMNS: Mapping[str, Sequence[str]] = {
    **STAR,
    EVENTS: [column.name for column in tables.staging_events.columns],
    OBJECTS: ("key", "log_date", "etag", "lines", "staged", "duplicates", "errors"),
    ERRORS: ERROR_COLUMNS,
}
DAY_COLUMNS = {
    "songplays": "start_time",
    "time": "start_time",
    EVENTS: "log_date",
    OBJECTS: "log_date",
    ERRORS: "log_date",
}


@dataclass
class Day:
    """A day of the source, and what the tables hold of it after the load. Its keys are those within its folder."""

    world: World
    date: date
    found: Everything = field(default_factory=dict)

    def __str__(self) -> str:
        return self.date.isoformat()

    def event(self, **changes: Any) -> dict[str, Any]:
        """Returns a play of the day."""
        return event(**{"time": f"{self}T10:00:00.796"} | changes)

    def write(self, *items: Item, folder: str = "a", end: str = ".json") -> Path:
        """Writes a log file of the day."""
        return self.world.write_log(str(self), *items, key=self.key(folder, end))

    def put(self, content: bytes, folder: str = "a", end: str = ".json") -> Path:
        """Writes the bytes as they are, whatever the name says."""
        return self.world.put(f"log_data/{self.key(folder, end)}", content)

    def key(self, folder: str = "a", end: str = ".json") -> str:
        return f"{folder}/{self}-events{end}"

    def rows(self, table: str, *columns: str) -> list[Row]:
        """Returns the table's rows of the day, sorted."""
        names = COLUMNS[table]
        of_day = (
            dict(zip(names, row, strict=True))
            for row in self.found[table]
            if str(row[names.index(DAY_COLUMNS[table])])[:10] == str(self)
        )
        return in_order([tuple(row[name] for name in columns or names) for row in of_day])

    def column(self, table: str, name: str) -> list[Any]:
        return [value for (value,) in self.rows(table, name)]

    def counts(self) -> dict[str, tuple[int, int, int, int]]:
        """Returns lines, staged, duplicates and errors of each loaded file of the day."""
        return {
            key: tuple(counts) for key, *counts in self.rows(OBJECTS, "key", "lines", "staged", "duplicates", "errors")
        }

    def reasons(self) -> list[Row]:
        """Returns line, column and reason of each load error."""
        return self.rows(ERRORS, "line_number", "column_name", "reason")


Case: TypeAlias = Callable[[Day], Iterator[None]]
Loaded: TypeAlias = Mapping[str, Iterator[None]]
_cases: dict[str, list[Case]] = defaultdict(list)


def case(arrange_and_look: Case) -> Callable[[Mapping[str, Loaded]], None]:
    """Makes a test of a function that arranges a day, yields once while it is loaded, and looks at what came out.

    The test looks at each way in which the warehouse has loaded the day.
    """

    def test(loaded_cases: Mapping[str, Loaded]) -> None:
        for way, loaded in loaded_cases.items():
            try:
                assert next(loaded[arrange_and_look.__name__], None) is None
            except AssertionError as error:
                error.add_note(f"where the day is {way}")
                raise

    _cases[arrange_and_look.__module__].append(arrange_and_look)
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(test, name, getattr(arrange_and_look, name))
    return test


def load_cases(module: str, world: World) -> Loaded:
    """Arranges and loads the cases of a module."""
    days = [Day(world, FIRST_DAY + timedelta(days=number)) for number in range(len(_cases[module]))]
    started = {}
    for day, arrange_and_look in zip(days, _cases[module], strict=True):
        started[arrange_and_look.__name__] = arrange_and_look(day)
        next(started[arrange_and_look.__name__])
    world.load(str(days[0]), str(days[-1]))
    everything = world.everything()
    for day in days:
        day.found = everything
    return started
