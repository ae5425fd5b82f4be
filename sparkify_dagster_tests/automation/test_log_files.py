"""Run requests of log_files: ticks on a real folder and a real history, and the requested runs."""

import json
import os
from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Event

import dagster as dg
import pytest

from sparkify_dagster import partitions
from sparkify_dagster.automation import log_files as sensor
from sparkify_dagster.automation import run_requests
from sparkify_dagster.automation.cursors import CursorError
from sparkify_dagster.batches import StoredObject
from sparkify_dagster.days import Window
from sparkify_dagster.definitions import defs
from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.sources.object_store import LocalFolder, SourceError
from sparkify_dagster_tests.automation.conftest import Clock
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.outcome import asset_key
from sparkify_dagster_tests.support.ticks import CANCELED, FAILURE, SUCCESS, Ticks, run, write_days
from sparkify_dagster_tests.support.world import World


@pytest.fixture
def log_files(world: World, instance: dg.DagsterInstance) -> Ticks:
    return Ticks(sensor.log_files, world, instance)


def test_the_first_tick_requests_one_run(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02", "2018-11-03")
    assert log_files.tick() == [("2018-11-01", "2018-11-03")]
    assert log_files.skipped is None


def test_a_tick_without_changes_is_skipped(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    assert log_files.tick() == []
    assert log_files.skipped == "2 days with log files, none new, changed or deleted"
    cursor = log_files.cursor
    assert log_files.tick() == []
    assert log_files.cursor == cursor


def test_a_tick_on_an_empty_folder_is_skipped(log_files: Ticks) -> None:
    assert log_files.tick() == []
    assert log_files.skipped == "0 days with log files, none new, changed or deleted"


def test_a_changed_file_requests_only_its_day(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02", "2018-11-03")
    log_files.tick()
    log_files.world.write_log("2018-11-02", event(time="2018-11-02T11:00:00"))
    assert log_files.tick() == [("2018-11-02", "2018-11-02")]
    assert log_files.tick() == []


def test_a_second_file_of_a_day_requests_the_day(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    log_files.world.write_log("2018-11-02", event(), key="late/2018-11-02-events.json.gz")
    assert log_files.tick() == [("2018-11-02", "2018-11-02")]


def test_a_deleted_file_requests_its_day(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    log_files.world.delete("log_data/2018/11/2018-11-01-events.json")
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    assert log_files.tick() == []


def test_each_block_of_days_is_one_run(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-03", "2018-11-04", "2018-11-30")
    assert log_files.tick() == [
        ("2018-11-01", "2018-11-01"),
        ("2018-11-03", "2018-11-04"),
        ("2018-11-30", "2018-11-30"),
    ]


@pytest.fixture
def gapped_days(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every second day of the window, which is a month: too short for more gaps than there may be runs."""
    monkeypatch.setattr(run_requests, "MAX_CONCURRENT_RUNS", 10)
    return [(date(2018, 11, 1) + timedelta(days=2 * number)).isoformat() for number in range(15)]


@pytest.mark.slow
def test_blocks_beyond_the_concurrency_limit_wait_for_the_next_tick(log_files: Ticks, gapped_days: list[str]) -> None:
    write_days(log_files.world, *gapped_days)
    assert log_files.tick() == [(day, day) for day in gapped_days[:10]]
    assert log_files.tick() == [(day, day) for day in gapped_days[10:]]
    assert log_files.tick() == []
    assert len(log_files.runs) == 15


@pytest.mark.slow
def test_blocks_wait_while_the_maximum_of_runs_is_in_progress(log_files: Ticks, gapped_days: list[str]) -> None:
    write_days(log_files.world, *gapped_days)
    log_files.tick(runs_end=None)
    assert log_files.tick() == []
    assert log_files.skipped == "15 days with log files, 5 of them new, changed or deleted; 10 in progress"
    log_files.end(log_files.runs[3], SUCCESS)
    log_files.end(log_files.runs[7], SUCCESS)
    assert log_files.tick() == [(day, day) for day in gapped_days[10:12]]


def test_content_that_changes_back_is_requested_again(log_files: Ticks) -> None:
    world = log_files.world
    path = world.write_log("2018-11-01", event())
    contents = [path.read_bytes(), path.read_bytes().replace(b"free", b"paid")]
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    for content in (contents[1], contents[0], contents[1]):
        world.write("log_data/2018/11/2018-11-01-events.json", content)
        assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    assert len(log_files.runs) == 4


def test_days_outside_the_window_and_other_files_are_ignored(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-10-31", "2018-11-01", "2018-12-01")
    log_files.world.write("log_data/2018/11/._2018-11-02-events.json", b"")
    log_files.world.write("log_data/readme.txt", b"")
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]


def test_a_missing_json_paths_file_fails_the_tick(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.world.log_jsonpath = str(log_files.world.folder / "nowhere.json")
    with pytest.raises(SourceError, match=r"nowhere\.json: there is no such file: correct SPARKIFY_LOG_JSONPATH"):
        log_files.tick()


def test_a_source_that_cannot_be_listed_fails_the_tick(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick()
    cursor = log_files.cursor
    folder = Path(log_files.world.log_data)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(SourceError, match="there is no such folder"):
        log_files.tick()
    # Known days are not treated as deleted.
    assert log_files.cursor == cursor
    folder.with_name("elsewhere").rename(folder)
    assert log_files.tick() == []


def test_the_listing_is_recorded_on_the_source_asset(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.world.write("log_data/readme.txt", b"hello")
    log_files.tick()
    (found,) = log_files.events
    assert found.asset_key == asset_key("log_data")
    size = sum(path.stat().st_size for path in Path(log_files.world.log_data).rglob("*-events.json"))
    newest = Path(log_files.world.log_data, "2018/11/2018-11-02-events.json")
    assert {name: value.value for name, value in found.metadata.items()} == {
        "newest_file": "2018/11/2018-11-02-events.json",
        "newest_file_modified": pytest.approx(newest.stat().st_mtime),
        "location": log_files.world.log_data,
        "files": 2,
        "bytes": size,
        "files_outside_window": 0,
        "ignored_objects": 1,
        "unrecognized_files": 1,
        "unrecognized_examples": ["readme.txt"],
    }


def test_a_repeated_tick_requests_the_same_run_keys(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-05")
    log_files.evaluate()
    first = [request.run_key for request in log_files.requests]
    log_files.cursor = None
    log_files.evaluate()
    assert [request.run_key for request in log_files.requests] == first


def test_a_reset_sensor_requests_new_run_keys(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick()
    log_files.cursor = None
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    log_files.cursor = None
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    assert len(log_files.runs) == 3


def test_a_changed_file_with_the_same_size_and_time_is_noticed(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01")
    path = Path(log_files.world.log_data, "2018/11/2018-11-01-events.json")
    before = path.stat()
    log_files.tick()
    path.write_bytes(path.read_bytes().replace(b"free", b"paid"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]


@pytest.mark.slow
def test_a_changed_json_paths_file_requests_every_day(log_files: Ticks) -> None:
    world = log_files.world
    world.map_keys({"jsonpaths": [f"$['{key}']" for key in DEFAULT_KEYS]})
    write_days(world, "2018-11-01", "2018-11-05")
    assert log_files.tick() == [("2018-11-01", "2018-11-01"), ("2018-11-05", "2018-11-05")]
    world.map_keys({"jsonpaths": [f"$.{key}" for key in DEFAULT_KEYS]})
    assert log_files.tick() == [("2018-11-01", "2018-11-05")]
    assert log_files.tick() == []


# Failed runs


@pytest.mark.slow
def test_a_failed_run_is_retried_three_times(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    both_days = [("2018-11-01", "2018-11-02")]
    assert log_files.tick(runs_end=FAILURE) == both_days
    assert log_files.tick() == []
    assert log_files.skipped == "2 days with log files, none new, changed or deleted; 1 failed, to be retried"
    for after in (61, 301, 1_501):
        clock.seconds_ahead += after
        assert log_files.tick(runs_end=FAILURE) == both_days
        assert log_files.tick() == []
    clock.seconds_ahead += 100_000
    assert log_files.tick() == []
    assert log_files.skipped == "2 days with log files, none new, changed or deleted"


def test_waiting_for_other_runs_does_not_count_as_an_attempt(
    log_files: Ticks, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick(runs_end=FAILURE)
    monkeypatch.setattr(run_requests, "MAX_CONCURRENT_RUNS", 1)
    write_days(log_files.world, "2018-11-03")
    log_files.tick(runs_end=None)
    clock.seconds_ahead = 61
    for _ in range(5):
        assert log_files.tick() == []
    log_files.end(log_files.runs[-1], SUCCESS)
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    (retry,) = log_files.saved["open"]
    assert retry[-1] == 1


@pytest.mark.slow
def test_a_changed_file_resets_the_number_of_attempts(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01")
    day = [("2018-11-01", "2018-11-01")]
    assert log_files.tick(runs_end=FAILURE) == day
    clock.seconds_ahead = 61
    assert log_files.tick(runs_end=FAILURE) == day
    log_files.world.write_log("2018-11-01", event(), event(time="2018-11-01T11:00:00"))
    # The earlier failure is not requested in addition.
    assert log_files.tick(runs_end=FAILURE) == day
    for after in (61, 301, 1_501):
        clock.seconds_ahead += after
        assert log_files.tick(runs_end=FAILURE) == day
    clock.seconds_ahead += 100_000
    assert log_files.tick() == []


def test_a_failed_run_is_retried_unless_another_covers_all_of_its_days(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-02", "2018-11-03")
    log_files.tick(runs_end=FAILURE)
    log_files.world.write_log("2018-11-02", event(itemInSession=5))
    assert log_files.tick() == [("2018-11-02", "2018-11-02")]
    clock.seconds_ahead = 61
    assert log_files.tick() == [("2018-11-02", "2018-11-03")]


def test_a_successful_retry_is_the_last(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick(runs_end=FAILURE)
    clock.seconds_ahead = 61
    log_files.tick(runs_end=SUCCESS)
    clock.seconds_ahead = 100_000
    assert log_files.tick() == []
    assert log_files.saved["open"] == []


def test_a_run_that_a_person_reexecutes_is_not_retried(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick(runs_end=FAILURE)
    (failed,) = log_files.runs
    again = log_files.instance.create_run_for_job(
        defs.resolve_job_def("load_log_days"),
        tags=failed.tags,
        parent_run_id=failed.run_id,
        root_run_id=failed.run_id,
    )
    clock.seconds_ahead = 61
    assert log_files.tick() == []
    assert log_files.skipped == "1 day with log files, none new, changed or deleted; 1 in progress"
    log_files.end(again, SUCCESS)
    assert log_files.tick() == []
    assert log_files.saved["open"] == []


def test_a_run_that_dagster_will_retry_is_left_to_dagster(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick(runs_end=FAILURE)
    log_files.instance.add_run_tags(log_files.runs[0].run_id, {"dagster/will_retry": "true"})
    clock.seconds_ahead = 61
    assert log_files.tick() == []


def test_a_canceled_run_is_not_retried(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick(runs_end=CANCELED)
    clock.seconds_ahead = 61
    assert log_files.tick() == []


def test_a_run_that_was_never_created_is_requested_again(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.evaluate()
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]


# Cursors


@pytest.mark.slow
def test_the_cursor_stays_small(log_files: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "WINDOW", Window(date(2010, 1, 1), date(2020, 1, 1)))
    days = [date(2010, 1, 1) + timedelta(days=number) for number in range(3_650)]
    for day in days:
        for part in range(2):
            log_files.world.write(f"log_data/{day:%Y/%m}/{part}/{day}-events.json", b"")
    log_files.evaluate()
    assert log_files.ranges == [("2010-01-01", "2019-12-29")]
    assert len(log_files.cursor or "") < 30_000
    log_files.world.write("log_data/2015/06/0/2015-06-07-events.json", b"\n")
    log_files.evaluate()
    assert log_files.ranges[0] == ("2015-06-07", "2015-06-07")


def test_a_cursor_of_version_1_is_read(log_files: Ticks) -> None:
    def digest(files: Sequence[StoredObject]) -> str:
        content = json.dumps([(file.key, file.etag, file.size) for file in files])
        return sha256(content.encode()).hexdigest()[:16]

    write_days(log_files.world, "2018-11-01", "2018-11-02", "2018-11-04")
    by_day = log_files.world.source.list_log_files().by_day
    days = {day.isoformat(): digest(files) for day, files in by_day.items()}
    log_files.cursor = json.dumps({"days": days, "requests": 7})
    assert log_files.tick() == []
    log_files.world.delete("log_data/2018/11/2018-11-04-events.json")
    assert log_files.tick() == [("2018-11-04", "2018-11-04")]
    assert log_files.run_keys == ["log-files-7-2018-11-04-2018-11-04"]


@pytest.mark.parametrize("cursor", ["elsewhere", "3", "[]", '{"version": 99}', '{"version": 2, "days": {"x": "y"}}'])
def test_an_unrecognized_cursor_fails_the_tick(log_files: Ticks, cursor: str) -> None:
    log_files.cursor = cursor
    with pytest.raises(CursorError, match="Cursor > Edit"):
        log_files.tick()


# A slow source


def test_a_source_that_does_not_respond_in_time_fails_the_tick(
    log_files: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = Event()
    monkeypatch.setattr(run_requests, "LISTING_SECONDS", 0.05)
    monkeypatch.setattr(LocalFolder, "list", lambda folder: response.wait(60) and [])
    try:
        with pytest.raises(SourceError, match="could not be listed within"):
            log_files.tick()
    finally:
        response.set()


# The requested runs


@pytest.mark.slow
def test_the_requested_run_loads_the_days(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    assert log_files.sensor.job_name == "load_log_days"
    (request,) = log_files.requests
    result = run(log_files.world, log_files.instance, "load_log_days", tags=dict(request.tags))
    assert result.success
    assert len(log_files.world.rows("songplays")) == 2


def test_log_files_is_off_by_default() -> None:
    assert sensor.log_files.default_status is dg.DefaultSensorStatus.STOPPED
