"""What the checks have in common: which results a run asks for, and rows as a table that the UI shows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import dagster as dg
from sqlalchemy import Row

from sparkify_dagster.presentation.rows import rows_metadata

Metadata: TypeAlias = dict[str, dg.TableMetadataValue | int | float | str]


def selected(
    context: dg.AssetCheckExecutionContext, results: Mapping[str, dg.AssetCheckResult]
) -> Iterator[dg.AssetCheckResult]:
    """Of the results by check name, those that the run asks for."""
    for key in sorted(context.selected_asset_check_keys):
        yield results[key.name]._replace(asset_key=key.asset_key, check_name=key.name)


def checked_table(rows: Sequence[Row[*tuple[Any, ...]]]) -> dg.TableMetadataValue:
    """The first rows as a table."""
    return rows_metadata([dict(row._mapping) for row in rows])
