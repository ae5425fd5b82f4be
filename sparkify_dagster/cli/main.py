"""`sparkify`: the command line. Each command calls what Dagster calls and prints what came out."""

import logging
import shlex
import sys
from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypedDict, TypeVar, Unpack

import click

from sparkify_dagster.cli.project_folder import dagster_home
from sparkify_dagster.config.keys import MAX_LOG_DAY, parse_report
from sparkify_dagster.config.settings import Settings
from sparkify_dagster.formatting import console, pluralize, replace_unwritable_characters, visible
from sparkify_dagster.runtime import interrupts
from sparkify_dagster.runtime.errors import SparkifyError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sparkify_dagster.warehouse.base import Warehouse

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class SimulatedWorld(TypedDict):
    users: int
    days: int
    start: date
    songs: int
    seed: int


SIMULATED_MONTH = SimulatedWorld(users=100, days=30, start=date(2018, 11, 1), songs=400, seed=1)
# Years have four digits in the names of log files.
MIN_SIMULATED_DAY = date(1000, 1, 1)
# Above them are the ids of those who register in the simulated time.
MAX_SIMULATED_USERS = 1_000_000
UI_PORT = 3000


class CliError(click.ClickException):
    """An error that the user can put right: one line, no traceback."""

    def show(self, file: object = None) -> None:
        click.echo(f"sparkify: {visible(self.message)}", err=True)


def reports_errors(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Ends a command with one line for a SparkifyError, for Ctrl-C, for SIGTERM, and for *Terminate* in the UI."""

    @wraps(command)
    def reporting(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with interrupts.noticed():
            try:
                return command(*args, **kwargs)
            except BaseException as error:
                number = interrupts.received()
                # Any failure after a signal is caused by it, perhaps as a library's own error.
                if number is None or (isinstance(error, SystemExit) and not error.code):
                    if isinstance(error, SparkifyError):
                        raise CliError(str(error)) from error
                    raise
                click.echo(f"sparkify: {interrupts.describe()}", err=True)
                # The status that shells report for a process that was ended by the signal.
                sys.exit(128 + number)

    return reporting


class LineFormatter(logging.Formatter):
    """Formats a log line for a terminal: control characters, which may come from the data, are shown as text."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), keep="\n")


class Day(click.ParamType[date]):
    name = "YYYY-MM-DD"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(str(value), "%Y-%m-%d").date()
        except ValueError:
            self.fail(f"{value!r} is not a day like 2018-11-01", param, ctx)


def of_some_days(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Adds --from and --to to the commands that read the star."""
    first = click.option(
        "--from", "first_day", type=Day(), metavar="FIRST_DAY", help="First day to look at, e.g. 2018-11-01."
    )
    last = click.option("--to", "last_day", type=Day(), metavar="LAST_DAY", help="Last day to look at, included.")
    return first(last(command))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sparkify-dagster", message="sparkify %(version)s")
def main() -> None:
    """Sparkify's warehouse: JSON from S3 in, a checked star schema out."""
    replace_unwritable_characters()
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@reports_errors
def init(folder: Path) -> None:
    """Write dagster.yaml, workspace.yaml and dwh.cfg.

    FOLDER is the working directory by default, and is created if it does not exist. No file is overwritten. Every
    command works in the folder: it holds the run history and, by default, the warehouse.
    """
    from sparkify_dagster.cli.init import write_project

    try:
        for path, written in write_project(folder):
            click.echo(f"Wrote {path}" if written else f"Kept {path}, which exists")
    except OSError as error:
        raise CliError(f"{folder}: cannot be written: {error.strerror}") from error
    change_folder = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    click.echo(f"Next: {change_folder}sparkify etl")


@main.command("create-tables")
@click.option("--drop", is_flag=True, help="Drop the tables with all their rows first, after a confirmation.")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@reports_errors
def create_tables(drop: bool, yes: bool) -> None:
    """Create the schema, tables and views that are missing in the warehouse."""
    from sparkify_dagster.warehouse import ddl

    warehouse = _warehouse(_settings())
    if drop and not yes:
        click.confirm(f"Drop all tables of {warehouse.database} and everything in them?", abort=True)

    def create(connection: "Connection") -> None:
        if drop:
            ddl.drop_tables(connection)
        # Connecting has created or upgraded them, unless a single one has gone since.
        ddl.create_tables(connection)

    warehouse.run("sparkify create-tables", create)
    click.echo(f"Tables are ready{' (recreated empty)' if drop else ''}: {warehouse.database}")


@main.command()
@click.option("--role", required=True, metavar="NAME", help="The role; it is created if it is missing.")
@click.option("--load", is_flag=True, help="Let the role load as well: read and write the tables of every schema.")
@reports_errors
def grant(role: str, load: bool) -> None:
    """Grant a database role read access to the star schema and analytics, not to staging.

    Grant the role to the analysts' users, or with --load to further users who load. Each user who loads runs the
    command, since tables of new queries belong to whoever refreshes them first. Dropped tables lose their grants.
    """
    warehouse = _warehouse(_settings())
    grant_to = warehouse.grant_loading if load else warehouse.grant_reading
    warehouse.run("sparkify grant", lambda connection: grant_to(connection, role))
    click.echo(f"{role} may {'load into' if load else 'read the star in'} {warehouse.database}")


@main.command()
@click.option("--from", "first_day", type=Day(), metavar="FIRST_DAY", help="First day to load, e.g. 2018-11-01.")
@click.option("--to", "last_day", type=Day(), metavar="LAST_DAY", help="Last day to load, included.")
@click.option("--full", is_flag=True, help="Reload every file, even those already loaded and unchanged.")
@click.option(
    "--allow-empty",
    multiple=True,
    type=click.Choice(["logs", "songs"]),
    help="Accept that a source has no file, and remove its rows from the warehouse. Can be given twice.",
)
@reports_errors
def etl(first_day: date | None, last_day: date | None, full: bool, allow_empty: tuple[str, ...]) -> None:
    """Load days of the log, all songs and the star, and check them: the same jobs as in the UI.

    Without days, load every day of the window that has a file or rows. Days far apart are loaded in separate runs.
    """
    settings = _settings()
    # Before anything is written here.
    dagster_home()
    if settings.simulates_source and not Path(settings.log_data).exists():
        _simulate_once(settings)
    from sparkify_dagster.cli import etl as pipeline

    succeeded = pipeline.run(first_day, last_day, full=full, allow_empty=allow_empty)
    # Also where nothing was new, and the report is that of an earlier run.
    if settings.report and (settings.report.startswith("s3://") or Path(settings.report).exists()):
        console().print(f"Report: {settings.report}")
    sys.exit(0 if succeeded else 1)


@main.command()
@click.argument("name", required=False)
@of_some_days
@click.option("--format", "output", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@reports_errors
def query(name: str | None, first_day: date | None, last_day: date | None, output: str) -> None:
    """Run an analytics query against the current star schema. Without NAME, list the available queries."""
    from sparkify_dagster.analytics import formats
    from sparkify_dagster.analytics.query import all_queries, broken_queries
    from sparkify_dagster.analytics.refresh import run_query

    queries, broken = all_queries(), broken_queries()
    if name is None:
        for query in queries.values():
            click.echo(f"{query.name:<30}{query.title}")
        for invalid in broken.values():
            click.echo(f"sparkify: {visible(str(invalid.error))}", err=True)
        return
    if name in broken:
        raise CliError(str(broken[name].error))
    if name not in queries:
        raise CliError(f"unknown query {name!r}; available: {', '.join(queries)}")
    _require_order(first_day, last_day)
    query, warehouse = queries[name], _warehouse(_settings())
    rows = warehouse.read(
        f"sparkify query {name}", lambda connection: run_query(warehouse, connection, query, first_day, last_day)
    )
    if output == "table":
        console().print(formats.to_table(query, rows))
    else:
        # Always in UTF-8, since programs read it.
        content = formats.to_csv(query, rows) if output == "csv" else formats.to_json(query, rows)
        click.echo(content.encode(), nl=False)


@main.command("load-errors")
@of_some_days
@reports_errors
def load_errors(first_day: date | None, last_day: date | None) -> None:
    """Show rejected records with file, line, column, reason and text.

    Without days, show those of all days and of the song files. The text may hold names of listeners, so it is shown
    here and not in Dagster.
    """
    from sparkify_dagster.cli import load_errors as errors

    _require_order(first_day, last_day)
    found = _warehouse(_settings()).read(
        "sparkify load-errors", lambda connection: errors.read(connection, first_day, last_day)
    )
    errors.print_errors(console(), found)


@main.command()
@click.option(
    "--expected", metavar="DIR|s3://…", help="Location of the expected results instead of SPARKIFY_EXPECTED_RESULTS."
)
@click.option("--audit", is_flag=True, help="Also read every row of the star and the marts, and compare their hashes.")
@of_some_days
@reports_errors
def verify(expected: str | None, audit: bool, first_day: date | None, last_day: date | None) -> None:
    """Compare the results of all queries with the expected ones (NAME.csv per query, with the query's columns).

    Exits 0 only if expected results exist and all of them match. With --audit, only if also the rows of the star and
    the marts are those that loads have written: a row that somebody has changed by hand makes no table stale.
    """
    from sparkify_dagster.analytics import verification
    from sparkify_dagster.analytics.expected import ExpectedResults

    _require_order(first_day, last_day)
    settings = _settings()
    location = expected or settings.expected
    if location is None:
        raise CliError("no expected results configured: set SPARKIFY_EXPECTED_RESULTS, or pass --expected")
    verified = verification.verify(_warehouse(settings), ExpectedResults(location=location), first_day, last_day)
    if not verified.comparisons and not verified.failures:
        raise CliError(f"no expected results found in {location}: it has no file such as top_songs.csv")
    verification.print_verification(console(), verified)
    intact = not audit or verification.audit(console(), _warehouse(settings))
    sys.exit(0 if verified.matches_expected and intact else 1)


@main.command()
@click.argument("file", metavar="[FILE|s3://…]", required=False)
@of_some_days
@reports_errors
def report(file: str | None, first_day: date | None, last_day: date | None) -> None:
    """Write the report to FILE: one HTML page that opens offline, names no listener and can be sent.

    Without FILE, write that of SPARKIFY_REPORT_FILE, as `sparkify etl` does. Without days, the headline figures are of
    the last seven days beside the seven before, and the queries show their stored results over all days. With days, all
    is of these days, and the queries are run for them.
    """
    from sparkify_dagster.cli import write_report

    _require_order(first_day, last_day)
    settings = _settings()
    # The run history, which has the results of the checks, is there.
    dagster_home()
    try:
        location = parse_report(file) if file else settings.report
    except ValueError as error:
        raise CliError(f"{file} {error}") from error
    if location is None:
        raise CliError("SPARKIFY_REPORT_FILE is empty: name the file, such as report.html")
    size = write_report.write(_warehouse(settings), location, first_day, last_day)
    click.echo(f"Wrote {location} ({size / 1e6:.1f} MB)")


@main.command()
@click.option(
    "--out",
    required=True,
    metavar="DIR|s3://…",
    help="Location to write log_data, song_data, log_json_path.json and expected to.",
)
@click.option(
    "--users", type=click.IntRange(1, MAX_SIMULATED_USERS), default=SIMULATED_MONTH["users"], show_default=True
)
@click.option("--days", type=click.IntRange(1), default=SIMULATED_MONTH["days"], show_default=True)
@click.option("--start", type=Day(), default=SIMULATED_MONTH["start"], show_default=True, help="First day.")
@click.option("--songs", type=click.IntRange(1), default=SIMULATED_MONTH["songs"], show_default=True)
@click.option("--seed", type=int, default=SIMULATED_MONTH["seed"], show_default=True, help="Same seed, same bytes.")
@reports_errors
def simulate(out: str, users: int, days: int, start: date, songs: int, seed: int) -> None:
    """Write logs and a song catalogue as the app would have, and the expected query results.

    The expected results cover all simulated days, one CSV file per query. They are computed from the simulator's
    ground truth, not by the SQL that runs in the warehouse.
    """
    if start < MIN_SIMULATED_DAY or days - 1 > (MAX_LOG_DAY - start).days:
        raise CliError(
            f"--start {start}: {pluralize(days, 'day')} from it are not all between "
            f"{MIN_SIMULATED_DAY} and {MAX_LOG_DAY}"
        )
    _simulate(_settings(), out, users=users, days=days, start=start, songs=songs, seed=seed)


@main.command()
@click.argument("file", metavar="FILE|s3://…")
@click.argument("destination", metavar="DIR|s3://…")
@click.option("--overwrite", is_flag=True, help="Replace files that exist in the destination.")
@reports_errors
def split(file: str, destination: str, overwrite: bool) -> None:
    """Split a log in one file into a file per UTC day, for `etl` to load.

    The file has one JSON object per line, plain or gzip, in any order; each line is kept as it is. Lines without a
    readable time (ts) go to a file of their own, which no load takes, and the command exits 1.
    """
    from sparkify_dagster.cli import split as splitting

    splitting.run(file, destination, _settings().aws_access(), overwrite=overwrite)


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), default=UI_PORT, show_default=True)
@reports_errors
def ui(port: int) -> None:
    """Serve the Dagster UI and its daemon on this machine alone."""
    _settings()
    from sparkify_dagster.cli.ui import serve

    serve(port)


def _require_order(first_day: date | None, last_day: date | None) -> None:
    if first_day and last_day and first_day > last_day:
        raise CliError(f"--from {first_day} is after --to {last_day}")
    for option, day in (("--from", first_day), ("--to", last_day)):
        if day and day > MAX_LOG_DAY:
            raise CliError(f"{option} {day}: the last possible day is {MAX_LOG_DAY}")


def _settings() -> Settings:
    """Returns the settings and prints a line for ignored ones: each command calls this once."""
    settings = Settings.load()
    if ignored := Settings.ignored():
        click.echo(f"sparkify: {visible(ignored)}", err=True)
    return settings


def _warehouse(settings: Settings) -> "Warehouse":
    from sparkify_dagster.warehouse.connect import create_warehouse

    return create_warehouse(settings)


def _simulate_once(settings: Settings) -> None:
    """Simulates the source if there is none. Of several processes, one does so and the others wait for it."""
    from sparkify_dagster.runtime.file_lock import exclusive

    simulated = Path(settings.log_data).parent
    state = simulated.parent
    try:
        with exclusive(state / "simulation.lock", "Waiting for another sparkify etl, which simulates the source"):
            if simulated.exists():
                return
            click.echo(f"No source is configured: simulating a month of the app (2018-11) into {simulated}")
            # Under its own name only when it is complete, whatever interrupts it.
            _simulate(settings, str(state / "unfinished"), **SIMULATED_MONTH)
            (state / "unfinished").rename(simulated)
    except OSError as error:
        raise CliError(f"{state}: cannot be written: {error.strerror}; sparkify keeps its state there") from error


def _simulate(settings: Settings, out: str, **world: Unpack[SimulatedWorld]) -> None:
    from obstore.exceptions import BaseError

    from sparkify_dagster.simulator import simulate
    from sparkify_dagster.sources.object_store import writable_store

    try:
        store = writable_store(out, settings.aws_access())
        counts = simulate(store, **world)
    except (SparkifyError, BaseError, OSError) as error:
        raise CliError(f"--out {out}: {str(error).splitlines()[0]}") from error
    click.echo(
        f"Simulated {counts.events:,} events in {counts.log_files} log files, {counts.plays:,} of them plays, "
        f"and {counts.songs:,} songs"
    )
