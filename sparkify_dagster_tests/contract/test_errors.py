"""Load errors are recorded beside the good lines; too many of them, or an unreadable source, change nothing."""

import gzip
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.sources.object_store import LocalFolder, SourceError
from sparkify_dagster.warehouse.staging_tables import note_shown
from sparkify_dagster_tests.contract.conftest import NewWorld
from sparkify_dagster_tests.support.events import event, lines, song
from sparkify_dagster_tests.support.world import ERRORS, EVENTS, SONGS, World

DAY, NEXT_DAY, THIRD_DAY = "2018-11-01", "2018-11-02", "2018-11-03"
KEY = "2018/11/2018-11-01-events.json"
LOADS = {"log_data": "staging_events", "song_data": "staging_songs"}


def on(day: str, **changes: Any) -> dict[str, Any]:
    return event(time=f"{day}T10:00:00") | changes


WHOLE = gzip.compress(lines(*(event(itemInSession=number) for number in range(500))), mtime=0)
UNREADABLE = {
    "truncated": WHOLE[:-9],
    "wrong checksum": WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:],
    "damaged": WHOLE[:200] + b"\xff" * 40 + WHOLE[240:],
    "garbage behind": WHOLE + b"garbage",
}
DAYS = [f"2018-11-{number:02}" for number in range(1, len(UNREADABLE) + 2)]


@pytest.fixture(scope="module")
def unreadable(new_world: NewWorld) -> World:
    """Each kind of unreadable log file is in a day of its own, beside a whole one; then a day of two members."""
    world = new_world()
    for day, content in zip(DAYS, UNREADABLE.values(), strict=False):
        world.write_log(day, on(day, itemInSession=1_000), key=f"whole/{day}-events.json")
        world.put(f"log_data/broken/{day}-events.json.gz", content)
    members = [gzip.compress(lines(on(DAYS[-1], itemInSession=item))) for item in (1, 2)]
    world.put(f"log_data/{DAYS[-1]}-events.json.gz", b"".join(members))
    world.write_songs("A/TRA.json", song())
    for name, content in UNREADABLE.items():
        world.put(f"song_data/{name}/TRB.json.gz", content)
    world.load(DAYS[0], DAYS[-1])
    return world


class TestUnreadableGzip:
    def test_an_unreadable_log_file_is_one_error_without_a_line_and_rejects_its_day(self, unreadable: World) -> None:
        # Nor does the rest of the day load: it is rejected for a file without a good record.
        assert {str(day) for day in unreadable.column(EVENTS, "log_date")} == {DAYS[-1]}
        assert not [key for key in unreadable.counts() if key.startswith(("whole", "broken"))]
        errors = [error for error in unreadable.errors() if error[2] is not None]
        assert [(key, line, column, raw) for key, line, _, column, _, raw in errors] == [
            (f"broken/{day}-events.json.gz", None, None, None) for day in DAYS[:-1]
        ]
        assert all("cannot be decompressed" in reason for *_, reason, _ in errors)

    def test_an_unreadable_song_file_is_one_error_and_the_others_load(self, unreadable: World) -> None:
        assert {key: counts for key, counts in unreadable.counts().items() if "/TR" in key} == {
            "A/TRA.json": (1, 1, 0, 0),
            **{f"{name}/TRB.json.gz": (1, 0, 0, 1) for name in UNREADABLE},
        }

    def test_several_gzip_members_are_one_file(self, unreadable: World) -> None:
        assert unreadable.counts()[f"{DAYS[-1]}-events.json.gz"] == (2, 2, 0, 0)


@pytest.mark.slow
class TestTooManyErrorsOfADay:
    def test_the_errors_of_all_files_of_a_day_count_up_to_the_limit(self, world: World) -> None:
        """Five days: as many errors as allowed, one more in two files, one more in one, an unreadable file, many."""
        world.max_load_errors = 3
        allowed, two_files, one_file, unreadable, many = DAYS
        world.write_log(allowed, on(allowed), *["broken"] * 3)
        world.write_log(two_files, on(two_files), *["broken"] * 2)
        world.write_log(
            two_files, on(two_files, itemInSession=2), *["broken"] * 2, key=f"again/{two_files}-events.json"
        )
        world.write_log(one_file, on(one_file), *["broken"] * 4)
        world.put(f"log_data/{unreadable}-events.json.gz", b"no gzip")
        world.write_log(many, on(many), *(f"broken {number}" for number in range(1, 1_000)))
        assert world.load(DAYS[0], DAYS[-1]).rejected_days == [two_files, one_file, unreadable, many]
        # What never loaded before stays empty.
        assert {str(day) for day in world.column(EVENTS, "log_date")} == {allowed}
        assert world.counts() == {f"2018/11/{allowed}-events.json": (4, 1, 0, 3)}
        lines_of_day = {day: [line for _, line, of, *_ in world.errors() if str(of) == day] for day in DAYS}
        # Of a rejected day the first errors are recorded.
        assert lines_of_day == {
            allowed: [2, 3, 4],
            two_files: [2, 3, 2, 3],
            one_file: [2, 3, 4, 5],
            unreadable: [1],
            many: list(range(2, 102)),
        }

    def test_a_rejected_day_and_rejected_songs_keep_their_rows_while_other_days_reach_the_star(
        self, world: World
    ) -> None:
        world.max_load_errors = 1
        for day in (DAY, NEXT_DAY, THIRD_DAY):
            world.write_log(day, on(day, location="old"), *["broken"] * (day == NEXT_DAY))
        world.write_songs("A.json", song(song_id="S1"))
        world.write_songs("B.json", song(song_id="S2", title="old"), "broken")
        assert world.load(DAY, THIRD_DAY).ok
        before = world.rows(EVENTS, "log_date", "location")
        songs = world.rows(SONGS), world.rows("songs"), {key: world.counts()[key] for key in ("A.json", "B.json")}
        for day in (DAY, NEXT_DAY, THIRD_DAY):
            world.write_log(day, on(day, location="new"), *["one", "two", "three"] * (day == NEXT_DAY))
        world.write_songs("B.json", song(song_id="S2", title="new"), "broken")
        world.write_songs("C.json", song(song_id="S3"), "broken too")
        outcome = world.materialize(DAY, THIRD_DAY)
        assert outcome.failures == {}
        assert outcome.failed_checks == {
            ("staging_events", "no_rejected_loads"),
            ("staging_songs", "no_rejected_loads"),
        }
        assert [row[1] for row in before] == ["old"] * 3
        for table, time in ((EVENTS, "ts"), ("songplays", "start_time")):
            assert [row[1] for row in world.rows(table, time, "location")] == ["new", "old", "new"]
        counts = world.counts()
        assert counts["2018/11/2018-11-02-events.json"] == (2, 1, 0, 1)
        of_songs = {key: count for key, count in counts.items() if not key.startswith("2018")}
        assert (world.rows(SONGS), world.rows("songs"), of_songs) == songs
        # The first errors are those of the refused files.
        assert world.rows(ERRORS, "key", "line_number", "raw_text") == [
            ("2018/11/2018-11-02-events.json", 2, "one"),
            ("2018/11/2018-11-02-events.json", 3, "two"),
            ("2018/11/2018-11-02-events.json", 4, "three"),
            ("B.json", 2, "broken"),
            ("C.json", 2, "broken too"),
        ]

    def test_a_day_is_rejected_until_its_file_is_corrected_or_its_earlier_file_comes_back(self, world: World) -> None:
        world.max_load_errors = 0
        path = world.write_log(NEXT_DAY, on(NEXT_DAY))
        world.write_log(DAY, on(DAY))
        world.load(DAY, NEXT_DAY)
        kept = path.rename(world.folder / "kept")
        world.write_log(NEXT_DAY, "broken")
        world.write_log(DAY, on(DAY, itemInSession=2), "broken")
        rejections = []
        for full in (False, False, True):
            assert world.load(DAY, NEXT_DAY, full=full).rejected_days == [DAY, NEXT_DAY]
            rejections.append(world.rows("staging.rejected_loads", "log_date", "rejected_at", "shown_in"))
            world.warehouse.run("a test", lambda connection: note_shown(connection, [date(2018, 11, 1)], "a run"))
        # Unchanged, they are not inspected again, except with `full`; and they are shown as before.
        first, unchanged, full_load = rejections
        assert [row[:2] for row in unchanged] == [row[:2] for row in first]
        assert all(new[1] > old[1] for new, old in zip(full_load, first, strict=True))
        assert [row[2] for row in full_load] == [row[2] for row in unchanged] == ["a run", None]
        kept.rename(path)
        world.write_log(DAY, on(DAY, itemInSession=2))
        assert world.load(DAY, NEXT_DAY).ok
        assert world.errors() == []
        assert world.everything() == world.everything_from_scratch(DAY, NEXT_DAY)

    def test_a_higher_limit_loads_what_was_rejected_and_a_lower_one_rejects_it(self, world: World) -> None:
        """A day and the songs."""
        world.write_log(DAY, event(), "broken")
        world.write_songs("A.json", song(), "broken")
        for limit in (0, 1, 0):
            world.max_load_errors = limit
            loads = world.load(DAY)
            assert (loads.rejected_days, loads.songs.rejected) == (([], False) if limit else ([DAY], True))
        assert len(world.rows("songplays")) == len(world.rows("songs")) == 1
        # The rows were there all the time; by now they are those of an accepted load.
        world.max_load_errors = 1
        assert world.load(DAY).ok
        assert world.everything() == world.everything_from_scratch(DAY)


@pytest.mark.slow
class TestTooManyErrorsOfTheSongs:
    def test_the_errors_standing_in_all_song_files_present_count(self, world: World) -> None:
        world.max_load_errors = 1
        world.write_songs("A.json", "broken")
        assert world.load_songs_alone().ok
        world.write_songs("B.json", "broken too")
        assert not world.load_songs_alone().ok
        world.delete("song_data/A.json")
        assert world.load_songs_alone().ok
        assert world.everything() == world.everything_from_scratch(DAY)

    def test_a_rejected_song_load_deletes_no_song(self, world: World) -> None:
        world.max_load_errors = 0
        world.write_songs("A.json", song(song_id="S1"))
        world.load_songs_alone()
        world.delete("song_data/A.json")
        world.write_songs("B.json", song(song_id="S2"), "broken")
        assert not world.load_songs_alone().ok
        assert world.column("songs", "song_id") == ["S1"]
        world.write_songs("B.json", song(song_id="S2"))
        assert world.load_songs_alone().ok
        assert world.everything() == world.everything_from_scratch(DAY)

    def test_a_rejected_song_file_that_goes_leaves_no_error(self, world: World) -> None:
        world.max_load_errors = 0
        world.write_songs("A.json", song())
        world.write_songs("B.json", "broken")
        assert not world.load_songs_alone().ok
        world.delete("song_data/B.json")
        assert world.load_songs_alone().ok
        assert world.errors() == []
        assert world.everything() == world.everything_from_scratch(DAY)


class TestASourceThatCannotBeRead:
    @pytest.fixture
    def loaded(self, world: World) -> World:
        world.write_log(DAY, event())
        world.write_songs("A.json", song())
        world.load(DAY)
        # What would be loaded next, if it could be read.
        world.write_log(DAY, event(), event(itemInSession=2))
        world.write_songs("B.json", song(song_id="SO2"))
        return world

    def test_a_missing_folder_fails_the_load_and_changes_nothing(self, loaded: World) -> None:
        """By the job; the tests below do the same without it."""
        before = loaded.everything()
        for name in LOADS:
            (loaded.folder / name).rename(loaded.folder / f"{name}, elsewhere")
        outcome = loaded.materialize(DAY)
        assert outcome.failures.keys() == set(LOADS.values())
        for name, staging in LOADS.items():
            assert outcome.failures[staging].startswith(f"{loaded.folder / name}: there is no such folder")
        assert loaded.everything() == before

    def test_a_file_that_cannot_be_opened_fails_the_load(self, loaded: World) -> None:
        """A link to itself cannot be read by anybody, not even by root."""
        for name in LOADS:
            file = loaded.folder / name / "2018-11-01-events.json"
            file.symlink_to(file)
            self.check_nothing_changed(loaded, name, f"{file}: cannot be read")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_without_permission_fails_the_load(self, loaded: World) -> None:
        for name in LOADS:
            file = loaded.write(f"{name}/2018-11-01-events.json", b"secret")
            file.chmod(0)
            self.check_nothing_changed(loaded, name, f"{file}: cannot be read")

    def test_a_file_whose_name_is_not_utf8_fails_the_load(self, loaded: World) -> None:
        for name in LOADS:
            folder = os.fsencode(loaded.folder / name)
            file = Path(os.fsdecode(folder + b"/caf\xe9/2018-11-01-events.json"))
            file.parent.mkdir()
            loaded.write(f"{name}/x", b"").rename(os.fsdecode(folder + b"/\xff.txt"))  # ignored like any other name
            file.write_bytes(b"broken")
            self.check_nothing_changed(loaded, name, f"{loaded.folder / name}: the name of 'caf\\udce9")

    def check_nothing_changed(self, world: World, name: str, message: str) -> None:
        before = world.everything()
        with pytest.raises(SourceError) as raised:
            world.load(DAY, steps=[LOADS[name]])
        assert str(raised.value).startswith(message)
        assert world.everything() == before

    def test_a_file_that_goes_while_it_is_read_fails_the_load(self, loaded: World) -> None:
        before = loaded.everything()
        listing = LocalFolder.list

        def list_and_delete(store: LocalFolder) -> Any:
            found = listing(store)
            loaded.delete(f"log_data/{KEY}")
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LocalFolder, "list", list_and_delete)
            with pytest.raises(SourceError, match="there is no such file"):
                loaded.load(DAY)
        assert loaded.everything() == before


def test_missing_time_and_page_are_errors_of_their_column(world: World) -> None:
    world.write_log(DAY, event(ts=None), event(page=None), {})
    world.load(DAY)
    assert world.reasons() == [
        (1, "ts", "ts: is missing"),
        (2, "page", "page: is missing"),
        (3, "ts", "ts: is missing"),
    ]


def test_errors_go_with_their_day_and_with_their_object(world: World) -> None:
    world.write_log(DAY, "broken")
    world.write_log(NEXT_DAY, "broken")
    world.write_songs("A.json", "broken")
    world.write_songs("B.json", "broken")
    world.load(DAY, NEXT_DAY)
    assert [row[0] for row in world.errors()] == [KEY, "2018/11/2018-11-02-events.json", "A.json", "B.json"]
    world.write_log(DAY, event())
    world.write_songs("A.json", song())
    world.load(DAY, NEXT_DAY)
    assert [row[0] for row in world.errors()] == ["2018/11/2018-11-02-events.json", "B.json"]
