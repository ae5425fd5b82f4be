"""Errors of sensor cursors. A cursor is JSON that only its own sensor writes."""

from collections.abc import Iterator
from contextlib import contextmanager

from sparkify_dagster.runtime.errors import SparkifyError


class CursorError(SparkifyError):
    """A cursor that its sensor did not write; the message says how to reset it."""


@contextmanager
def explains_invalid_cursor(sensor: str, *, after_reset: str) -> Iterator[None]:
    """Converts errors of parsing a cursor to a CursorError that explains how to reset it, and the consequence."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CursorError(
            f"unrecognized cursor of sensor {sensor}: reset it (Automation > {sensor} > Cursor > Edit, then empty it); "
            f"{after_reset}"
        ) from error
