"""Comparison of a result with its expected result, and the description of the differences."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sparkify_dagster.analytics.comparison import Comparison, compare
from sparkify_dagster.analytics.expected import Values
from sparkify_dagster.analytics.query import Query, read_query

ORDERED = """-- Which?
--
-- Asked by: The tests.
--
-- Columns:
--   name   VARCHAR(64)   Name
--   plays  BIGINT        Plays
--   share  DECIMAL(7,2)  Share
SELECT
    p.level AS name,
    COUNT(*) AS plays,
    COUNT(*) AS share
FROM songplays AS p
GROUP BY p.level
ORDER BY plays DESC, name ASC
"""


@pytest.fixture
def ordered(tmp_path: Path) -> Query:
    return _query(tmp_path, ORDERED)


@pytest.fixture
def unordered(tmp_path: Path) -> Query:
    return _query(tmp_path, ORDERED.partition("ORDER BY")[0])


def _query(folder: Path, sql: str) -> Query:
    (folder / "which.sql").write_text(sql)
    return read_query(folder / "which.sql")


def row(name: str | None, plays: int | None = 1, share: str | None = "0.50") -> Values:
    return name, plays, None if share is None else Decimal(share)


def kinds(comparison: Comparison) -> list[str]:
    return [difference.kind for difference in comparison.differences]


def test_equal_rows_match(ordered: Query) -> None:
    rows = [row("a", 2), row("b")]
    comparison = compare(ordered, rows, rows)
    assert comparison.matches_expected
    assert str(comparison) == "2 rows as expected"


def test_the_order_counts_only_with_an_order_by(ordered: Query, unordered: Query) -> None:
    expected, found = [row("a"), row("b")], [row("b"), row("a")]
    assert compare(unordered, expected, found).matches_expected
    comparison = compare(ordered, expected, found)
    assert not comparison.matches_expected
    assert str(comparison) == "2 rows as expected, but in a different order"


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [("0.50", "0.51", True), ("0.50", "0.49", True), ("0.50", "0.52", False), ("0.504999", "0.50", True)],
)
def test_decimals_may_differ_by_one_in_the_last_digit(ordered: Query, expected: str, found: str, same: bool) -> None:
    assert compare(ordered, [row("a", 1, expected)], [row("a", 1, found)]).matches_expected is same


@pytest.mark.parametrize(
    ("expected", "found"), [(row("a", 1), row("a", 2)), (row("a"), row("A")), (row("a", None), row("a", 0))]
)
def test_values_other_than_decimals_must_be_equal(ordered: Query, expected: Values, found: Values) -> None:
    assert kinds(compare(ordered, [expected], [found])) == ["differs"]


def test_empty_text_equals_null_because_csv_cannot_distinguish_them(ordered: Query) -> None:
    assert compare(ordered, [row(None)], [row("")]).matches_expected
    assert not compare(ordered, [row("a", 1, None)], [row("a", 1, "0.00")]).matches_expected


def test_duplicate_rows_are_counted(unordered: Query) -> None:
    comparison = compare(unordered, [row("a"), row("a")], [row("a")])
    assert kinds(comparison) == ["missing"]
    assert str(comparison) == "1 missing; 2 rows expected"
    assert kinds(compare(unordered, [row("a")], [row("a"), row("a")])) == ["unexpected"]


def test_rows_that_differ_only_in_decimals_are_matched_by_them(unordered: Query) -> None:
    expected = [row("a", 1, "0.10"), row("a", 1, "0.30"), row("a", 1, "0.20")]
    found = [row("a", 1, "0.21"), row("a", 1, "0.11"), row("a", 1, "0.31")]
    assert compare(unordered, expected, found).matches_expected


@pytest.mark.parametrize("name", ["ordered", "unordered"])
def test_differing_rows_are_shown_side_by_side(name: str, request: pytest.FixtureRequest) -> None:
    query: Query = request.getfixturevalue(name)
    expected = [row("a", 9), row("b", 8), row("c", 7), row("d", 6)]
    found = [row("a", 9), row("b", 5), row("c", 7, "0.90"), row("e", 1, "0.11")]
    comparison = compare(query, expected, found)
    assert str(comparison) == "2 differ, 1 missing, 1 unexpected; 4 rows expected"
    assert comparison.side_by_side(3) == [
        {"row": "differs", "name": "b", "plays": "expected 8, found 5", "share": "0.50"},
        {"row": "differs", "name": "c", "plays": "7", "share": "expected 0.50, found 0.90"},
        {"row": "missing", "name": "d", "plays": "6", "share": "0.50"},
    ]
    assert len(comparison.side_by_side(10)) == 4


def test_many_differences_are_compared_in_reasonable_time(unordered: Query) -> None:
    def rows(plays: int) -> Sequence[Values]:
        return [row(f"listener {number}", plays) for number in range(20_000)]

    comparison = compare(unordered, rows(1), rows(2))
    assert len(comparison.differences) >= 20_000
    assert comparison.side_by_side(1)[0]["plays"] == "expected 1, found 2"


def test_times_are_shown_in_the_format_of_expected_results(tmp_path: Path) -> None:
    header = "-- When?\n--\n-- Asked by: The tests.\n--\n-- Columns:\n"
    columns = "--   at   TIMESTAMP  When\n--   day  DATE       Day\n"
    sql = f"{header}{columns}SELECT t.start_time AS at, t.day AS day FROM time AS t"
    comparison = compare(
        _query(tmp_path, sql),
        [(datetime(2018, 11, 1, 10, 0, 0, 796000), date(2018, 11, 1))],
        [(datetime(2018, 11, 1, 10), date(2018, 11, 1))],
    )
    assert comparison.side_by_side(1) == [
        {"row": "differs", "at": "expected 2018-11-01 10:00:00.796, found 2018-11-01 10:00:00.000", "day": "2018-11-01"}
    ]


PEOPLE = """-- Who?
--
-- Asked by: The tests.
--
-- Columns:
--   name   VARCHAR(64)  Name
--   plays  BIGINT       Plays
SELECT
    u.first_name AS name,
    u.user_id AS plays
FROM users AS u
"""


def test_personal_columns_are_shown_only_on_request(tmp_path: Path) -> None:
    people = compare(_query(tmp_path, PEOPLE), [("Kaylee", 1), ("Zoë", 2)], [("Kaylee", 3), ("Chloe", 2)])
    assert people.side_by_side(5) == [
        {"row": "differs", "name": "Kaylee", "plays": "expected 1, found 3"},
        {"row": "differs", "name": "expected Zoë, found Chloe", "plays": "2"},
    ]
    assert people.side_by_side(5, show_personal=False) == [
        {"row": "differs", "plays": "expected 1, found 3", "not_shown": ""},
        {"row": "differs", "plays": "2", "not_shown": "name differs"},
    ]
