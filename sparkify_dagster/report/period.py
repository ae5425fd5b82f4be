"""The days that the report is about."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sparkify_dagster.days import format_days

DEFAULT_DAYS: Final = 7


@dataclass(frozen=True)
class Period:
    """Days, both included."""

    first_day: date
    last_day: date

    def __str__(self) -> str:
        return format_days(self.first_day, self.last_day)

    @property
    def days(self) -> int:
        return (self.last_day - self.first_day).days + 1

    def before(self) -> "Period":
        """Returns the period before this one, of the same number of days."""
        return Period(self.first_day - timedelta(days=self.days), self.first_day - timedelta(days=1))


@dataclass(frozen=True)
class ReportDays:
    """The days of the report's parts.

    Without a choice the headline figures are those of the last days of the data, since all days have none before them
    to be compared with, and the queries cover all days.
    """

    data: Period
    """From the first day with a play to the last one."""
    headline: Period
    queries: Period | None
    """None for all days."""


def report_days(data: Period, first_day: date | None = None, last_day: date | None = None) -> ReportDays:
    """Returns the days of the report's parts for a choice of days, of which either end can be left to the data."""
    if first_day or last_day:
        chosen = Period(first_day or min(data.first_day, last_day or data.last_day), last_day or data.last_day)
        if chosen.first_day > chosen.last_day:
            chosen = Period(chosen.first_day, chosen.first_day)
        return ReportDays(data, chosen, chosen)
    first_day = max(data.first_day, data.last_day - timedelta(days=DEFAULT_DAYS - 1))
    return ReportDays(data, Period(first_day, data.last_day), None)
