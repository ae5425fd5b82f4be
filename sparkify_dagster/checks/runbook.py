"""The runbook: for each check, what it means when it is red or yellow, and what mends it.

docs/how-to/runbook.md is generated from this table and from the checks' own descriptions. A test holds that each check
of the definitions has an entry.
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
    colour: Colour
    means: str
    """The cause, in the words of a person who has to decide what to do. Markdown."""
    mend: tuple[str, ...]
    """Buttons and commands, the likeliest first. Markdown, one item each."""


_LOAD_AGAIN: Final = "**Jobs > load_all > Materialize all** for the days, or `sparkify etl --from DAY --to DAY`"

RUNBOOK: Final[Mapping[str, RunbookEntry]] = {
    "reconciliation": RunbookEntry(
        Colour.RED,
        "The rows of a day or of a song file do not add up with what its load counted. A load writes both in one "
        "transaction, so somebody has changed the staging tables by hand, or there is a defect in the loader. Nothing "
        "of the day reaches the star.",
        (
            "Load the days or songs named in the check again, whether changed or not: **Materialize all > All > "
            "Config** with `ops: {staging_events: {config: {full: true}}}` (of songs `staging_songs`), or `sparkify "
            "etl --full --from DAY --to DAY`.",
            "If the counts differ again, report it with the check's table: it is a defect.",
        ),
    ),
    "no_rejected_loads": RunbookEntry(
        Colour.RED,
        "A day (or all songs) had too many errors, or a file with errors and not one good record. The load is rejected "
        "and the rows from before stay, so the star is consistent but old. An error page in place of a log file, a "
        "damaged archive and files that are cut by local time instead of UTC look like this.",
        (
            "`sparkify load-errors --from DAY --to DAY` shows the lines; the check names the reason.",
            f"Correct or restore the files. {_LOAD_AGAIN} loads them.",
            "If so many errors are to be tolerated, raise `SPARKIFY_MAX_LOAD_ERRORS` and load again.",
        ),
    ),
    "no_load_errors": RunbookEntry(
        Colour.YELLOW,
        "Some lines could not be loaded. The good lines beside them are in the star. The check shows file, line, "
        "column and reason, one error per file first.",
        (
            "`sparkify load-errors` shows the text of the lines, which may hold names and is therefore not in Dagster.",
            f"Correct the files if the lines matter, then load again: {_LOAD_AGAIN}. Else leave it: the warning stays "
            "as long as the files have these lines.",
        ),
    ),
    "no_missing_days": RunbookEntry(
        Colour.YELLOW,
        "A day between the first and the last loaded one has no log file. The app wrote none, or the file has not been "
        "delivered, or it has another name (see `files_recognized`).",
        (
            f"Deliver the file, then load the day: {_LOAD_AGAIN}. With the sensor `log_files` on it loads by itself.",
            "If there was no traffic, deliver an empty file: a file of zero bytes is a day without events.",
        ),
    ),
    "volume_anomaly": RunbookEntry(
        Colour.YELLOW,
        "A day has far fewer or far more events than its weekday usually has. A holiday and a campaign look like this; "
        "so does a file that was cut short or delivered twice under two names.",
        (
            "Compare the file with the app's own count.",
            f"Replace a bad file, then load the day: {_LOAD_AGAIN}. A number that is right stays yellow whenever its "
            "day is checked.",
        ),
    ),
    "expected_fields": RunbookEntry(
        Colour.EITHER,
        "The records of a day lack a key that other days have or that plays need, or they have a new one. The app was "
        "released with another log format. Red in the run that loads the day, yellow in later ones.",
        (
            "A renamed key: name the new one in the JSONPaths file (`SPARKIFY_LOG_JSONPATH`); all days are then read "
            "again, so it must suit the old files too.",
            "A lost key: have the app log it again, and have the day's files written again.",
            "A new key that should become a column: see *Add a column* in CONTRIBUTING.",
        ),
    ),
    "null_rates": RunbookEntry(
        Colour.EITHER,
        "A column is NULL far more or less often than on other days, or a day has no plays. Red where every value is "
        "missing and in the run that loads the day, else yellow. Usually the app stopped filling a field.",
        (
            "Look at the day's file; `sparkify load-errors` shows whether lines were rejected as well.",
            f"Have the files written again, then load the day: {_LOAD_AGAIN}.",
        ),
    ),
    "accepted_values": RunbookEntry(
        Colour.EITHER,
        "A day has a value of page, level, gender, auth or method that was never seen before (yellow), or songs and "
        "not one NextSong, so that no play is counted (red in the run that loads the day).",
        (
            "New values are kept as they are. Inform the analysts if a query groups by them.",
            "If `NextSong` was renamed, the app and the transform `sql/star/songplays.sql` have to agree again: until "
            "then the day has no plays.",
        ),
    ),
    "no_lost_events": RunbookEntry(
        Colour.YELLOW,
        "This run left a day with less than half of the events that it had, or emptied it because its files are gone.",
        (
            f"If it was not meant, restore the files and load the day: {_LOAD_AGAIN}.",
            "If it was meant, do nothing: the next run does not repeat the warning.",
        ),
    ),
    "no_lost_files": RunbookEntry(
        Colour.YELLOW,
        "Song files that were loaded before are gone, or have no good song any more. Their songs left the star, and "
        "their plays no longer match.",
        (
            "If it was not meant, restore the files and run **Jobs > load_songs**, or `sparkify etl`.",
            "If it was meant, do nothing: the next run does not repeat the warning.",
        ),
    ),
    "files_recognized": RunbookEntry(
        Colour.YELLOW,
        "The location has files under names that no rule of the [contract](../contract.md#source-files) recognises, or "
        "log files of which none lies in the window.",
        (
            "Rename the files as the check says, or keep them elsewhere.",
            "If all are outside the window, set `SPARKIFY_LOG_START` and `SPARKIFY_LOG_END`.",
        ),
    ),
    "unique_key": RunbookEntry(
        Colour.RED,
        "The key of a star table is missing or there twice. Transforms cannot produce that, so somebody has written to "
        "the table, or there is a defect. Redshift does not enforce keys, and what is downstream is not built.",
        (
            "Build the table again: its page, **Materialize**, for all days.",
            "If it comes back, load from scratch: `sparkify create-tables --drop`, then `sparkify etl`; and report it.",
        ),
    ),
    "row_count_matches_staging": RunbookEntry(
        Colour.RED,
        "songplays has other plays than staging has for a day: it was changed by hand, or a run broke off between the "
        "two.",
        ("**songplays > Materialize** for the days that the check names, or `sparkify etl --from DAY --to DAY`.",),
    ),
    "match_rate": RunbookEntry(
        Colour.YELLOW,
        "Fewer plays found their song than `SPARKIFY_MIN_MATCH_RATE` demands. Songs are missing in the catalogue, or "
        "their titles, artists or lengths differ from the log's.",
        (
            "`sparkify query unmatched_songs` lists what to add to the catalogue first.",
            "Deliver the songs and run **Jobs > load_songs**: their plays are then matched again, on whatever day.",
        ),
    ),
    "distinct_start_times": RunbookEntry(
        Colour.RED,
        "The table time lacks the start of a play, or has one without a play: a run broke off, or somebody changed the "
        "table.",
        ("**time > Materialize** for the days of the run, or `sparkify etl --from DAY --to DAY`.",),
    ),
    "referential_integrity": RunbookEntry(
        Colour.RED,
        "A play points to a user, song, artist or time that its dimension lacks. The dimension was built in an earlier "
        "run than songplays, or failed in this one.",
        (
            "Look first at the run: a failed step of the dimension is the cause.",
            f"Build all of it again: {_LOAD_AGAIN}.",
        ),
    ),
    "matches_expected": RunbookEntry(
        Colour.EITHER,
        "The rows of a query differ from its expected results. Yellow while part of the source is not loaded (days, "
        "song files, rejected records): then that is probably why, and the other checks come first. Also yellow where "
        "there is no file of expected results. Otherwise red.",
        (
            "Mend what is not loaded, and look again.",
            "The check's table shows expected and found rows side by side; `sparkify verify` does so for all queries.",
            "If the new answer is the right one, write it down: `sparkify query NAME --format csv > NAME.csv`, in the "
            "folder that `SPARKIFY_EXPECTED_RESULTS` names.",
        ),
    ),
}
