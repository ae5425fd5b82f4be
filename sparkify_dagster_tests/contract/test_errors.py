"""Load errors are recorded beside the good lines; too many of them, or an unreadable source, change nothing."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.sources.object_store import LocalFolder, SourceError
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


class TestUnreadableGzip:
    def test_an_unreadable_log_file_is_one_error_without_a_line_and_rejects_its_day(self, world: World) -> None:
        """Each kind is in a day of its own, beside a file that is whole."""
        days = [f"2018-11-{number:02}" for number in range(1, len(UNREADABLE) + 1)]
        for day, content in zip(days, UNREADABLE.values(), strict=True):
            world.write_log(day, on(day, itemInSession=1_000), key=f"whole/{day}-events.json")
            world.put(f"log_data/broken/{day}-events.json.gz", content)
        world.load(days[0], days[-1])
        # Nor does the rest of the day load: it is rejected for a file without a good record.
        assert world.counts() == {}
        assert world.rows(EVENTS) == []
        errors = world.errors()
        assert [(key, line, column, raw) for key, line, _, column, _, raw in errors] == [
            (f"broken/{day}-events.json.gz", None, None, None) for day in days
        ]
        assert all("cannot be decompressed" in reason for *_, reason, _ in errors)

    def test_an_unreadable_song_file_is_one_error_and_the_others_load(self, world: World) -> None:
        world.write_songs("A/TRA.json", song())
        for name, content in UNREADABLE.items():
            world.put(f"song_data/{name}/TRB.json.gz", content)
        world.load(DAY)
        assert world.counts() == {
            "A/TRA.json": (1, 1, 0, 0),
            **{f"{name}/TRB.json.gz": (1, 0, 0, 1) for name in UNREADABLE},
        }

    def test_several_gzip_members_are_one_file(self, world: World) -> None:
        path = world.write_log(DAY, key="2018-11-01-events.json.gz")
        path.write_bytes(gzip.compress(lines(event())) + gzip.compress(lines(event(itemInSession=2))))
        world.load(DAY)
        assert world.counts() == {"2018-11-01-events.json.gz": (2, 2, 0, 0)}


@pytest.mark.slow
class TestTooManyErrorsOfADay:
    def test_a_day_with_as_many_errors_as_allowed_loads(self, world: World) -> None:
        world.max_load_errors = 3
        world.write_log(DAY, event(), *["broken"] * 3)
        assert world.load(DAY).ok
        assert len(world.rows(EVENTS)) == 1
        assert len(world.errors()) == 3

    def test_the_errors_of_all_files_of_the_day_count(self, world: World) -> None:
        world.max_load_errors = 3
        world.write_log(DAY, event(), *["broken"] * 2)
        world.write_log(DAY, event(itemInSession=2), *["broken"] * 2, key="again/2018-11-01-events.json")
        assert not world.load(DAY).ok
        assert world.rows(EVENTS) == []

    def test_a_rejected_day_keeps_its_rows_while_other_days_load_and_reach_the_star(self, world: World) -> None:
        world.max_load_errors = 2
        world.write_log(DAY, on(DAY, location="old"))
        world.write_log(NEXT_DAY, on(NEXT_DAY, location="old"), "broken")
        world.write_log(THIRD_DAY, on(THIRD_DAY, location="old"))
        assert world.load(DAY, THIRD_DAY).ok
        before = world.rows(EVENTS, "log_date", "location")
        world.write_log(DAY, on(DAY, location="new"))
        world.write_log(NEXT_DAY, on(NEXT_DAY, location="new"), "one", "two", "three")
        world.write_log(THIRD_DAY, on(THIRD_DAY, location="new"))
        outcome = world.materialize(DAY, THIRD_DAY)
        assert outcome.failures == {}
        assert outcome.failed_checks == {("staging_events", "no_rejected_loads")}
        assert [row[1] for row in before] == ["old"] * 3
        for table, time in ((EVENTS, "ts"), ("songplays", "start_time")):
            assert [row[1] for row in world.rows(table, time, "location")] == ["new", "old", "new"]
        # Its first errors are those of the refused file.
        assert world.rows(ERRORS, "line_number", "raw_text") == [(2, "one"), (3, "two"), (4, "three")]
        assert world.counts()["2018/11/2018-11-02-events.json"] == (2, 1, 0, 1)

    def test_a_rejected_day_without_earlier_rows_stays_empty(self, world: World) -> None:
        world.max_load_errors = 0
        world.write_log(DAY, event(), "broken")
        assert not world.load(DAY).ok
        assert world.rows(EVENTS) == []
        assert world.counts() == {}

    def test_only_the_first_errors_of_a_rejected_day_are_recorded(self, world: World) -> None:
        world.write_log(DAY, event(), *(f"broken {number}" for number in range(1, 1_000)))
        assert not world.load(DAY).ok
        assert world.column(ERRORS, "line_number") == list(range(2, 102))

    def test_a_day_is_rejected_until_its_file_is_corrected(self, world: World) -> None:
        world.max_load_errors = 0
        world.write_log(DAY, event())
        world.load(DAY)
        world.write_log(DAY, event(itemInSession=2), "broken")
        assert not world.load(DAY).ok
        assert not world.load(DAY).ok
        world.write_log(DAY, event(itemInSession=2))
        assert world.load(DAY).ok
        assert world.errors() == []
        assert world.everything() == world.everything_from_scratch(DAY)

    def test_a_day_whose_earlier_file_comes_back_is_no_longer_rejected(self, world: World) -> None:
        world.max_load_errors = 0
        path = world.write_log(DAY, event())
        world.load(DAY)
        kept = path.rename(world.folder / "kept")
        world.write_log(DAY, "broken")
        assert not world.load(DAY).ok
        kept.rename(path)
        assert world.load(DAY).ok
        assert world.everything() == world.everything_from_scratch(DAY)

    def test_a_higher_limit_loads_a_rejected_day_and_a_lower_one_rejects_it(self, world: World) -> None:
        world.max_load_errors = 0
        world.write_log(DAY, event(), "broken")
        assert not world.load(DAY).ok
        world.max_load_errors = 1
        assert world.load(DAY).ok
        assert len(world.rows("songplays")) == 1
        world.max_load_errors = 0
        assert not world.load(DAY).ok
        assert len(world.rows("songplays")) == 1
        # The day's rows were there all the time; by now they are those of an accepted load.
        world.max_load_errors = 1
        assert world.load(DAY).ok
        assert world.everything() == world.everything_from_scratch(DAY)

    def test_one_unreadable_file_counts_as_one_error(self, world: World) -> None:
        world.max_load_errors = 0
        path = world.write_log(DAY, key="2018-11-01-events.json.gz")
        path.write_bytes(b"no gzip")
        assert not world.load(DAY).ok


@pytest.mark.slow
class TestTooManyErrorsOfTheSongs:
    def test_nothing_of_a_rejected_song_load_is_kept(self, world: World) -> None:
        world.max_load_errors = 1
        world.write_songs("A.json", song(song_id="S1"))
        world.write_songs("B.json", song(song_id="S2", title="old"), "broken")
        assert world.load(DAY).ok
        before = world.rows(SONGS), world.rows("songs"), world.counts()
        world.write_songs("B.json", song(song_id="S2", title="new"), "broken")
        world.write_songs("C.json", song(song_id="S3"), "broken too")
        outcome = world.materialize(DAY)
        assert outcome.failures == {}
        assert outcome.failed_checks == {("staging_songs", "no_rejected_loads")}
        assert (world.rows(SONGS), world.rows("songs"), world.counts()) == before
        assert world.rows(ERRORS, "key", "raw_text") == [("B.json", "broken"), ("C.json", "broken too")]

    def test_the_errors_standing_in_all_song_files_present_count(self, world: World) -> None:
        world.max_load_errors = 1
        world.write_songs("A.json", "broken")
        assert world.load(DAY).ok
        world.write_songs("B.json", "broken too")
        assert not world.load(DAY).ok
        world.delete("song_data/A.json")
        assert world.load(DAY).ok
        assert world.everything() == world.everything_from_scratch(DAY)

    def test_a_rejected_song_load_deletes_no_song(self, world: World) -> None:
        world.max_load_errors = 0
        world.write_songs("A.json", song(song_id="S1"))
        world.load(DAY)
        world.delete("song_data/A.json")
        world.write_songs("B.json", song(song_id="S2"), "broken")
        assert not world.load(DAY).ok
        assert world.column("songs", "song_id") == ["S1"]
        world.write_songs("B.json", song(song_id="S2"))
        assert world.load(DAY).ok
        assert world.everything() == world.everything_from_scratch(DAY)

    def test_days_load_where_the_songs_are_rejected(self, world: World) -> None:
        world.max_load_errors = 0
        world.write_songs("A.json", "broken")
        world.write_log(DAY, event())
        assert not world.load(DAY).ok
        assert len(world.rows("songplays")) == 1

    def test_a_rejected_song_file_that_goes_leaves_no_error(self, world: World) -> None:
        world.max_load_errors = 0
        world.write_songs("A.json", song())
        world.write_songs("B.json", "broken")
        assert not world.load(DAY).ok
        world.delete("song_data/B.json")
        assert world.load(DAY).ok
        assert world.errors() == []
        assert world.everything() == world.everything_from_scratch(DAY)

    def test_a_lower_limit_rejects_song_files_that_are_staged(self, world: World) -> None:
        world.write_songs("A.json", song(), "broken")
        assert world.load(DAY).ok
        world.max_load_errors = 0
        assert not world.load(DAY).ok
        world.max_load_errors = 1
        assert world.load(DAY).ok
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
