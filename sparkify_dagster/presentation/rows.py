"""Rows of data as table metadata for the UI."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import dagster as dg

SHOWN_ROWS = 20
# A log line has no spaces to break at, and would push the other columns off the page.
_SHOWN_CHARACTERS = 80


def rows_metadata(rows: Sequence[Mapping[str, object]], characters: int = _SHOWN_CHARACTERS) -> dg.TableMetadataValue:
    """Returns the first rows as a table, with long texts truncated. Needs at least one row."""
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _shown(value, characters) for name, value in row.items()}) for row in rows[:SHOWN_ROWS]],
        schema=dg.TableSchema([dg.TableColumn(name) for name in rows[0]]),
    )


def _shown(value: object, characters: int) -> str | int:
    match value:
        case None:
            # Distinct from an empty text.
            return "NULL"
        case int():
            return value
        case datetime():
            return value.isoformat(" ", "milliseconds")
    text = str(value)
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
