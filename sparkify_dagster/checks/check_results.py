"""Helpers of the checks: the results that a run selects, and rows as a table for the UI."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import dagster as dg
from sqlalchemy import Row

from sparkify_dagster.presentation.rows import rows_metadata

Metadata: TypeAlias = dict[str, dg.TableMetadataValue | int | float | str]


def selected(
    context: dg.AssetCheckExecutionContext, results: Mapping[str, dg.AssetCheckResult]
) -> Iterator[dg.AssetCheckResult]:
    """Yields those of the results, given by check name, that the run selects."""
    for key in sorted(context.selected_asset_check_keys):
        yield results[key.name]._replace(asset_key=key.asset_key, check_name=key.name)


def rows_table(rows: Sequence[Row[*tuple[Any, ...]]]) -> dg.TableMetadataValue:
    """Returns the first rows as a table."""
    return rows_metadata([dict(row._mapping) for row in rows])
