"""The log's partitions: one per UTC day in the configured window."""

from datetime import date
from typing import Protocol

import dagster as dg

from sparkify_dagster.config import current

WINDOW = current.log_window()

log_days = dg.DailyPartitionsDefinition(
    start_date=WINDOW.start.isoformat(),
    end_date=WINDOW.end.isoformat() if WINDOW.end else None,
    timezone="UTC",
)


def is_in_window(day: date) -> bool:
    """Returns whether the day is a partition: it lies in the configured window and is over.

    A sensor's tick checks thousands of days, for which Dagster's own has_partition_key would take a second.
    """
    return day in WINDOW


class RunContext(Protocol):
    """The partitions of a run, which the contexts of assets and checks both have."""

    @property
    def has_partition_key(self) -> bool: ...
    @property
    def has_partition_key_range(self) -> bool: ...
    @property
    def partition_keys(self) -> "list[str] | tuple[str, ...]": ...


def partition_days(context: RunContext) -> tuple[date, date] | None:
    """Returns the first and the last day of the run; None for a run without partitions."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return None
    keys = sorted(context.partition_keys)
    return date.fromisoformat(keys[0]), date.fromisoformat(keys[-1])


def required_partition_days(context: RunContext) -> tuple[date, date]:
    """Returns the first and the last day of the run. Raises a Failure with the remedy if the run has no partitions."""
    days = partition_days(context)
    if days is None:
        raise dg.Failure(
            "This asset is partitioned by day and the run has no partitions. Choose days: in the UI under Jobs > "
            "load_all > Materialize all; on the command line with `sparkify etl --from 2018-11-01 --to 2018-11-30`.",
            allow_retries=False,
        )
    return days


def range_tags(first_day: date, last_day: date) -> dict[str, str]:
    """Returns the tags of a run that covers the days from the first to the last, both included."""
    return {
        "dagster/asset_partition_range_start": first_day.isoformat(),
        "dagster/asset_partition_range_end": last_day.isoformat(),
    }
