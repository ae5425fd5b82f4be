"""What log_files asks for: ticks on a real folder, a real history, and the runs that come of them."""

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
from sparkify_dagster.definitions import defs
from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.sources.object_store import LocalFolder, SourceError
from sparkify_dagster_tests.automation.conftest import Clock
from sparkify_dagster_tests.support.ticks import CANCELED, FAILURE, SUCCESS, Ticks, run, write_days
from sparkify_dagster_tests.support.world import World, asset_key, event


@pytest.fixture
def log_files(world: World, instance: dg.DagsterInstance) -> Ticks:
    return Ticks(sensor.log_files, world, instance)


def test_the_first_tick_asks_for_one_run(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02", "2018-11-03")
    assert log_files.tick() == [("2018-11-01", "2018-11-03")]
    assert log_files.skipped is None


def test_nothing_new_skips(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    assert log_files.tick() == []
    assert log_files.skipped == "2 days with log files, none new, changed or gone"
    cursor = log_files.cursor
    assert log_files.tick() == []
    assert log_files.cursor == cursor


def test_an_empty_folder_skips(log_files: Ticks) -> None:
    assert log_files.tick() == []
    assert log_files.skipped == "0 days with log files, none new, changed or gone"


def test_a_changed_file_asks_for_its_day_alone(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02", "2018-11-03")
    log_files.tick()
    log_files.world.write_log("2018-11-02", event(time="2018-11-02T11:00:00"))
    assert log_files.tick() == [("2018-11-02", "2018-11-02")]
    assert log_files.tick() == []


def test_a_second_file_of_a_day_asks_for_the_day(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    log_files.world.write_log("2018-11-02", event(), key="late/2018-11-02-events.json.gz")
    assert log_files.tick() == [("2018-11-02", "2018-11-02")]


def test_a_deleted_file_asks_for_its_day(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    log_files.world.delete("log_data/2018/11/2018-11-01-events.json")
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    assert log_files.tick() == []


def test_each_block_of_days_is_a_run(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-03", "2018-11-04", "2018-11-30")
    assert log_files.tick() == [
        ("2018-11-01", "2018-11-01"),
        ("2018-11-03", "2018-11-04"),
        ("2018-11-30", "2018-11-30"),
    ]


@pytest.fixture
def a_year(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every second day of a year: the tests' window is a month, which has not so many gaps."""
    year = dg.DailyPartitionsDefinition("2018-01-01", end_date="2019-01-01")
    monkeypatch.setattr(partitions, "log_days", year)
    return [(date(2018, 1, 1) + timedelta(days=2 * number)).isoformat() for number in range(30)]


def test_more_blocks_than_a_tick_bears_wait_for_the_next(log_files: Ticks, a_year: list[str]) -> None:
    write_days(log_files.world, *a_year)
    assert log_files.tick() == [(day, day) for day in a_year[:25]]
    assert log_files.tick() == [(day, day) for day in a_year[25:]]
    assert log_files.tick() == []
    assert len(log_files.runs) == 30


def test_blocks_wait_while_as_many_runs_are_under_way(log_files: Ticks, a_year: list[str]) -> None:
    write_days(log_files.world, *a_year)
    log_files.tick(runs_end=None)
    assert log_files.tick() == []
    assert log_files.skipped == "30 days with log files, 5 of them new, changed or gone; runs under way: 25"
    log_files.end(log_files.runs[3], SUCCESS)
    log_files.end(log_files.runs[7], SUCCESS)
    assert log_files.tick() == [(day, day) for day in a_year[25:27]]


def test_content_that_comes_back_is_asked_for_again(log_files: Ticks) -> None:
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


def test_a_configured_json_paths_file_that_is_not_there_fails_the_tick(log_files: Ticks) -> None:
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
    # And days that were seen before are not taken for deleted ones.
    assert log_files.cursor == cursor
    folder.with_name("elsewhere").rename(folder)
    assert log_files.tick() == []


def test_what_was_found_is_recorded_on_the_source(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.world.write("log_data/readme.txt", b"hello")
    log_files.tick()
    (found,) = log_files.events
    assert found.asset_key == asset_key("log_data")
    size = sum(path.stat().st_size for path in Path(log_files.world.log_data).rglob("*-events.json"))
    newest = Path(log_files.world.log_data, "2018/11/2018-11-02-events.json")
    assert {name: value.value for name, value in found.metadata.items()} == {
        "newest_file": "2018/11/2018-11-02-events.json",
        "newest_file_written": pytest.approx(newest.stat().st_mtime),
        "location": log_files.world.log_data,
        "files": 2,
        "bytes": size,
        "files_outside_the_window": 0,
        "ignored_objects": 1,
        "unrecognized_files": 1,
        "unrecognized_examples": ["readme.txt"],
    }


def test_the_same_tick_twice_asks_for_the_same_runs(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-05")
    log_files.evaluate()
    first = [request.run_key for request in log_files.requests]
    log_files.cursor = None
    log_files.evaluate()
    assert [request.run_key for request in log_files.requests] == first


def test_a_sensor_that_is_reset_asks_with_keys_of_its_own(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick()
    log_files.cursor = None
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    log_files.cursor = None
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    assert len(log_files.runs) == 3


def test_a_changed_file_of_the_same_size_and_time_is_seen(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01")
    path = Path(log_files.world.log_data, "2018/11/2018-11-01-events.json")
    before = path.stat()
    log_files.tick()
    path.write_bytes(path.read_bytes().replace(b"free", b"paid"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]


def test_a_changed_json_paths_file_asks_for_every_day(log_files: Ticks) -> None:
    world = log_files.world
    world.map_keys({"jsonpaths": [f"$['{key}']" for key in DEFAULT_KEYS]})
    write_days(world, "2018-11-01", "2018-11-05")
    assert log_files.tick() == [("2018-11-01", "2018-11-01"), ("2018-11-05", "2018-11-05")]
    world.map_keys({"jsonpaths": [f"$.{key}" for key in DEFAULT_KEYS]})
    assert log_files.tick() == [("2018-11-01", "2018-11-05")]
    assert log_files.tick() == []


# Runs that fail


def test_a_failed_run_is_tried_again_three_times(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    both = [("2018-11-01", "2018-11-02")]
    assert log_files.tick(runs_end=FAILURE) == both
    assert log_files.tick() == []
    assert log_files.skipped == "2 days with log files, none new, changed or gone; failed, to be tried again: 1"
    for after in (61, 301, 1_501):
        clock.seconds_ahead += after
        assert log_files.tick(runs_end=FAILURE) == both
        assert log_files.tick() == []
    clock.seconds_ahead += 100_000
    assert log_files.tick() == []
    assert log_files.skipped == "2 days with log files, none new, changed or gone"


def test_waiting_for_room_does_not_count_as_a_try(
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


def test_a_changed_file_begins_the_count_anew(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01")
    day = [("2018-11-01", "2018-11-01")]
    assert log_files.tick(runs_end=FAILURE) == day
    clock.seconds_ahead = 61
    assert log_files.tick(runs_end=FAILURE) == day
    log_files.world.write_log("2018-11-01", event(), event(time="2018-11-01T11:00:00"))
    # And what failed before is not asked for beside it.
    assert log_files.tick(runs_end=FAILURE) == day
    for after in (61, 301, 1_501):
        clock.seconds_ahead += after
        assert log_files.tick(runs_end=FAILURE) == day
    clock.seconds_ahead += 100_000
    assert log_files.tick() == []


def test_a_try_that_succeeds_is_the_last(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick(runs_end=FAILURE)
    clock.seconds_ahead = 61
    log_files.tick(runs_end=SUCCESS)
    clock.seconds_ahead = 100_000
    assert log_files.tick() == []
    assert log_files.saved["open"] == []


def test_a_run_that_a_person_executes_again_is_not_tried_again(log_files: Ticks, clock: Clock) -> None:
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
    assert log_files.skipped == "1 days with log files, none new, changed or gone; runs under way: 1"
    log_files.end(again, SUCCESS)
    assert log_files.tick() == []
    assert log_files.saved["open"] == []


def test_a_run_that_dagster_itself_will_retry_is_left_to_it(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick(runs_end=FAILURE)
    log_files.instance.add_run_tags(log_files.runs[0].run_id, {"dagster/will_retry": "true"})
    clock.seconds_ahead = 61
    assert log_files.tick() == []


def test_a_run_that_a_person_cancels_is_not_tried_again(log_files: Ticks, clock: Clock) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick(runs_end=CANCELED)
    clock.seconds_ahead = 61
    assert log_files.tick() == []


def test_a_run_that_was_never_made_is_asked_for_again(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.evaluate()
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]


# Cursors


def test_the_cursor_stays_small(log_files: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    decade = dg.DailyPartitionsDefinition("2010-01-01", end_date="2020-01-01")
    monkeypatch.setattr(partitions, "log_days", decade)
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


def test_the_cursor_of_the_first_version_is_understood(log_files: Ticks) -> None:
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
def test_a_cursor_that_it_has_not_written_fails_the_tick(log_files: Ticks, cursor: str) -> None:
    log_files.cursor = cursor
    with pytest.raises(CursorError, match="Cursor > Edit"):
        log_files.tick()


# A source that is slow or away


def test_a_source_that_does_not_answer_in_time_fails_the_tick(
    log_files: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Event()
    monkeypatch.setattr(run_requests, "LISTING_SECONDS", 0.05)
    monkeypatch.setattr(LocalFolder, "list", lambda folder: answer.wait(60) and [])
    try:
        with pytest.raises(SourceError, match="could not be listed within"):
            log_files.tick()
    finally:
        answer.set()


# Its runs


def test_its_runs_are_of_the_log_days_and_load_them(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    assert log_files.sensor.job_name == "load_log_days"
    (request,) = log_files.requests
    result = run(log_files.world, log_files.instance, "load_log_days", tags=dict(request.tags))
    assert result.success
    assert len(log_files.world.rows("songplays")) == 2


def test_it_is_off_at_first() -> None:
    assert sensor.log_files.default_status is dg.DefaultSensorStatus.STOPPED
