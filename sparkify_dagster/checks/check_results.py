"""Helpers of the checks: metadata, and rows as a table for the UI."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import dagster as dg
from sqlalchemy import Row

from sparkify_dagster.presentation.rows import rows_metadata

Metadata: TypeAlias = dict[str, dg.TableMetadataValue | int | float | str]


def rows_table(rows: Sequence[Row[*tuple[Any, ...]]]) -> dg.TableMetadataValue:
    """Returns the first rows as a table."""
    return rows_metadata([dict(row._mapping) for row in rows])


def is_settled(result: dg.AssetCheckResult) -> bool:
    """Returns whether the result stands until something changes; what failed is checked again."""
    return bool(result.passed) or result.severity is dg.AssetCheckSeverity.WARN
