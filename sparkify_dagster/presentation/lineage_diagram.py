"""Column lineage diagrams: a self-contained SVG of the source columns that feed each column of a table."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape
from itertools import chain, cycle
from statistics import fmean

from sparkify_dagster.schema.lineage import ColumnOrigin

_WIDTH = 900
_MARGIN = 28
_LEFT_WIDTH = 304
_RIGHT_WIDTH = 360
_RIGHT_X = _WIDTH - _MARGIN - _RIGHT_WIDTH
_HEADER = 40
_ROW = 28
_CARD_END = 10
_GAP = 26
# One per source table, dark enough for text on white.
_COLOURS = ("#2f5fd0", "#b4540a", "#0f7b5f", "#8b3fb0")
_STYLE = """
text { font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 15px; fill: #1b2333 }
.table { font-size: 16px; font-weight: 600; fill: #fff }
.note { font-size: 13px; fill: #566079 }
.join { font-size: 13px; font-weight: 600 }
.line { fill: none; stroke-width: 2; stroke-opacity: .75 }
"""

Origins = Mapping[str, tuple[ColumnOrigin, str]]


def draw(table: str, origins: Origins) -> str:
    """Returns the diagram as a data URI. `origins` maps each column to its origin and the description of its join."""
    return f"data:image/svg+xml;base64,{b64encode(svg(table, origins).encode()).decode()}"


def svg(table: str, origins: Origins) -> str:
    columns = list(origins)
    sources = _sources_in_order(origins)
    left_height = sum(_card_height(names, joins) for names, joins in sources.values()) + _GAP * (len(sources) - 1)
    right_height = _card_height(columns, [])
    content = max(left_height, right_height)
    height = content + 2 * _MARGIN

    right_y = _MARGIN + (content - right_height) / 2
    target_y = {name: right_y + _HEADER + (row + 0.5) * _ROW for row, name in enumerate(columns)}

    cards: list[str] = []
    lines: list[str] = []
    y = _MARGIN + (content - left_height) / 2
    for colour, (source, (names, joins)) in zip(cycle(_COLOURS), sources.items(), strict=False):
        cards.extend(_card(_MARGIN, y, _LEFT_WIDTH, source, colour, [(name, "") for name in names], joins))
        first_row = y + _HEADER + len(joins) * _ROW
        for row, name in enumerate(names):
            for target, (origin, join) in origins.items():
                if (source, name) in origin.sources:
                    lines.append(_line(first_row + (row + 0.5) * _ROW, target_y[target], colour, dashed=bool(join)))
        y += _card_height(names, joins) + _GAP
    rows = [(name, origin.expression or "") for name, (origin, _) in origins.items()]
    cards.extend(_card(_RIGHT_X, right_y, _RIGHT_WIDTH, table, "#1b2333", rows, []))

    size = f'width="{_WIDTH}" height="{height:g}" viewBox="0 0 {_WIDTH} {height:g}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f"<title>Column lineage of {escape(table)}</title>",
            f"<style>{_STYLE}</style>",
            # A background keeps the diagram legible on a dark page.
            f'<rect x="1" y="1" width="{_WIDTH - 2}" height="{height - 2:g}" rx="14" fill="#f3f5fa" stroke="#ccd3e2"/>',
            *lines,
            *cards,
            "</svg>",
        ]
    )


def _sources_in_order(origins: Origins) -> dict[str, tuple[list[str], list[str]]]:
    """Returns each source table's columns and joins, sorted by their targets' position so that few lines cross."""
    targets: dict[str, dict[str, list[int]]] = {}
    joins: dict[str, dict[str, None]] = {}
    for row, (origin, join) in enumerate(origins.values()):
        for source, name in origin.sources:
            targets.setdefault(source, {}).setdefault(name, []).append(row)
            joins.setdefault(source, {}).update({join: None} if join else {})
    return {
        source: (sorted(rows, key=lambda name: fmean(rows[name])), list(joins[source]))
        for source, rows in sorted(targets.items(), key=lambda item: fmean(chain.from_iterable(item[1].values())))
    }


def _card_height(rows: list[str], joins: list[str]) -> int:
    return _HEADER + (len(rows) + len(joins)) * _ROW + _CARD_END


def _card(
    x: float, y: float, width: float, title: str, colour: str, rows: list[tuple[str, str]], joins: list[str]
) -> Iterator[str]:
    height = _card_height([name for name, _ in rows], joins)
    yield f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="9" fill="#fff" stroke="{colour}"/>'
    header = f"M{x:g} {y + _HEADER - 6:g}v{15 - _HEADER}a9 9 0 0 1 9 -9h{width - 18:g}a9 9 0 0 1 9 9v{_HEADER - 15}z"
    yield f'<path d="{header}" fill="{colour}"/>'
    yield f'<text class="table" x="{x + 14:g}" y="{y + 23:g}">{escape(title)}</text>'
    baseline = y + _HEADER + 19
    for join in joins:
        band = f'x="{x + 1:g}" y="{baseline - 25:g}" width="{width - 2:g}" height="{_ROW}"'
        yield f'<rect {band} fill="{colour}" fill-opacity=".1"/>'
        yield f'<text class="join" x="{x + 14:g}" y="{baseline - 6:g}" style="fill:{colour}">{escape(join)}</text>'
        baseline += _ROW
    for name, note in rows:
        yield f'<text x="{x + 14:g}" y="{baseline:g}">{escape(name)}</text>'
        if note:
            yield f'<text class="note" x="{x + width - 12:g}" y="{baseline:g}" text-anchor="end">{escape(note)}</text>'
        baseline += _ROW


def _line(from_y: float, to_y: float, colour: str, *, dashed: bool) -> str:
    start, end = _MARGIN + _LEFT_WIDTH, _RIGHT_X
    middle = (start + end) / 2
    dashes = ' stroke-dasharray="6 4"' if dashed else ""
    return (
        f'<path class="line" d="M{start} {from_y:g}C{middle:g} {from_y:g} {middle:g} {to_y:g} {end} {to_y:g}"'
        f' stroke="{colour}"{dashes}/>'
    )
