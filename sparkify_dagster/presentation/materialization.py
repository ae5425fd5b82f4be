"""What a run tells of a table: some of it with every day, some, which would only repeat itself, with the last alone."""

from collections.abc import Mapping
from datetime import date
from typing import TypeAlias

import dagster as dg
from sqlalchemy import Connection, Table

from sparkify_dagster.presentation.preview import preview
from sparkify_dagster.warehouse.base import Warehouse

DayMetadata: TypeAlias = Mapping[str, dg.MetadataValue | str | int | float]


def preview_of_days(connection: Connection, table: Table, rows_by_day: Mapping[date, int]) -> DayMetadata:
    """A preview of the last day that has rows; nothing where none has."""
    last_day = max((day for day, rows in rows_by_day.items() if rows), default=None)
    return preview(connection, table, last_day) if last_day is not None else {}


def report_days(
    context: dg.AssetExecutionContext, of_each_day: Mapping[date, DayMetadata], of_the_last: DayMetadata
) -> None:
    """Each day's own numbers go with its partition: they can be compared, however many days a run has.

    The asset's page shows what goes with the last one.
    """
    last_day = max(of_each_day)
    for day, told in of_each_day.items():
        extra = of_the_last if day == last_day else {}
        context.add_asset_metadata({**told, **extra}, partition_key=day.isoformat())


def result(warehouse: Warehouse, total: int, told: DayMetadata | None = None) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"dagster/row_count": total, "warehouse": warehouse.database, **(told or {})})
