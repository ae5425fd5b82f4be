"""Charts of query results, drawn by Vega-Lite, small enough for an asset's metadata."""

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

# Beyond these, bars, points and cells are too small to distinguish.
MAX_BARS: Final = 20
MAX_POINTS: Final = 400
MAX_CELLS: Final = 500
_VEGA_LITE: Final = "https://vega.github.io/schema/vega-lite/v5.json"
_NAME: Final = "[a-z_][a-z0-9_]*"
_CHART: Final = re.compile(
    f"(?P<type>bar|line|heat map) of (?P<values>{_NAME}(?:, ?{_NAME})*) by (?P<by>{_NAME}(?: and {_NAME})*)"
)
# Legible on the UI's dark theme and on its light one: the chart has no background of its own.
_INK: Final = "#7d8590"
_COLOURS: Final = ("#6a8fe0", "#e8871e", "#3fa66b", "#b07ad0")
_ASCENDING: Final = ("#5b50c9", "#b5429a", "#ea6f5e", "#f5b53d")
_AXIS: Final = {"labelColor": _INK, "titleColor": _INK, "titleFontWeight": "normal", "labelLimit": 180}
_CONFIG: Final = {
    "aria": False,
    "background": None,
    # Room for browsers whose font is wider than the one that the labels were measured with.
    "padding": {"left": 35, "top": 5, "right": 35, "bottom": 5},
    "font": "sans-serif",
    "view": {"stroke": None},
    "title": {"anchor": "start", "color": _INK, "subtitleColor": _INK, "frame": "bounds"},
    "axis": {**_AXIS, "gridColor": _INK, "gridOpacity": 0.3, "domain": False, "ticks": False},
    "legend": {"labelColor": _INK, "title": None},
    "range": {"category": _COLOURS, "ramp": _ASCENDING, "heatmap": _ASCENDING},
}
# The page gives texts and lines the colours of its theme. Marks are legible on both: 3:1 on white and on black.
_TEXT_SIZE: Final = {"labelFontSize": 11, "titleFontSize": 11}
_PAGE_CONFIG: Final = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"domain": False, "ticks": False, "titleFontWeight": "normal", "labelLimit": 140, **_TEXT_SIZE},
    "legend": {"title": None, **_TEXT_SIZE},
    "range": {
        "category": ("#4f7bd9", "#c96f10", "#2f9159", "#a066c9"),
        "ramp": _ASCENDING,
        "heatmap": _ASCENDING,
    },
}
# In pixels; a dialog of the UI is about 700 wide.
_WIDTH: Final = 420
_HEIGHT: Final = 180
_BAR_HEIGHT: Final = 16
_TITLE_CHARACTERS: Final = 56


class ChartType(Enum):
    """The chart types that a query's header can name."""

    BAR = "bar"
    LINE = "line"
    HEAT_MAP = "heat map"


@dataclass(frozen=True)
class ChartSpec:
    """A chart: its type, the columns that it draws, and the column on its axis (of a heat map: across, then down)."""

    type: ChartType
    values: tuple[str, ...]
    by: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.values)} by {' and '.join(self.by)}"

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.values, *self.by)


def parse_chart(text: str) -> ChartSpec:
    """Parses "bar of plays by song", "line of plays, listeners by day" or "heat map of plays by hour and day".

    Raises ValueError; its message continues the sentence that begins with "Chart: <text>".
    """
    parts = _CHART.fullmatch(text)
    if parts is None:
        raise ValueError(
            "must read 'bar of <columns> by <column>', 'line of <columns> by <column>' or 'heat map of <column> by "
            "<column across> and <column down>', with commas between columns"
        )
    chart_type, values, by = ChartType(parts["type"]), re.split(", ?", parts["values"]), parts["by"].split(" and ")
    names = [*values, *by]
    if duplicates := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"names {duplicates[0]} twice: name each column once")
    if chart_type is ChartType.HEAT_MAP and (len(values), len(by)) != (1, 2):
        raise ValueError("must name one column before 'by' and two after it: <column across> and <column down>")
    if chart_type is not ChartType.HEAT_MAP and len(by) != 1:
        raise ValueError("must name one column after 'by': only a heat map has two")
    if len(values) > len(_COLOURS):
        raise ValueError(f"names {len(values)} columns before 'by': at most {len(_COLOURS)} are allowed")
    return ChartSpec(chart_type, tuple(values), tuple(by))


def draw(chart: ChartSpec, title: str, rows: Rows) -> str:
    """Returns the chart as a data URI; the same rows give the same bytes.

    Bars and the lines of a heat map are in the order of the rows; a line is sorted by its axis. NULLs are not drawn.
    When there are too many rows, a bar chart shows the first ones, a line chart and a heat map the last ones.
    """
    svg = _svg(_vega_lite_spec(chart, title, rows))
    # The engine numbers gradients across all charts that it draws; a chart of ours has at most one.
    svg = re.sub(r"gradient_[0-9]+", "gradient", svg)
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def start_engine() -> None:
    """Starts the JavaScript engine that draws, which takes half a second, if it has not started."""
    _svg({"$schema": _VEGA_LITE, "data": {"values": []}, "mark": "bar"})


def _svg(specification: Mapping[str, Any]) -> str:
    # Imported here because few processes draw.
    import vl_convert

    return vl_convert.vegalite_to_svg(json.dumps(specification))


def _vega_lite_spec(chart: ChartSpec, title: str, rows: Rows) -> dict[str, Any]:
    shown, note = _rows_that_fit(chart.type, rows)
    return {
        "$schema": _VEGA_LITE,
        "config": _CONFIG,
        "title": {"text": wrap(title, _TITLE_CHARACTERS), "subtitle": f"{chart}{note}"},
        "data": _data(chart, shown),
        **_MARKS_AND_ENCODINGS[chart.type](chart, shown),
    }


def interactive_spec(chart: ChartSpec, rows: Rows) -> dict[str, Any]:
    """Returns a Vega-Lite specification of the same chart for a page: as wide as there is room, with tooltips.

    It has no colours of text and lines, which the page gives it, and no title, which the page has above it.
    """
    shown, note = _rows_that_fit(chart.type, rows)
    drawn = _MARKS_AND_ENCODINGS[chart.type](chart, shown)
    values = [{"field": name, "type": "quantitative", "format": ","} for name in chart.values]
    if chart.type is ChartType.LINE:
        drawn = _nearest_point(drawn, [_on_axis(chart.by[0], shown), *values])
    else:
        drawn["encoding"]["tooltip"] = [*({"field": name, "type": "nominal"} for name in chart.by), *values]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": f"{chart}{note}",
        "config": _PAGE_CONFIG,
        "data": _data(chart, shown),
        **drawn,
        "width": "container",
    }


def _on_axis(name: str, rows: Rows) -> dict[str, str]:
    """Returns the tooltip of a line's axis. Of a nearest point, Vega-Lite 6 shows no nominal value."""
    if any(isinstance(row[name], datetime) for row in rows):
        unit, shown = "utcyearmonthdatehoursminutes", "%Y-%m-%d %H:%M"
    elif any(isinstance(row[name], date) for row in rows):
        unit, shown = "utcyearmonthdate", "%Y-%m-%d"
    else:
        return {"field": name, "type": "quantitative"}
    return {"field": name, "type": "temporal", "timeUnit": unit, "format": shown, "title": name}


def _nearest_point(lines: dict[str, Any], tooltips: list[dict[str, str]]) -> dict[str, Any]:
    """Adds a point that follows the pointer, with a tooltip, and a legend that chooses a line."""
    near = {"name": "near", "select": {"type": "point", "on": "pointermove", "nearest": True, "clear": "pointerout"}}
    chosen = {"name": "chosen", "select": {"type": "point", "fields": ["column"]}, "bind": "legend"}
    return {
        **{name: value for name, value in lines.items() if name != "mark"},
        "layer": [
            {
                "mark": lines["mark"],
                "params": [chosen],
                "encoding": {"opacity": {"condition": {"param": "chosen", "value": 1}, "value": 0.15}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70},
                "params": [near],
                "encoding": {
                    "opacity": {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0},
                    "tooltip": tooltips,
                },
            },
        ],
    }


def _data(chart: ChartSpec, rows: Rows) -> dict[str, Any]:
    return {"values": [{"row": number, **_json_values(row, chart.columns)} for number, row in enumerate(rows)]}


def _rows_that_fit(chart_type: ChartType, rows: Rows) -> tuple[Rows, str]:
    """Returns the rows to draw, and a note for the subtitle if these are not all."""
    match chart_type:
        case ChartType.BAR:
            shown, which = rows[:MAX_BARS], "first"
        case ChartType.LINE:
            shown, which = rows[-MAX_POINTS:], "last"
        case ChartType.HEAT_MAP:
            shown, which = rows[-MAX_CELLS:], "last"
    return shown, f", the {which} {len(shown):,} of {len(rows):,}" if len(shown) < len(rows) else ""


def _bars(chart: ChartSpec, rows: Rows) -> dict[str, Any]:
    labels = json.dumps([str(row[chart.by[0]]) for row in rows])
    return {
        "width": _WIDTH,
        "height": {"step": _BAR_HEIGHT},
        "mark": "bar",
        "transform": [_fold_values(chart)],
        "encoding": {
            "x": {"field": "value", "type": "quantitative", "title": None},
            # By row number, because two songs can have the same title.
            "y": {"field": "row", "type": "ordinal", "title": None, "axis": {"labelExpr": f"{labels}[datum.value]"}},
            "yOffset": {"field": "column", "sort": None},
            "color": _colour(chart),
        },
    }


def _lines(chart: ChartSpec, rows: Rows) -> dict[str, Any]:
    has_dates = any(isinstance(row[chart.by[0]], date) for row in rows)
    day_axis = {"format": "%Y-%m-%d", "tickCount": 5, "labelOverlap": True}
    across = {"type": "temporal", "scale": {"type": "utc"}, "axis": day_axis} if has_dates else {"type": "quantitative"}
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "mark": {"type": "line", "point": {"size": 12} if len(rows) <= _WIDTH / 10 else False},
        "transform": [_fold_values(chart)],
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


_MARKS_AND_ENCODINGS: Final = {ChartType.BAR: _bars, ChartType.LINE: _lines, ChartType.HEAT_MAP: _heat_map}


def _fold_values(chart: ChartSpec) -> dict[str, Any]:
    return {"fold": chart.values, "as": ["column", "value"]}


def _colour(chart: ChartSpec) -> dict[str, Any]:
    legend = {"orient": "top"} if len(chart.values) > 1 else None
    return {"field": "column", "type": "nominal", "sort": None, "legend": legend}


def _json_values(row: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    return {name: _json_value(row[name]) for name in names}


def _json_value(value: object) -> object:
    match value:
        case Decimal():
            return float(value)
        case datetime():
            return f"{value.isoformat(timespec='milliseconds')}Z"
        case date():
            return value.isoformat()
    return value
