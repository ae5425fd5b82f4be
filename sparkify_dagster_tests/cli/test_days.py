"""Days that `sparkify etl` loads where only the first or only the last one is named."""

from datetime import date
from pathlib import Path

import pytest

from sparkify_dagster.cli.etl import blocks_to_load
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.world import World

FIRST, SECOND, THIRD = date(2018, 11, 1), date(2018, 11, 2), date(2018, 11, 3)


@pytest.mark.parametrize(
    ("first_day", "last_day", "block"),
    [
        (None, None, (FIRST, THIRD)),
        (SECOND, None, (SECOND, THIRD)),
        (None, SECOND, (FIRST, SECOND)),
        (SECOND, SECOND, (SECOND, SECOND)),
    ],
)
def test_the_named_days_are_loaded_and_none_beyond(
    tmp_path: Path, first_day: date | None, last_day: date | None, block: tuple[date, date]
) -> None:
    world = World(tmp_path)
    for day in (FIRST, SECOND, THIRD):
        world.write_log(str(day), event(time=f"{day}T10:00:00"))
    assert blocks_to_load(world.source.list_log_files(), world.warehouse, first_day, last_day) == [block]
