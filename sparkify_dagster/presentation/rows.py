"""Rows of the data as a table that the UI shows."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import dagster as dg

SHOWN_ROWS = 20
# A line of the log has no blanks to break at, and would push the other columns off the page.
_SHOWN_CHARACTERS = 80


def rows_metadata(rows: Sequence[Mapping[str, object]], characters: int = _SHOWN_CHARACTERS) -> dg.TableMetadataValue:
    """The first of some rows, one at least, as a table; of a long text its first characters."""
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _shown(value, characters) for name, value in row.items()}) for row in rows[:SHOWN_ROWS]],
        schema=dg.TableSchema([dg.TableColumn(name) for name in rows[0]]),
    )


def _shown(value: object, characters: int) -> str | int:
    match value:
        case None:
            # Not blank, as empty text is.
            return "NULL"
        case int():
            return value
        case datetime():
            return value.isoformat(" ", "milliseconds")
    text = str(value)
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
