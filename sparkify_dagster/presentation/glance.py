"""Results at a glance: small charts in characters, which an asset's page shows without a click, in light and in dark.

The UI hides longer Markdown, such as an image of a whole chart, behind a link.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, Final, TypeAlias, TypeGuard, cast

from dagster import MarkdownMetadataValue, MetadataValue
from rich.cells import cell_len, set_cell_size

from sparkify_dagster.analytics.charts import ChartSpec, ChartType, Rows
from sparkify_dagster.analytics.formats import format_value
from sparkify_dagster.formatting import visible
from sparkify_dagster.presentation.sparkline import MAX_CHARACTERS

Number: TypeAlias = int | float | Decimal

NO_ROWS: Final = "No rows."
TOO_LONG: Final = "The rows are too long to be shown here."
# What a page of usual width has room for.
MAX_BARS: Final = 12
MAX_POINTS: Final = 30
MAX_ACROSS: Final = 30
MAX_DOWN: Final = 14
_LABEL_CELLS: Final = 16
_SHORT_LABEL_CELLS: Final = 10
_BAR_CELLS: Final = 8

_EIGHTHS: Final = "▏▎▍▌▋▊▉█"
_NEGATIVE: Final = "▒"
_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_SHADES: Final = "░▒▓█"
_ESCAPED: Final = {ord(character): f"\\{character}" for character in "\\`*_{}[]()<>#!|~&$:./@"}


def at_a_glance(chart: ChartSpec, rows: Rows) -> MarkdownMetadataValue:
    """Returns the chart in characters.

    As in the chart itself, bars and the lines of a heat map are in the order of the rows, a line is sorted by its axis,
    and NULLs are not drawn. Of too many rows a note gives the number.
    """
    text = _draw(chart, rows) if rows else NO_ROWS
    return MetadataValue.md(text if len(text) <= MAX_CHARACTERS else TOO_LONG)


def _draw(chart: ChartSpec, rows: Rows) -> str:
    match chart.type:
        case ChartType.BAR:
            return _bars(chart, rows)
        case ChartType.LINE:
            return _lines(chart, rows)
        case ChartType.HEAT_MAP:
            return _heat_map(chart, rows)


def _bars(chart: ChartSpec, rows: Rows) -> str:
    for count in range(min(MAX_BARS, len(rows)), 0, -1):
        note = f"\n\nthe first {count:,} of {len(rows):,} rows" if count < len(rows) else ""
        if len(text := _table_of_bars(chart, rows[:count]) + note) <= MAX_CHARACTERS:
            return text
    return TOO_LONG


def _table_of_bars(chart: ChartSpec, rows: Rows) -> str:
    [by] = chart.by
    most = max((abs(number) for name in chart.values for number in _numbers(rows, name)), default=0)
    columns = [(by, "---"), *(column for name in chart.values for column in ((name, "--:"), ("", "---")))]
    lines = [[title.translate(_ESCAPED) for title, _ in columns], [alignment for _, alignment in columns]]
    for row in rows:
        cells = [(_cell(row[name]), _bar(row[name], most)) for name in chart.values]
        lines.append([_cell(row[by]), *chain.from_iterable(cells)])
    return "\n".join(f"|{'|'.join(line)}|" for line in lines)


def _bar(value: object, most: Number) -> str:
    if not _is_number(value) or not most:
        return ""
    share = float(abs(value) / most)
    if value < 0:
        return _NEGATIVE * max(1, round(share * _BAR_CELLS))
    # Rounded up, so that the smallest number has a visible bar.
    full, eighths = divmod(-(-share * _BAR_CELLS * 8 // 1), 8)
    return "█" * int(full) + (_EIGHTHS[int(eighths) - 1] if eighths else "")


def _lines(chart: ChartSpec, rows: Rows) -> str:
    [by] = chart.by
    in_order = _sorted([row for row in rows if row[by] is not None], by)
    shown = in_order[-MAX_POINTS:]
    text = []
    for name in chart.values:
        numbers = _numbers(shown, name)
        if numbers:
            low, high = min(numbers), max(numbers)
            line = "".join(_level(row[name], low, high, _HEIGHTS) for row in shown)
            text += [f"{name}, {_label(low)} to {_label(high)}", line.rstrip()]
        else:
            text.append(f"{name}: no number")
    if shown:
        note = f"the last {len(shown):,} of {len(in_order):,}, " if len(shown) < len(in_order) else ""
        text.append(f"{note}{_label(shown[0][by])} to {_label(shown[-1][by])}")
    return _code(text)


def _heat_map(chart: ChartSpec, rows: Rows) -> str:
    [value], (across, down) = chart.values, chart.by
    cells = {(row[across], row[down]): row[value] for row in rows}
    columns = [row[across] for row in _sorted([row for row in rows if row[across] is not None], across)]
    all_columns, all_lines = list(dict.fromkeys(columns)), list(dict.fromkeys(row[down] for row in rows))
    shown_columns, shown_lines = all_columns[-MAX_ACROSS:], all_lines[-MAX_DOWN:]
    shown = [{value: cells.get((column, line))} for line in shown_lines for column in shown_columns]
    numbers = _numbers(shown, value)
    if not numbers:
        return _code([f"{value}: no number"])
    low, high = min(numbers), max(numbers)
    labels = {line: _label(line, _SHORT_LABEL_CELLS) for line in shown_lines}
    width = max(map(cell_len, labels.values()))
    text = [
        set_cell_size(labels[line], width)
        + " "
        + "".join(_level(cells.get((column, line)), low, high, _SHADES) for column in shown_columns)
        for line in shown_lines
    ]
    text.append(f"{across} {_label(shown_columns[0])} to {_label(shown_columns[-1])}")
    text.append(f"{_SHADES[0]} {_label(low)} to {_SHADES[-1]} {_label(high)}")
    for name, some, every in ((across, shown_columns, all_columns), (down, shown_lines, all_lines)):
        if len(some) < len(every):
            text.append(f"{name}: the last {len(some):,} of {len(every):,}")
    return _code(text)


def _level(value: object, low: Any, high: Any, levels: str) -> str:
    if not _is_number(value):
        return " "
    return levels[min(int(float((value - low) / (high - low)) * len(levels)), len(levels) - 1) if high > low else -1]


def _is_number(value: object) -> TypeGuard[Any]:
    return isinstance(value, int | float | Decimal)


def _numbers(rows: Rows, name: str) -> list[Any]:
    return [row[name] for row in rows if _is_number(row[name])]


def _sorted(rows: Rows, name: str) -> Rows:
    return sorted(rows, key=lambda row: cast(Any, row[name]))


def _label(value: object, cells: int = _LABEL_CELLS) -> str:
    """Returns a value as text of one line, cut to a width on the screen."""
    match value:
        case None:
            # Distinct from an empty text.
            return "NULL"
        case int():
            return f"{value:,}"
    text = visible(format_value(value))
    # Combining characters have no width.
    if cell_len(text) <= cells and len(text) <= 2 * cells:
        return text
    return f"{set_cell_size(text[: 2 * cells], cells - 1).rstrip(' ')}…"


def _cell(value: object) -> str:
    return _label(value).translate(_ESCAPED)


def _code(lines: Sequence[str]) -> str:
    """Returns a block in which each character has the same width; no label can end it."""
    text = "\n".join(line.replace("`", "'") for line in lines)
    return f"```\n{text}\n```"
