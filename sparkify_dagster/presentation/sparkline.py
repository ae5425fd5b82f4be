"""Sparklines of the last four weeks, small enough for the asset's page to show inline."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from urllib.parse import quote

from dagster import MarkdownMetadataValue, MetadataValue

from sparkify_dagster.days import days_between

DAYS = 28
# The UI hides Markdown of 1,000 characters or more behind a link.
MAX_CHARACTERS = 999
_STEP = 12
_HEIGHT = 48
# Legible on the UI's dark theme and on its light one: the sparkline has no background of its own.
_BAR, _LINE = "#6a8fe0", "#e8871e"


def first_day_shown(last_day: date) -> date:
    return last_day - timedelta(days=DAYS - 1)


def sparkline(
    captions: Sequence[str], last_day: date, counts: Mapping[date, int], rates: Mapping[date, float] | None = None
) -> MarkdownMetadataValue:
    """Draws one bar per day with the height of its count, and a line of rates from 0 to 1, above short captions."""
    days = days_between(first_day_shown(last_day), last_day)
    shapes = [f'<path stroke="{_BAR}" stroke-width="9" d="{_bars([counts.get(day, 0) for day in days])}"/>']
    if rates:
        line = _line([rates.get(day) for day in days])
        shapes.append(f'<path stroke="{_LINE}" stroke-width="2" d="{line}"/>')
    size = f'width="{DAYS * _STEP}" height="{_HEIGHT}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size} fill="none">{"".join(shapes)}</svg>'.replace('"', "'")
    # Percent-encoding is a fifth shorter than base64.
    encoded = quote(svg, safe="/:=',-")
    return MetadataValue.md(f"![{DAYS} days](data:image/svg+xml,{encoded})\n\n" + "\\\n".join(captions))


def _bars(counts: list[int]) -> str:
    highest = max(counts) or 1
    path, up = f"M-6,{_HEIGHT}", 0
    for count in counts:
        # Rounded up, so that a single row has a visible bar.
        height = -(-_HEIGHT * count // highest)
        path += f"m{_STEP},{up}v{-height}" if height else f"m{_STEP},{up}"
        up = height
    return path


def _line(rates: list[float | None]) -> str:
    """Returns the path through one point per day, in the middle of its bar, with gaps for days without a rate."""
    path, pen = "", None
    for number, rate in enumerate(rates):
        if rate is None:
            pen = None
            continue
        x, y = number * _STEP + _STEP // 2, 1 + round((_HEIGHT - 2) * (1 - rate))
        # Starts with a dash, so that a single day between two gaps is visible.
        path += f"l{_STEP},{y - pen}" if pen is not None else f"M{x - 3},{y}h3"
        pen = y
    return path
