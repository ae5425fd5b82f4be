"""Checks of several tables: a unique key, which DuckDB and Redshift do not declare, and as many rows as staged."""

from datetime import date
from typing import TypeAlias

import dagster as dg
from sqlalchemy import ColumnElement, Connection, Date, Table, and_, case, cast, func, select, true

from sparkify_dagster.checks.check_results import Metadata, rows_table
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.presentation.rows import SHOWN_ROWS
from sparkify_dagster.schema.tables import DAY_COLUMNS, key_columns, staging_events
from sparkify_dagster.warehouse.transforms import in_days

# The first and last day of a run; None for all rows.
Days: TypeAlias = tuple[date, date] | None


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


def row_count_matches_staging(
    connection: Connection, table: Table, days: Days, staged_rows: ColumnElement[bool], noun: str
) -> dg.AssetCheckResult:
    """Returns whether a daily table has as many rows per day as staged events fulfil the condition."""
    name = str(table.name)
    staged, built = (
        select(day.label("log_date"), func.count().label("rows")).where(condition).group_by(day).subquery()
        for day, condition in (
            (staging_events.c.log_date, and_(staged_rows, of_days(staging_events, days))),
            (cast(DAY_COLUMNS[table], Date), of_days(table, days)),
        )
    )
    by_day = connection.execute(
        select(
            func.coalesce(staged.c.log_date, built.c.log_date).label("log_date"),
            func.coalesce(staged.c.rows, 0).label("staged"),
            func.coalesce(built.c.rows, 0).label(name),
        )
        .select_from(staged.join(built, staged.c.log_date == built.c.log_date, full=True))
        .order_by("log_date")
    ).all()
    wrong = [row for row in by_day if row.staged != row._mapping[name]]
    metadata: Metadata = {
        "staged": sum(row.staged for row in by_day),
        name: sum(row._mapping[name] for row in by_day),
        "differing_days": len(wrong),
    }
    if wrong:
        metadata["first_days"] = rows_table(wrong)
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata=metadata,
        description=f"{noun} of {pluralize(len(wrong), 'day')} differ from staging: materialize {name} again"
        if wrong
        else None,
    )


def of_days(table: Table, days: Days) -> ColumnElement[bool]:
    """Returns the condition for the rows of a table of DAY_COLUMNS that belong to the days."""
    return true() if days is None else in_days(table, *days)


def count_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _name_of_key(table: Table) -> str:
    return ", ".join(key_columns(table))
