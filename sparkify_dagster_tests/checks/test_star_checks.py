"""Checks of the star: each passes on valid data and fails when it should."""

import dagster as dg
import pytest

from sparkify_dagster_tests.checks.conftest import DAYS, Tables, numbers, rows
from sparkify_dagster_tests.support.outcome import Outcome
from sparkify_dagster_tests.support.world import World

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
KEYS = {
    "songplays": "songplay_id",
    "users": "user_id",
    "songs": "song_id",
    "artists": "artist_id",
    "time": "start_time",
}
ROWS = {"songplays": 3, "users": 2, "songs": 2, "artists": 2, "time": 3}
WITH_AND_WITHOUT_DAYS = pytest.mark.parametrize("days", [(None, None), DAYS], ids=["without days", "with days"])


def test_a_valid_star_passes_every_check(checked: Outcome) -> None:
    assert checked.failures == {}
    assert {key for key, passed in checked.checks.items() if not passed} == {
        ("staging_events", "no_load_errors"),
        ("staging_songs", "no_load_errors"),
    }
    for table, count in ROWS.items():
        assert numbers(checked.evaluations[table, "unique_key"]) == {"rows": count, "duplicates": 0, "missing": 0}


def test_an_empty_warehouse_passes_every_check(world: World) -> None:
    checks = Tables(world).checks()
    assert checks.failures == {}
    assert set(checks.checks.values()) == {True}
    assert len(checks.checks) == 34


def unique_keys(tables: Tables, day: str | None = None, *names: str) -> dict[str, dg.AssetCheckEvaluation]:
    """Runs the check of each table's key, or of some tables', for all rows or those of a day."""
    checks = [(table, "unique_key") for table in names or KEYS]
    evaluations = tables.checks(*checks, first_day=day).evaluations
    return {table: evaluations[table, name] for table, name in checks}


def test_a_duplicate_key_fails(tables: Tables) -> None:
    """In each table."""
    for table, key in KEYS.items():
        tables.tamper(f"INSERT INTO {table} SELECT * FROM {table} ORDER BY {key} LIMIT 1")
    for table, check in unique_keys(tables).items():
        key = KEYS[table]
        assert not check.passed, table
        assert check.severity is ERROR, table
        assert check.blocking, table
        assert check.description == f"{key}: 1 duplicate, 0 missing"
        assert numbers(check) == {"rows": ROWS[table] + 1, "duplicates": 1, "missing": 0}, table
        (first,) = rows(check, "first_duplicates")
        assert first["rows"] == 2, table
        assert str(first[key]), table


def test_a_missing_key_fails(tables: Tables) -> None:
    """In each table."""
    for table, key in KEYS.items():
        tables.allow_missing(table, key)
        tables.tamper(f"UPDATE {table} SET {key} = NULL WHERE {key} = (SELECT MIN({key}) FROM {table})")
    for table, check in unique_keys(tables).items():
        assert not check.passed, table
        assert numbers(check) == {"rows": ROWS[table], "duplicates": 0, "missing": 1}, table


def test_duplicate_plays_are_searched_only_in_the_days_of_the_run(tables: Tables) -> None:
    tables.tamper("INSERT INTO songplays SELECT * FROM songplays WHERE start_time >= '2018-11-02'")
    assert not tables.check("songplays", "unique_key", "2018-11-02").passed
    other_day = tables.check("songplays", "unique_key", "2018-11-01")
    assert other_day.passed
    assert numbers(other_day) == {"rows": 2, "duplicates": 0, "missing": 0}


@pytest.mark.slow
def test_rows_that_the_run_has_not_written_are_left_to_the_audit(tables: Tables) -> None:
    """User 9 and the start time are of the second day alone."""
    tables.tamper("INSERT INTO time SELECT * FROM time WHERE start_time >= '2018-11-02'")
    tables.tamper("INSERT INTO users SELECT * FROM users WHERE user_id = 9")
    of_day = {table: numbers(check) for table, check in unique_keys(tables, "2018-11-01").items()}
    assert of_day["time"] == {"rows": 2, "duplicates": 0, "missing": 0}
    assert of_day["users"] == {"rows": 1, "duplicates": 0, "missing": 0}
    assert not any(check.passed for check in unique_keys(tables, "2018-11-02", "time", "users").values())
    audit = tables.world.materialize(None, job="audit")
    assert audit.failed_checks == {("time", "unique_key"), ("users", "unique_key")}
    assert len(audit.checks) > 34


def test_row_counts_that_match_staging_pass(checked: Outcome) -> None:
    check = checked.evaluations["songplays", "row_count_matches_staging"]
    assert check.passed
    assert numbers(check) == {"staged": 3, "songplays": 3, "differing_days": 0}


@pytest.mark.slow
@WITH_AND_WITHOUT_DAYS
def test_a_lost_play_fails_its_day(tables: Tables, days: tuple[str | None, str | None]) -> None:
    tables.tamper("DELETE FROM songplays WHERE song_id IS NULL")
    check = tables.check("songplays", "row_count_matches_staging", *days)
    assert not check.passed
    assert check.severity is ERROR
    assert check.description == "Plays of 1 day differ from staging: materialize songplays again"
    assert numbers(check) == {"staged": 3, "songplays": 2, "differing_days": 1}
    assert rows(check, "first_days") == [{"log_date": "2018-11-01", "staged": 2, "songplays": 1}]
    assert tables.check("songplays", "row_count_matches_staging", "2018-11-02").passed


def test_plays_of_a_day_without_events_fail(tables: Tables) -> None:
    tables.tamper("DELETE FROM staging.staging_events WHERE log_date = '2018-11-02'")
    check = tables.check("songplays", "row_count_matches_staging")
    assert not check.passed
    assert rows(check, "first_days") == [{"log_date": "2018-11-02", "staged": 0, "songplays": 1}]


def test_match_rate_reports_counts_and_rate(checked: Outcome) -> None:
    check = checked.evaluations["songplays", "match_rate"]
    assert check.passed
    assert numbers(check) == {"match_rate": pytest.approx(2 / 3), "plays": 3, "matched": 2, "minimum": 0.0}
    assert check.description == "2 of 3 plays match a song (66.7%)"


def test_match_rate_covers_the_days_of_the_run(tables: Tables) -> None:
    assert numbers(tables.check("songplays", "match_rate", "2018-11-01"))["match_rate"] == 0.5


def test_match_rate_warns_below_the_limit(tables: Tables) -> None:
    check = tables.check("songplays", "match_rate", min_match_rate=0.67)
    assert not check.passed
    assert check.severity is WARN
    assert not check.blocking
    assert numbers(check)["minimum"] == 0.67
    assert tables.check("songplays", "match_rate", min_match_rate=0.66).passed


def test_match_rate_passes_without_plays(tables: Tables) -> None:
    check = tables.check("songplays", "match_rate", "2018-11-03", min_match_rate=1.0)
    assert check.passed
    assert numbers(check) == {"match_rate": 1.0, "plays": 0, "matched": 0, "minimum": 1.0}


def test_start_times_that_match_songplays_pass(checked: Outcome) -> None:
    check = checked.evaluations["time", "distinct_start_times"]
    assert check.passed
    assert numbers(check) == {"start_times": 3, "rows": 3, "missing": 0, "without_play": 0}


@WITH_AND_WITHOUT_DAYS
def test_a_missing_start_time_fails(tables: Tables, days: tuple[str | None, str | None]) -> None:
    tables.tamper("DELETE FROM time WHERE start_time >= '2018-11-02'")
    check = tables.check("time", "distinct_start_times", *days)
    assert not check.passed
    assert check.severity is ERROR
    assert numbers(check) == {"start_times": 3, "rows": 2, "missing": 1, "without_play": 0}
    assert tables.check("time", "distinct_start_times", "2018-11-01").passed


@WITH_AND_WITHOUT_DAYS
def test_a_start_time_without_a_play_fails(tables: Tables, days: tuple[str | None, str | None]) -> None:
    tables.tamper("DELETE FROM songplays WHERE start_time >= '2018-11-02'")
    check = tables.check("time", "distinct_start_times", *days)
    assert not check.passed
    assert numbers(check) == {"start_times": 2, "rows": 3, "missing": 0, "without_play": 1}


@WITH_AND_WITHOUT_DAYS
@pytest.mark.parametrize(
    ("dimension", "column", "orphans"),
    [("users", "user_id", 2), ("songs", "song_id", 2), ("artists", "artist_id", 2), ("time", "start_time", 1)],
)
def test_an_orphaned_reference_fails(
    tables: Tables, dimension: str, column: str, orphans: int, days: tuple[str | None, str | None]
) -> None:
    referenced = f"SELECT {column} FROM songplays WHERE {column} IS NOT NULL ORDER BY start_time LIMIT 1"
    tables.tamper(f"DELETE FROM {dimension} WHERE {column} = ({referenced})")
    check = tables.check("songplays", "referential_integrity", *days)
    assert not check.passed
    assert check.severity is ERROR
    missing = {f"{name}_missing": 0 for name in ("user_id", "song_id", "artist_id", "start_time")}
    assert numbers(check) == {"plays": 3, **missing, f"{column}_missing": orphans}
    assert check.description is not None
    assert f"{column}_missing" in check.description


def test_valid_references_pass(checked: Outcome) -> None:
    check = checked.evaluations["songplays", "referential_integrity"]
    assert check.passed
    assert numbers(check)["plays"] == 3
