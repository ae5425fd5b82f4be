"""Translates errors into Dagster failures, and a failed step back into the text that a person reads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from sparkify_dagster.batches import LoadError
from sparkify_dagster.runtime.errors import SparkifyError

MAX_REJECTED_RECORDS = 20


@contextmanager
def as_dagster_failures() -> Iterator[None]:
    """Raises dagster.Failure for a SparkifyError: its message comes first on the run's page, and no retry is made."""
    try:
        yield
    except SparkifyError as error:
        metadata = {"rejected_records": _records_metadata(error.rejected)} if error.rejected else None
        raise dg.Failure(str(error), metadata, allow_retries=False) from error


def _records_metadata(rejected: Sequence[LoadError]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord(
            {
                "file": error.key,
                "line": "NULL" if error.line_number is None else error.line_number,
                "column": error.column_name or "NULL",
                "reason": error.reason,
            }
        )
        for error in rejected[:MAX_REJECTED_RECORDS]
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(name) for name in records[0].data]))


def failure_reason(failed: dg.DagsterEvent) -> str:
    """Returns a Failure's description, or else the message of the root cause; empty if neither exists."""
    data = failed.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else ""
