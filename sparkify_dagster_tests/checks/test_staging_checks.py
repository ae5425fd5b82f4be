"""Checks of staging: each passes on valid data and fails when it should."""

import dagster as dg
import pytest

from sparkify_dagster_tests.checks.conftest import DAYS, Tables, numbers, rows
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.outcome import Outcome
from sparkify_dagster_tests.support.world import World

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def test_days_reconcile(checked: Outcome) -> None:
    check = checked.evaluations["staging_events", "reconciliation"]
    assert check.passed
    assert numbers(check) == {
        "days": 3,
        "lines": 7,
        "staged": 5,
        "duplicates": 1,
        "load_errors": 1,
        "unreconciled_days": 0,
    }


def test_reconciliation_checks_the_days_of_the_run(tables: Tables) -> None:
    check = tables.check("staging_events", "reconciliation", "2018-11-02", "2018-11-03")
    assert check.passed
    assert numbers(check) == {
        "days": 2,
        "lines": 2,
        "staged": 2,
        "duplicates": 0,
        "load_errors": 0,
        "unreconciled_days": 0,
    }


@pytest.mark.parametrize("days", [(None, None), DAYS], ids=["without days", "with days"])
def test_a_lost_row_fails_the_reconciliation_of_its_day(tables: Tables, days: tuple[str | None, str | None]) -> None:
    tables.tamper("DELETE FROM staging.staging_events WHERE page = 'Home'")
    check = tables.check("staging_events", "reconciliation", *days)
    assert not check.passed
    assert check.severity is ERROR
    assert check.blocking
    assert check.description == "Records of 1 day do not add up: reload the days with `full` set"
    assert numbers(check)["unreconciled_days"] == 1
    assert rows(check, "first_days") == [
        {"log_date": "2018-11-01", "lines": 5, "rows": 2, "duplicates": 1, "errors": 1}
    ]


def test_rows_of_a_day_without_a_file_fail_the_reconciliation(tables: Tables) -> None:
    tables.tamper("DELETE FROM staging.loaded_objects WHERE log_date = '2018-11-02'")
    check = tables.check("staging_events", "reconciliation")
    assert not check.passed
    assert rows(check, "first_days") == [
        {"log_date": "2018-11-02", "lines": 0, "rows": 1, "duplicates": 0, "errors": 0}
    ]


def test_reconciliation_ignores_other_days(tables: Tables) -> None:
    tables.tamper("DELETE FROM staging.staging_events WHERE page = 'Home'")
    assert tables.check("staging_events", "reconciliation", "2018-11-02", "2018-11-03").passed


def test_load_errors_of_a_day_warn_with_source_line_and_reason(tables: Tables) -> None:
    check = tables.check("staging_events", "no_load_errors")
    assert not check.passed
    assert check.severity is WARN
    assert not check.blocking
    assert numbers(check) == {"load_errors": 1}
    (error,) = rows(check, "first_errors")
    assert error["source"] == "2018/11/2018-11-01-events.json"
    assert error["line"] == 5
    assert error["column"] == "NULL"
    assert error["reason"] == "not JSON: Expecting value at character 1"
    # The text, which may contain names, is only in the warehouse.
    assert list(error) == ["source", "line", "column", "reason"]
    assert check.description == "1 record rejected: `sparkify load-errors` shows the text"


def test_load_errors_of_a_run_name_the_command_for_its_days(tables: Tables) -> None:
    check = tables.check("staging_events", "no_load_errors", *DAYS)
    assert check.description == (
        "1 record rejected: `sparkify load-errors --from 2018-11-01 --to 2018-11-03` shows the text"
    )


def test_all_load_errors_of_a_rejected_day_are_counted(world: World) -> None:
    world.write_log("2018-11-01", *["not JSON"] * 150)
    world.load("2018-11-01")
    check = Tables(world).check("staging_events", "no_load_errors", "2018-11-01")
    assert numbers(check) == {"load_errors": 150}
    assert len(rows(check, "first_errors")) == 20
    assert check.description == (
        "150 records rejected: `sparkify load-errors --from 2018-11-01 --to 2018-11-01` shows the text of the first 100"
    )


def test_the_first_load_errors_come_from_different_files(world: World) -> None:
    world.write_log("2018-11-01", event(), *["not JSON"] * 30)
    world.write_log("2018-11-02", event(time="2018-11-02T10:00:00"), "not JSON", "nor this")
    world.load(*DAYS)
    errors = rows(Tables(world).check("staging_events", "no_load_errors"), "first_errors")
    files = [str(error["source"])[-22:] for error in errors]
    assert files[:4] == ["2018-11-01-events.json", "2018-11-02-events.json"] * 2
    assert [error["line"] for error in errors[:5]] == [2, 2, 3, 3, 4]
    assert len(errors) == 20


@pytest.mark.parametrize("other_error", [None, "not JSON"])
def test_a_day_split_by_local_time_does_not_suggest_a_higher_limit(world: World, other_error: str | None) -> None:
    world.max_load_errors = 1
    of_next_day = [event(time=f"2018-11-02T0{hour}:00:00", itemInSession=hour) for hour in range(3)]
    world.write_log("2018-11-01", event(), *of_next_day, *([other_error] if other_error else []))
    world.load("2018-11-01")
    check = Tables(world).check("staging_events", "no_rejected_loads")
    assert check.description is not None
    assert ("limit is 1. Every error is an event of another UTC day" in check.description) == (other_error is None)
    assert ("SPARKIFY_MAX_LOAD_ERRORS" in check.description) == (other_error is not None)


def test_days_without_load_errors_pass(tables: Tables) -> None:
    check = tables.check("staging_events", "no_load_errors", "2018-11-02", "2018-11-03")
    assert check.passed
    assert numbers(check) == {"load_errors": 0}


def test_days_without_a_rejection_pass(checked: Outcome) -> None:
    check = checked.evaluations["staging_events", "no_rejected_loads"]
    assert check.passed
    assert numbers(check) == {"rejected_loads": 0}


@pytest.mark.parametrize("days", [(None, None), DAYS], ids=["without days", "with days"])
def test_a_rejected_day_fails_no_rejected_loads(world: World, days: tuple[str | None, str | None]) -> None:
    world.max_load_errors = 0
    world.load(*DAYS)
    tables = Tables(world)
    check = tables.check("staging_events", "no_rejected_loads", *days)
    assert not check.passed
    assert check.severity is ERROR
    assert not check.blocking
    assert numbers(check) == {"rejected_loads": 1}
    assert rows(check, "first_rejected") == [
        {
            "log_date": "2018-11-01",
            "errors": 1,
            "max_load_errors": 0,
            "reason": "1 of 5 records have errors, the limit is 0",
        }
    ]
    assert tables.check("staging_events", "no_rejected_loads", "2018-11-02").passed


def test_song_files_reconcile(checked: Outcome) -> None:
    check = checked.evaluations["staging_songs", "reconciliation"]
    assert check.passed
    assert numbers(check) == {"files": 2, "songs": 3, "staged": 2, "load_errors": 1, "unreconciled_files": 0}


def test_a_lost_song_fails_the_reconciliation_of_its_file(tables: Tables) -> None:
    tables.tamper("DELETE FROM staging.staging_songs WHERE song_id = 'SOOTHER'")
    check = tables.check("staging_songs", "reconciliation")
    assert not check.passed
    assert check.severity is ERROR
    assert check.blocking
    assert check.description == "Songs of 1 file do not add up: reload staging_songs with `full` set"
    assert numbers(check) == {"files": 2, "songs": 3, "staged": 1, "load_errors": 1, "unreconciled_files": 1}
    assert rows(check, "first_files") == [{"key": "A/A/B/TRAAB.json", "songs": 2, "staged": 0, "load_errors": 1}]


def test_a_song_without_its_file_fails_the_reconciliation(tables: Tables) -> None:
    tables.tamper("DELETE FROM staging.loaded_objects WHERE key = 'A/A/A/TRAAA.json'")
    check = tables.check("staging_songs", "reconciliation")
    assert not check.passed
    assert rows(check, "first_files") == [{"key": "A/A/A/TRAAA.json", "songs": 0, "staged": 1, "load_errors": 0}]


def test_load_errors_of_song_files_warn_with_source_and_reason(checked: Outcome) -> None:
    check = checked.evaluations["staging_songs", "no_load_errors"]
    assert not check.passed
    assert check.severity is WARN
    assert numbers(check) == {"load_errors": 1}
    (error,) = rows(check, "first_errors")
    assert error["source"] == "A/A/B/TRAAB.json"
    assert error["reason"]


def test_songs_without_a_rejection_pass(checked: Outcome) -> None:
    check = checked.evaluations["staging_songs", "no_rejected_loads"]
    assert check.passed
    assert numbers(check) == {"rejected_loads": 0}


def test_rejected_songs_fail_no_rejected_loads(world: World) -> None:
    world.max_load_errors = 0
    world.load(*DAYS)
    check = Tables(world).check("staging_songs", "no_rejected_loads")
    assert not check.passed
    assert check.severity is ERROR
    assert not check.blocking
    assert numbers(check) == {"rejected_loads": 1}
    assert (check.description or "").startswith(
        "The song files are rejected: 1 load error, the limit is 0. Correct the"
    )
    assert rows(check, "first_rejected") == [
        {"log_date": "NULL", "errors": 1, "max_load_errors": 0, "reason": "1 load error, the limit is 0"}
    ]


def test_valid_song_files_pass_every_check(tables: Tables) -> None:
    tables.world.write_songs("A/A/B/TRAAB.json", song())
    tables.world.load(*DAYS)
    names = [("staging_songs", name) for name in ("reconciliation", "no_rejected_loads", "no_load_errors")]
    assert set(tables.checks(*names).checks.values()) == {True}
