"""Run requests of late_songs after the catalogue changed: real loads, and ticks on their history."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest
from sqlalchemy import Connection

from sparkify_dagster.automation import run_requests
from sparkify_dagster.automation.cursors import CursorError
from sparkify_dagster.automation.jobs import RESULTS
from sparkify_dagster.automation.late_songs import late_songs as sensor
from sparkify_dagster.warehouse import transforms
from sparkify_dagster_tests.automation.conftest import Clock
from sparkify_dagster_tests.support.events import song
from sparkify_dagster_tests.support.outcome import asset_key
from sparkify_dagster_tests.support.ticks import FAILURE, Range, Ticks, run, write_days
from sparkify_dagster_tests.support.world import World


@pytest.fixture
def late_songs(world: World, instance: dg.DagsterInstance) -> Ticks:
    return Ticks(sensor, world, instance)


# Of five blocks, the first of two days.
LATE_DAYS = [f"2018-11-{number:02}" for number in (2, 3, 5, 7, 9, 11)]
LATE_BLOCKS = [("2018-11-02", "2018-11-03"), *((day, day) for day in LATE_DAYS[2:])]


@pytest.fixture(scope="module")
def loaded_late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, dg.DagsterInstance]]:
    """A world whose song was loaded after its plays, and the history of that."""
    world = World(tmp_path_factory.mktemp("late"))
    with dg.DagsterInstance.ephemeral() as instance:
        load_plays_before_their_song(world, instance, *LATE_DAYS)
        yield world, instance


@pytest.fixture
def after_late_song(loaded_late: tuple[World, dg.DagsterInstance]) -> Iterator[Ticks]:
    """Ticks after that load, whose runs are gone from the history when the test ends."""
    ticks = Ticks(sensor, *loaded_late)
    yield ticks
    for requested in ticks.runs:
        ticks.instance.delete_run(requested.run_id)


def load_plays_before_their_song(world: World, instance: dg.DagsterInstance, *days: str) -> None:
    """Loads days whose plays have no song yet, then only the song."""
    write_days(world, *days)
    world.load(min(days), max(days))
    world.write_songs("A/A/A/TRAAA.json", song())
    run(world, instance, "load_songs")


def test_without_songs_the_tick_is_skipped(late_songs: Ticks) -> None:
    assert late_songs.tick() == []
    assert late_songs.skipped == "No songs were loaded yet"


@pytest.mark.slow
def test_a_late_song_requests_songplays_and_the_results_of_its_days_once(after_late_song: Ticks) -> None:
    assert after_late_song.tick() == LATE_BLOCKS
    for request in after_late_song.requests:
        assert request.asset_selection == [asset_key(name) for name in ("songplays", *RESULTS)]
    assert after_late_song.sensor.job_name == "load_log_days"
    assert after_late_song.tick() == []
    assert after_late_song.skipped == "No songs were loaded since the last tick"


@pytest.mark.slow
def test_the_requested_runs_match_the_plays(late_songs: Ticks) -> None:
    world = late_songs.world
    load_plays_before_their_song(world, late_songs.instance, "2018-11-02", "2018-11-09")
    # These fail; those that a person starts do not.
    late_songs.tick(runs_end=FAILURE)
    assert set(world.column("songplays", "song_id")) == {None}
    for request in late_songs.requests:
        run(world, late_songs.instance, "load_log_days", tags=dict(request.tags), assets=("songplays",))
    assert set(world.column("songplays", "song_id")) == {song()["song_id"]}
    assert world.pending() == []
    assert world.star() == world.from_scratch("2018-11-02", "2018-11-09").star()
    assert late_songs.tick() == []
    # A song that nobody played requests no run, and forgets the failed ones.
    world.write_songs("A/A/B/TRAAB.json", song(song_id="SOOTHER", title="Never played"))
    run(world, late_songs.instance, "load_songs")
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
def test_a_tick_waits_for_the_run_that_loads_songs(late_songs: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    write_days(late_songs.world, "2018-11-02", "2018-11-03")
    late_songs.world.load("2018-11-02", "2018-11-03")
    late_songs.world.write_songs("A/A/A/TRAAA.json", song())
    replace_songplays = transforms.replace_songplays
    during_the_run: list[Range] = []

    def tick_before(connection: Connection, first_day: date, last_day: date) -> None:
        during_the_run.extend(late_songs.tick())
        replace_songplays(connection, first_day, last_day)

    monkeypatch.setattr(transforms, "replace_songplays", tick_before)
    assert run(late_songs.world, late_songs.instance, "load_all", "2018-11-02").success
    assert during_the_run == []
    assert late_songs.skipped == "Waiting for the run that loads songs to finish: it may match these plays itself"
    assert late_songs.tick() == [("2018-11-03", "2018-11-03")]


@pytest.mark.slow
def test_a_failed_run_is_retried(after_late_song: Ticks, clock: Clock) -> None:
    after_late_song.tick(runs_end=FAILURE)
    assert after_late_song.tick() == []
    assert after_late_song.skipped == "No songs were loaded since the last tick; 5 failed, to be retried"
    clock.seconds_ahead = 61
    assert after_late_song.tick() == LATE_BLOCKS
    assert after_late_song.tick() == []
    assert after_late_song.skipped == "No songs were loaded since the last tick"


@pytest.mark.slow
def test_days_beyond_the_concurrency_limit_wait(after_late_song: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_requests, "MAX_CONCURRENT_RUNS", 2)
    assert after_late_song.tick() == LATE_BLOCKS[:2]
    assert after_late_song.tick() == LATE_BLOCKS[2:4]
    assert after_late_song.tick() == LATE_BLOCKS[4:]
    assert after_late_song.tick() == []


@pytest.mark.slow
def test_days_left_by_an_earlier_load_are_requested_again_when_its_runs_have_ended(late_songs: Ticks) -> None:
    day = [("2018-11-02", "2018-11-02")]
    world = late_songs.world
    load_plays_before_their_song(world, late_songs.instance, "2018-11-02")
    assert late_songs.tick() == day
    # The cursor of version 1 is the load alone.
    late_songs.cursor = str(late_songs.saved["load"])
    assert late_songs.tick() == []
    assert late_songs.skipped == "No songs were loaded since the last tick"
    world.write_songs("A/A/B/TRAAB.json", song(song_id="SOOTHER", title="Never played"))
    run(world, late_songs.instance, "load_songs")
    assert late_songs.tick(runs_end=None) == day
    run(world, late_songs.instance, "load_songs")
    assert late_songs.tick() == []
    assert late_songs.skipped == "Songs were loaded again; waiting for 1 earlier run"
    late_songs.end(late_songs.runs[-1], FAILURE)
    # The later load lists that day too, so it is requested once.
    assert late_songs.tick() == day
    assert late_songs.tick() == []


@pytest.mark.parametrize("cursor", ["elsewhere", "[]", '{"version": 99}'])
def test_an_unrecognized_cursor_fails_the_tick(late_songs: Ticks, cursor: str) -> None:
    late_songs.cursor = cursor
    with pytest.raises(CursorError, match="Cursor > Edit"):
        late_songs.tick()


def test_late_songs_is_on_by_default() -> None:
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
