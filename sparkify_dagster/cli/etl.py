"""`sparkify etl`: runs the UI's jobs in this process and prints their progress and result."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from sparkify_dagster import formatting
from sparkify_dagster.analytics.comparison import MATCHES_EXPECTED
from sparkify_dagster.analytics.expected import ExpectedResults
from sparkify_dagster.analytics.query import broken_queries
from sparkify_dagster.analytics.verification import print_summary
from sparkify_dagster.automation import jobs
from sparkify_dagster.automation.jobs import LOG_DAY_ASSETS, QUERIES, RESULTS, SONG_ASSETS
from sparkify_dagster.checks.analytics_checks import comparison_text
from sparkify_dagster.cli.progress import Progress, print_counts
from sparkify_dagster.cli.project_folder import dagster_home
from sparkify_dagster.cli.staleness import Staleness, find_stale
from sparkify_dagster.cli.standing import print_checks, print_rejections
from sparkify_dagster.config import current
from sparkify_dagster.days import contiguous_blocks
from sparkify_dagster.definitions import RUN_TAGS, defs
from sparkify_dagster.ingest.limits import Limits
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
from sparkify_dagster.sources.source import Listing, Source
from sparkify_dagster.warehouse import staging_tables, table_versions
from sparkify_dagster.warehouse.base import Warehouse, count_rows
from sparkify_dagster.warehouse.database_errors import first_line
from sparkify_dagster.warehouse.staging_tables import Rejection, SongRejection

STATE_FOLDER = Path(".sparkify")
# A day without a file costs about a thirtieth of another run.
MAX_GAP_DAYS = 31


class EtlError(SparkifyError):
    """The pipeline cannot run."""


def run(
    first_day: date | None, last_day: date | None, *, full: bool, allow_empty: Collection[str] = frozenset()
) -> bool:
    """Loads and builds what is stale, or with `full` everything, or all of the chosen days.

    `allow_empty` names the sources (logs, songs) that may be empty although the warehouse holds rows of them.

    Returns whether every asset and every check of severity ERROR succeeded, and no load stands rejected. Raises
    SparkifyError.
    """
    console = formatting.console()
    with persisted_instance() as instance:
        for run_id in liveness.fail_dead_runs(instance):
            console.print(f"Run {run_id} had died and is marked as failed.")
        _require_days(first_day, last_day)
        return _Etl(console, instance, full=full, allow_empty=allow_empty).run(first_day, last_day)


@dataclass(frozen=True)
class _Plan:
    """The parts of the graph that the command brings up to date."""

    blocks: Sequence[tuple[date, date]]
    """First and last days, each a run."""
    songs: bool = True
    results: bool = True
    nothing_to_load: str | None = None
    """The fault of a source that has no day to load."""


class _Etl:
    """One execution of the command."""

    def __init__(
        self, console: Console, instance: dg.DagsterInstance, *, full: bool, allow_empty: Collection[str]
    ) -> None:
        resources = defs.resources or {}
        self._source: Source = resources["source"]
        self._warehouse: Warehouse = resources["warehouse"]
        self._limits: Limits = resources["limits"]
        self._expected: ExpectedResults | None = resources.get("expected")
        self._console = console
        self._instance = instance
        self._full = full
        self._allow_empty = allow_empty
        self._progress = Progress(console)

    def run(self, first_day: date | None, last_day: date | None) -> bool:
        with self._warehouse.kept_open():
            return self._run(first_day, last_day)

    def _run(self, first_day: date | None, last_day: date | None) -> bool:
        chosen = first_day is not None or last_day is not None
        everything = self._full and not chosen
        plan = self._plan(first_day, last_day)
        self._print_edited_sql(plan.blocks, all_days=not chosen)
        if everything:
            # So that their rows are hashed as they are, whatever somebody has done to them.
            self._warehouse.run("sparkify etl", table_versions.forget)
        self._load(plan)
        left = self._warehouse.read("sparkify etl", _left_to_do)
        _show_rejected(self._instance, left.rejections)
        if not self._progress.failed_steps:
            self._rematch(left.pending_days)
        if plan.results and not self._progress.runs:
            self._console.print("Nothing else is stale: refreshing the queries")
            self._execute("refresh_analytics", RESULTS)
        if everything and not self._progress.failed_steps:
            self._console.print("Checking all rows")
            _execute(self._instance, jobs.audit.name, self._progress)
        if self._progress.runs:
            _print_result(self._console, self._warehouse, self._progress)
        elif plan.nothing_to_load is None:
            self._console.print("Nothing to do: no file, SQL or setting has changed since the last run")
            print_checks(self._console, self._instance)
        stands = not chosen and self._print_standing(left, plan.blocks)
        if plan.nothing_to_load is not None:
            self._console.print(plan.nothing_to_load, markup=False)
        return self._progress.ok and not stands and plan.nothing_to_load is None

    def _plan(self, first_day: date | None, last_day: date | None) -> _Plan:
        if first_day and last_day:
            return _Plan([(first_day, last_day)])
        listing = self._source.list_log_files()
        _warn_outside_window(self._console, listing)
        if first_day or last_day or self._full or self._allow_empty:
            plan = _Plan(blocks_to_load(listing, self._warehouse, first_day, last_day))
            knows_days = bool(plan.blocks)
        else:
            stale = self._find_stale(listing)
            plan = _Plan(contiguous_blocks(stale.days, MAX_GAP_DAYS), stale.songs, stale.results)
            knows_days = stale.knows_days
        if plan.songs and not plan.blocks:
            why = "No day is stale" if knows_days else "No day of the window has a log file or rows"
            self._console.print(f"{why}: loading only the songs")
        return (
            plan if knows_days else replace(plan, nothing_to_load=_without_a_day(listing, "logs" in self._allow_empty))
        )

    def _print_standing(self, left: "_LeftToDo", loaded: Sequence[tuple[date, date]]) -> bool:
        """Prints what stands rejected and was not printed by a run of this command. Returns whether anything does."""
        days = [rejection for rejection in left.rejections if not _is_in(rejection.day, loaded)]
        songs = None if "staging_songs" in self._progress.rows else left.rejection_of_songs
        print_rejections(self._console, days, songs)
        return bool(days or songs)

    def _find_stale(self, listing: Listing) -> Staleness:
        return find_stale(
            self._instance,
            self._source,
            self._warehouse,
            self._limits,
            listing,
            expected=self._expected,
            report=current.report_location(),
        )

    def _load(self, plan: _Plan) -> None:
        """Loads the blocks, each in a run of its own, the songs with the first, and the results with the last."""
        for days in plan.blocks:
            self._console.print(f"Loading {days[0]} to {days[1]} into {self._warehouse.database}")
            assets: list[str] = [*LOG_DAY_ASSETS]
            job, loaded = "load_log_days", ["staging_events"]
            if plan.songs and days == plan.blocks[0]:
                job, loaded = "load_all", ["staging_events", "staging_songs"]
                assets += SONG_ASSETS
            if days == plan.blocks[-1] and not self._progress.failed_steps:
                assets += RESULTS
            self._execute(job, assets, days=days, loaded=loaded)
        if not plan.blocks and plan.songs:
            self._execute("load_songs", [*SONG_ASSETS, *RESULTS], loaded=["staging_songs"])

    def _rematch(self, pending_days: Sequence[date]) -> None:
        self._progress.latest_evaluation_counts = True
        blocks = contiguous_blocks(pending_days)
        for days in blocks:
            self._console.print(f"The song catalogue changed: re-matching the plays of {days[0]} to {days[1]}")
            results = RESULTS if days == blocks[-1] and not self._progress.failed_steps else ()
            self._execute("load_log_days", ["songplays", *results], days=days)

    def _execute(
        self,
        job: str,
        assets: Sequence[str],
        *,
        days: tuple[date, date] | None = None,
        loaded: Sequence[str] = (),
    ) -> None:
        config = _load_config(loaded, self._full, self._allow_empty) if loaded else None
        _execute(self._instance, job, self._progress, days=days, config=config, assets=assets)

    def _print_edited_sql(self, blocks: Sequence[tuple[date, date]], *, all_days: bool) -> None:
        """Prints which tables another SELECT has built, as the UI shows them, before they are built again."""
        for name in (table.name for table in READ_TABLES):
            latest = self._instance.get_latest_materialization_event(dg.AssetKey(name))
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
            self._console.print(f"{name}: its SQL has changed since it was last built; {consequence}")


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
    progress.runs += 1
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


class _LeftToDo(NamedTuple):
    rejections: Sequence[Rejection]
    """Of days of the window."""
    rejection_of_songs: SongRejection | None
    pending_days: Sequence[date]
    """Days whose plays have to be matched again."""


def _left_to_do(connection: Connection) -> _LeftToDo:
    return _LeftToDo(
        [each for each in staging_tables.rejections(connection) if is_in_window(each.day)],
        staging_tables.rejection_of_songs(connection),
        [day for day in staging_tables.pending_days(connection) if is_in_window(day)],
    )


def _is_in(day: date, blocks: Sequence[tuple[date, date]]) -> bool:
    return any(first <= day <= last for first, last in blocks)


def _show_rejected(instance: dg.DagsterInstance, rejections: Sequence[Rejection]) -> None:
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
