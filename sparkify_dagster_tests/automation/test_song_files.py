"""Run requests of song_files: ticks on a real folder, and the requested runs."""

from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.automation.cursors import CursorError
from sparkify_dagster.automation.song_files import song_files as sensor
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster_tests.automation.conftest import Clock
from sparkify_dagster_tests.support.events import song
from sparkify_dagster_tests.support.outcome import asset_key
from sparkify_dagster_tests.support.ticks import FAILURE, SUCCESS, Ticks, run
from sparkify_dagster_tests.support.world import World


@pytest.fixture
def song_files(world: World, instance: dg.DagsterInstance) -> Ticks:
    return Ticks(sensor, world, instance)


def runs_of_a_tick(ticks: Ticks, *, fail: bool = False) -> int:
    before = len(ticks.runs)
    ticks.evaluate()
    for request in ticks.requests:
        ticks.end(ticks.make_run(request), FAILURE if fail else SUCCESS)
    return len(ticks.runs) - before


def test_any_number_of_new_songs_is_one_run(song_files: Ticks) -> None:
    for number in range(50):
        song_files.world.write_songs(f"A/A/{number}.json", song(song_id=f"SO{number}"))
    assert runs_of_a_tick(song_files) == 1
    assert runs_of_a_tick(song_files) == 0
    assert song_files.skipped == "50 song files, none new, changed or deleted"


def test_an_empty_catalogue_requests_no_run(song_files: Ticks) -> None:
    assert runs_of_a_tick(song_files) == 0
    assert song_files.skipped == "0 song files, none new, changed or deleted"


def test_new_changed_and_deleted_songs_request_one_run_each(song_files: Ticks) -> None:
    world = song_files.world
    world.write_songs("A/A/A.json", song())
    assert runs_of_a_tick(song_files) == 1
    world.write_songs("A/A/B.json", song(song_id="SOB"))
    assert runs_of_a_tick(song_files) == 1
    world.write_songs("A/A/B.json", song(song_id="SOC"))
    assert runs_of_a_tick(song_files) == 1
    world.delete("song_data/A/A/B.json")
    assert runs_of_a_tick(song_files) == 1
    world.delete("song_data/A/A/A.json")
    assert runs_of_a_tick(song_files) == 1
    assert runs_of_a_tick(song_files) == 0
    assert len(set(song_files.run_keys)) == 5


def test_files_without_a_song_file_name_are_ignored(song_files: Ticks) -> None:
    song_files.world.write_songs("A/A/A.json", song())
    runs_of_a_tick(song_files)
    song_files.world.write("song_data/A/A/._A.json", b"")
    song_files.world.write("song_data/readme.txt", b"")
    assert runs_of_a_tick(song_files) == 0


def test_the_requested_run_loads_the_songs(song_files: Ticks) -> None:
    song_files.world.write_songs("A/A/A.json", song())
    runs_of_a_tick(song_files)
    assert song_files.sensor.job_name == "load_songs"
    assert run(song_files.world, song_files.instance, "load_songs").success
    assert song_files.world.column("songs", "song_id") == [song()["song_id"]]


def test_the_listing_is_recorded_on_the_source_asset(song_files: Ticks) -> None:
    path = song_files.world.write_songs("A/A/A.json", song())
    runs_of_a_tick(song_files)
    (found,) = song_files.events
    assert found.asset_key == asset_key("song_data")
    assert {name: value.value for name, value in found.metadata.items()} == {
        "newest_file": "A/A/A.json",
        "newest_file_modified": pytest.approx(path.stat().st_mtime),
        "location": song_files.world.song_data,
        "files": 1,
        "bytes": path.stat().st_size,
        "ignored_objects": 0,
        "unrecognized_files": 0,
    }
    runs_of_a_tick(song_files)
    assert song_files.events == []


def test_a_failed_run_is_retried_three_times(song_files: Ticks, clock: Clock) -> None:
    song_files.world.write_songs("A/A/A.json", song())
    assert runs_of_a_tick(song_files, fail=True) == 1
    assert runs_of_a_tick(song_files) == 0
    assert song_files.skipped == "1 song file, none new, changed or deleted; 1 failed, to be retried"
    for after in (61, 301, 1_501):
        clock.seconds_ahead += after
        assert runs_of_a_tick(song_files, fail=True) == 1
    clock.seconds_ahead += 100_000
    assert runs_of_a_tick(song_files) == 0


def test_a_changed_song_replaces_the_retry_of_a_failed_run(song_files: Ticks, clock: Clock) -> None:
    song_files.world.write_songs("A/A/A.json", song())
    runs_of_a_tick(song_files, fail=True)
    clock.seconds_ahead = 61
    song_files.world.write_songs("A/A/A.json", song(), song(song_id="SOB"))
    assert runs_of_a_tick(song_files) == 1
    assert song_files.saved["open"] != []
    assert runs_of_a_tick(song_files) == 0
    assert song_files.saved["open"] == []


def test_a_catalogue_that_cannot_be_listed_is_not_treated_as_empty(song_files: Ticks) -> None:
    song_files.world.write_songs("A/A/A.json", song())
    runs_of_a_tick(song_files)
    folder = Path(song_files.world.song_data)
    folder.rename(folder.with_name("elsewhere"))
    for _ in range(3):
        with pytest.raises(SourceError, match="there is no such folder"):
            song_files.evaluate()
    folder.with_name("elsewhere").rename(folder)
    assert runs_of_a_tick(song_files) == 0


@pytest.mark.parametrize("cursor", ["elsewhere", "3", "[]", '{"version": 99}'])
def test_an_unrecognized_cursor_fails_the_tick(song_files: Ticks, cursor: str) -> None:
    song_files.cursor = cursor
    with pytest.raises(CursorError, match="Cursor > Edit"):
        song_files.evaluate()


def test_song_files_is_off_by_default() -> None:
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
