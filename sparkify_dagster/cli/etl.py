"""`sparkify etl`: runs the UI's jobs in this process and prints their progress and result."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from sparkify_dagster import formatting
from sparkify_dagster.analytics.comparison import MATCHES_EXPECTED
from sparkify_dagster.analytics.query import broken_queries
from sparkify_dagster.analytics.verification import print_summary
from sparkify_dagster.automation import jobs
from sparkify_dagster.automation.jobs import LOG_DAY_ASSETS, QUERIES, RESULTS, SONG_ASSETS
from sparkify_dagster.checks.analytics_checks import comparison_text
from sparkify_dagster.cli.progress import Progress, print_counts
from sparkify_dagster.cli.project_folder import dagster_home
from sparkify_dagster.days import contiguous_blocks
from sparkify_dagster.definitions import RUN_TAGS, defs
from sparkify_dagster.partitions import WINDOW, is_in_window, range_tags
from sparkify_dagster.presentation.metadata_keys import CODE_VERSION_TAG
from sparkify_dagster.presentation.rejections import not_shown
from sparkify_dagster.runtime import command_runs, interrupts, liveness, termination
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.runtime.file_lock import exclusive
from sparkify_dagster.schema.code_versions import code_version
from sparkify_dagster.schema.tables import READ_TABLES, songplays, staging_events, staging_songs
from sparkify_dagster.sources.emptiness import require_log_files
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster.sources.source import Listing
from sparkify_dagster.warehouse import staging_tables
from sparkify_dagster.warehouse.base import Warehouse, count_rows
from sparkify_dagster.warehouse.database_errors import first_line

STATE_FOLDER = Path(".sparkify")
# A day without a file costs about a thirtieth of another run.
MAX_GAP_DAYS = 31


class EtlError(SparkifyError):
    """The pipeline cannot run."""


def run(
    first_day: date | None, last_day: date | None, *, full: bool, allow_empty: Collection[str] = frozenset()
) -> bool:
    """Loads the days and all songs, re-matches plays that a song load concerns on other days, refreshes the queries.

    `allow_empty` names the sources (logs, songs) that may be empty although the warehouse holds rows of them.

    Returns whether every asset and every check of severity ERROR succeeded. Raises SparkifyError.
    """
    console = formatting.console()
    resources = defs.resources or {}
    source, warehouse = resources["source"], resources["warehouse"]
    progress = Progress(console)
    with persisted_instance() as instance:
        for run_id in liveness.fail_dead_runs(instance):
            console.print(f"Run {run_id} had died and is marked as failed.")
        _require_days(first_day, last_day)
        blocks, nothing_to_load = [], None
        if first_day and last_day:
            blocks = [(first_day, last_day)]
        else:
            listing = source.list_log_files()
            _warn_outside_window(console, listing)
            blocks = blocks_to_load(listing, warehouse, first_day, last_day)
            nothing_to_load = None if blocks else _without_a_day(listing, "logs" in allow_empty)
        _print_edited_sql(console, instance, blocks, all_days=first_day is last_day is None)
        if not blocks:
            console.print("No day of the window has a log file or rows: loading only the songs")
            config = _load_config(["staging_songs"], full, allow_empty)
            _execute(instance, "load_songs", progress, config=config)
        for days in blocks:
            console.print(f"Loading {days[0]} to {days[1]} into {warehouse.database}")
            songs = SONG_ASSETS if days == blocks[0] else ()
            job = "load_all" if songs else "load_log_days"
            config = _load_config(["staging_events", *songs[:1]], full, allow_empty)
            results = RESULTS if days == blocks[-1] and not progress.failed_steps else ()
            _execute(instance, job, progress, days=days, config=config, assets=[*LOG_DAY_ASSETS, *songs, *results])
        rejections, pending_days = warehouse.read("sparkify etl", _left_to_do)
        _show_rejected(instance, rejections)
        if not progress.failed_steps:
            progress.latest_evaluation_counts = True
            pending = contiguous_blocks(pending_days)
            for days in pending:
                console.print(f"The song catalogue changed: re-matching the plays of {days[0]} to {days[1]}")
                results = RESULTS if days == pending[-1] and not progress.failed_steps else ()
                _execute(instance, "load_log_days", progress, days=days, assets=["songplays", *results])
        if full and first_day is last_day is None and not progress.failed_steps:
            console.print("Checking all rows")
            _execute(instance, jobs.audit.name, progress)
        _print_result(console, warehouse, progress)
        if nothing_to_load is not None:
            console.print(nothing_to_load, markup=False)
    return progress.ok and nothing_to_load is None


@contextmanager
def persisted_instance() -> Iterator[dg.DagsterInstance]:
    """Yields the instance that the UI also shows. Raises SparkifyError if there is none."""
    home = dagster_home()
    try:
        # Two commands that create the history at the same time would get in each other's way.
        with exclusive(STATE_FOLDER / "history.lock", "Waiting for another command, which opens the run history"):
            # As Dagster's own commands do: without DAGSTER_HOME the folder's dagster.yaml counts.
            opened = dg.DagsterInstance.from_config(str(home))
    except (OSError, DBAPIError) as error:
        cause = error.strerror if isinstance(error, OSError) else first_line(error)
        raise EtlError(f"{STATE_FOLDER}: cannot be written: {cause}; sparkify keeps its state there") from error
    with opened as instance:
        yield instance


def fail_dead_runs() -> None:
    """Marks the runs whose process is gone as failed. Raises SparkifyError if there is no history."""
    with persisted_instance() as instance:
        liveness.fail_dead_runs(instance)


def _require_days(first_day: date | None, last_day: date | None) -> None:
    """Raises EtlError if the chosen days are outside the window."""
    for option, day in (("--from", first_day), ("--to", last_day)):
        if day is not None and not is_in_window(day):
            raise EtlError(f"{option} {day}: outside the window of SPARKIFY_LOG_START and SPARKIFY_LOG_END, {WINDOW}")
    if first_day and last_day and first_day > last_day:
        raise EtlError(f"--from {first_day} is after --to {last_day}")


def blocks_to_load(
    listing: Listing, warehouse: Warehouse, first_day: date | None = None, last_day: date | None = None
) -> list[tuple[date, date]]:
    """Returns the first and last day of each run, for days with files and days that the warehouse knows of.

    Days far apart are loaded in separate runs.
    """
    known = {*warehouse.run("sparkify etl", staging_tables.known_days), *listing.by_day}
    known.update(day for day in (first_day, last_day) if day)
    days = sorted(
        day
        for day in known
        if is_in_window(day) and (first_day is None or day >= first_day) and (last_day is None or day <= last_day)
    )
    return contiguous_blocks(days, MAX_GAP_DAYS)


def _execute(
    instance: dg.DagsterInstance,
    job: str,
    progress: Progress,
    *,
    days: tuple[date, date] | None = None,
    assets: Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> None:
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, progress.handle)
    instance.add_event_listener(run_id, lambda entry: _cancel_if_interrupted(instance, run_id))
    command_runs.add_origin(instance, run_id, job)
    tags = {**command_runs.ORIGIN_TAGS, **RUN_TAGS, **(range_tags(*days) if days else {})}
    with liveness.alive(instance, run_id), termination.watched(instance, run_id):
        defs.resolve_job_def(job).execute_in_process(
            # Progress prints what matters; Dagster's own log is in the UI.
            run_config={**(config or {}), "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=instance,
            run_id=run_id,
            tags=tags,
            asset_selection=[dg.AssetKey(name) for name in assets] if assets else None,
            raise_on_error=False,
        )
    progress.print_not_run()
    if interrupts.received():
        # Dagster ends the run, and not the process.
        raise KeyboardInterrupt


def _cancel_if_interrupted(instance: dg.DagsterInstance, run_id: str) -> None:
    """Marks a run as canceled, since the daemon would repeat one that was interrupted, as one that was killed."""
    if interrupts.received():
        run = instance.get_run_by_id(run_id)
        if run is not None and run.status is dg.DagsterRunStatus.STARTED:
            instance.report_run_canceling(run, "The command was interrupted.")


def _load_config(assets: Sequence[str], full: bool, allow_empty: Collection[str]) -> dict[str, Any]:
    sources = {"staging_events": "logs", "staging_songs": "songs"}
    return {"ops": {name: {"config": {"full": full, "allow_empty": sources[name] in allow_empty}} for name in assets}}


def _warn_outside_window(console: Console, listing: Listing) -> None:
    outside = [day for day in listing.by_day if not is_in_window(day)]
    if outside:
        files = sum(len(listing.by_day[day]) for day in outside)
        console.print(
            f"{formatting.pluralize(files, 'log file')} left alone, outside the window of {WINDOW}: "
            f"{min(outside)} to {max(outside)}"
        )


def _print_edited_sql(
    console: Console, instance: dg.DagsterInstance, blocks: Sequence[tuple[date, date]], *, all_days: bool
) -> None:
    """Prints which tables had another SELECT when they were last built, before they are built again."""
    for name in (table.name for table in READ_TABLES):
        latest = instance.get_latest_materialization_event(dg.AssetKey(name))
        tags = latest.asset_materialization.tags if latest and latest.asset_materialization else None
        if (tags or {}).get(CODE_VERSION_TAG) in (None, code_version(name)):
            continue
        if name not in LOG_DAY_ASSETS:
            consequence = "this builds it again"
        elif all_days:
            days = sum((last - first).days + 1 for first, last in blocks)
            consequence = f"this builds {formatting.pluralize(days, 'day')} again"
        else:
            consequence = "this builds the chosen days again, and `sparkify etl` without days all of them"
        console.print(f"{name}: its SQL has changed since it was last built; {consequence}")


def _without_a_day(listing: Listing, allow_empty: bool) -> str | None:
    """Returns what is wrong if no day can be loaded, or None if the location is just empty."""
    try:
        require_log_files(listing, WINDOW, holds_days=False, allow_empty=allow_empty)
    except SourceError as error:
        return str(error)
    if listing.files and not allow_empty:
        return (
            f"No day was loaded: none of the {formatting.pluralize(len(listing.files), 'log file')} "
            f"of {listing.location} is in the window, {WINDOW}; set SPARKIFY_LOG_START and SPARKIFY_LOG_END"
        )
    return None


def _left_to_do(connection: Connection) -> tuple[Sequence[staging_tables.Rejection], list[date]]:
    """Returns the rejected days, and those whose plays have to be matched again."""
    pending = [day for day in staging_tables.pending_days(connection) if is_in_window(day)]
    return staging_tables.rejections(connection), pending


def _show_rejected(instance: dg.DagsterInstance, rejections: Sequence[staging_tables.Rejection]) -> None:
    """Shows the rejected days as failed in the UI. The checks of the run that rejected them have been printed."""
    days = not_shown(instance, rejections)
    if days:
        quiet = Progress(Console(quiet=True))
        _execute(instance, jobs.show_rejected_days.name, quiet, days=(days[0], days[0]), config=jobs.SHOW_REJECTED)


def _print_result(console: Console, warehouse: Warehouse, progress: Progress) -> None:
    counts, plays, matched = warehouse.read("sparkify etl", _counts)
    console.print()
    print_counts(console, counts)
    compared = {
        key.asset_key.to_user_string(): check for key, check in progress.checks.items() if key.name == MATCHES_EXPECTED
    }
    _print_queries(console, progress, compared)
    checks = progress.count_checks()
    consequences = f"; {formatting.pluralize(checks['consequence'], 'result')} not as expected in consequence"
    console.print(
        f"\nChecks: {checks['passed']} passed, {checks['warn']} warn, {checks['error']} failed"
        f"{consequences if checks['consequence'] else ''}"
    )
    if plays:
        console.print(f"Match rate: {matched / plays:.1%} of the plays match a song")
    if compared:
        matches_expected = [check.passed for check in compared.values() if "expected_rows" in check.metadata]
        print_summary(console, matches_expected, len(compared) - len(matches_expected), len(broken_queries()))
    if progress.ok:
        console.print("Next: `sparkify ui` shows the graph, the checks and this run on http://127.0.0.1:3000")
    else:
        console.print("Not everything succeeded: `sparkify ui` shows the run with its log and check results")


def _counts(connection: Connection) -> tuple[dict[str, int], int, int]:
    """Returns the rows per table, the plays, and how many plays match a song."""
    tables = (staging_events, staging_songs, *READ_TABLES)
    plays, matched = connection.execute(select(func.count(), func.count(songplays.c.song_id))).one()
    return {table.fullname: count_rows(connection, table) for table in tables}, plays, matched


def _print_queries(console: Console, progress: Progress, compared: Mapping[str, dg.AssetCheckEvaluation]) -> None:
    refreshed = {name: progress.rows[name] for name in QUERIES if name in progress.rows}
    if not refreshed:
        return
    comparison = ["Compared with what is expected"] if compared else []
    table = Table("Query", "Rows", *comparison, box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name, rows in refreshed.items():
        result = comparison_text(compared[name]) if name in compared else ""
        table.add_row(name, f"{rows:,}", *([result] if compared else []))
    console.print()
    console.print(table)
