"""What the checks have in common: which results a run asks for, and rows as a table that the UI shows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import dagster as dg
from sqlalchemy import Row

SHOWN_ROWS = 20
_SHOWN_CHARACTERS = 200

Metadata: TypeAlias = dict[str, dg.TableMetadataValue | int | float | str]


def selected(
    context: dg.AssetCheckExecutionContext, results: Mapping[str, dg.AssetCheckResult]
) -> Iterator[dg.AssetCheckResult]:
    """Of the results by check name, those that the run asks for."""
    for key in sorted(context.selected_asset_check_keys):
        yield results[key.name]._replace(asset_key=key.asset_key, check_name=key.name)


def table_of(rows: Sequence[Row[*tuple[Any, ...]]]) -> dg.TableMetadataValue:
    """The first rows as a table."""
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _shown(value) for name, value in row._mapping.items()}) for row in rows[:SHOWN_ROWS]],
        schema=dg.TableSchema([dg.TableColumn(name) for name in rows[0]._mapping]),
    )


def _shown(value: object) -> str | int:
    if value is None:
        return ""
    return value if isinstance(value, int) else str(value)[:_SHOWN_CHARACTERS]
