"""Invariants of every load: convergence, late songs, changed files, reconciliation, atomic partitions."""

import json
import os
import random
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from duckdb_sqlalchemy import ConnectionWrapper
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from sparkify_dagster.automation.jobs import LOG_DAY_ASSETS
from sparkify_dagster.cli.etl import blocks_to_load
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.ddl import create_tables
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
from sparkify_dagster.warehouse.duckdb_instance import cursor
from sparkify_dagster.warehouse.server import ServerWarehouse
from sparkify_dagster_tests.support.events import Item, event, song
from sparkify_dagster_tests.support.faults import Loaded, hooked
from sparkify_dagster_tests.support.forked_commands import start_forked
from sparkify_dagster_tests.support.project import DEADLINE_SECONDS
from sparkify_dagster_tests.support.world import (
    ERRORS,
    EVENTS,
    OBJECTS,
    PRODUCT,
    SONGS,
    STAR,
    STEPS,
    NewWarehouse,
    World,
)

DAY, NEXT_DAY, THIRD_DAY, FOURTH_DAY = "2018-11-01", "2018-11-02", "2018-11-03", "2018-11-04"
DAYS = (DAY, NEXT_DAY, THIRD_DAY, FOURTH_DAY)
USER_ID, LOG_DATE = 17, 18  # columns of staging_events
# As far as a run of each of the days gets.
STEPS_DONE: list[list[str]] = [
    [],
    ["staging_events"],
    ["staging_events", "songplays", "sessions"],
    ["staging_events", "users", "user_levels"],
]


def on(day: str, **changes: Any) -> dict[str, Any]:
    return event(time=f"{day}T10:00:00") | changes


def reader_of(warehouse: Warehouse) -> Engine:
    """An analyst's connection, which knows nothing of this project."""
    if isinstance(warehouse, DuckDBWarehouse):
        # Of a file that is in use, DuckDB lets a process open no second instance.
        path = Path(warehouse.path)
        return create_engine("duckdb://", creator=lambda: ConnectionWrapper(cursor(path)), poolclass=NullPool)
    assert isinstance(warehouse, ServerWarehouse)
    return create_engine(warehouse.address, poolclass=NullPool)


class Killed(Exception):
    pass


def die(loaded: Loaded) -> None:
    raise Killed


@pytest.fixture
def month(world: World) -> World:
    world.marts = True
    return filled(world)


def filled(world: World) -> World:
    """Four days of plays, users who change, songs in two copies, dirt in some files."""
    for number, day in enumerate(DAYS):
        dirt: list[Item] = ["broken", on(day, song="unknown")]
        world.write_log(
            day,
            *(
                on(day, userId=str(user), sessionId=user // 2, itemInSession=item, level=["free", "paid"][number % 2])
                for user in range(number, number + 3)
                for item in range(3)
            ),
            on(day, song="unknown"),
            *dirt[: 2 * (number % 2)],
        )
    world.write_songs("A.json", song(song_id="SB"))
    world.write_songs("B.json", song(song_id="SB", year=0), song(song_id="SC", title="other"))
    return world


@pytest.mark.slow
class TestConvergence:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_days_in_any_order_repeated_and_overlapping(self, month: World, seed: int) -> None:
        draw = random.Random(seed)
        loads = [(day, day) for day in DAYS] + [(DAY, NEXT_DAY), (NEXT_DAY, FOURTH_DAY), (DAY, FOURTH_DAY)]
        draw.shuffle(loads)
        for first, last in loads:
            assert month.load(first, last, steps=draw.choice([None, None, LOG_DAY_ASSETS])).ok
        month.load(DAY, FOURTH_DAY)
        assert month.everything() == month.everything_from_scratch(DAY, FOURTH_DAY)
        assert len(month.rows("songplays")) == 40

    def test_a_run_of_several_days_is_the_same_as_runs_of_one(self, month: World) -> None:
        """One of the runs by the job; the others, and those of the tests above and below, do the same without it."""
        assert month.load(FOURTH_DAY).ok
        assert month.materialize(THIRD_DAY, job="load_log_days").failures == {}
        assert month.load(NEXT_DAY).ok
        assert month.load(DAY).ok
        assert month.everything() == month.everything_from_scratch(DAY, FOURTH_DAY)

    def test_songs_after_logs_and_logs_after_songs(self, month: World) -> None:
        month.load(DAY, FOURTH_DAY, steps=LOG_DAY_ASSETS)
        month.load_songs_alone()
        assert month.pending() == list(DAYS)
        month.match_again(*DAYS)
        assert month.everything() == month.everything_from_scratch(DAY, FOURTH_DAY)

    def test_a_run_that_broke_off_between_two_steps(self, month: World) -> None:
        """A user leaves each day while a new version of it got only as far as the steps that are named here."""
        done = dict(zip(DAYS, STEPS_DONE, strict=True))
        month.load(DAY, FOURTH_DAY)
        for user, day in enumerate(DAYS, 70):
            month.write_log(day, on(day, userId=str(user)))
            month.load(day, steps=done[day])
        assert set(month.column(EVENTS, "user_id")) >= {71, 72, 73}
        for user, day in enumerate(DAYS, 80):
            month.write_log(day, on(day, userId=str(user)))
        month.load(NEXT_DAY, FOURTH_DAY, steps=["staging_events"])
        month.load(DAY, FOURTH_DAY)
        assert month.column("users", "user_id") == [80, 81, 82, 83]
        assert month.everything() == month.everything_from_scratch(DAY, FOURTH_DAY)

    def test_days_that_are_gone_are_seen_to_without_naming_them(self, month: World) -> None:
        """Files of the first, a middle and the last day go, and the run that empties them gets only so far."""
        files = {day: month.folder / f"log_data/2018/11/{day}-events.json" for day in DAYS}
        contents = {day: path.read_bytes() for day, path in files.items()}
        expected = None
        for done in (
            ["staging_events"],
            ["staging_events", "users", "daily_activity"],
            ["staging_events", "songplays", "user_levels"],
            ["staging_events", "songplays", "time", "sessions"],
            ["staging_events", "songplays", "users", "events"],
        ):
            for day, path in files.items():
                if not path.exists():
                    path.write_bytes(contents[day])
            self.load_what_is_known(month)
            assert len(month.rows("songplays")) == 40
            for day in (DAY, NEXT_DAY, FOURTH_DAY):
                files[day].unlink()
            month.load(DAY, FOURTH_DAY, steps=done)
            self.load_what_is_known(month)
            expected = expected or month.everything_from_scratch(THIRD_DAY)
            assert month.everything() == expected, done
            assert month.column("staging.stale_days", "log_date") == []

    def test_a_rejected_day_whose_file_goes_leaves_nothing(self, month: World) -> None:
        month.load(DAY, FOURTH_DAY)
        month.write_log(NEXT_DAY, "<Error><Code>AccessDenied</Code></Error>")
        month.write_log("2018-11-20", "broken")
        self.load_what_is_known(month)
        assert len(month.rows("staging.rejected_loads")) == 2
        for day in (NEXT_DAY, "2018-11-20"):
            month.delete(f"log_data/2018/11/{day}-events.json")
        self.load_what_is_known(month)
        assert month.rows("staging.rejected_loads") == []
        assert month.everything() == month.everything_from_scratch(DAY, FOURTH_DAY)

    def test_a_warehouse_of_before_sees_to_days_that_only_the_star_holds(self, month: World) -> None:
        """Arranges what a killed run of an earlier version left behind, which kept no list of such days."""
        month.load(DAY, FOURTH_DAY)
        with month.warehouse.connect("a test") as engine, engine.begin() as connection:
            for table in (EVENTS, OBJECTS, ERRORS):
                connection.execute(text(f"DELETE FROM {table} WHERE log_date = '{FOURTH_DAY}'"))
            connection.execute(text("DROP TABLE staging.stale_days"))
            create_tables(connection)
        month.delete(f"log_data/2018/11/{FOURTH_DAY}-events.json")
        self.load_what_is_known(month)
        assert month.everything() == month.everything_from_scratch(DAY, THIRD_DAY)

    @staticmethod
    def load_what_is_known(world: World) -> None:
        """Returns the blocks that `sparkify etl` loads without days."""
        for first, last in blocks_to_load(world.source.list_log_files(), world.warehouse):
            world.load(first.isoformat(), last.isoformat())

    def test_days_and_songs_that_break_off_inside_their_loads_keep_what_they_held(self, month: World) -> None:
        month.load(DAY, FOURTH_DAY)
        before = month.everything()
        for day in DAYS:
            month.write_log(day, on(day, userId="99"))
        month.delete("song_data/A.json")
        month.write_songs("B.json", song(song_id="SA"))

        def die_on_third_day_and_songs(loaded: Loaded) -> None:
            if not isinstance(loaded, Sequence) or THIRD_DAY in [day.day.isoformat() for day in loaded]:
                raise Killed

        with hooked(month, die_on_third_day_and_songs):
            outcome = month.materialize(DAY, FOURTH_DAY)
        assert {"staging_events", "staging_songs"} <= outcome.failures.keys()
        after = month.everything()
        # Nothing reached the star, and nothing of the songs was kept; of the days in staging, whole ones at most.
        built = (*STAR, *PRODUCT, SONGS)
        assert {table: after[table] for table in built} == {table: before[table] for table in built}
        for table in (OBJECTS, ERRORS):
            of_songs = [[row for row in rows[table] if DAY[:7] not in row[0]] for rows in (before, after)]
            assert of_songs[0] == of_songs[1]
        for day in DAYS:
            old, new = ([row for row in rows[EVENTS] if str(row[LOG_DATE]) == day] for rows in (before, after))
            assert new == old or (day != THIRD_DAY and [row[USER_ID] for row in new] == [99])
        assert month.load(DAY, FOURTH_DAY).ok
        assert month.everything() == month.everything_from_scratch(DAY, FOURTH_DAY)

    def test_a_load_that_is_killed_leaves_what_was_there(self, tmp_path: Path, new_warehouse: NewWarehouse) -> None:
        """The process ends at once, inside the transaction, as with kill -9."""
        # Not kept open by this process, since the other one opens it.
        month = filled(World(tmp_path, new_warehouse=new_warehouse, marts=True))
        month.load(DAY, FOURTH_DAY)
        before = month.everything()
        month.write_log(DAY, on(DAY, userId="99"))
        script = (
            "import json, os, pydoc, sys; from pathlib import Path\n"
            "from sparkify_dagster_tests.support.faults import hooked\n"
            "from sparkify_dagster_tests.support.world import World\n"
            "folder, kind, config = sys.argv[1:]\n"
            "world = World(Path(folder), new_warehouse=lambda: pydoc.locate(kind)(**json.loads(config)))\n"
            "with hooked(world, lambda loaded: os._exit(9)): world.load()\n"
        )
        kind = type(month.warehouse)
        warehouse = (f"{kind.__module__}.{kind.__qualname__}", json.dumps(month.warehouse_config))
        arguments = ["killed", str(month.folder), *warehouse]
        process = start_forked(script, arguments, Path.cwd(), os.environ, month.folder / "output.txt")
        assert process.wait(DEADLINE_SECONDS) == 9
        assert month.everything() == before
        month.load(DAY, FOURTH_DAY)
        assert month.everything() == month.everything_from_scratch(DAY, FOURTH_DAY)


class TestAtomicPartitions:
    @pytest.mark.slow
    def test_a_reader_sees_a_days_old_content_until_it_sees_the_new(self, world: World) -> None:
        seen = []

        def look(loaded: Loaded) -> None:
            with reader_of(world.warehouse).connect() as reader:
                for table in (EVENTS, OBJECTS):
                    seen.append(reader.scalar(text(f"SELECT count(*) FROM {table}")))

        world.write_log(DAY, event(), event(itemInSession=2))
        world.load(DAY)
        world.write_log(DAY, event(itemInSession=3))
        world.write_log(DAY, key="again/2018-11-01-events.json")
        with hooked(world, look):
            world.load(DAY)
        assert seen == [2, 1]
        assert (len(world.rows(EVENTS)), len(world.rows(OBJECTS))) == (1, 2)

    def test_counts_and_errors_change_with_their_rows(self, world: World) -> None:
        world.write_log(DAY, event(), "broken")
        world.write_songs("A.json", song(), "broken")
        world.load(DAY)
        before = world.everything()
        world.write_log(DAY, event(location="new"), "broken otherwise")
        world.write_songs("A.json", song(title="new"), "broken otherwise")
        with hooked(world, die), pytest.raises(Killed):
            world.load(DAY)
        assert world.everything() == before


# A play's song and artist.
Match: TypeAlias = tuple[str | None, str | None]
S4, S5 = ((song_id, song()["artist_id"]) for song_id in ("S4", "S5"))
MOVED = ("S5", "another")
NONE = (None, None)
ONE_4, ONE_5, TWO_5 = (
    {"song_id": song_id, "title": title} for song_id, title in (("S4", "one"), ("S5", "one"), ("S5", "two"))
)
# The loads of each case: song files that are written or deleted, which of its days are pending then, and their matches.
CHANGES_OF_SONGS: Mapping[str, Sequence[tuple[Mapping[str, Any], list[int], list[Match]]]] = {
    "a smaller id that matches as well takes the plays": [
        ({"A": ONE_5}, [1, 3], [S5, NONE, S5]),
        ({"B": ONE_4}, [1, 3], [S4, NONE, S4]),
        ({"C": ONE_5 | {"song_id": "S9"}}, [], [S4, NONE, S4]),
    ],
    "a late song that changes is matched again": [
        ({"A": ONE_5}, [1, 3], [S5, NONE, S5]),
        ({"A": TWO_5}, [1, 2, 3], [NONE, S5, NONE]),
        ({"A": TWO_5 | {"artist_id": "another"}}, [2], [NONE, MOVED, NONE]),
        ({"A": TWO_5 | {"artist_id": "another", "year": 1950}}, [], [NONE, MOVED, NONE]),
    ],
    "plays of a song that goes have no song": [
        ({"A": ONE_4, "B": ONE_5}, [1, 3], [S4, NONE, S4]),
        ({"A": None}, [1, 3], [S5, NONE, S5]),
        ({"B": None}, [1, 3], [NONE, NONE, NONE]),
    ],
    "a copy wins, or wins no more": [
        ({"A": ONE_5}, [1, 3], [S5, NONE, S5]),
        ({"B": TWO_5}, [1, 2, 3], [NONE, S5, NONE]),
        ({"B": None}, [1, 2, 3], [S5, NONE, S5]),
    ],
}
DAYS_OF_CASE = {
    case: [f"2018-11-{3 * number + day:02}" for day in (1, 2, 3)] for number, case in enumerate(CHANGES_OF_SONGS)
}
LATE_DAY = "2018-11-20"
NO_PLAYS = ({"page": "Home"}, {"userId": ""})


@pytest.mark.slow
class TestLateSongs:
    @pytest.fixture
    def played(self, world: World) -> World:
        """Three days with plays of three songs, of which the catalogue has none."""
        for day, title in zip(DAYS, ("one", "two", "one"), strict=False):
            world.write_log(day, on(day, song=title))
        world.write_log(FOURTH_DAY, on(FOURTH_DAY, song="one", page="Home"), on(FOURTH_DAY, song="one", userId=""))
        world.load(DAY, FOURTH_DAY)
        assert set(world.column("songplays", "song_id")) == {None}
        return world

    def test_a_song_that_arrives_after_its_plays_resolves_them(self, played: World) -> None:
        """By the jobs; the test below does the same without them."""
        played.write_songs("A.json", song(song_id="S5", title="one"), song(song_id="S6", title="never played"))
        outcome = played.materialize(None, job="load_songs")
        assert outcome.ok
        assert outcome.metadata("staging_songs")["days_to_rematch"] == [DAY, THIRD_DAY]
        assert played.pending() == [DAY, THIRD_DAY]
        assert played.materialize(DAY, job="load_log_days", assets=["songplays"]).ok
        played.match_again(THIRD_DAY)
        assert played.pending() == []
        assert [song_id for _, song_id in played.rows("songplays", "start_time", "song_id")] == ["S5", None, "S5"]
        assert played.everything() == played.everything_from_scratch(DAY, FOURTH_DAY)

    def test_songs_that_come_change_and_go_rematch_their_plays_and_no_others(self, world: World) -> None:
        """All cases in one world: each has three days of its own, with plays of its songs one, two and one."""
        for case, days in DAYS_OF_CASE.items():
            for day, title in zip(days, ("one", "two", "one"), strict=True):
                world.write_log(day, on(day, song=f"{title}, {case}"))
        # Events that have a song and are no plays.
        no_plays = [
            on(LATE_DAY, song=f"one, {case}", itemInSession=item, **no_play)
            for item, case in enumerate(DAYS_OF_CASE)
            for no_play in NO_PLAYS
        ]
        world.write_log(LATE_DAY, *no_plays)
        world.load(DAY, LATE_DAY)
        assert len(world.rows(EVENTS)) == len(no_plays) + 3 * len(DAYS_OF_CASE)
        assert set(world.column("songplays", "song_id")) == {None}
        for number in range(4):
            changes = {case: loads[number] for case, loads in CHANGES_OF_SONGS.items() if number < len(loads)}
            for case, (files, _, _) in changes.items():
                self.change_songs(world, case, files)
            world.load_songs_alone()
            pending = {day: case for case, days in DAYS_OF_CASE.items() if case in changes for day in days}
            assert [(pending.get(day), day) for day in world.pending()] == [
                (case, day)
                for case, days in DAYS_OF_CASE.items()
                if case in changes
                for day in days
                if days.index(day) + 1 in changes[case][1]
            ]
            world.match_again(*world.pending())
            assert world.pending() == []
            assert self.matches(world) == {
                case: [(song_id and f"{song_id}, {case}", artist) for song_id, artist in loads[: number + 1][-1][2]]
                for case, loads in CHANGES_OF_SONGS.items()
            }
            assert world.everything() == world.everything_from_scratch(DAY, LATE_DAY)

    @staticmethod
    def change_songs(world: World, case: str, files: Mapping[str, Any]) -> None:
        """Writes the song files of a case, whose songs no other case plays, or deletes them."""
        for name, content in files.items():
            key = f"{DAYS_OF_CASE[case][0]}/{name}.json"
            if content is None:
                world.delete(f"song_data/{key}")
            else:
                own = {column: f"{content[column]}, {case}" for column in ("song_id", "title")}
                world.write_songs(key, song(**content | own))

    @staticmethod
    def matches(world: World) -> dict[str, list[Match]]:
        """Returns the songs and artists of the plays of each case, by day."""
        plays = world.rows("songplays", "start_time", "song_id", "artist_id")
        return {
            case: [(song_id, artist) for start, song_id, artist in plays if start.date().isoformat() in days]
            for case, days in DAYS_OF_CASE.items()
        }

    def test_a_rejected_song_load_leaves_nothing_pending_and_what_is_outlives_other_runs(self, played: World) -> None:
        played.max_load_errors = 0
        played.write_songs("A.json", song(song_id="S5", title="one"), "broken")
        assert played.load_songs_alone().songs.rejected
        assert played.pending() == []
        # A run with songs and days matches its own days itself.
        played.write_songs("A.json", song(song_id="S5", title="one"))
        outcome = played.materialize(DAY, NEXT_DAY, assets=["staging_events", "staging_songs", "songplays"])
        assert outcome.metadata("staging_songs")["days_to_rematch"] == [DAY, THIRD_DAY]
        assert played.pending() == [THIRD_DAY]
        played.write_songs("B.json", song(song_id="S6", title="two"))
        played.load_songs_alone()
        played.write_songs("C.json", song(song_id="S4", title="one"))
        played.load_songs_alone()
        assert played.pending() == [DAY, NEXT_DAY, THIRD_DAY]
        # A run without any change reports the whole list as well.
        outcome = played.materialize(None, job="load_songs", assets=["staging_songs"])
        assert outcome.metadata("staging_songs")["days_to_rematch"] == [DAY, NEXT_DAY, THIRD_DAY]


@pytest.mark.slow
class TestChangedFiles:
    def test_log_files_that_changed_replace_their_days(self, month: World) -> None:
        """Another content, another content of the same size, more content in place, and another key."""
        *_, in_place = (month.write_log(day, on(day, location="old")) for day in DAYS[:3])
        moved = month.folder / f"log_data/2018/11/{FOURTH_DAY}-events.json"
        month.load(DAY, FOURTH_DAY)
        fourth_day = [row for row in month.rows("songplays") if str(row[1].date()) == FOURTH_DAY]
        assert len(fourth_day) == 10
        month.write_log(DAY, on(DAY, location="new", song="another"))
        month.write_log(NEXT_DAY, on(NEXT_DAY, location="new"))
        with in_place.open("ab") as file:
            file.write(in_place.read_bytes().replace(b"old", b"new").replace(b'"8"', b'"9"'))
        moved.rename(month.folder / "log_data" / moved.name)
        assert month.load(DAY, FOURTH_DAY).ok
        assert month.rows(EVENTS, "log_date", "location", "song")[:4] == [
            (date.fromisoformat(DAY), "new", "another"),
            (date.fromisoformat(NEXT_DAY), "new", "You Gotta Be"),
            (date.fromisoformat(THIRD_DAY), "new", "You Gotta Be"),
            (date.fromisoformat(THIRD_DAY), "old", "You Gotta Be"),
        ]
        assert [row for row in month.rows("songplays") if str(row[1].date()) == FOURTH_DAY] == fourth_day
        assert moved.name in month.counts()
        assert month.everything() == month.everything_from_scratch(DAY, FOURTH_DAY)

    def test_unchanged_days_are_not_loaded_again(self, month: World) -> None:
        month.load(DAY, FOURTH_DAY)

        parts: list[Loaded] = []
        with hooked(month, lambda loaded: parts.append(loaded)):
            assert month.load(DAY, FOURTH_DAY, steps=STEPS[:2]).ok
            assert parts == []
            assert month.load(DAY, FOURTH_DAY, steps=STEPS[:1], full=True).ok
        days = [day.day.isoformat() for part in parts if isinstance(part, Sequence) for day in part]
        assert days == list(DAYS)


@pytest.mark.slow
class TestReconciliation:
    def test_lines_are_staged_rows_duplicates_and_errors_and_plays_are_songplays(self, month: World) -> None:
        outcome = month.materialize(DAY, FOURTH_DAY)
        assert outcome.checks[("staging_events", "reconciliation")]
        assert outcome.checks[("staging_songs", "reconciliation")]
        assert outcome.checks[("songplays", "row_count_matches_staging")]
        lines = {day: (month.folder / f"log_data/2018/11/{day}-events.json").read_bytes().count(b"\n") for day in DAYS}
        counted = month.query(
            f"SELECT log_date, sum(lines), sum(staged), sum(duplicates), sum(errors) FROM {OBJECTS}"
            " WHERE log_date IS NOT NULL GROUP BY log_date ORDER BY log_date"
        )
        staged: dict[date, int] = dict(month.query(f"SELECT log_date, count(*) FROM {EVENTS} GROUP BY log_date"))
        errors: dict[date, int] = dict(
            month.query("SELECT log_date, count(*) FROM staging.load_errors GROUP BY log_date")
        )
        assert [(str(day), read, rows, twice, wrong) for day, read, rows, twice, wrong in counted] == [
            (str(day), lines[str(day)], staged[day], twice, errors.get(day, 0)) for day, _, _, twice, _ in counted
        ]
        assert [row[3:] for row in counted] == [(0, 0), (1, 1), (0, 0), (1, 1)]
        plays = month.query(
            f"SELECT log_date, count(*) FROM {EVENTS} WHERE page = 'NextSong' AND user_id IS NOT NULL GROUP BY 1"
        )
        songplays = month.query("SELECT CAST(start_time AS DATE), count(*) FROM songplays GROUP BY 1")
        assert sorted(plays) == sorted(songplays)
