"""`sparkify verify`: asks every question of the star as it is now, and compares the answers with the expected ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from sparkify_dagster.analytics.answers import QuestionFailed, ask
from sparkify_dagster.analytics.comparison import Comparison, compare
from sparkify_dagster.analytics.expected import ExpectedResults
from sparkify_dagster.analytics.question import Question, all_questions, broken_questions
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
    failures: Mapping[str, Exception] = field(default_factory=dict)
    """By name the questions whose file cannot be understood, or whose SELECT the warehouse refuses."""

    @property
    def as_expected(self) -> bool:
        """Returns whether something is expected, all of it is so, and every question can be asked."""
        return (
            bool(self.comparisons)
            and all(comparison.as_expected for comparison in self.comparisons)
            and not self.failures
        )


def verify(
    warehouse: Warehouse, expected: ExpectedResults, first_day: date | None = None, last_day: date | None = None
) -> Verification:
    """Compares the answers over some days (both included), or all. A question that fails leaves the others alone.

    Raises WarehouseError, SourceError, ExpectedError.
    """
    rows = {name: expected.of(question) for name, question in all_questions().items()}
    to_compare = {name: found for name, found in rows.items() if found is not None}

    def compare_all(connection: Connection, names: Iterable[str]) -> list[Comparison]:
        questions = {name: all_questions()[name] for name in names}
        return [
            compare(question, to_compare[name], ask(warehouse, connection, question, first_day, last_day))
            for name, question in questions.items()
        ]

    comparisons: list[Comparison] = []
    failures: dict[str, Exception] = dict(broken_questions())
    with warehouse.open("sparkify verify") as engine:
        try:
            comparisons = warehouse.transact(engine, partial(compare_all, names=to_compare))
        except QuestionFailed:
            # A transaction ends with its first error, so each question gets one of its own.
            for name in to_compare:
                try:
                    comparisons += warehouse.transact(engine, partial(compare_all, names=[name]))
                except QuestionFailed as error:
                    failures[name] = error
    without_expected = [all_questions()[name] for name, found in rows.items() if found is None]
    return Verification(comparisons, without_expected, failures)


def tell(console: Console, verification: Verification) -> None:
    """A table of the questions, then the first differing rows of each that is not as expected."""
    table = Table("Question", "Rows", "Compared with what is expected", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for comparison in verification.comparisons:
        colour = "green" if comparison.as_expected else "red"
        table.add_row(comparison.question.name, f"{comparison.found:,}", cell(str(comparison), colour))
    for question in verification.without_expected:
        table.add_row(question.name, "", cell("nothing is expected", "yellow"))
    for name in verification.failures:
        table.add_row(name, "", cell("cannot be asked", "red"))
    console.print(table)
    for comparison in verification.comparisons:
        if comparison.differences:
            console.print(f"\n{comparison.question.name}: {comparison.question.title}", markup=False)
            console.print(_side_by_side(comparison))
    for name, failure in verification.failures.items():
        console.print(f"\n{name}: {failure}")
    console.print()
    as_expected = [comparison.as_expected for comparison in verification.comparisons]
    tell_as_expected(console, as_expected, len(verification.without_expected), len(verification.failures))


def tell_as_expected(console: Console, as_expected: Sequence[bool], without_expected: int, failures: int = 0) -> None:
    """The sentence that says it all."""
    others = f"; nothing is expected of {count(without_expected, 'other')}" if without_expected else ""
    failed = f"; {count(failures, 'question')} cannot be asked" if failures else ""
    console.print(f"{sum(as_expected)} of {count(len(as_expected), 'question')} as expected{others}{failed}")


def _side_by_side(comparison: Comparison) -> Table:
    table = Table("", *comparison.question.columns, box=None, pad_edge=False)
    for row in comparison.side_by_side(SHOWN_DIFFERENCES):
        table.add_row(*(cell(value, "red" if value.startswith("expected ") else "") for value in row.values()))
    if len(comparison.differences) > SHOWN_DIFFERENCES:
        table.caption = f"{len(comparison.differences) - SHOWN_DIFFERENCES:,} more"
    return table
