"""Which days are partitions."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from sparkify_dagster import partitions

TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize("end", ["2018-12-01", None, (TODAY + timedelta(days=3)).isoformat()])
def test_a_day_is_in_the_window_where_dagster_has_a_partition(monkeypatch: pytest.MonkeyPatch, end: str | None) -> None:
    days = dg.DailyPartitionsDefinition("2018-11-01", end_date=end, timezone="UTC")
    monkeypatch.setattr(partitions, "log_days", days)
    edges = (date(2018, 11, 1), date(2018, 12, 1), TODAY, TODAY + timedelta(days=3))
    for day in (edge + timedelta(days=number) for edge in edges for number in (-2, -1, 0, 1, 2)):
        assert partitions.is_in_window(day) == days.has_partition_key(day.isoformat()), day
