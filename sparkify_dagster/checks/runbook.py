"""Runbook: the likely cause and the fixes for each failed check.

docs/how-to/runbook.md is generated from this table and from the checks' descriptions. A test verifies that every check
has an entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Colour(Enum):
    """The colour of a failed check: red fails the run (severity ERROR), yellow does not (WARN)."""

    RED = "red"
    YELLOW = "yellow"
    EITHER = "red or yellow"


@dataclass(frozen=True)
class RunbookEntry:
    """The cause and the fixes of a failed check, in Markdown."""

    colour: Colour
    means: str
    """The cause and its effect, for a person who has to decide what to do."""
    fixes: tuple[str, ...]
    """Buttons and commands, most likely first."""


_LOAD_AGAIN: Final = "**Jobs > load_all > Materialize all** for the days, or `sparkify etl --from DAY --to DAY`"

RUNBOOK: Final[Mapping[str, RunbookEntry]] = {
    "reconciliation": RunbookEntry(
        Colour.RED,
        "The rows of a day or of a song file do not match the counts of its load. A load writes both in one "
        "transaction, so either somebody changed the staging tables by hand, or the loader has a bug. The run does "
        "not update the star.",
        (
            "Reload the days or songs named in the check, even if unchanged: **Materialize all > All > "
            "Config** with `ops: {staging_events: {config: {full: true}}}` (of songs `staging_songs`), or `sparkify "
            "etl --full --from DAY --to DAY`.",
            "If the counts still differ, report a bug, with the check's table.",
        ),
    ),
    "no_rejected_loads": RunbookEntry(
        Colour.RED,
        "A day (or the songs) had too many load errors, or a file with errors only. The load is rejected and the rows "
        "of the last load stay, so the star is consistent but not up to date. A rejected day is red in the partition "
        "status until it is loaded, and its failed run shows the reason first. Typical causes are an error page "
        "instead of a log file, a damaged archive, or files split by local time instead of UTC.",
        (
            "`sparkify load-errors --from DAY --to DAY` shows the lines; the check names the reason.",
            "Correct or restore the files. Then **Jobs > load_all > Materialize all > Failed and missing** loads the "
            "days that are red in the partition status and those that never loaded; `sparkify etl` does as well.",
            "If that many errors are acceptable, raise `SPARKIFY_MAX_LOAD_ERRORS` and load again.",
        ),
    ),
    "no_load_errors": RunbookEntry(
        Colour.YELLOW,
        "Some lines or songs were rejected. The others of the same files are loaded. The check shows file, line, "
        "column and reason, one error per file first.",
        (
            "`sparkify load-errors` shows the text of the lines, which may contain names and is therefore not in "
            "Dagster.",
            f"If the lines matter, correct the files and load them again: {_LOAD_AGAIN}. Otherwise ignore the "
            "warning: it stays as long as the files contain these lines.",
        ),
    ),
    "no_missing_days": RunbookEntry(
        Colour.YELLOW,
        "A day between the first and the last loaded day has no log file. The app did not write one, it was not "
        "delivered, or it has an unrecognized name (see `files_recognized`).",
        (
            f"Deliver the file, then load the day: {_LOAD_AGAIN}. If the sensor `log_files` is on, it loads the day.",
            "If there was no traffic, deliver an empty file: a file of zero bytes is a day without events.",
        ),
    ),
    "volume_anomaly": RunbookEntry(
        Colour.YELLOW,
        "A day has far fewer or far more events than usual for its weekday: because of a holiday or a campaign, or "
        "because a file was truncated or delivered twice under two names.",
        (
            "Compare the file with the number of events that the app reports.",
            f"Replace a bad file, then load the day: {_LOAD_AGAIN}. If the number is correct, ignore the warning: it "
            "is repeated whenever the day is checked.",
        ),
    ),
    "expected_fields": RunbookEntry(
        Colour.EITHER,
        "The records of a day lack a key that other days have or that plays need, or have a new one: a release of "
        "the app changed the log format. A missing key is red in the run that loads the day, and yellow in later "
        "runs; a new key is yellow.",
        (
            "A renamed key: put the new key into the JSONPaths file (`SPARKIFY_LOG_JSONPATH`). All days are then "
            "reloaded, so the file must fit the old log files too.",
            "A lost key: have it added to the app's log again and the day's files rewritten, then load the day: "
            f"{_LOAD_AGAIN}.",
            "A new key that should become a column: see *Add a column* in CONTRIBUTING.",
        ),
    ),
    "null_rates": RunbookEntry(
        Colour.EITHER,
        "A column is NULL far more or less often than on other days, or a day has no plays. Red in the run that "
        "loads the day if the column is all NULL or there are no plays, else yellow. Usually the app no longer fills "
        "a field.",
        (
            "Inspect the day's file; `sparkify load-errors` shows whether lines were rejected as well.",
            f"Have the files rewritten, then load the day: {_LOAD_AGAIN}.",
        ),
    ),
    "accepted_values": RunbookEntry(
        Colour.EITHER,
        "A day has a new value of page, level, gender, auth or method (yellow), or it has songs but no NextSong, so "
        "that it has no plays (red in the run that loads the day).",
        (
            "New values are loaded unchanged. Inform the analysts if a query groups by the column.",
            "If `NextSong` was renamed, change the app or the transform `sql/star/songplays.sql`: until then the day "
            "has no plays.",
        ),
    ),
    "no_lost_events": RunbookEntry(
        Colour.YELLOW,
        "This run left a day with fewer than half of its earlier events, or emptied it because its files are gone.",
        (
            f"If this was not intended, restore the files and load the day: {_LOAD_AGAIN}.",
            "If it was intended, do nothing: the next run does not repeat the warning.",
        ),
    ),
    "no_lost_files": RunbookEntry(
        Colour.YELLOW,
        "Song files that were loaded before are gone, or all of their songs are rejected now. Their songs are no "
        "longer in the star, and plays of them no longer match.",
        (
            "If this was not intended, restore the files and run **Jobs > load_songs**, or `sparkify etl`.",
            "If it was intended, do nothing: the next run does not repeat the warning.",
        ),
    ),
    "files_recognized": RunbookEntry(
        Colour.YELLOW,
        "The location has files whose names match no rule of the [contract](../contract.md#source-files), or no log "
        "file is in the window.",
        (
            "Rename the files as described in the check, or move them elsewhere.",
            "If all log files are outside the window, set `SPARKIFY_LOG_START` and `SPARKIFY_LOG_END`.",
        ),
    ),
    "unique_key": RunbookEntry(
        Colour.RED,
        "The key of a table of the star or the marts is NULL or not unique. Transforms cannot produce that, so either "
        "somebody changed the table, or there is a bug. Redshift does not enforce keys, so downstream assets are not "
        "built.",
        (
            "Rebuild the table: **Materialize** on its page, for all days.",
            "If it happens again, load from scratch (`sparkify create-tables --drop`, then `sparkify etl`) and "
            "report a bug.",
        ),
    ),
    "row_count_matches_staging": RunbookEntry(
        Colour.RED,
        "The table and staging differ in the number of plays or events of a day: the table was changed by hand, or a "
        "run stopped between the two.",
        (
            "**songplays** or **events > Materialize** for the days that the check names, or `sparkify etl --from DAY "
            "--to DAY`.",
        ),
    ),
    "match_rate": RunbookEntry(
        Colour.YELLOW,
        "The share of plays that match a song is below `SPARKIFY_MIN_MATCH_RATE`. Songs are missing from the "
        "catalogue, or their titles, artists or lengths differ from those in the log.",
        (
            "`sparkify query unmatched_songs` lists the most played songs missing from the catalogue.",
            "Deliver the songs and run **Jobs > load_songs**: their plays are then re-matched, on any day.",
        ),
    ),
    "distinct_start_times": RunbookEntry(
        Colour.RED,
        "The table time lacks the start time of a play, or has one without a play: a run stopped midway, or somebody "
        "changed the table.",
        ("**time > Materialize** for the days of the run, or `sparkify etl --from DAY --to DAY`.",),
    ),
    "referential_integrity": RunbookEntry(
        Colour.RED,
        "A play references a user, song, artist or time that is missing in its dimension. The dimension was built in "
        "an earlier run than songplays, or failed in this one.",
        (
            "Check the run first: a failed step of the dimension is the cause.",
            f"Rebuild the star: {_LOAD_AGAIN}.",
        ),
    ),
    "plays_match_songplays": RunbookEntry(
        Colour.RED,
        "events and songplays disagree about what was played: a run stopped between the two, or somebody changed one "
        "of them.",
        (f"Rebuild both for the days of the run: {_LOAD_AGAIN}.",),
    ),
    "contiguous_levels": RunbookEntry(
        Colour.RED,
        "The levels of a user have a gap, overlap, or repeat. The transform cannot produce that, so somebody changed "
        "the table, or there is a bug. What reads user_levels is not built.",
        (
            "**user_levels > Materialize** for all days, or `sparkify etl --full`.",
            "If it happens again, report a bug, with the check's table.",
        ),
    ),
    "plays_have_level": RunbookEntry(
        Colour.RED,
        "A play has a level that its user did not have at that time: songplays and user_levels were built from "
        "different states of the day, since a run stopped between the two.",
        (f"Rebuild both for the days of the run: {_LOAD_AGAIN}.",),
    ),
    "sums_match_events": RunbookEntry(
        Colour.RED,
        "Counts of sessions or daily_activity do not add up to the events: a run stopped between the two, or somebody "
        "changed one of them.",
        (f"Rebuild them for the days of the run: {_LOAD_AGAIN}.",),
    ),
    "matches_expected": RunbookEntry(
        Colour.EITHER,
        "The result of a query differs from its expected result. Yellow while parts of the source are not loaded "
        "(days, song files, rejected records): that is the likely cause, so fix the other checks first. Also yellow "
        "if there is no expected result. Red in all other cases.",
        (
            "Load the missing parts of the source, and refresh the query.",
            "The check's table shows expected and found rows side by side; `sparkify verify` does so for all queries.",
            "If the new result is correct, store it as the expected one: `sparkify query NAME --format csv > "
            "NAME.csv`, in the folder that `SPARKIFY_EXPECTED_RESULTS` names.",
        ),
    ),
}
