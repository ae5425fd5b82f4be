"""`sparkify verify`: asks every query of the star as it is now, and compares the answers with the expected ones."""

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
from sparkify_dagster.analytics.refresh import QueryFailedError, ask
from sparkify_dagster.formatting import cell, pluralize
from sparkify_dagster.warehouse.base import Warehouse

# The first ones say what is wrong; all of them would only scroll it away.
SHOWN_DIFFERENCES = 5


@dataclass(frozen=True)
class Verification:
    """How the answers compare with what is expected."""

    comparisons: Sequence[Comparison]
    without_expected: Sequence[Query]
    """Queries of which nobody has said what is expected."""
    failures: Mapping[str, Exception] = field(default_factory=dict)
    """By name the queries whose file cannot be understood, or whose SELECT the warehouse refuses."""

    @property
    def matches_expected(self) -> bool:
        """Returns whether something is expected, all of it is so, and every query can be asked."""
        return (
            bool(self.comparisons)
            and all(comparison.matches_expected for comparison in self.comparisons)
            and not self.failures
        )


def verify(
    warehouse: Warehouse, expected: ExpectedResults, first_day: date | None = None, last_day: date | None = None
) -> Verification:
    """Compares the answers over some days (both included), or all. A query that fails leaves the others alone.

    Raises WarehouseError, SourceError, ExpectedError.
    """
    rows = {name: expected.of(query) for name, query in all_queries().items()}
    to_compare = {name: found for name, found in rows.items() if found is not None}

    def compare_all(connection: Connection, names: Iterable[str]) -> list[Comparison]:
        queries = {name: all_queries()[name] for name in names}
        return [
            compare(query, to_compare[name], ask(warehouse, connection, query, first_day, last_day))
            for name, query in queries.items()
        ]

    comparisons: list[Comparison] = []
    failures: dict[str, Exception] = dict(broken_queries())
    with warehouse.connect("sparkify verify") as engine:
        try:
            comparisons = warehouse.run_in_transaction(engine, partial(compare_all, names=to_compare))
        except QueryFailedError:
            # A transaction ends with its first error, so each query gets one of its own.
            for name in to_compare:
                try:
                    comparisons += warehouse.run_in_transaction(engine, partial(compare_all, names=[name]))
                except QueryFailedError as error:
                    failures[name] = error
    without_expected = [all_queries()[name] for name, found in rows.items() if found is None]
    return Verification(comparisons, without_expected, failures)


def tell(console: Console, verification: Verification) -> None:
    """A table of the queries, then the first differing rows of each that is not as expected."""
    table = Table("Query", "Rows", "Compared with what is expected", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for comparison in verification.comparisons:
        colour = "green" if comparison.matches_expected else "red"
        table.add_row(comparison.query.name, f"{comparison.found:,}", cell(str(comparison), colour))
    for query in verification.without_expected:
        table.add_row(query.name, "", cell("nothing is expected", "yellow"))
    for name in verification.failures:
        table.add_row(name, "", cell("cannot be asked", "red"))
    console.print(table)
    for comparison in verification.comparisons:
        if comparison.differences:
            console.print(f"\n{comparison.query.name}: {comparison.query.title}", markup=False)
            console.print(_side_by_side(comparison))
    for name, failure in verification.failures.items():
        console.print(f"\n{name}: {failure}")
    console.print()
    matches_expected = [comparison.matches_expected for comparison in verification.comparisons]
    print_unexpected(console, matches_expected, len(verification.without_expected), len(verification.failures))


def print_unexpected(
    console: Console, matches_expected: Sequence[bool], without_expected: int, failures: int = 0
) -> None:
    """The sentence that says it all."""
    others = f"; nothing is expected of {pluralize(without_expected, 'other')}" if without_expected else ""
    failed = f"; {pluralize(failures, 'query')} cannot be asked" if failures else ""
    console.print(f"{sum(matches_expected)} of {pluralize(len(matches_expected), 'query')} as expected{others}{failed}")


def _side_by_side(comparison: Comparison) -> Table:
    table = Table("", *comparison.query.columns, box=None, pad_edge=False)
    for row in comparison.side_by_side(SHOWN_DIFFERENCES):
        table.add_row(*(cell(value, "red" if value.startswith("expected ") else "") for value in row.values()))
    if len(comparison.differences) > SHOWN_DIFFERENCES:
        table.caption = f"{len(comparison.differences) - SHOWN_DIFFERENCES:,} more"
    return table
