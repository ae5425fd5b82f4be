"""`sparkify split`: shows the progress of a split, and prints what came out and how to load it."""

import shlex
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from sparkify_dagster.config.aws import AwsAccess
from sparkify_dagster.days import format_days
from sparkify_dagster.formatting import console, pluralize
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.sources.splitting import Split, split_log


class UnplacedRecordsError(SparkifyError):
    """Records that belong to no day."""


def run(file: str, destination: str, access: AwsAccess, *, overwrite: bool) -> None:
    """Splits the file and prints the outcome. Raises UnplacedRecordsError at the end if records have no day."""
    output = console()
    found = _split_with_progress(file, destination, access, overwrite=overwrite, output=output)
    first_day, last_day = min(found.records), max(found.records)
    output.print(
        f"Wrote {pluralize(sum(found.records.values()), 'record')} of {format_days(first_day, last_day)} into "
        f"{pluralize(len(found.records), 'log file')} below {destination}"
    )
    output.print(
        f"To load them: SPARKIFY_LOG_DATA={shlex.quote(destination)} SPARKIFY_LOG_START={first_day} "
        f"SPARKIFY_LOG_END={last_day + timedelta(days=1)}, and SPARKIFY_SONG_DATA; then `sparkify etl`"
    )
    if found.unplaced:
        for line_number, reason in found.examples:
            output.print(f"  line {line_number:,}: {reason}")
        if found.unplaced > len(found.examples):
            output.print(f"  (showing the first {len(found.examples)})")
        raise UnplacedRecordsError(
            f"{pluralize(found.unplaced, 'record')} without a day, kept in {found.unplaced_path}, which no load takes"
        )


def _split_with_progress(file: str, destination: str, access: AwsAccess, *, overwrite: bool, output: Console) -> Split:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output, disable=not output.is_terminal, transient=True) as progress:
        task = progress.add_task("Splitting", total=None)

        def show_read(read: int, size: int) -> None:
            progress.update(task, completed=read, total=size)

        def show_written(written: int, files: int) -> None:
            progress.update(task, description=f"Writing file {written:,} of {files:,}")

        return split_log(file, destination, access, overwrite=overwrite, on_read=show_read, on_written=show_written)
