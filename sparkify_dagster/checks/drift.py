"""Schema and data drift: compares each day of the log with the other staged days.

The checks read the profiles that every load stores, one row per day, so their cost does not depend on the number of
events. A finding fails the run that loads the day; later runs that find the day unchanged repeat it as a warning.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg
from sqlalchemy import Connection

from sparkify_dagster.checks.check_results import Metadata
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.partitions import is_in_window
from sparkify_dagster.presentation.rows import rows_metadata
from sparkify_dagster.schema.event_columns import EVENT_COLUMNS, NEXT_SONG
from sparkify_dagster.warehouse.day_profiles import DayProfile, read_profiles

# Without these columns, plays are lost or meaningless.
ESSENTIAL_COLUMNS = frozenset(column.name for column in EVENT_COLUMNS if column.is_essential)
MAX_SHOWN_FIELDS = 20
# The smallest of 30 real days has 15 signed-in events, too few for meaningful shares.
MIN_SIGNED_IN_EVENTS = 20
MIN_OTHER_DAYS = 5
# On each of 30 real days no share of NULL was above 0, and the share of plays was 0.71 to 0.93.
NULL_SHARE_DIFFERENCE = 0.2
MIN_EVENTS_WITH_SONGS = 20


@dataclass(frozen=True)
class Finding:
    """A problem of one day. `is_error` is set if it fails the run that loaded the day."""

    profile: DayProfile
    is_error: bool
    text: str


@dataclass(frozen=True)
class Drift:
    """Profiles of all staged days, and of those that a run checks."""

    staged: Sequence[DayProfile]
    checked: Sequence[DayProfile]
    run_id: str
    lost: Sequence[DayProfile]
    """Days that this run's loads left with fewer than half of their events, or without files."""


def read_drift(connection: Connection, days: tuple[date, date] | None, run_id: str) -> Drift:
    """Reads the profiles to compare. `run_id` is that of the run, or of the original run if it is a retry."""
    profiles = [profile for profile in read_profiles(connection) if is_in_window(profile.day)]
    staged = [profile for profile in profiles if profile.staged.files]
    return Drift(
        staged=staged,
        checked=[profile for profile in staged if days is None or days[0] <= profile.day <= days[1]],
        run_id=run_id,
        lost=[profile for profile in profiles if profile.run_id == run_id and _is_lost(profile)],
    )


def expected_fields(drift: Drift) -> dg.AssetCheckResult:
    """Compares the keys of each day's records with the JSONPaths file and with the other days."""
    present = Counter(column for profile in drift.staged for column in profile.present_fields or ())
    unknown = Counter(name for profile in drift.staged for name in profile.unknown_fields)
    # A first load, of one day or many, has no other load to compare with.
    is_first_load = len({profile.run_id for profile in drift.staged}) <= 1
    findings = []
    for profile in drift.checked:
        for column, key in profile.missing_fields.items():
            elsewhere = present[column]
            findings.append(
                Finding(
                    profile,
                    elsewhere > 0 or column in ESSENTIAL_COLUMNS,
                    f"no record has the key {key}"
                    + (
                        f", which {pluralize(elsewhere, 'other day')} {'has' if elsewhere == 1 else 'have'}"
                        if elsewhere
                        else ""
                    ),
                )
            )
        names = [name for name in profile.unknown_fields if unknown[name] == 1]
        if names and not is_first_load:
            findings.append(Finding(profile, False, f"no other day has the keys {_join(names)}"))
    return _result(drift, findings, "unexpected_fields")


def null_rates(drift: Drift) -> dg.AssetCheckResult:
    """Compares the share of NULLs per column with the other days."""
    due: Counter[str] = Counter()
    values: Counter[str] = Counter()
    for profile in drift.staged:
        values.update(profile.values)
        due.update({column: profile.due(column) for column in profile.values})
    plays = sum(profile.plays for profile in drift.staged)
    findings = []
    for profile in drift.checked:
        if profile.signed_in < MIN_SIGNED_IN_EVENTS or len(drift.staged) - 1 < MIN_OTHER_DAYS:
            continue
        if not profile.plays and plays and not _lacks_next_songs(profile):
            findings.append(Finding(profile, True, "no play, although other days have plays"))
        for column in profile.values:
            due_elsewhere = due[column] - profile.due(column)
            # Missing keys are reported by expected_fields.
            if not profile.due(column) or not due_elsewhere or column in profile.missing_fields:
                continue
            share = 1 - profile.values[column] / profile.due(column)
            usual = 1 - (values[column] - profile.values[column]) / due_elsewhere
            if abs(share - usual) >= NULL_SHARE_DIFFERENCE:
                is_empty = not profile.values[column]
                findings.append(
                    Finding(profile, is_empty, f"{column} is NULL in {share:.0%} of the events, usually in {usual:.0%}")
                )
    return _result(drift, findings, "unusual_null_rates")


def accepted_values(drift: Drift) -> dg.AssetCheckResult:
    """Looks for values that are unknown and that no other day has, and for songs played on other pages."""
    occurrences = Counter(
        (column, value) for profile in drift.staged for column, values in profile.new_values.items() for value in values
    )
    findings = []
    for profile in drift.checked:
        if _lacks_next_songs(profile):
            findings.append(
                Finding(profile, True, f"{profile.songs:,} events have a song, but none has page {NEXT_SONG}")
            )
        for column, values in profile.new_values.items():
            new = [value for value in values if occurrences[column, value] == 1]
            if new:
                findings.append(Finding(profile, False, f"{column} has new values: {_join(map(repr, new))}"))
    return _result(drift, findings, "unexpected_values")


def no_lost_events(drift: Drift) -> dg.AssetCheckResult:
    """Reports the days that this run's loads left with fewer than half of their events, or without files."""
    metadata: Metadata = {"days_with_losses": len(drift.lost)}
    if not drift.lost:
        return dg.AssetCheckResult(passed=True, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)
    gone = sum(not profile.staged.files for profile in drift.lost)
    metadata["first_days"] = rows_metadata(
        [
            {
                "day": profile.day,
                "events_before": profile.before.events,
                "events": profile.staged.events,
                "files": profile.staged.files,
            }
            for profile in drift.lost
        ]
    )
    parts = []
    if gone:
        parts.append(f"the files of {pluralize(gone, 'day')} are gone")
    if gone < len(drift.lost):
        parts.append(f"{pluralize(len(drift.lost) - gone, 'day')} lost more than half of the events")
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=f"{' and '.join(parts)}, first {drift.lost[0].day}: restore the files if this was not intended",
    )


def _lacks_next_songs(profile: DayProfile) -> bool:
    return not profile.next_songs and profile.songs >= MIN_EVENTS_WITH_SONGS


def _is_lost(profile: DayProfile) -> bool:
    if not profile.staged.files:
        return profile.before.files > 0
    return 2 * profile.staged.events < profile.before.events


def _result(drift: Drift, findings: Sequence[Finding], table: str) -> dg.AssetCheckResult:
    days = {finding.profile.day for finding in findings}
    metadata: Metadata = {"days_compared": len(drift.checked), "days_with_findings": len(days)}
    if not findings:
        return dg.AssetCheckResult(passed=True, metadata=metadata)
    is_error = any(finding.is_error and finding.profile.run_id == drift.run_id for finding in findings)
    # Errors first, because only the first rows are shown.
    shown = sorted(findings, key=lambda finding: (not finding.is_error, finding.profile.day))
    metadata[table] = rows_metadata([{"day": finding.profile.day, "finding": finding.text} for finding in shown])
    more = f" (and {pluralize(len(findings) - 1, 'other finding')})" if len(findings) > 1 else ""
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=f"{shown[0].profile.day}: {shown[0].text}{more}",
    )


def _join(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - MAX_SHOWN_FIELDS:,} more" if len(shown) > MAX_SHOWN_FIELDS else ""
    return ", ".join(shown[:MAX_SHOWN_FIELDS]) + more
