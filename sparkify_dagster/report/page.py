"""Renders the report as one self-contained HTML page, which loads nothing from elsewhere."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from sparkify_dagster.analytics.comparison import MATCHES_EXPECTED
from sparkify_dagster.analytics.query import BrokenQuery
from sparkify_dagster.report.check_states import CheckState, Outcome
from sparkify_dagster.report.dictionary import DescribedTable
from sparkify_dagster.report.figures import Headline, HeadlineFigures
from sparkify_dagster.report.period import ReportDays
from sparkify_dagster.report.results import ShownResult

TEMPLATE: Final = Path(__file__).with_name("template")
LIBRARY: Final = TEMPLATE / "vega_bundle.js"
# In units of the sparkline's own coordinates.
_SPARK_WIDTH: Final = 100
_SPARK_HEIGHT: Final = 24


@dataclass(frozen=True)
class Report:
    """The content of the page."""

    days: ReportDays | None
    """None if the warehouse has no play."""
    figures: HeadlineFigures | None
    results: Sequence[ShownResult]
    broken: Sequence[BrokenQuery]
    checks: Sequence[CheckState]
    tables: Sequence[DescribedTable]
    loaded_at: datetime | None
    """When the last file was loaded, UTC."""
    last_play: datetime | None
    warehouse: str
    """Its kind: an address is nothing to send to others."""
    version: str

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """The number of checks by outcome, the worst first."""
        found = [check.outcome for check in self.checks]
        return {outcome: found.count(outcome) for outcome in Outcome if outcome in found}

    @property
    def comparisons(self) -> Mapping[str, CheckState]:
        """The checks that compare a query's result with the expected one, by the query's name."""
        return {check.asset: check for check in self.checks if check.name == MATCHES_EXPECTED}


def render(report: Report) -> str:
    """Returns the page; the same report gives the same bytes."""
    library, script = _read(LIBRARY.name), _read("charts.js")
    html = _template().render(
        report=report,
        comparisons=report.comparisons,
        other_checks=[check for check in report.checks if check.name != MATCHES_EXPECTED],
        css=Markup(_read("page.css")),  # noqa: S704
        library=Markup(library),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hashes=" ".join(f"'sha256-{_hash(text)}'" for text in (library, script)),
        library_megabytes=f"{len(library) / 1e6:.1f}",
        size=_SIZE,
    )
    # Not part of itself to the byte, which no reader counts.
    return html.replace(_SIZE, f"{len(html.encode()) / 1e6:.1f} MB")


_SIZE: Final = "@page size@"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"amount": _amount, "change": _change, "direction": _direction, "spark": _spark}
    return environment.get_template("page.html")


@cache
def _read(name: str) -> str:
    return (TEMPLATE / name).read_text("utf-8")


@cache
def _hash(script: str) -> str:
    return b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _amount(value: float | None, headline: Headline) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" if headline.is_share else f"{value:,.0f}"


def _change(headline: Headline) -> str:
    change = headline.change
    if change is None:
        return ""
    return f"{100 * change:+.1f} points" if headline.is_share else f"{change:+.1%}"


def _direction(headline: Headline) -> str:
    change = headline.change or 0
    return "up" if change > 0 else "down" if change < 0 else "same"


def _spark(series: Sequence[float | None]) -> Mapping[str, Any]:
    """Returns the SVG paths of a line through the days, with gaps, and the place of each day."""
    highest = max((value for value in series if value is not None), default=0) or 1
    step = _SPARK_WIDTH / max(len(series) - 1, 1)
    path, is_drawing = "", False
    for number, value in enumerate(series):
        if value is None:
            is_drawing = False
            continue
        x, y = number * step, _SPARK_HEIGHT * (1 - value / highest)
        path += f"{'L' if is_drawing else 'M'}{x:.1f} {y:.1f}"
        if not is_drawing:
            # A single day between two gaps is a dot.
            path += "h0.01"
        is_drawing = True
    return {"path": path, "step": step, "width": _SPARK_WIDTH, "height": _SPARK_HEIGHT}
