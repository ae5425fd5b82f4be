"""The days of the log: one partition a UTC day inside the configured window."""

from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import dagster as dg

from sparkify_dagster.config.settings import Settings

_settings = Settings.load()

log_days = dg.DailyPartitionsDefinition(
    start_date=_settings.log_start.isoformat(),
    end_date=_settings.log_end.isoformat() if _settings.log_end else None,
    timezone="UTC",
)


def is_in_window(day: date) -> bool:
    """Whether the day is a partition: it lies in the configured window and is over.

    A sensor's tick asks this of thousands of days, which would take Dagster's own has_partition_key a second.
    """
    today = datetime.now(UTC).date()
    end = min(log_days.end.date(), today) if log_days.end else today
    return log_days.start.date() <= day < end


def format_window() -> str:
    """Returns the window's first and last day, as "2018-11-01 to 2018-11-30"."""
    last_day = log_days.get_last_partition_key()
    return (
        f"{log_days.start.date()} to {last_day}" if last_day else f"{log_days.start.date()} on, none of which is over"
    )


class RunContext(Protocol):
    """What assets and checks have in common: the partitions of their run."""

    @property
    def has_partition_key(self) -> bool: ...
    @property
    def has_partition_key_range(self) -> bool: ...
    @property
    def partition_keys(self) -> "list[str] | tuple[str, ...]": ...


def partition_days(context: RunContext) -> tuple[date, date] | None:
    """The first and the last day of the run; None for a run without days."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return None
    keys = sorted(context.partition_keys)
    return date.fromisoformat(keys[0]), date.fromisoformat(keys[-1])


def required_partition_days(context: RunContext) -> tuple[date, date]:
    """The first and the last day of the run. Raises a Failure that says how to choose days where there are none."""
    days = partition_days(context)
    if days is None:
        raise dg.Failure(
            "This asset is loaded by day and the run has no days. Choose some: in the UI under Jobs > sparkify > "
            "Materialize all; on the command line `sparkify etl --from 2018-11-01 --to 2018-11-30`.",
            allow_retries=False,
        )
    return days


def days_between(first_day: date, last_day: date) -> list[date]:
    """Every day from the first to the last, both included."""
    return [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)]


def format_days(first_day: date, last_day: date) -> str:
    """ "2018-11-01", or "2018-11-01 to 2018-11-07"."""
    return f"{first_day}" if first_day == last_day else f"{first_day} to {last_day}"


def contiguous_blocks(days: "list[date]", max_gap: int = 0) -> list[tuple[date, date]]:
    """Returns sorted days as (first, last) of each block without a gap of more days than that: a run covers a block."""
    blocks: list[tuple[date, date]] = []
    for day in days:
        if blocks and (day - blocks[-1][1]).days <= max_gap + 1:
            blocks[-1] = (blocks[-1][0], day)
        else:
            blocks.append((day, day))
    return blocks


def range_tags(first_day: date, last_day: date) -> dict[str, str]:
    """The tags that make a run cover the days from the first to the last, both included."""
    return {
        "dagster/asset_partition_range_start": first_day.isoformat(),
        "dagster/asset_partition_range_end": last_day.isoformat(),
    }
