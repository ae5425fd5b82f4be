"""The window of partitions."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from sparkify_dagster import partitions
from sparkify_dagster.days import Window

TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize("end", [date(2018, 12, 1), None, TODAY + timedelta(days=3)])
def test_a_day_is_in_the_window_if_dagster_has_its_partition(monkeypatch: pytest.MonkeyPatch, end: date | None) -> None:
    first_day = date(2018, 11, 1)
    monkeypatch.setattr(partitions, "WINDOW", Window(first_day, end))
    days = dg.DailyPartitionsDefinition(
        first_day.isoformat(), end_date=end.isoformat() if end else None, timezone="UTC"
    )
    edges = (date(2018, 11, 1), date(2018, 12, 1), TODAY, TODAY + timedelta(days=3))
    for day in (edge + timedelta(days=number) for edge in edges for number in (-2, -1, 0, 1, 2)):
        assert partitions.is_in_window(day) == days.has_partition_key(day.isoformat()), day
