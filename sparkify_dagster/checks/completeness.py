"""Completeness of the log: days without a file, and days with unusually few or many events for their weekday.

Both checks read the load log, one row per file, so their cost does not depend on the number of events.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise
from statistics import median

import dagster as dg
from sqlalchemy import Connection, select

from sparkify_dagster.checks.check_results import Metadata
from sparkify_dagster.days import contiguous_blocks, days_between
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import is_in_window
from sparkify_dagster.presentation.rows import rows_metadata
from sparkify_dagster.schema.tables import rejected_loads
from sparkify_dagster.warehouse import staging_tables

# A day is compared with the median of the same weekday in the weeks before: one holiday does not move it, and a day's
# result does not depend on days loaded after it.
WEEKS_BEFORE = 8
MIN_DAYS_BEFORE = 4
# The volume of a hundred users doubles and halves by chance; smaller numbers vary even more.
UNUSUAL_FACTOR = 3
UNUSUAL_EVENTS = 100


def no_missing_days(connection: Connection) -> dg.AssetCheckResult:
    """Warns of days without a log file between the first and the last staged day."""
    staged = [day for day in sorted(staging_tables.events_by_day(connection)) if is_in_window(day)]
    # A rejected day does have a file; the check no_rejected_loads reports it.
    rejected = set(connection.execute(select(rejected_loads.c.log_date)).scalars())
    gaps = [day for earlier, later in pairwise(staged) for day in days_between(earlier, later)[1:-1]]
    missing = [day for day in gaps if is_in_window(day) and day not in rejected]
    metadata: Metadata = {"staged_days": len(staged), "missing_days": len(missing)}
    if missing:
        metadata["first_missing"] = rows_metadata(
            [
                {"first_day": first, "last_day": last, "days": (last - first).days + 1}
                for first, last in contiguous_blocks(missing)
            ]
        )
    return dg.AssetCheckResult(
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=f"No log file is loaded for {pluralize(len(missing), 'day')} between {staged[0]} and {staged[-1]}: "
        "look for the files in the source and load them, or accept the gap"
        if missing
        else None,
    )


def volume_anomaly(connection: Connection, days: tuple[date, date] | None) -> dg.AssetCheckResult:
    """Warns of days whose number of events is far from the median of their weekday."""
    first_day, last_day = days or (None, None)
    first_compared = first_day - timedelta(weeks=WEEKS_BEFORE) if first_day else None
    events = staging_tables.events_by_day(connection, first_compared, last_day)
    medians = {
        day: weekday_median
        for day in events
        if (first_day is None or day >= first_day) and (weekday_median := _weekday_median(events, day)) is not None
    }
    unusual = [day for day, weekday_median in sorted(medians.items()) if _is_unusual(events[day], weekday_median)]
    metadata: Metadata = {"days_compared": len(medians), "unusual_days": len(unusual)}
    if unusual:
        metadata["first_unusual"] = rows_metadata(
            [{"day": f"{day} {day:%A}", "events": events[day], "median": f"{medians[day]:,.0f}"} for day in unusual]
        )
    return dg.AssetCheckResult(
        passed=not unusual,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=f"{pluralize(len(unusual), 'day')} with far fewer or more events than usual for the weekday, first "
        f"{unusual[0]} with {events[unusual[0]]:,}, median {medians[unusual[0]]:,.0f}: a holiday, or a truncated file?"
        if unusual
        else None,
    )


def _weekday_median(events: Mapping[date, int], day: date) -> float | None:
    """Returns the median number of events of the same weekday before the day; None if too few days are staged."""
    same_weekday = (day - timedelta(weeks=weeks) for weeks in range(1, WEEKS_BEFORE + 1))
    before = [events[earlier] for earlier in same_weekday if earlier in events]
    return median(before) if len(before) >= MIN_DAYS_BEFORE else None


def _is_unusual(events: int, weekday_median: float) -> bool:
    few, many = sorted((events, weekday_median))
    return many > UNUSUAL_FACTOR * few and many - few >= UNUSUAL_EVENTS
