"""Materialization metadata: per-partition values on every day, table-level values on the last day only."""

from collections.abc import Mapping
from datetime import date
from typing import TypeAlias

import dagster as dg
from sqlalchemy import Connection, Table

from sparkify_dagster.presentation.preview import preview
from sparkify_dagster.warehouse.base import Warehouse

AssetMetadata: TypeAlias = Mapping[str, dg.MetadataValue | str | int | float]


def preview_of_days(connection: Connection, table: Table, rows_by_day: Mapping[date, int]) -> AssetMetadata:
    """Returns a preview of the last day that has rows; empty if none has."""
    last_day = max((day for day, rows in rows_by_day.items() if rows), default=None)
    return preview(connection, table, last_day) if last_day is not None else {}


def report_days(
    context: dg.AssetExecutionContext, by_day: Mapping[date, AssetMetadata], of_table: AssetMetadata
) -> None:
    """Attaches each day's metadata to its partition, so that days can be compared, and the table's to the last day.

    The asset's page shows the metadata of the last day.
    """
    last_day = max(by_day)
    for day, metadata in by_day.items():
        extra = of_table if day == last_day else {}
        context.add_asset_metadata({**metadata, **extra}, partition_key=day.isoformat())


def result(warehouse: Warehouse, rows: int, metadata: AssetMetadata | None = None) -> dg.MaterializeResult[None]:
    """Returns an asset's result, with the table's number of rows."""
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows, "warehouse": warehouse.database, **(metadata or {})}
    )
