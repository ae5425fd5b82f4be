"""Run requests of late_songs after the catalogue changed: real loads, and ticks on their history."""

import dagster as dg
import pytest

from sparkify_dagster.automation import run_requests
from sparkify_dagster.automation.cursors import CursorError
from sparkify_dagster.automation.jobs import QUERIES
from sparkify_dagster.automation.late_songs import late_songs as sensor
from sparkify_dagster_tests.automation.conftest import Clock
from sparkify_dagster_tests.support.events import song
from sparkify_dagster_tests.support.outcome import asset_key
from sparkify_dagster_tests.support.ticks import FAILURE, Ticks, run, write_days
from sparkify_dagster_tests.support.world import World


@pytest.fixture
def late_songs(world: World, instance: dg.DagsterInstance) -> Ticks:
    return Ticks(sensor, world, instance)


def load_plays_before_their_song(ticks: Ticks, *days: str) -> None:
    """Loads days whose plays have no song yet, then only the song."""
    write_days(ticks.world, *days)
    ticks.world.load(min(days), max(days))
    ticks.world.write_songs("A/A/A/TRAAA.json", song())
    run(ticks.world, ticks.instance, "load_songs")


def test_without_songs_the_tick_is_skipped(late_songs: Ticks) -> None:
    assert late_songs.tick() == []
    assert late_songs.skipped == "No songs were loaded yet"


@pytest.mark.slow
def test_a_late_song_requests_songplays_and_the_queries_of_its_days(late_songs: Ticks) -> None:
    load_plays_before_their_song(late_songs, "2018-11-02", "2018-11-03", "2018-11-09")
    assert late_songs.tick() == [("2018-11-02", "2018-11-03"), ("2018-11-09", "2018-11-09")]
    for request in late_songs.requests:
        assert request.asset_selection == [asset_key(name) for name in ("songplays", *QUERIES)]
    assert late_songs.sensor.job_name == "load_log_days"


@pytest.mark.slow
def test_the_requested_runs_match_the_plays(late_songs: Ticks) -> None:
    load_plays_before_their_song(late_songs, "2018-11-02", "2018-11-09")
    late_songs.tick()
    world = late_songs.world
    assert set(world.column("songplays", "song_id")) == {None}
    for request in late_songs.requests:
        run(world, late_songs.instance, "load_log_days", tags=dict(request.tags), assets=("songplays",))
    assert set(world.column("songplays", "song_id")) == {song()["song_id"]}
    assert world.pending() == []
    assert world.star() == world.from_scratch("2018-11-02", "2018-11-09").star()
    assert late_songs.tick() == []


@pytest.mark.slow
def test_a_load_is_handled_once(late_songs: Ticks) -> None:
    load_plays_before_their_song(late_songs, "2018-11-02")
    late_songs.tick()
    assert late_songs.tick() == []
    assert late_songs.skipped == "No songs were loaded since the last tick"


@pytest.mark.slow
def test_songs_that_nobody_played_request_no_run(late_songs: Ticks) -> None:
    write_days(late_songs.world, "2018-11-02")
    late_songs.world.write_songs("A/A/A/TRAAA.json", song(title="Never played"))
    run(late_songs.world, late_songs.instance, "load_all", "2018-11-02")
    assert late_songs.tick() == []
    assert late_songs.skipped == "All plays match the current catalogue"


@pytest.mark.slow
def test_days_that_the_same_run_matched_are_not_requested(late_songs: Ticks) -> None:
    days = ("2018-11-02", "2018-11-03", "2018-11-04")
    write_days(late_songs.world, *days)
    late_songs.world.load(days[0], days[-1])
    late_songs.world.write_songs("A/A/A/TRAAA.json", song())
    run(late_songs.world, late_songs.instance, "load_all", days[1])
    assert late_songs.tick() == [(days[0], days[0]), (days[2], days[2])]


@pytest.mark.slow
def test_days_left_by_an_earlier_load_are_requested_again(late_songs: Ticks) -> None:
    load_plays_before_their_song(late_songs, "2018-11-02")
    late_songs.world.write_songs("A/A/B/TRAAB.json", song(song_id="SOOTHER", title="Never played"))


@pytest.mark.slow
def test_a_failed_run_is_retried(late_songs: Ticks, clock: Clock) -> None:
    load_plays_before_their_song(late_songs, "2018-11-02", "2018-11-09")
    late_songs.tick(runs_end=FAILURE)
    assert late_songs.tick() == []
    assert late_songs.skipped == "No songs were loaded since the last tick; 2 failed, to be retried"
    clock.seconds_ahead = 61
    assert late_songs.tick() == [("2018-11-02", "2018-11-02"), ("2018-11-09", "2018-11-09")]
    assert late_songs.tick() == []
    assert late_songs.skipped == "No songs were loaded since the last tick"


@pytest.mark.slow
def test_a_new_load_waits_for_the_runs_in_progress(late_songs: Ticks) -> None:
    load_plays_before_their_song(late_songs, "2018-11-02")
    late_songs.tick(runs_end=None)
    run(late_songs.world, late_songs.instance, "load_songs")
    assert late_songs.tick() == []
    assert late_songs.skipped == "Songs were loaded again; waiting for 1 earlier run"
    late_songs.end(late_songs.runs[0], FAILURE)
    # The later load lists that day too, so it is requested once.
    assert late_songs.tick() == [("2018-11-02", "2018-11-02")]
    assert late_songs.tick() == []


@pytest.mark.slow
def test_days_beyond_the_concurrency_limit_wait(late_songs: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_requests, "MAX_CONCURRENT_RUNS", 2)
    days = ["2018-11-02", "2018-11-04", "2018-11-06", "2018-11-08", "2018-11-10"]
    load_plays_before_their_song(late_songs, *days)
    assert late_songs.tick() == [(day, day) for day in days[:2]]
    assert late_songs.tick() == [(day, day) for day in days[2:4]]
    assert late_songs.tick() == [(days[4], days[4])]
    assert late_songs.tick() == []


@pytest.mark.slow
def test_a_cursor_of_version_1_is_read(late_songs: Ticks) -> None:
    load_plays_before_their_song(late_songs, "2018-11-02")
    late_songs.tick()
    late_songs.cursor = str(late_songs.saved["load"])
    assert late_songs.tick() == []
    assert late_songs.skipped == "No songs were loaded since the last tick"
    run(late_songs.world, late_songs.instance, "load_songs")
    assert late_songs.tick() == [("2018-11-02", "2018-11-02")]


@pytest.mark.parametrize("cursor", ["elsewhere", "[]", '{"version": 99}'])
def test_an_unrecognized_cursor_fails_the_tick(late_songs: Ticks, cursor: str) -> None:
    late_songs.cursor = cursor
    with pytest.raises(CursorError, match="Cursor > Edit"):
        late_songs.tick()


def test_late_songs_is_on_by_default() -> None:
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
