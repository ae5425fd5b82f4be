"""Days of the log: the window that is loaded, ranges, and how they are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta


@dataclass(frozen=True)
class Window:
    """The days from `start` to the day before `end`, or before today (UTC) if that comes first."""

    start: date
    end: date | None = None

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self._end

    def __str__(self) -> str:
        if self.last_day is None:
            return f"{self.start} on, none of which is over"
        return f"{self.start} to {self.last_day}"

    @property
    def last_day(self) -> date | None:
        """The last day of the window that is over, or None if none is."""
        last_day = self._end - timedelta(days=1)
        return last_day if last_day >= self.start else None

    @property
    def _end(self) -> date:
        today = datetime.now(UTC).date()
        return min(self.end, today) if self.end else today


def days_between(first_day: date, last_day: date) -> list[date]:
    """Returns every day from the first to the last, both included."""
    return [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)]


def format_days(first_day: date, last_day: date) -> str:
    """Returns "2018-11-01", or "2018-11-01 to 2018-11-07"."""
    return f"{first_day}" if first_day == last_day else f"{first_day} to {last_day}"


def log_file_key(day: date) -> str:
    """Returns the key of a day's log file, "2018/11/2018-11-01-events.json", as in the original data."""
    return f"{day.isoformat()[:4]}/{day:%m}/{day.isoformat()}-events.json"


def contiguous_blocks(days: Sequence[date], max_gap: int = 0) -> list[tuple[date, date]]:
    """Splits sorted days into blocks (first day, last day) without a gap of more than `max_gap` days."""
    blocks: list[tuple[date, date]] = []
    for day in days:
        if blocks and (day - blocks[-1][1]).days <= max_gap + 1:
            blocks[-1] = (blocks[-1][0], day)
        else:
            blocks.append((day, day))
    return blocks
