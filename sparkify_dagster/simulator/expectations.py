"""Expected results of queries: their form as files, and how a function is registered as a query's."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from sparkify_dagster.simulator.catalogue import Song
from sparkify_dagster.simulator.listening import Listening

Value = str | int | Decimal | date | datetime | None
Row = tuple[Value, ...]
Compute = Callable[[Listening], Iterable[Row]]

MAX_ROWS = 20


@dataclass(frozen=True, slots=True)
class Expectation:
    """A query's columns, and the function that computes its rows, in order, from the simulated events."""

    columns: tuple[str, ...]
    compute: Compute


class Expectations(dict[str, Expectation]):
    """Expectations by the names of their queries."""

    def expects(self, *columns: str) -> Callable[[Compute], Compute]:
        """Registers the decorated function for the query of the same name."""

        def register(compute: Compute) -> Compute:
            self[compute.__name__] = Expectation(columns, compute)
            return compute

        return register


def expected_key(name: str) -> str:
    """Returns the key of a query's expected result."""
    return f"expected/{name}.csv"


def expected_result(query: Expectation, listening: Listening) -> bytes:
    """Returns the expected result as CSV in UTF-8: column names, then the rows in order.

    Dates are YYYY-MM-DD, timestamps UTC with milliseconds, decimals have the scale of their column, NULL is empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(query.columns)
    for row in query.compute(listening):
        writer.writerow([_field(value) for value in row])
    return text.getvalue().encode()


def length_of(song: Song) -> Decimal:
    return Decimal(f"{song.duration:.5f}")


def quotient(dividend: int | Decimal, divisor: int | Decimal, *, digits: int) -> Decimal:
    """Returns the quotient rounded to the given digits, half away from zero."""
    return (Decimal(dividend) / divisor).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def _field(value: Value) -> str:
    if value is None:
        return ""
    return value.isoformat(" ", "milliseconds") if isinstance(value, datetime) else str(value)
