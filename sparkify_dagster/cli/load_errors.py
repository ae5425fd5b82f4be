"""`sparkify load-errors`: prints staging.load_errors with the text of each record, at a terminal only.

The text may hold names. Dagster's history has file, line, column and reason, and no text.
"""

from collections.abc import Sequence
from datetime import date

from rich.console import Console
from rich.text import Text
from sqlalchemy import Connection, select

from sparkify_dagster.batches import LoadError
from sparkify_dagster.formatting import pluralize, visible
from sparkify_dagster.schema.tables import load_errors


def read(connection: Connection, first_day: date | None = None, last_day: date | None = None) -> Sequence[LoadError]:
    """Returns the errors of a range of days (both included), by day, file and line; without days all, songs last."""
    errors = load_errors.c
    query = select(
        errors.log_date, errors.key, errors.line_number, errors.column_name, errors.reason, errors.raw_text
    ).order_by(errors.key, errors.line_number)
    if first_day is not None:
        query = query.where(errors.log_date >= first_day)
    if last_day is not None:
        query = query.where(errors.log_date <= last_day)
    rows = connection.execute(query).all()
    # Databases differ in where they sort NULL.
    by_day = sorted(rows, key=lambda row: row.log_date or date.max)
    return [LoadError(*row[1:]) for row in by_day]


def print_errors(console: Console, errors: Sequence[LoadError]) -> None:
    """Prints file, line, column and reason of each error, and its text on a line below."""
    for error in errors:
        console.print(Text(visible(_place_and_reason(error))))
        if error.raw_text is not None:
            console.print(Text(f"    {visible(error.raw_text)}"))
    console.print(pluralize(len(errors), "load error") if errors else "No load errors")


def _place_and_reason(error: LoadError) -> str:
    # Most reasons already begin with the column.
    named = error.column_name is None or error.reason.startswith(f"{error.column_name}: ")
    return f"{error.place}: {error.reason if named else f'{error.column_name}: {error.reason}'}"
