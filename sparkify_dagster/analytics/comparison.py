"""Compares the result of a query with its expected result, row by row and value by value."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from sqlalchemy import Numeric

from sparkify_dagster.analytics.expected import Value, Values
from sparkify_dagster.analytics.formats import format_value
from sparkify_dagster.analytics.query import Query
from sparkify_dagster.formatting import pluralize

# The name of the check that compares the result of a query with the expected one.
MATCHES_EXPECTED = "matches_expected"
TOLERANCE = "Decimals may differ by one in the last digit; all other values must be equal. Empty text equals NULL."
# Each missing row is paired with the most similar of this many unexpected rows: the search is quadratic.
_MAX_PAIRED_ROWS = 200

_NumberedRow: TypeAlias = tuple[int, Values]
"""A row number and the row."""


@dataclass(frozen=True)
class Difference:
    """A row that differs from the expected one, is missing (`found` is None) or unexpected (`expected` is None)."""

    expected: Values | None
    found: Values | None

    @property
    def kind(self) -> str:
        if self.expected is None:
            return "unexpected"
        return "missing" if self.found is None else "differs"


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing a result with the expected one."""

    query: Query
    expected_rows: int
    found_rows: int
    differences: Sequence[Difference]
    same_order: bool

    @property
    def matches_expected(self) -> bool:
        return not self.differences and self.same_order

    def __str__(self) -> str:
        if self.matches_expected:
            return f"{pluralize(self.found_rows, 'row')} as expected"
        if not self.differences:
            return f"{pluralize(self.found_rows, 'row')} as expected, but in a different order"
        kinds = [difference.kind for difference in self.differences]
        parts = [f"{kinds.count(kind):,} {kind}" for kind in ("differs", "missing", "unexpected") if kind in kinds]
        if kinds.count("differs") > 1:
            parts[0] = parts[0].replace("differs", "differ")
        return f"{', '.join(parts)}; {pluralize(self.expected_rows, 'row')} expected"

    def side_by_side(self, limit: int, *, show_personal: bool = True) -> Sequence[Mapping[str, str]]:
        """Returns the first differing rows as text by column name, with both values where a value differs.

        Only a terminal may show personal columns. Dagster's history shows which of them differ, not their values.
        """
        hidden = () if show_personal else self.query.personal_columns
        return [self._describe(difference, hidden) for difference in self.differences[:limit]]

    def _describe(self, difference: Difference, hidden: Collection[str]) -> Mapping[str, str]:
        # A missing or unexpected row is compared with itself, so that its values are shown once.
        expected, found = difference.expected or difference.found or (), difference.found or difference.expected or ()
        row = {"row": difference.kind}
        hidden_differences = []
        for name, e, f, tolerance in zip(
            self.query.columns, expected, found, column_tolerances(self.query), strict=True
        ):
            same = _agree(e, f, tolerance)
            if name not in hidden:
                row[name] = _text(e) if same else f"expected {_text(e)}, found {_text(f)}"
            elif not same:
                hidden_differences.append(f"{name} differs")
        return row | {"not_shown": ", ".join(hidden_differences)} if hidden else row


def compare(query: Query, expected: Sequence[Values], rows: Iterable[Sequence[Any]]) -> Comparison:
    """Compares rows of a warehouse with the expected ones; their order counts only if the query has an ORDER BY."""
    found: list[Values] = [tuple(row) for row in rows]
    tolerances = column_tolerances(query)
    differences = _pair_similar(*_unmatched(expected, found, tolerances), tolerances)
    same_order = (
        not query.order
        or bool(differences)
        or all(_rows_agree(e, f, tolerances) for e, f in zip(expected, found, strict=True))
    )
    return Comparison(query, len(expected), len(found), differences, same_order)


def column_tolerances(query: Query) -> Sequence[Decimal | None]:
    """Returns the allowed difference per column; None for a column whose values must be equal."""
    return [
        Decimal(1).scaleb(-(kind.scale or 0)) if isinstance(kind := column.type, Numeric) else None
        for column in query.table.columns
    ]


def _text(value: Value) -> str:
    return "NULL" if value is None else format_value(value)


def _unmatched(
    expected: Sequence[Values], found: Sequence[Values], tolerances: Sequence[Decimal | None]
) -> tuple[list[Values], list[Values]]:
    """Returns the rows of either side that the other side lacks."""
    # By the values that must be equal: only rows of the same group can agree.
    groups: dict[Values, tuple[list[_NumberedRow], list[_NumberedRow]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((expected, found)):
        for numbered in enumerate(rows):
            exact = tuple(
                _null_if_empty(value)
                for value, tolerance in zip(numbered[1], tolerances, strict=True)
                if tolerance is None
            )
            groups[exact][side].append(numbered)
    missing, unexpected = [], []
    for expected_rows, found_rows in groups.values():
        # Sorted by their decimals, rows that differ in nothing else are next to their counterparts.
        remaining = sorted(found_rows, key=lambda numbered: _decimals(numbered[1], tolerances))
        for numbered in sorted(expected_rows, key=lambda numbered: _decimals(numbered[1], tolerances)):
            match = next((other for other in remaining if _rows_agree(numbered[1], other[1], tolerances)), None)
            if match is None:
                missing.append(numbered)
            else:
                remaining.remove(match)
        unexpected.extend(remaining)
    return _in_original_order(missing), _in_original_order(unexpected)


def _in_original_order(rows: Sequence[_NumberedRow]) -> list[Values]:
    return [row for _, row in sorted(rows, key=lambda numbered: numbered[0])]


def _pair_similar(
    missing: Sequence[Values], unexpected: Sequence[Values], tolerances: Sequence[Decimal | None]
) -> Sequence[Difference]:
    """Pairs each missing row with the most similar unexpected row, if any row is similar."""
    remaining = list(unexpected)
    differences = []
    for number, row in enumerate(missing):
        candidates = remaining[:_MAX_PAIRED_ROWS] if number < _MAX_PAIRED_ROWS else []
        closest = max(candidates, key=lambda other: _similarity(row, other, tolerances), default=None)
        if closest is not None and _similarity(row, closest, tolerances):
            remaining.remove(closest)
            differences.append(Difference(row, closest))
        else:
            differences.append(Difference(row, None))
    return [*differences, *(Difference(None, row) for row in remaining)]


def _similarity(row: Values, other: Values, tolerances: Sequence[Decimal | None]) -> int:
    """Scores how many values agree. The first columns identify a row, so each outweighs all later ones."""
    similarity = 0
    for value, other_value, tolerance in zip(row, other, tolerances, strict=True):
        similarity = 2 * similarity + _agree(value, other_value, tolerance)
    return similarity


def _rows_agree(row: Values, other: Values, tolerances: Sequence[Decimal | None]) -> bool:
    return all(_agree(*values) for values in zip(row, other, tolerances, strict=True))


def _agree(value: Value, other: Value, tolerance: Decimal | None) -> bool:
    if tolerance is not None and isinstance(value, Decimal) and isinstance(other, Decimal):
        return abs(value - other) <= tolerance
    return _null_if_empty(value) == _null_if_empty(other)


def _null_if_empty(value: Value) -> Value:
    return None if value == "" else value


def _decimals(row: Values, tolerances: Sequence[Decimal | None]) -> list[tuple[bool, Decimal]]:
    return [
        (value is not None, Decimal(0) if value is None else Decimal(str(value)))
        for value, tolerance in zip(row, tolerances, strict=True)
        if tolerance is not None
    ]
