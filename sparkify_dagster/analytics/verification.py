"""`sparkify verify`: asks every question of the star as it is now, and compares the answers with the expected ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from sparkify_dagster.analytics.answers import ask
from sparkify_dagster.analytics.comparison import Comparison, compare
from sparkify_dagster.analytics.expected import ExpectedResults
from sparkify_dagster.analytics.question import Question, all_questions
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.wording import cell, count

# The first ones say what is wrong; all of them would only scroll it away.
SHOWN_DIFFERENCES = 5


@dataclass(frozen=True)
class Verification:
    """How the answers compare with what is expected."""

    comparisons: Sequence[Comparison]
    without_expected: Sequence[Question]
    """Questions of which nobody has said what is expected."""

    @property
    def as_expected(self) -> bool:
        """Whether something is expected, and all of it is so."""
        return bool(self.comparisons) and all(comparison.as_expected for comparison in self.comparisons)


def verify(
    warehouse: Warehouse, expected: ExpectedResults, first_day: date | None = None, last_day: date | None = None
) -> Verification:
    """Compares the answers over some days (both included), or all.

    Raises WarehouseError, SourceError, ExpectedError.
    """
    rows = {name: expected.of(question) for name, question in all_questions().items()}

    def look(connection: Connection) -> list[Comparison]:
        return [
            compare(question, expected_rows, ask(warehouse, connection, question, first_day, last_day))
            for name, question in all_questions().items()
            if (expected_rows := rows[name]) is not None
        ]

    comparisons = warehouse.run("sparkify verify", look)
    return Verification(comparisons, [all_questions()[name] for name, found in rows.items() if found is None])


def tell(console: Console, verification: Verification) -> None:
    """A table of the questions, then the first differing rows of each that is not as expected."""
    table = Table("Question", "Rows", "Compared with what is expected", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for comparison in verification.comparisons:
        colour = "green" if comparison.as_expected else "red"
        table.add_row(comparison.question.name, f"{comparison.found:,}", cell(str(comparison), colour))
    for question in verification.without_expected:
        table.add_row(question.name, "", cell("nothing is expected", "yellow"))
    console.print(table)
    for comparison in verification.comparisons:
        if comparison.differences:
            console.print(f"\n{comparison.question.name}: {comparison.question.title}", markup=False)
            console.print(_side_by_side(comparison))
    console.print()
    as_expected = [comparison.as_expected for comparison in verification.comparisons]
    tell_as_expected(console, as_expected, len(verification.without_expected))


def tell_as_expected(console: Console, as_expected: Sequence[bool], without_expected: int) -> None:
    """The sentence that says it all."""
    others = f"; nothing is expected of {count(without_expected, 'other')}" if without_expected else ""
    console.print(f"{sum(as_expected)} of {count(len(as_expected), 'question')} as expected{others}")


def _side_by_side(comparison: Comparison) -> Table:
    table = Table("", *comparison.question.columns, box=None, pad_edge=False)
    for row in comparison.side_by_side(SHOWN_DIFFERENCES):
        table.add_row(*(cell(value, "red" if value.startswith("expected ") else "") for value in row.values()))
    if len(comparison.differences) > SHOWN_DIFFERENCES:
        table.caption = f"{len(comparison.differences) - SHOWN_DIFFERENCES:,} more"
    return table
