"""`sparkify verify`: runs every query on the current star and compares the results with the expected ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from sparkify_dagster.analytics.comparison import Comparison, compare
from sparkify_dagster.analytics.expected import ExpectedResults
from sparkify_dagster.analytics.query import Query, all_queries, broken_queries
from sparkify_dagster.analytics.refresh import QueryFailedError, run_query
from sparkify_dagster.formatting import cell, pluralize
from sparkify_dagster.warehouse import table_versions
from sparkify_dagster.warehouse.base import Warehouse

# The first differences show the problem; all of them would scroll it off the screen.
SHOWN_DIFFERENCES = 5


@dataclass(frozen=True)
class Verification:
    """The outcome of comparing all queries with their expected results."""

    comparisons: Sequence[Comparison]
    without_expected: Sequence[Query]
    """Queries that have no expected result."""
    failures: Mapping[str, Exception] = field(default_factory=dict)
    """Errors by query name: the query's file is invalid, or the warehouse failed to run its SELECT."""

    @property
    def matches_expected(self) -> bool:
        """Returns whether expected results exist, all of them match, and no query failed."""
        return (
            bool(self.comparisons)
            and all(comparison.matches_expected for comparison in self.comparisons)
            and not self.failures
        )


def verify(
    warehouse: Warehouse, expected: ExpectedResults, first_day: date | None = None, last_day: date | None = None
) -> Verification:
    """Compares the results over some days (both included), or all. A query that fails does not stop the others.

    Raises WarehouseError, SourceError, ExpectedResultsError.
    """
    expected_rows = {name: expected.read(query) for name, query in all_queries().items()}
    to_compare = {name: rows for name, rows in expected_rows.items() if rows is not None}

    def compare_all(connection: Connection, names: Iterable[str]) -> list[Comparison]:
        queries = {name: all_queries()[name] for name in names}
        return [
            compare(query, to_compare[name], run_query(warehouse, connection, query, first_day, last_day))
            for name, query in queries.items()
        ]

    comparisons: list[Comparison] = []
    failures: dict[str, Exception] = {name: broken.error for name, broken in broken_queries().items()}
    with warehouse.connect("sparkify verify", read_only=True) as engine:
        try:
            comparisons = warehouse.run_in_transaction(engine, partial(compare_all, names=to_compare))
        except QueryFailedError:
            # A transaction ends with its first error, so each query gets its own.
            for name in to_compare:
                try:
                    comparisons += warehouse.run_in_transaction(engine, partial(compare_all, names=[name]))
                except QueryFailedError as error:
                    failures[name] = error
    without_expected = [all_queries()[name] for name, rows in expected_rows.items() if rows is None]
    return Verification(comparisons, without_expected, failures)


def print_verification(console: Console, verification: Verification) -> None:
    """Prints a table of the queries, then the first differing rows of each query that does not match."""
    table = Table("Query", "Rows", "Comparison with the expected result", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for comparison in verification.comparisons:
        colour = "green" if comparison.matches_expected else "red"
        table.add_row(comparison.query.name, f"{comparison.found_rows:,}", cell(str(comparison), colour))
    for query in verification.without_expected:
        table.add_row(query.name, "", cell("no expected result", "yellow"))
    for name in verification.failures:
        table.add_row(name, "", cell("failed", "red"))
    console.print(table)
    for comparison in verification.comparisons:
        if comparison.differences:
            console.print(f"\n{comparison.query.name}: {comparison.query.title}", markup=False)
            console.print(_side_by_side(comparison))
    for name, failure in verification.failures.items():
        console.print(f"\n{name}: {failure}")
    console.print()
    matches = [comparison.matches_expected for comparison in verification.comparisons]
    print_summary(console, matches, len(verification.without_expected), len(verification.failures))


def audit(console: Console, warehouse: Warehouse) -> bool:
    """Prints which tables have rows that no load has written, or lack some, and returns whether there is none."""
    changed = warehouse.read("sparkify verify", table_versions.changed_by_hand)
    if changed:
        console.print(f"Rows changed by hand: {', '.join(changed)}. `sparkify etl --full` builds all tables again")
    else:
        console.print("All rows of the star and the marts are as loads have written them")
    return not changed


def print_summary(console: Console, matches: Sequence[bool], without_expected: int, failures: int = 0) -> None:
    """Prints how many queries match, have no expected result, and failed, in one line."""
    summary = f"{sum(matches)} of {pluralize(len(matches), 'query')} as expected"
    if without_expected:
        summary += f"; {without_expected:,} without an expected result"
    if failures:
        summary += f"; {failures:,} failed"
    console.print(summary)


def _side_by_side(comparison: Comparison) -> Table:
    table = Table("", *comparison.query.columns, box=None, pad_edge=False)
    for row in comparison.side_by_side(SHOWN_DIFFERENCES):
        table.add_row(*(cell(value, "red" if value.startswith("expected ") else "") for value in row.values()))
    if len(comparison.differences) > SHOWN_DIFFERENCES:
        table.caption = f"{len(comparison.differences) - SHOWN_DIFFERENCES:,} more"
    return table
