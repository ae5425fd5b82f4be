"""Whether the log is all there: no day without a file, no day of far fewer or more events than its weekday usually has.

Both are counted from staging's bookkeeping, a row a file, so they cost the same however many events there are.
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
from sparkify_dagster.warehouse import load_log

# A weekday's usual number is the median of the same weekday's earlier days: one holiday among them does not move it,
# and a day's verdict does not depend on what is loaded after it.
WEEKS_BEFORE = 8
MIN_DAYS_BEFORE = 4
# An app of a hundred users doubles and halves by chance alone, and small numbers do more than that.
UNUSUAL_FACTOR = 3
UNUSUAL_EVENTS = 100


def no_missing_days(connection: Connection) -> dg.AssetCheckResult:
    held = [day for day in sorted(load_log.events_by_day(connection)) if is_in_window(day)]
    # The file of a refused day is there; that it was not loaded is another check's matter.
    refused = set(connection.execute(select(rejected_loads.c.log_date)).scalars())
    missing = [day for day in _days_missing_in(held) if is_in_window(day) and day not in refused]
    metadata: Metadata = {"days_held": len(held), "missing_days": len(missing)}
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
        description=f"No log file is loaded for {pluralize(len(missing), 'day')} between {held[0]} and {held[-1]}: "
        "look for it in the source and load it, or do without"
        if missing
        else None,
    )


def volume_anomaly(connection: Connection, days: tuple[date, date] | None) -> dg.AssetCheckResult:
    first_day, last_day = days or (None, None)
    first_compared = first_day - timedelta(weeks=WEEKS_BEFORE) if first_day else None
    events = load_log.events_by_day(connection, first_compared, last_day)
    judged = {
        day: usual
        for day in events
        if (first_day is None or day >= first_day) and (usual := _median_events(events, day)) is not None
    }
    unusual = [day for day, usual in sorted(judged.items()) if _is_unusual(events[day], usual)]
    metadata: Metadata = {"days_compared": len(judged), "unusual_days": len(unusual)}
    if unusual:
        metadata["first_unusual"] = rows_metadata(
            [{"day": f"{day} {day:%A}", "events": events[day], "usually": f"{judged[day]:,.0f}"} for day in unusual]
        )
    return dg.AssetCheckResult(
        passed=not unusual,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=f"{pluralize(len(unusual), 'day')} with far fewer or more events than the weekday usually has, "
        f"first {unusual[0]} with {events[unusual[0]]:,}, usually {judged[unusual[0]]:,.0f}: "
        "a holiday, or a file cut short?"
        if unusual
        else None,
    )


def _median_events(events: Mapping[date, int], day: date) -> float | None:
    """The weekday's usual number before the day; None where too few such days are held to tell."""
    same_weekday = (day - timedelta(weeks=weeks) for weeks in range(1, WEEKS_BEFORE + 1))
    before = [events[earlier] for earlier in same_weekday if earlier in events]
    return median(before) if len(before) >= MIN_DAYS_BEFORE else None


def _is_unusual(events: int, usual: float) -> bool:
    few, many = sorted((events, usual))
    return many > UNUSUAL_FACTOR * few and many - few >= UNUSUAL_EVENTS


def _days_missing_in(held: list[date]) -> list[date]:
    return [day for earlier, later in pairwise(held) for day in days_between(earlier, later)[1:-1]]
