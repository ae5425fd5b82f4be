"""A file that is no log never replaces a good day, and a source that looks empty empties nothing."""

import gzip
import json
from typing import Any

import pytest

from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster_tests.support.events import event, lines, song
from sparkify_dagster_tests.support.world import EVENTS, World

DAY, NEXT_DAY, THIRD_DAY = "2018-11-01", "2018-11-02", "2018-11-03"
ACCESS_DENIED = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'
NO_GOOD_RECORD = {
    "an error page": ACCESS_DENIED,
    "a cut archive": gzip.compress(lines(*(event(itemInSession=item) for item in range(500))), mtime=0)[:-300],
    "text of another kind": b"songplay_id,start_time\n1,2018-11-01\n",
    "another day's records": lines(event(time="2018-11-05T10:00:00")),
}


def on(day: str, **changes: Any) -> dict[str, Any]:
    return event(time=f"{day}T10:00:00") | changes


@pytest.fixture
def loaded(world: World) -> World:
    for day in (DAY, NEXT_DAY, THIRD_DAY):
        world.write_log(day, on(day), on(day, itemInSession=2))
    world.write_songs("A.json", song())
    world.load(DAY, THIRD_DAY)
    return world


@pytest.mark.slow
def test_a_day_keeps_what_it_held_where_a_file_has_no_good_record(loaded: World) -> None:
    """Also beside a good file of the day; the other days of the run load."""
    held = loaded.everything()
    for content in NO_GOOD_RECORD.values():
        loaded.write_log(DAY, on(DAY, itemInSession=3))
        (loaded.folder / f"log_data/{DAY}-events.json").write_bytes(content)
        assert loaded.load(DAY, NEXT_DAY).rejected_days == [DAY]
        rejected = loaded.everything()
        assert {table: rejected[table] for table in loaded.star()} == {table: held[table] for table in loaded.star()}
        assert rejected[EVENTS] == held[EVENTS]
        assert {key for key, *_ in loaded.errors()} == {f"{DAY}-events.json"}
    (loaded.folder / f"log_data/{DAY}-events.json").unlink()
    loaded.load(DAY, THIRD_DAY)
    assert loaded.everything() == loaded.everything_from_scratch(DAY, THIRD_DAY)
    assert loaded.query(f"SELECT count(*) FROM {EVENTS} WHERE log_date = '{DAY}'") == [(1,)]


def test_a_duplicate_is_a_good_record(world: World) -> None:
    world.write_log(DAY, event())
    world.write(f"log_data/b/{DAY}-events.json", lines(event(), "broken"))
    world.load(DAY)
    assert sorted(world.counts().values()) == [(1, 1, 0, 0), (2, 0, 1, 1)]


@pytest.mark.slow
class TestSourcesThatLookEmpty:
    """By the job, as the guard belongs to the assets."""

    def test_logs_that_are_gone_change_nothing_unless_it_is_meant(self, loaded: World) -> None:
        held = loaded.everything()
        for day in (DAY, NEXT_DAY, THIRD_DAY):
            loaded.delete(f"log_data/2018/11/{day}-events.json")
        loaded.write_log("2019-01-01", on("2019-01-01"))
        outcome = loaded.materialize(DAY, THIRD_DAY)
        said = outcome.failures["staging_events"]
        assert said.startswith(f"{loaded.log_data}: looks empty: 1 log file outside the window")
        assert "`sparkify etl --allow-empty logs`" in said
        assert {"songs", "artists"} <= outcome.materialized
        assert loaded.everything() == held
        # Of the days that are given, and no others.
        loaded.load(DAY, NEXT_DAY, allow_empty=True, steps=["staging_events", "songplays"])
        assert [str(day) for day in loaded.column(EVENTS, "log_date")] == [THIRD_DAY] * 2
        assert {start.date().isoformat() for start in loaded.column("songplays", "start_time")} == {THIRD_DAY}

    def test_songs_that_are_gone_change_nothing_unless_it_is_meant(self, loaded: World) -> None:
        loaded.delete("song_data/A.json")
        loaded.write("song_data/A.JSON", json.dumps(song()).encode())
        loaded.write_log(DAY, on(DAY, itemInSession=4))
        outcome = loaded.materialize(DAY)
        assert outcome.failures["staging_songs"].startswith(f"{loaded.song_data}: looks empty: no song file")
        assert "staging_events" in outcome.materialized
        assert len(loaded.rows("songs")) == 1
        loaded.load(DAY, allow_empty=True, steps=["staging_songs", "songs", "songplays"])
        assert loaded.rows("songs") == []
        days = "CAST(start_time AS DATE)"
        assert loaded.query(f"SELECT count(song_id) FROM songplays WHERE {days} = '{DAY}'") == [(0,)]
        assert loaded.pending() == [NEXT_DAY, THIRD_DAY]

    def test_a_new_warehouse_does_not_take_other_files_for_nothing(self, world: World) -> None:
        world.write("log_data/mini_sparkify_event_data.json", lines(event()))
        world.write_songs("A.json", song())
        with pytest.raises(SourceError, match=r"\('mini_sparkify_event_data.json'\)"):
            world.load(DAY, allow_empty=False)
        world.load(DAY, allow_empty=True)
        (world.folder / "log_data/mini_sparkify_event_data.json").unlink()
        for marker in (".DS_Store", "2018-11-01-events.json_$folder$", "_SUCCESS"):
            world.write(f"log_data/{marker}", b"x" * marker.startswith("."))
        assert world.load(DAY, allow_empty=False).ok


@pytest.mark.slow
def test_unrecognized_names_and_lost_song_files_are_reported_the_latter_by_the_run_that_lost_them(
    loaded: World,
) -> None:
    for name in ("B", "C"):
        loaded.write_songs(f"{name}.json", song(song_id=name))
    assert loaded.load_songs_alone().ok
    loaded.delete("song_data/B.json")
    loaded.write_songs("C.json", "broken")
    for name in ("2018-11-02-events.JSON", "2018-11-03-events (1).json", "2018/11/01/05/2018-11-01-05-events.json"):
        loaded.write(f"log_data/{name}", lines(event()))
    loaded.write("log_data/2018-11-01-events.json/part-00000-abc.json", lines(event()))
    loaded.write("song_data/TRAAA.jsonl", lines(song()))
    outcome = loaded.materialize(DAY, assets=["staging_events", "staging_songs"])
    assert outcome.ok
    check = outcome.evaluations["staging_events", "files_recognized"]
    assert not check.passed
    assert check.description == (
        "4 files with unrecognized names, such as 2018-11-01-events.json/part-00000-abc.json, 2018-11-02-events.JSON, "
        "2018-11-03-events (1).json: log files are named YYYY-MM-DD-events.json or YYYY-MM-DD-events.json.gz"
    )
    songs = outcome.evaluations["staging_songs", "files_recognized"]
    assert songs.description == (
        "1 file with unrecognized names, such as TRAAA.jsonl: the names of song files end in .json or .json.gz"
    )
    lost = ("staging_songs", "no_lost_files")
    check = outcome.evaluations[lost]
    assert (check.passed, check.severity.value) == (False, "WARN")
    assert check.description == (
        "1 song file removed since the last load, 1 song file with no valid song left: "
        "restore the files if this was not intended"
    )
    assert loaded.materialize(None, job="load_songs", assets=["staging_songs"]).checks[lost]
