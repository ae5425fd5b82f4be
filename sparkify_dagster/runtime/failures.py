"""Translates errors into Dagster failures, and a failed step back into the text that a person reads."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from sparkify_dagster.presentation.rows import rows_metadata
from sparkify_dagster.runtime.errors import SparkifyError


@contextmanager
def as_dagster_failures() -> Iterator[None]:
    """Raises dagster.Failure for a SparkifyError: its message comes first on the run's page, and no retry is made."""
    try:
        yield
    except SparkifyError as error:
        rejected = [
            {"file": record.key, "line": record.line_number, "column": record.column_name, "reason": record.reason}
            for record in error.rejected
        ]
        metadata = {"rejected_records": rows_metadata(rejected)} if rejected else None
        raise dg.Failure(str(error), metadata, allow_retries=False) from error


def failure_reason(failed: dg.DagsterEvent) -> str:
    """Returns a Failure's description, or else the message of the root cause; empty if neither exists."""
    data = failed.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else ""
