"""Rows of the data as a table that the UI shows."""

from collections.abc import Mapping, Sequence

import dagster as dg

SHOWN_ROWS = 20
_SHOWN_CHARACTERS = 200


def rows_metadata(rows: Sequence[Mapping[str, object]]) -> dg.TableMetadataValue:
    """The first of some rows, one at least, as a table."""
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _shown(value) for name, value in row.items()}) for row in rows[:SHOWN_ROWS]],
        schema=dg.TableSchema([dg.TableColumn(name) for name in rows[0]]),
    )


def _shown(value: object) -> str | int:
    if value is None:
        return ""
    return value if isinstance(value, int) else str(value)[:_SHOWN_CHARACTERS]
