"""Checks of the staging tables. Blocking checks stop bad data before it reaches the star."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Final, TypeAlias

import dagster as dg
from sqlalchemy import ColumnElement, Connection, Row, Table, and_, case, func, select, true

from sparkify_dagster.assets.rejected_partitions import NOT_SPLIT_BY_UTC_DAY, are_all_of_other_days, describe_days
from sparkify_dagster.assets.staging import staging_events, staging_songs
from sparkify_dagster.checks import completeness, drift, recognized_files
from sparkify_dagster.checks.check_results import Metadata, rows_table
from sparkify_dagster.checks.evaluation import evaluate
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import partition_days
from sparkify_dagster.presentation.metadata_keys import NO_REJECTED_LOADS, REJECTED_BEFORE, REJECTED_LOADS
from sparkify_dagster.presentation.rows import SHOWN_ROWS
from sparkify_dagster.runtime.liveness import root_run_id
from sparkify_dagster.schema.tables import load_errors, loaded_objects, rejected_loads
from sparkify_dagster.schema.tables import staging_events as events
from sparkify_dagster.schema.tables import staging_songs as songs
from sparkify_dagster.warehouse.base import Warehouse

# Builds the condition that selects a check's rows in a table of the load log.
Scope: TypeAlias = Callable[[Table], ColumnElement[bool]]


_EVENT_CHECKS: Final = (
    dg.AssetCheckSpec(
        "reconciliation",
        asset=staging_events.key,
        blocking=True,
        description="For each day, lines in the source = staged rows + duplicates + load errors.",
    ),
    dg.AssetCheckSpec(
        NO_REJECTED_LOADS,
        asset=staging_events.key,
        description="No day was rejected for having more load errors than SPARKIFY_MAX_LOAD_ERRORS, or a file with "
        "errors only. A rejected day keeps the rows of its last load.",
    ),
    dg.AssetCheckSpec(
        "no_load_errors",
        asset=staging_events.key,
        description="Every line was loaded. Warns with the first rejected lines.",
    ),
    dg.AssetCheckSpec(
        "no_missing_days",
        asset=staging_events.key,
        description="Every day between the first and the last staged day has a log file, which may be empty. "
        "Warns of days in the window without one.",
    ),
    dg.AssetCheckSpec(
        "volume_anomaly",
        asset=staging_events.key,
        description="The number of events per day is close to the median of the same weekday in the weeks before "
        f"({completeness.MIN_DAYS_BEFORE} to {completeness.WEEKS_BEFORE} weeks). Warns if a day has over "
        f"{completeness.UNUSUAL_FACTOR} times more or fewer events and differs by at least "
        f"{completeness.UNUSUAL_EVENTS}.",
    ),
    dg.AssetCheckSpec(
        "expected_fields",
        asset=staging_events.key,
        description="Each day's records have all keys of the JSONPaths file, and no key that no other day has. "
        "A key that other days have fails in the run that loads the day and warns later; a new key warns.",
    ),
    dg.AssetCheckSpec(
        "null_rates",
        asset=staging_events.key,
        description="Each day has plays, and its share of NULLs per column differs from that of the other days by "
        f"less than {drift.NULL_SHARE_DIFFERENCE:.0%}. Fails without plays or if a column is all NULL, else warns. "
        f"Needs {drift.MIN_SIGNED_IN_EVENTS} signed-in events on the day and {drift.MIN_OTHER_DAYS} other days.",
    ),
    dg.AssetCheckSpec(
        "accepted_values",
        asset=staging_events.key,
        description="page, level, gender, auth and method have only known values, or values that other days have "
        "too. Warns of new values; fails if a day has songs but no NextSong.",
    ),
    dg.AssetCheckSpec(
        "no_lost_events",
        asset=staging_events.key,
        description="No load of the run left a day with fewer than half of its earlier events, or without files.",
    ),
    dg.AssetCheckSpec(
        "files_recognized",
        asset=staging_events.key,
        description="All files in the log location have the name of a log file, and some are in the window.",
    ),
)
_SONG_CHECKS: Final = (
    dg.AssetCheckSpec(
        "reconciliation",
        asset=staging_songs.key,
        blocking=True,
        description="For each song file, songs in the file = staged rows + load errors; no row lacks its file.",
    ),
    dg.AssetCheckSpec(
        NO_REJECTED_LOADS,
        asset=staging_songs.key,
        description="The last load was not rejected for having more load errors than SPARKIFY_MAX_LOAD_ERRORS. A "
        "rejected load changes nothing.",
    ),
    dg.AssetCheckSpec(
        "no_load_errors",
        asset=staging_songs.key,
        description="Every song was loaded. Warns with the first rejected songs.",
    ),
    dg.AssetCheckSpec(
        "no_lost_files",
        asset=staging_songs.key,
        description="No staged song file was removed or lost all of its songs since the last load.",
    ),
    dg.AssetCheckSpec(
        "files_recognized",
        asset=staging_songs.key,
        description="All files in the song location have the name of a song file.",
    ),
)


@dg.multi_asset_check(name="check_staging_events", specs=_EVENT_CHECKS, can_subset=True)
def check_staging_events(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.AssetCheckResult]:
    days = partition_days(context)

    @cache
    def drifted(connection: Connection) -> drift.Drift:
        return drift.read_drift(connection, days, root_run_id(context.run))

    checks: Mapping[str, Callable[[Connection], dg.AssetCheckResult]] = {
        "reconciliation": lambda connection: _reconcile_days(connection, days),
        NO_REJECTED_LOADS: lambda connection: _rejected_loads(connection, _of_days(days)),
        "no_load_errors": lambda connection: _load_errors(connection, _of_days(days), _options(days)),
        "no_missing_days": completeness.no_missing_days,
        "volume_anomaly": lambda connection: completeness.volume_anomaly(connection, days),
        "expected_fields": lambda connection: drift.expected_fields(drifted(connection)),
        "null_rates": lambda connection: drift.null_rates(drifted(connection)),
        "accepted_values": lambda connection: drift.accepted_values(drifted(connection)),
        "no_lost_events": lambda connection: drift.no_lost_events(drifted(connection)),
        "files_recognized": lambda connection: recognized_files.log_files_recognized(context),
    }
    yield from evaluate(context, warehouse, _EVENT_CHECKS, lambda connection, key: checks[key.name](connection))


@dg.multi_asset_check(name="check_staging_songs", specs=_SONG_CHECKS, can_subset=True)
def check_staging_songs(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.AssetCheckResult]:
    checks: Mapping[str, Callable[[Connection], dg.AssetCheckResult]] = {
        "reconciliation": _reconcile_song_files,
        NO_REJECTED_LOADS: lambda connection: _rejected_loads(connection, _of_songs),
        "no_load_errors": lambda connection: _load_errors(connection, _of_songs),
        "no_lost_files": lambda connection: recognized_files.no_lost_song_files(context),
        "files_recognized": lambda connection: recognized_files.song_files_recognized(context),
    }
    yield from evaluate(context, warehouse, _SONG_CHECKS, lambda connection, key: checks[key.name](connection))


def _reconcile_days(connection: Connection, days: tuple[date, date] | None) -> dg.AssetCheckResult:
    counted = (
        select(
            loaded_objects.c.log_date,
            func.sum(loaded_objects.c.lines).label("lines"),
            func.sum(loaded_objects.c.duplicates).label("duplicates"),
            func.sum(loaded_objects.c.errors).label("errors"),
        )
        .where(_of_days(days)(loaded_objects))
        .group_by(loaded_objects.c.log_date)
        .subquery()
    )
    staged = (
        select(events.c.log_date, func.count().label("rows"))
        .where(_in(events, days))
        .group_by(events.c.log_date)
        .subquery()
    )
    by_day = connection.execute(
        select(
            func.coalesce(counted.c.log_date, staged.c.log_date).label("log_date"),
            func.coalesce(counted.c.lines, 0).label("lines"),
            func.coalesce(staged.c.rows, 0).label("rows"),
            func.coalesce(counted.c.duplicates, 0).label("duplicates"),
            func.coalesce(counted.c.errors, 0).label("errors"),
        )
        .select_from(counted.join(staged, counted.c.log_date == staged.c.log_date, full=True))
        .order_by("log_date")
    ).all()
    wrong = [day for day in by_day if day.lines != day.rows + day.duplicates + day.errors]
    metadata: Metadata = {
        "days": len(by_day),
        "lines": int(sum(day.lines for day in by_day)),
        "staged": int(sum(day.rows for day in by_day)),
        "duplicates": int(sum(day.duplicates for day in by_day)),
        "load_errors": int(sum(day.errors for day in by_day)),
        "unreconciled_days": len(wrong),
    }
    if wrong:
        metadata["first_days"] = rows_table(wrong)
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata=metadata,
        description=f"Records of {pluralize(len(wrong), 'day')} do not add up: reload the days with `full` set"
        if wrong
        else None,
    )


def _reconcile_song_files(connection: Connection) -> dg.AssetCheckResult:
    staged = select(songs.c.source_key, func.count().label("rows")).group_by(songs.c.source_key).subquery()
    counted = (
        select(loaded_objects.c.key, loaded_objects.c.lines, loaded_objects.c.errors)
        .where(loaded_objects.c.log_date.is_(None))
        .subquery()
    )
    rows = func.coalesce(staged.c.rows, 0)
    lines = func.coalesce(counted.c.lines, 0)
    errors = func.coalesce(counted.c.errors, 0)
    joined = counted.join(staged, counted.c.key == staged.c.source_key, full=True)
    totals = connection.execute(
        select(
            func.count(counted.c.key).label("files"),
            func.coalesce(func.sum(lines), 0).label("songs"),
            func.coalesce(func.sum(rows), 0).label("staged"),
            func.coalesce(func.sum(errors), 0).label("load_errors"),
            func.coalesce(func.sum(case((lines == rows + errors, 0), else_=1)), 0).label("unreconciled_files"),
        ).select_from(joined)
    ).one()
    metadata: Metadata = {name: int(value) for name, value in totals._mapping.items()}
    wrong = totals.unreconciled_files
    if wrong:
        key = func.coalesce(counted.c.key, staged.c.source_key).label("key")
        first = select(key, lines.label("songs"), rows.label("staged"), errors.label("load_errors"))
        found = connection.execute(
            first.select_from(joined).where(lines != rows + errors).order_by(key).limit(SHOWN_ROWS)
        ).all()
        metadata["first_files"] = rows_table(found)
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata=metadata,
        description=f"Songs of {pluralize(wrong, 'file')} do not add up: reload staging_songs with `full` set"
        if wrong
        else None,
    )


def _rejected_loads(connection: Connection, scope: Scope) -> dg.AssetCheckResult:
    rejected = connection.execute(
        select(
            rejected_loads.c.log_date,
            rejected_loads.c.errors,
            rejected_loads.c.max_load_errors,
            rejected_loads.c.reason,
        )
        .where(scope(rejected_loads))
        .order_by(rejected_loads.c.log_date)
    ).all()
    metadata: Metadata = {REJECTED_LOADS: len(rejected)}
    if not rejected:
        return dg.AssetCheckResult(passed=True, metadata=metadata)
    metadata["first_rejected"] = rows_table(rejected)
    shown = select(func.count()).select_from(rejected_loads).where(rejected_loads.c.shown_in.is_not(None))
    if before := connection.execute(shown.where(scope(rejected_loads))).scalar_one():
        metadata[REJECTED_BEFORE] = before
    remedy = "Correct the files (`sparkify load-errors` shows the lines)"
    if any(row.errors > row.max_load_errors for row in rejected):
        remedy += ", or raise SPARKIFY_MAX_LOAD_ERRORS"
    if _are_all_of_other_days(connection, [row.log_date for row in rejected]):
        remedy = NOT_SPLIT_BY_UTC_DAY
    days = [row.log_date for row in rejected if row.log_date]
    which = describe_days(days) if days else "The song files are rejected"
    reason = rejected[0].reason or "reason unknown"
    return dg.AssetCheckResult(passed=False, metadata=metadata, description=f"{which}: {reason}. {remedy}")


def _are_all_of_other_days(connection: Connection, days: Sequence[date | None]) -> bool:
    reasons = connection.execute(
        select(load_errors.c.reason).where(load_errors.c.log_date.in_([day for day in days if day])).distinct()
    ).scalars()
    return are_all_of_other_days(list(reasons))


def _load_errors(connection: Connection, scope: Scope, options: str = "") -> dg.AssetCheckResult:
    """Shows the first load errors, without the records' text, which may contain names.

    `sparkify load-errors` with these options shows the text.
    """
    # A rejected load records only its first errors, and they replace those of the staged files.
    rejected = connection.execute(
        select(rejected_loads.c.log_date, rejected_loads.c.errors).where(scope(rejected_loads))
    ).all()
    errors = {day: int(number) for day, number in rejected}
    staged = connection.execute(
        select(loaded_objects.c.log_date, func.sum(loaded_objects.c.errors))
        .where(scope(loaded_objects))
        .group_by(loaded_objects.c.log_date)
    )
    total = sum(({day: int(number) for day, number in staged} | errors).values())
    metadata: Metadata = {"load_errors": total}
    shown = "the text"
    if total:
        metadata["first_errors"] = rows_table(_first_errors(connection, scope))
        recorded = connection.execute(
            select(func.count()).select_from(load_errors).where(scope(load_errors))
        ).scalar_one()
        if recorded < total:
            shown = f"the text of the first {recorded:,}"
    return dg.AssetCheckResult(
        passed=total == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=f"{pluralize(total, 'record')} rejected: `sparkify load-errors{options}` shows {shown}"
        if total
        else None,
    )


def _first_errors(connection: Connection, scope: Scope) -> Sequence[Row[*tuple[Any, ...]]]:
    """Returns the first error of each file, then the second of each, so that one bad file does not hide the others."""
    place = func.row_number().over(partition_by=load_errors.c.key, order_by=load_errors.c.line_number)
    errors = (
        select(
            load_errors.c.key.label("source"),
            load_errors.c.line_number.label("line"),
            load_errors.c.column_name.label("column"),
            load_errors.c.reason,
            place.label("place"),
        )
        .where(scope(load_errors))
        .subquery()
    )
    return connection.execute(
        select(errors.c.source, errors.c.line, errors.c.column, errors.c.reason)
        .order_by(errors.c.place, errors.c.source, errors.c.line)
        .limit(SHOWN_ROWS)
    ).all()


def _options(days: tuple[date, date] | None) -> str:
    return f" --from {days[0]} --to {days[1]}" if days else ""


def _of_days(days: tuple[date, date] | None) -> Scope:
    return lambda table: and_(table.c.log_date.is_not(None), _in(table, days))


def _of_songs(table: Table) -> ColumnElement[bool]:
    return table.c.log_date.is_(None)


def _in(table: Table, days: tuple[date, date] | None) -> ColumnElement[bool]:
    return true() if days is None else table.c.log_date.between(*days)
