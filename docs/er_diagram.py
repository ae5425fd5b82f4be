"""Draws the star schema as one SVG that a web page or a Markdown page can show without any script."""

from collections.abc import Iterator
from html import escape
from typing import Any, Final

from sqlalchemy import Column, Table

from sparkify_dagster.schema.tables import artists, key_columns, songplays, songs, time, type_name, users

_WIDTH: Final = 1120
_MARGIN: Final = 24
_CARD_WIDTH: Final = 310
_HEADER: Final = 36
_ROW: Final = 26
_CARD_END: Final = 8
_GAP: Final = 28
_LEFT, _RIGHT = (time, users), (songs, artists)
_X: Final = {
    **dict.fromkeys(_LEFT, _MARGIN),
    songplays: (_WIDTH - _CARD_WIDTH) // 2,
    **dict.fromkeys(_RIGHT, _WIDTH - _MARGIN - _CARD_WIDTH),
}
_STYLE: Final = """
text { font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 15px; fill: #1b2333 }
.table { font-weight: 600; fill: #fff }
.key { font-weight: 600 }
.type, .count { font-size: 13px; fill: #566079 }
.line { fill: none; stroke: #2f5fd0; stroke-width: 2; stroke-opacity: .75 }
"""


def star_schema_diagram() -> str:
    """Returns the facts and their dimensions as SVG: keys in bold, a line per reference."""
    height = max(_height(songplays), *(sum(map(_height, side)) + _GAP for side in (_LEFT, _RIGHT))) + 2 * _MARGIN
    tops = {songplays: (height - _height(songplays)) // 2}
    for side in (_LEFT, _RIGHT):
        top = (height - sum(map(_height, side)) - _GAP) // 2
        for table in side:
            tops[table] = top
            top += _height(table) + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}">',
        "<title>The star schema</title>",
        f"<style>{_STYLE}</style>",
        # A ground of its own keeps the diagram legible on a dark page too.
        f'<rect x="1" y="1" width="{_WIDTH - 2}" height="{height - 2}" rx="14" fill="#f3f5fa" stroke="#ccd3e2"/>',
    ]
    parts.extend(line for column in songplays.columns if column.info.get("references") for line in _line(column, tops))
    parts.extend(line for table, top in tops.items() for line in _card(table, top))
    return "\n".join([*parts, "</svg>", ""])


def _height(table: Table) -> int:
    return _HEADER + len(table.columns) * _ROW + _CARD_END


def _card(table: Table, top: int) -> Iterator[str]:
    left, colour = _X[table], "#1b2333" if table is songplays else "#2f5fd0"
    size = f'width="{_CARD_WIDTH}" height="{_height(table)}"'
    yield f'<rect x="{left}" y="{top}" {size} rx="9" fill="#fff" stroke="{colour}"/>'
    yield f'<path d="M{left} {top + 30}v-21a9 9 0 0 1 9 -9h{_CARD_WIDTH - 18}a9 9 0 0 1 9 9v21z" fill="{colour}"/>'
    yield f'<text class="table" x="{left + 14}" y="{top + 21}">{escape(table.name)}</text>'
    for column in table.columns:
        is_key = column.name in key_columns(table)
        baseline = _middle(column, top) + 5
        style = ' class="key"' if is_key else ""
        yield f'<text{style} x="{left + 14}" y="{baseline}">{escape(column.name)}</text>'
        kind = escape(type_name(column))
        yield f'<text class="type" x="{left + _CARD_WIDTH - 12}" y="{baseline}" text-anchor="end">{kind}</text>'


def _line(column: Column[Any], tops: dict[Table, int]) -> Iterator[str]:
    dimension, _, key = column.info["references"].partition(".")
    (table,) = (table for table in (*_LEFT, *_RIGHT) if table.name == dimension)
    is_left = table in _LEFT
    start = _X[songplays] + (0 if is_left else _CARD_WIDTH)
    end = _X[table] + (_CARD_WIDTH if is_left else 0)
    from_y, to_y = _middle(column, tops[songplays]), _middle(table.c[key], tops[table])
    middle = (start + end) // 2
    yield f'<path class="line" d="M{start} {from_y}C{middle} {from_y} {middle} {to_y} {end} {to_y}"/>'
    # Plays without a matching song are kept: their references are NULL.
    count = "0..1" if column.nullable else "1"
    # On the side to which the line does not turn.
    count_y = to_y - 6 if to_y < from_y else to_y + 16
    anchor, offset = ("start", 6) if is_left else ("end", -6)
    yield f'<text class="count" x="{end + offset}" y="{count_y}" text-anchor="{anchor}">{count}</text>'


def _middle(column: Column[Any], top: int) -> int:
    """Returns the height at which a line meets the column's row."""
    return top + _HEADER + list(column.table.columns).index(column) * _ROW + _ROW // 2
