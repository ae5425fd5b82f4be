"""Compares the answer of a query with the expected one, and says which rows differ, and in what."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from sqlalchemy import Numeric

from sparkify_dagster.analytics.expected import Value, Values
from sparkify_dagster.analytics.formats import plain
from sparkify_dagster.analytics.query import Query
from sparkify_dagster.formatting import pluralize

TOLERANCE = (
    "Decimals may differ by one in their last digit; all else is equal or differs. Empty text and NULL are equal."
)
# So many rows that are alike in nothing but some columns are looked at to find the one that was meant.
_MAX_PAIRED_ROWS = 200

_Placed: TypeAlias = tuple[int, Values]
"""A row and its place among the others."""


@dataclass(frozen=True)
class Difference:
    """A row that is not as expected: another one, missing (`found` is None) or not expected at all."""

    expected: Values | None
    found: Values | None

    @property
    def kind(self) -> str:
        if self.expected is None:
            return "not expected"
        return "missing" if self.found is None else "differs"


@dataclass(frozen=True)
class Comparison:
    query: Query
    expected: int
    """Rows."""
    found: int
    differences: Sequence[Difference]
    same_order: bool

    @property
    def matches_expected(self) -> bool:
        return not self.differences and self.same_order

    def __str__(self) -> str:
        if self.matches_expected:
            return f"{pluralize(self.found, 'row')} as expected"
        if not self.differences:
            return f"{pluralize(self.found, 'row')} as expected, but in another order"
        kinds = [difference.kind for difference in self.differences]
        told = [f"{kinds.count(kind):,} {kind}" for kind in ("differs", "missing", "not expected") if kind in kinds]
        if kinds.count("differs") > 1:
            told[0] = told[0].replace("differs", "differ")
        return f"{', '.join(told)}; {pluralize(self.expected, 'row')} expected"

    def side_by_side(self, most: int, *, show_personal: bool = True) -> Sequence[Mapping[str, str]]:
        """The first differing rows, a mapping each, for people: where a value differs, both.

        Personal columns are for a terminal. Dagster's history shows only which of them differ.
        """
        hidden = () if show_personal else self.query.personal_columns
        return [self._described(difference, hidden) for difference in self.differences[:most]]

    def _described(self, difference: Difference, hidden: Collection[str]) -> Mapping[str, str]:
        # What is missing, or not expected, is shown as it is.
        expected, found = difference.expected or difference.found or (), difference.found or difference.expected or ()
        row = {"row": difference.kind}
        differ_unseen = []
        for name, e, f, tolerance in zip(self.query.columns, expected, found, tolerances(self.query), strict=True):
            same = _agree(e, f, tolerance)
            if name not in hidden:
                row[name] = _shown(e) if same else f"expected {_shown(e)}, found {_shown(f)}"
            elif not same:
                differ_unseen.append(f"{name} differs")
        return row | {"not_shown": ", ".join(differ_unseen)} if hidden else row


def compare(query: Query, expected: Sequence[Values], rows: Iterable[Sequence[Any]]) -> Comparison:
    """The expected rows with those of a warehouse in any order; then, if the query orders them, their order too."""
    found: list[Values] = [tuple(row) for row in rows]
    allowed = tolerances(query)
    differences = _paired(*_unmatched(expected, found, allowed), allowed)
    same_order = (
        not query.order
        or bool(differences)
        or all(_rows_agree(e, f, allowed) for e, f in zip(expected, found, strict=True))
    )
    return Comparison(query, len(expected), len(found), differences, same_order)


def tolerances(query: Query) -> Sequence[Decimal | None]:
    """By how much a value of each column may differ; None where it may not."""
    return [
        Decimal(1).scaleb(-(kind.scale or 0)) if isinstance(kind := column.type, Numeric) else None
        for column in query.table.columns
    ]


def _shown(value: Value) -> str:
    return "NULL" if value is None else plain(value)


def _unmatched(
    expected: Sequence[Values], found: Sequence[Values], allowed: Sequence[Decimal | None]
) -> tuple[list[Values], list[Values]]:
    """The rows of each side that the other one lacks."""
    groups: dict[Values, tuple[list[_Placed], list[_Placed]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((expected, found)):
        for placed in enumerate(rows):
            exact = tuple(_plain(value) for value, most in zip(placed[1], allowed, strict=True) if most is None)
            groups[exact][side].append(placed)
    missing, unexpected = [], []
    for here, there in groups.values():
        # Rows that are equal but for decimals agree, if any do, in the order of these.
        remaining = sorted(there, key=lambda placed: _decimals(placed[1], allowed))
        for placed in sorted(here, key=lambda placed: _decimals(placed[1], allowed)):
            match = next((other for other in remaining if _rows_agree(placed[1], other[1], allowed)), None)
            if match is None:
                missing.append(placed)
            else:
                remaining.remove(match)
        unexpected.extend(remaining)
    return _in_place(missing), _in_place(unexpected)


def _in_place(rows: Sequence[_Placed]) -> list[Values]:
    return [row for _, row in sorted(rows, key=lambda placed: placed[0])]


def _paired(
    missing: Sequence[Values], unexpected: Sequence[Values], allowed: Sequence[Decimal | None]
) -> Sequence[Difference]:
    """Puts each missing row beside the unexpected one that is most like it, if any is."""
    remaining = list(unexpected)
    differences = []
    for number, row in enumerate(missing):
        candidates = remaining[:_MAX_PAIRED_ROWS] if number < _MAX_PAIRED_ROWS else []
        like = max(candidates, key=lambda other: _likeness(row, other, allowed), default=None)
        if like is not None and _likeness(row, like, allowed):
            remaining.remove(like)
            differences.append(Difference(row, like))
        else:
            differences.append(Difference(row, None))
    return [*differences, *(Difference(None, row) for row in remaining)]


def _likeness(row: Values, other: Values, allowed: Sequence[Decimal | None]) -> int:
    """How many values agree; the first ones say what a row is about, so they count more than all later ones."""
    likeness = 0
    for value, other_value, most in zip(row, other, allowed, strict=True):
        likeness = 2 * likeness + _agree(value, other_value, most)
    return likeness


def _rows_agree(row: Values, other: Values, allowed: Sequence[Decimal | None]) -> bool:
    return all(_agree(*values) for values in zip(row, other, allowed, strict=True))


def _agree(value: Value, other: Value, most: Decimal | None) -> bool:
    if most is not None and isinstance(value, Decimal) and isinstance(other, Decimal):
        return abs(value - other) <= most
    return _plain(value) == _plain(other)


def _plain(value: Value) -> Value:
    return None if value == "" else value


def _decimals(row: Values, allowed: Sequence[Decimal | None]) -> list[tuple[bool, Decimal]]:
    return [
        (value is not None, Decimal(0) if value is None else Decimal(str(value)))
        for value, most in zip(row, allowed, strict=True)
        if most is not None
    ]
