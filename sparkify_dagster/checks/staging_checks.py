"""What must be true of staging before anything of it reaches the star."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, TypeAlias

import dagster as dg
from sqlalchemy import ColumnElement, Connection, Row, Table, and_, case, func, select, true

from sparkify_dagster.assets.staging import NOT_CUT_BY_DAY, is_cut_otherwise, staging_events, staging_songs
from sparkify_dagster.checks import completeness, drift, recognized_files
from sparkify_dagster.checks.check_results import Metadata, checked_table, selected
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import partition_days
from sparkify_dagster.presentation.rows import SHOWN_ROWS
from sparkify_dagster.runtime.failures import as_dagster_failures
from sparkify_dagster.runtime.liveness import root_run_id
from sparkify_dagster.schema.tables import load_errors, loaded_objects, rejected_loads
from sparkify_dagster.schema.tables import staging_events as events
from sparkify_dagster.schema.tables import staging_songs as songs
from sparkify_dagster.warehouse.base import Warehouse

# Which rows of a table of staging's bookkeeping a check looks at.
Concerns: TypeAlias = Callable[[Table], ColumnElement[bool]]


@dg.multi_asset_check(
    name="check_staging_events",
    specs=[
        dg.AssetCheckSpec(
            "reconciliation",
            asset=staging_events.key,
            blocking=True,
            description="Each day: lines in the source = rows staged + duplicates + load errors.",
        ),
        dg.AssetCheckSpec(
            "no_rejected_loads",
            asset=staging_events.key,
            description="No day has more load errors than SPARKIFY_MAX_LOAD_ERRORS, or a file with errors and no good "
            "record; one that has keeps what it held.",
        ),
        dg.AssetCheckSpec(
            "no_load_errors",
            asset=staging_events.key,
            description="Every line could be loaded. Warns with the first lines that could not.",
        ),
        dg.AssetCheckSpec(
            "no_missing_days",
            asset=staging_events.key,
            description="Every day between the first and the last one held has a log file, even an empty one. Warns "
            "with those of the window that have none.",
        ),
        dg.AssetCheckSpec(
            "volume_anomaly",
            asset=staging_events.key,
            description="Each day has about as many events as its weekday usually has: the median of "
            f"{completeness.MIN_DAYS_BEFORE} to {completeness.WEEKS_BEFORE} such days before it, which one holiday "
            f"does not move. Warns of more than {completeness.UNUSUAL_FACTOR} times fewer or more, where that is a "
            f"matter of {completeness.UNUSUAL_EVENTS} events at least: small numbers vary as much by chance.",
        ),
        dg.AssetCheckSpec(
            "expected_fields",
            asset=staging_events.key,
            description="Each day's records have the keys of the JSONPaths file, and no key that no other day has. "
            "Fails in the run that loads the day, warns in later runs.",
        ),
        dg.AssetCheckSpec(
            "null_rates",
            asset=staging_events.key,
            description="Each day has plays, and about as many NULLs per column as the other days: not "
            f"{drift.NULL_SHARE_DIFFERENCE:.0%} more or less. Compared are days of {drift.MIN_SIGNED_IN_EVENTS} "
            f"signed-in events or more, once {drift.MIN_OTHER_DAYS} other days are held. A column that is all NULL "
            "fails.",
        ),
        dg.AssetCheckSpec(
            "accepted_values",
            asset=staging_events.key,
            description="page, level, gender, auth and method have values that the app is known to log, or that other "
            "days have. Fails where a day has songs and not one NextSong.",
        ),
        dg.AssetCheckSpec(
            "no_lost_events",
            asset=staging_events.key,
            description="No load of the run left a day with fewer than half of the events that it held, or without "
            "files.",
        ),
        dg.AssetCheckSpec(
            "files_recognized",
            asset=staging_events.key,
            description="The log location has no file under a name that is no log file's, and some in the window.",
        ),
    ],
    can_subset=True,
)
def check_staging_events(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.AssetCheckResult]:
    days = partition_days(context)

    def look(connection: Connection) -> dict[str, dg.AssetCheckResult]:
        drifted = drift.read_drift(connection, days, root_run_id(context.run))
        return {
            "reconciliation": _reconcile_days(
                connection,
                counted_in=_in(loaded_objects, days),
                staged_in=_in(events, days),
            ),
            "no_rejected_loads": _refused(connection, _of_days(days)),
            "no_load_errors": _load_errors(connection, _of_days(days), _options(days)),
            "no_missing_days": completeness.no_missing_days(connection),
            "volume_anomaly": completeness.volume_anomaly(connection, days),
            "expected_fields": drift.expected_fields(drifted),
            "null_rates": drift.null_rates(drifted),
            "accepted_values": drift.accepted_values(drifted),
            "no_lost_events": drift.no_lost_events(drifted),
            "files_recognized": recognized_files.log_files_recognized(context),
        }

    with as_dagster_failures():
        results = warehouse.run(f"checks of run {context.run.run_id}", look)
    yield from selected(context, results)


@dg.multi_asset_check(
    name="check_staging_songs",
    specs=[
        dg.AssetCheckSpec(
            "reconciliation",
            asset=staging_songs.key,
            blocking=True,
            description="Each song file: songs in the file = rows staged + load errors, and no row without its file.",
        ),
        dg.AssetCheckSpec(
            "no_rejected_loads",
            asset=staging_songs.key,
            description="No more load errors in song files than SPARKIFY_MAX_LOAD_ERRORS; else nothing new is kept.",
        ),
        dg.AssetCheckSpec(
            "no_load_errors",
            asset=staging_songs.key,
            description="Every song could be loaded. Warns with the first ones that could not.",
        ),
        dg.AssetCheckSpec(
            "no_lost_files",
            asset=staging_songs.key,
            description="No song file that was held is gone, or has no good song any more, since the load before.",
        ),
        dg.AssetCheckSpec(
            "files_recognized",
            asset=staging_songs.key,
            description="The song location has no file under a name that is no song file's.",
        ),
    ],
    can_subset=True,
)
def check_staging_songs(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.AssetCheckResult]:

    def look(connection: Connection) -> dict[str, dg.AssetCheckResult]:
        return {
            "reconciliation": _reconcile_song_files(connection),
            "no_rejected_loads": _refused(connection, _of_songs),
            "no_load_errors": _load_errors(connection, _of_songs),
            "no_lost_files": recognized_files.no_lost_song_files(context),
            "files_recognized": recognized_files.song_files_recognized(context),
        }

    with as_dagster_failures():
        results = warehouse.run(f"checks of run {context.run.run_id}", look)
    yield from selected(context, results)


def _reconcile_days(
    connection: Connection, *, counted_in: ColumnElement[bool], staged_in: ColumnElement[bool]
) -> dg.AssetCheckResult:
    counted = (
        select(
            loaded_objects.c.log_date,
            func.sum(loaded_objects.c.lines).label("lines"),
            func.sum(loaded_objects.c.duplicates).label("duplicates"),
            func.sum(loaded_objects.c.errors).label("errors"),
        )
        .where(loaded_objects.c.log_date.is_not(None), counted_in)
        .group_by(loaded_objects.c.log_date)
        .subquery()
    )
    staged = (
        select(events.c.log_date, func.count().label("rows")).where(staged_in).group_by(events.c.log_date).subquery()
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
        "days_that_do_not_add_up": len(wrong),
    }
    if wrong:
        metadata["first_days"] = checked_table(wrong)
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata=metadata,
        description=f"Records of {pluralize(len(wrong), 'day')} do not add up: load again with `full` set"
        if wrong
        else None,
    )


def _reconcile_song_files(connection: Connection) -> dg.AssetCheckResult:
    staged = select(songs.c.source_key, func.count().label("rows")).group_by(songs.c.source_key).subquery()
    recognized_files = (
        select(loaded_objects.c.key, loaded_objects.c.lines, loaded_objects.c.errors)
        .where(loaded_objects.c.log_date.is_(None))
        .subquery()
    )
    rows = func.coalesce(staged.c.rows, 0)
    lines = func.coalesce(recognized_files.c.lines, 0)
    errors = func.coalesce(recognized_files.c.errors, 0)
    joined = recognized_files.join(staged, recognized_files.c.key == staged.c.source_key, full=True)
    totals = connection.execute(
        select(
            func.count(recognized_files.c.key).label("files"),
            func.coalesce(func.sum(lines), 0).label("songs"),
            func.coalesce(func.sum(rows), 0).label("staged"),
            func.coalesce(func.sum(errors), 0).label("load_errors"),
            func.coalesce(func.sum(case((lines == rows + errors, 0), else_=1)), 0).label("files_that_do_not_add_up"),
        ).select_from(joined)
    ).one()
    metadata: Metadata = {name: int(value) for name, value in totals._mapping.items()}
    wrong = totals.files_that_do_not_add_up
    if wrong:
        key = func.coalesce(recognized_files.c.key, staged.c.source_key).label("key")
        first = select(key, lines.label("songs"), rows.label("staged"), errors.label("load_errors"))
        found = connection.execute(
            first.select_from(joined).where(lines != rows + errors).order_by(key).limit(SHOWN_ROWS)
        ).all()
        metadata["first_files"] = checked_table(found)
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata=metadata,
        description=f"Songs of {pluralize(wrong, 'file')} do not add up: load staging_songs again with `full` set"
        if wrong
        else None,
    )


def _refused(connection: Connection, concerns: Concerns) -> dg.AssetCheckResult:
    refused = connection.execute(
        select(
            rejected_loads.c.log_date,
            rejected_loads.c.errors,
            rejected_loads.c.max_load_errors,
            rejected_loads.c.reason,
        )
        .where(concerns(rejected_loads))
        .order_by(rejected_loads.c.log_date)
    ).all()
    metadata: Metadata = {"refused": len(refused)}
    if refused:
        metadata["first_refused"] = checked_table(refused)
    remedy = "Correct the files (`sparkify load-errors` shows the lines)"
    if any(row.errors > row.max_load_errors for row in refused):
        remedy += ", or raise SPARKIFY_MAX_LOAD_ERRORS"
    if refused and _only_other_days(connection, [row.log_date for row in refused]):
        remedy = NOT_CUT_BY_DAY
    return dg.AssetCheckResult(passed=not refused, metadata=metadata, description=remedy if refused else None)


def _only_other_days(connection: Connection, days: Sequence[date | None]) -> bool:
    """Returns whether all errors of some days say that the event belongs to another day."""
    reasons = connection.execute(
        select(load_errors.c.reason).where(load_errors.c.log_date.in_([day for day in days if day])).distinct()
    ).scalars()
    return is_cut_otherwise(list(reasons))


def _load_errors(connection: Connection, concerns: Concerns, options: str = "") -> dg.AssetCheckResult:
    """The first errors without their text, which may hold names: the command, with these options, shows it."""
    # Of a refused load only the first errors are recorded, in place of those of what staging holds.
    refused = connection.execute(
        select(rejected_loads.c.log_date, rejected_loads.c.errors).where(concerns(rejected_loads))
    ).all()
    errors = {day: int(number) for day, number in refused}
    held = connection.execute(
        select(loaded_objects.c.log_date, func.sum(loaded_objects.c.errors))
        .where(concerns(loaded_objects))
        .group_by(loaded_objects.c.log_date)
    )
    total = sum(({day: int(number) for day, number in held} | errors).values())
    metadata: Metadata = {"load_errors": total}
    shown = "their text"
    if total:
        metadata["first_errors"] = checked_table(_first_errors(connection, concerns))
        recorded = connection.execute(
            select(func.count()).select_from(load_errors).where(concerns(load_errors))
        ).scalar_one()
        if recorded < total:
            shown = f"the text of the first {recorded:,}"
    return dg.AssetCheckResult(
        passed=total == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=f"Not loaded: {total:,}; `sparkify load-errors{options}` shows {shown}" if total else None,
    )


def _first_errors(connection: Connection, concerns: Concerns) -> Sequence[Row[*tuple[Any, ...]]]:
    """Returns the first error of each file, then the second ones, so that one bad file does not hide the others."""
    place = func.row_number().over(partition_by=load_errors.c.key, order_by=load_errors.c.line_number)
    errors = (
        select(
            load_errors.c.key.label("source"),
            load_errors.c.line_number.label("line"),
            load_errors.c.column_name.label("column"),
            load_errors.c.reason,
            place.label("place"),
        )
        .where(concerns(load_errors))
        .subquery()
    )
    return connection.execute(
        select(errors.c.source, errors.c.line, errors.c.column, errors.c.reason)
        .order_by(errors.c.place, errors.c.source, errors.c.line)
        .limit(SHOWN_ROWS)
    ).all()


def _options(days: tuple[date, date] | None) -> str:
    return f" --from {days[0]} --to {days[1]}" if days else ""


def _of_days(days: tuple[date, date] | None) -> Concerns:
    return lambda table: and_(table.c.log_date.is_not(None), _in(table, days))


def _of_songs(table: Table) -> ColumnElement[bool]:
    return table.c.log_date.is_(None)


def _in(table: Table, days: tuple[date, date] | None) -> ColumnElement[bool]:
    return true() if days is None else table.c.log_date.between(*days)
