"""The headline figures: plays, listeners, sessions, hours, match rate and paid share, beside the period before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, text

from sparkify_dagster.days import days_between
from sparkify_dagster.report.period import Period
from sparkify_dagster.schema.sql_files import report_sql
from sparkify_dagster.schema.tables import songplays
from sparkify_dagster.warehouse.transforms import day_bounds

# Of the daily series, which ends with the period. All days would cost as much as the history is long.
SERIES_DAYS: Final = 56


@dataclass(frozen=True)
class Figures:
    """Sums over some days."""

    plays: int = 0
    listeners: int = 0
    sessions: int = 0
    seconds: Decimal = Decimal(0)
    matched_plays: int = 0
    paid_plays: int = 0

    @property
    def hours(self) -> float:
        return float(self.seconds) / 3600

    @property
    def match_rate(self) -> float | None:
        return self.matched_plays / self.plays if self.plays else None

    @property
    def paid_share(self) -> float | None:
        return self.paid_plays / self.plays if self.plays else None


@dataclass(frozen=True)
class Headline:
    """One headline figure: its value, that of the period before, and that of each day of a longer series."""

    name: str
    meaning: str
    value: float | None
    before: float | None
    is_share: bool
    series: Sequence[float | None]

    @property
    def change(self) -> float | None:
        """The difference of a share, and of others the relative one; None without anything to compare with."""
        if self.value is None or self.before is None:
            return None
        if self.is_share:
            return self.value - self.before
        return (self.value - self.before) / self.before if self.before else None


@dataclass(frozen=True)
class HeadlineFigures:
    """The headline figures of a period."""

    period: Period
    before: Period | None
    """None where the data begins later than the period before."""
    series: Period
    headlines: Sequence[Headline]


_Value = Callable[[Figures], float | None]
_HEADLINES: Final[Sequence[tuple[str, str, bool, _Value]]] = (
    ("Plays", "Songs that listeners started", False, lambda figures: figures.plays),
    ("Listeners", "Users with at least one play", False, lambda figures: figures.listeners),
    ("Sessions", "Sessions of the app with at least one play", False, lambda figures: figures.sessions),
    ("Hours listened", "Sum of the lengths of the songs played", False, lambda figures: figures.hours),
    ("Match rate", "Share of the plays whose song is in the catalogue", True, lambda figures: figures.match_rate),
    ("Paid share", "Share of the plays at level paid", True, lambda figures: figures.paid_share),
)


def first_and_last_play(connection: Connection) -> tuple[datetime, datetime] | None:
    """Returns the times of the first and of the last play, UTC, or None without a play."""
    start = songplays.c.start_time
    first, last = connection.execute(select(func.min(start), func.max(start))).one()
    return (first, last) if first else None


def headline_figures(connection: Connection, data: Period, period: Period) -> HeadlineFigures:
    """Reads the figures of a period, of the one before, and of the days up to the period's last one."""
    before = period.before()
    is_comparable = before.first_day >= data.first_day
    series_start = max(data.first_day, min(period.first_day, period.last_day - timedelta(days=SERIES_DAYS - 1)))
    series = Period(min(series_start, period.last_day), period.last_day)
    values, values_before = (_figures(connection, days) if days else None for days in (period, before))
    by_day = _daily_figures(connection, series)
    days = days_between(series.first_day, series.last_day)
    headlines = [
        Headline(
            name,
            meaning,
            of(values or Figures()),
            of(values_before) if values_before and is_comparable else None,
            is_share,
            [of(by_day.get(day, Figures())) for day in days],
        )
        for name, meaning, is_share, of in _HEADLINES
    ]
    return HeadlineFigures(period, before if is_comparable else None, series, headlines)


def _figures(connection: Connection, period: Period) -> Figures:
    row = connection.execute(text(report_sql("headline_figures")), _parameters(period)).one()
    return _of_row(row)


def _daily_figures(connection: Connection, period: Period) -> Mapping[date, Figures]:
    rows = connection.execute(text(report_sql("daily_figures")), _parameters(period)).all()
    return {row.day: _of_row(row) for row in rows}


def _parameters(period: Period) -> Mapping[str, object]:
    start, end = day_bounds(period.first_day, period.last_day)
    return {"first_day": start, "end_day": end}


def _of_row(row: Row[Any]) -> Figures:
    # A sum without rows is NULL, and one of integers is a decimal on some warehouses.
    return Figures(
        plays=int(row.plays or 0),
        listeners=row.listeners,
        sessions=row.sessions,
        seconds=row.seconds or Decimal(0),
        matched_plays=int(row.matched_plays or 0),
        paid_plays=int(row.paid_plays or 0),
    )
