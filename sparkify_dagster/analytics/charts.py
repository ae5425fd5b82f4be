"""Draws the rows that answer a query, by Vega-Lite, as a chart small enough for an asset's metadata."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from textwrap import wrap
from typing import Any, Final, TypeAlias

Rows: TypeAlias = Sequence[Mapping[str, object]]

# More could not be told apart.
MAX_BARS: Final = 20
MAX_POINTS: Final = 400
MAX_CELLS: Final = 500
_NAME: Final = "[a-z_][a-z0-9_]*"
_CHART: Final = re.compile(
    f"(?P<chart>bar|line|heat map) of (?P<values>{_NAME}(?:, ?{_NAME})*) by (?P<by>{_NAME}(?: and {_NAME})*)"
)
# Neither too dark for the UI's dark theme nor too light for its light one: the chart has no ground of its own.
_INK: Final = "#7d8590"
_COLOURS: Final = ("#6a8fe0", "#e8871e", "#3fa66b", "#b07ad0")
_ASCENDING: Final = ("#5b50c9", "#b5429a", "#ea6f5e", "#f5b53d")
_AXIS: Final = {"labelColor": _INK, "titleColor": _INK, "titleFontWeight": "normal", "labelLimit": 180}
_CONFIG: Final = {
    "aria": False,
    "background": None,
    # Room for a browser whose font is wider than the one with which the labels were measured.
    "padding": {"left": 35, "top": 5, "right": 35, "bottom": 5},
    "font": "sans-serif",
    "view": {"stroke": None},
    "title": {"anchor": "start", "color": _INK, "subtitleColor": _INK, "frame": "bounds"},
    "axis": {**_AXIS, "gridColor": _INK, "gridOpacity": 0.3, "domain": False, "ticks": False},
    "legend": {"labelColor": _INK, "title": None},
    "range": {"category": _COLOURS, "ramp": _ASCENDING, "heatmap": _ASCENDING},
}
# In pixels; a dialog of the UI is some 700 wide.
_WIDTH: Final = 420
_HEIGHT: Final = 180
_BAR_HEIGHT: Final = 16
_TITLE_CHARACTERS: Final = 56


class Chart(Enum):
    BAR = "bar"
    LINE = "line"
    HEAT_MAP = "heat map"


@dataclass(frozen=True)
class ChartSpec:
    """Which columns a chart draws, and by which: by one column, or by the one across and the one down a heat map."""

    chart: Chart
    values: tuple[str, ...]
    by: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.values)} by {' and '.join(self.by)}"


def parse_chart(text: str) -> ChartSpec:
    """Reads "bar of plays by song", "line of plays, listeners by day" or "heat map of plays by hour and day".

    The text of a ValueError goes on where "ChartSpec: <text>" ends.
    """
    parts = _CHART.fullmatch(text)
    if parts is None:
        raise ValueError(
            "must read 'bar of <columns> by <column>', 'line of <columns> by <column>' or 'heat map of <column> by "
            "<column across> and <column down>', with commas between columns"
        )
    chart, values, by = Chart(parts["chart"]), re.split(", ?", parts["values"]), parts["by"].split(" and ")
    names = [*values, *by]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"names {twice[0]} twice: name each column once")
    if chart is Chart.HEAT_MAP and (len(values), len(by)) != (1, 2):
        raise ValueError("must name one column before 'by', and two after it: the one across 'and' the one down")
    if chart is not Chart.HEAT_MAP and len(by) != 1:
        raise ValueError("must name one column after 'by': only a heat map has two")
    if len(values) > len(_COLOURS):
        raise ValueError(f"names {len(values)} columns before 'by': more than {len(_COLOURS)} cannot be told apart")
    return ChartSpec(chart, tuple(values), tuple(by))


def draw(chart: ChartSpec, title: str, rows: Rows) -> str:
    """A data URI of the chart; the same rows give the same bytes.

    Bars and the lines of a heat map come in the order of the rows; a line goes from the least to the greatest. What is
    NULL is left out. Of very many rows the first ones are drawn as bars, the last ones as lines or heat map.
    """
    # It starts a JavaScript engine: only who draws pays for it.
    import vl_convert

    svg = vl_convert.vegalite_to_svg(json.dumps(_specification(chart, title, rows)))
    # The engine numbers the gradients of all charts that it draws; each of ours has one at most.
    svg = re.sub(r"gradient_[0-9]+", "gradient", svg)
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def _specification(chart: ChartSpec, title: str, rows: Rows) -> dict[str, Any]:
    shown, which = _shown(chart.chart, rows)
    drawn = (*chart.values, *chart.by)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "config": _CONFIG,
        "title": {"text": wrap(title, _TITLE_CHARACTERS), "subtitle": f"{chart}{which}"},
        "data": {"values": [{"row": number, **_values(row, drawn)} for number, row in enumerate(shown)]},
        **_PARTS[chart.chart](chart, shown),
    }


def _shown(chart: Chart, rows: Rows) -> tuple[Rows, str]:
    """The rows that have room, and which these are."""
    match chart:
        case Chart.BAR:
            shown, which = rows[:MAX_BARS], "first"
        case Chart.LINE:
            shown, which = rows[-MAX_POINTS:], "last"
        case Chart.HEAT_MAP:
            shown, which = rows[-MAX_CELLS:], "last"
    return shown, f", the {which} {len(shown):,} of {len(rows):,}" if len(shown) < len(rows) else ""


def _bars(chart: ChartSpec, rows: Rows) -> dict[str, Any]:
    labels = json.dumps([str(row[chart.by[0]]) for row in rows])
    return {
        "width": _WIDTH,
        "height": {"step": _BAR_HEIGHT},
        "mark": "bar",
        "transform": [_by_column(chart)],
        "encoding": {
            "x": {"field": "value", "type": "quantitative", "title": None},
            # By number, as two songs may well have the same title.
            "y": {"field": "row", "type": "ordinal", "title": None, "axis": {"labelExpr": f"{labels}[datum.value]"}},
            "yOffset": {"field": "column", "sort": None},
            "color": _colour(chart),
        },
    }


def _lines(chart: ChartSpec, rows: Rows) -> dict[str, Any]:
    is_time = any(isinstance(row[chart.by[0]], date) for row in rows)
    days = {"format": "%Y-%m-%d", "tickCount": 5, "labelOverlap": True}
    across = {"type": "temporal", "scale": {"type": "utc"}, "axis": days} if is_time else {"type": "quantitative"}
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "mark": {"type": "line", "point": {"size": 12} if len(rows) <= _WIDTH / 10 else False},
        "transform": [_by_column(chart)],
        "encoding": {
            "x": {"field": chart.by[0], "title": None, **across},
            "y": {"field": "value", "type": "quantitative", "title": None},
            "color": _colour(chart),
        },
    }


def _heat_map(chart: ChartSpec, rows: Rows) -> dict[str, Any]:
    [value], (across, down) = chart.values, chart.by
    return {
        "width": _WIDTH,
        "mark": "rect",
        "encoding": {
            "x": {"field": across, "type": "ordinal", "title": across, "axis": {"labelAngle": 0, "labelOverlap": True}},
            "y": {"field": down, "type": "ordinal", "sort": None, "title": None},
            "color": {"field": value, "type": "quantitative"},
        },
    }


_PARTS: Final = {Chart.BAR: _bars, Chart.LINE: _lines, Chart.HEAT_MAP: _heat_map}


def _by_column(chart: ChartSpec) -> dict[str, Any]:
    return {"fold": chart.values, "as": ["column", "value"]}


def _colour(chart: ChartSpec) -> dict[str, Any]:
    legend = {"orient": "top"} if len(chart.values) > 1 else None
    return {"field": "column", "type": "nominal", "sort": None, "legend": legend}


def _values(row: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    return {name: _in_json(row[name]) for name in names}


def _in_json(value: object) -> object:
    match value:
        case Decimal():
            return float(value)
        case datetime():
            return f"{value.isoformat(timespec='milliseconds')}Z"
        case date():
            return value.isoformat()
    return value
