"""What the sensors' cursors have in common: each is JSON that only its own sensor writes."""

from collections.abc import Iterator
from contextlib import contextmanager

from sparkify_dagster.runtime.errors import SparkifyError


class CursorError(SparkifyError):
    """A sensor's cursor that the sensor has not written."""


@contextmanager
def reports_broken_cursor(sensor: str, *, when_empty: str) -> Iterator[None]:
    """Whatever a cursor cannot be read by becomes a CursorError that says how to empty it, and what happens then."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CursorError(
            f"this cursor is none that {sensor} has written: empty it (Automation > {sensor} > Cursor > Edit); "
            f"{when_empty}"
        ) from error
