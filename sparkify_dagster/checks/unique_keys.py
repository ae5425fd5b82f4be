"""The check unique_key, which each table with a key has: no table of DuckDB or Redshift declares one."""

import dagster as dg
from sqlalchemy import ColumnElement, Connection, Table, and_, case, func, select

from sparkify_dagster.checks.check_results import Metadata, rows_table
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.presentation.rows import SHOWN_ROWS
from sparkify_dagster.schema.tables import key_columns


def unique_key_spec(asset: dg.AssetKey, table: Table) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        "unique_key", asset=asset, blocking=True, description=f"{_name_of_key(table)} is unique and not NULL."
    )


def unique_key(connection: Connection, table: Table, condition: ColumnElement[bool]) -> dg.AssetCheckResult:
    """Returns whether the key is unique and not NULL among the rows that fulfil the condition."""
    key = [table.c[name] for name in key_columns(table)]
    counts = select(*key, func.count().label("rows")).where(condition).group_by(*key)
    groups = counts.subquery()
    size, has_key = groups.c.rows, and_(*(groups.c[column.name].is_not(None) for column in key))
    counted = connection.execute(
        select(
            func.sum(size),
            func.sum(case((has_key, size - 1), else_=0)),
            func.sum(case((has_key, 0), else_=size)),
        )
    ).one()
    # A sum is a decimal, and NULL of an empty table.
    rows, duplicates, missing = (int(count or 0) for count in counted)
    metadata: Metadata = {"rows": rows, "duplicates": duplicates, "missing": missing}
    if duplicates:
        repeated = counts.having(func.count() > 1).order_by(*key).limit(SHOWN_ROWS)
        metadata["first_duplicates"] = rows_table(connection.execute(repeated).all())
    passed = duplicates == 0 and missing == 0
    return dg.AssetCheckResult(
        passed=passed,
        metadata=metadata,
        description=None
        if passed
        else f"{_name_of_key(table)}: {pluralize(duplicates, 'duplicate')}, {missing:,} missing",
    )


def _name_of_key(table: Table) -> str:
    return ", ".join(key_columns(table))
