"""Listings of the source: ignored objects, warnings, and sources that look empty."""

from datetime import date
from pathlib import Path

import pytest

from sparkify_dagster.days import Window
from sparkify_dagster.sources.emptiness import require_log_files, require_song_files
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster.sources.source import Listing, Source
from sparkify_dagster_tests.support.world import World

LOG, OLD_LOG, SONG = "2018-11-01-events.json", "2017-11-01-events.json.gz", "A/B/C/TRABC.json"
IGNORED = [".DS_Store", "a/._2018-11-01-events.json", ".ipynb_checkpoints/TR-checkpoint.json", "a/.x/b/c.json"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def log_listing(world: World, *names: str) -> Listing:
    for name in names:
        world.write(f"log_data/{name}", b"content")
    return world.source.list_log_files()


def song_listing(world: World, *names: str) -> Listing:
    for name in names:
        world.write(f"song_data/{name}", b"content")
    return world.source.list_song_files()


def check_logs(listing: Listing, *, holds_days: bool = False, allow_empty: bool = False) -> None:
    require_log_files(
        listing,
        Window(date(2018, 11, 1), date(2018, 12, 1)),
        holds_days=holds_days,
        allow_empty=allow_empty,
    )


OTHER_NAMES = [
    "2018-11-01-events.json/part-00000-abc.json",
    "2018-11-02-events.JSON",
    "2018-11-03-events (1).json",
    "2018/11/01/05/2018-11-01-05-events.json",
    "mini_sparkify_event_data.json",
]


def test_log_files_under_other_names_are_unrecognized(world: World) -> None:
    (world.folder / "log_data" / "empty").touch()
    listing = log_listing(world, *OTHER_NAMES, *IGNORED, "2018/2018-11-01-events.json", OLD_LOG)
    assert [file.key for file in listing.files] == [OLD_LOG, "2018/2018-11-01-events.json"]
    assert listing.unrecognized == OTHER_NAMES
    assert listing.examples == OTHER_NAMES[:3]
    assert listing.ignored == len(OTHER_NAMES) + len(IGNORED) + 1


def test_song_files_under_other_names_are_unrecognized(world: World) -> None:
    (world.folder / "song_data" / "zero.json").touch()
    listing = song_listing(world, SONG, "A/TRABC.JSON", "A/songs.csv", *IGNORED)
    assert listing.unrecognized == ["A/TRABC.JSON", "A/songs.csv"]
    assert listing.ignored == 2 + len(IGNORED) + 1


def test_what_belongs_to_another_source_is_not_unrecognized(world: World) -> None:
    world.log_jsonpath = str(world.folder / "log_data" / "paths.json")
    world.song_data = str(world.folder / "log_data" / "songs")
    world.write("log_data/songs/A/TR.json", b"x")
    world.write("log_data/songs.txt", b"x")
    listing = log_listing(world, "paths.json", "paths.json.bak")
    assert listing.unrecognized == ["paths.json.bak", "songs.txt"]
    world.song_data, world.log_data = str(world.folder), str(world.folder / "log_data")
    world.write("README", b"x")
    assert world.source.list_song_files().unrecognized == ["README"]


def test_examples_are_text_on_one_line(tmp_path: Path) -> None:
    for name in (b"line\nbreak", b"caf\xe9", "\x1b[31mé 😀".encode()):
        Path(tmp_path / "x").write_bytes(b"x")
        (tmp_path / "x").rename(Path(str(tmp_path)) / name.decode("utf-8", "surrogateescape"))
    listing = Source(log_data=str(tmp_path), song_data=str(tmp_path / "songs")).list_log_files()
    assert listing.examples == ["\\x1b[31mé 😀", "caf\\udce9", "line\\nbreak"]


class TestALogThatLooksEmpty:
    def test_an_empty_log_is_no_error_of_a_new_warehouse(self, world: World) -> None:
        check_logs(log_listing(world))
        check_logs(log_listing(world, *IGNORED))
        (world.folder / "log_data" / "x").touch()
        check_logs(log_listing(world))

    def test_a_log_without_any_object_looks_empty(self, world: World) -> None:
        with pytest.raises(SourceError) as raised:
            check_logs(log_listing(world), holds_days=True)
        assert str(raised.value) == (
            f"{world.log_data}: looks empty: no log file, and nothing else; log files are named YYYY-MM-DD-events.json "
            "or YYYY-MM-DD-events.json.gz, and the window of days is 2018-11-01 to 2018-11-30; nothing was changed. "
            "Correct SPARKIFY_LOG_DATA or mount the disk; if the source is empty on purpose, run `sparkify etl "
            "--allow-empty logs` (in the run's config: allow_empty: true)"
        )

    def test_dot_files_alone_are_nothing(self, world: World) -> None:
        with pytest.raises(SourceError, match=r"no log file, and 4 other objects;"):
            check_logs(log_listing(world, *IGNORED), holds_days=True)

    def test_files_of_other_days_are_none_of_the_window(self, world: World) -> None:
        listing = log_listing(world, OLD_LOG)
        check_logs(listing)
        with pytest.raises(SourceError, match=r"empty: 1 log file outside the window, and nothing else;"):
            check_logs(listing, holds_days=True)

    @pytest.mark.parametrize("holds_days", [False, True])
    def test_a_log_of_other_names_alone_is_an_error_of_a_new_warehouse(self, world: World, holds_days: bool) -> None:
        listing = log_listing(world, *OTHER_NAMES, ".DS_Store")
        with pytest.raises(SourceError) as raised:
            check_logs(listing, holds_days=holds_days)
        examples = ", ".join(map(repr, OTHER_NAMES[:3]))
        assert f"looks empty: no log file, and 6 other objects ({examples}); log files are" in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_one_log_file_of_the_window_is_enough(self, world: World) -> None:
        check_logs(log_listing(world, f"2018/{LOG}", *OTHER_NAMES), holds_days=True)

    def test_a_user_may_say_that_an_empty_log_is_meant(self, world: World) -> None:
        check_logs(log_listing(world), holds_days=True, allow_empty=True)
        check_logs(log_listing(world, *OTHER_NAMES), allow_empty=True)


class TestSongDataThatLooksEmpty:
    def test_empty_song_data_is_no_error_of_a_new_warehouse(self, world: World) -> None:
        require_song_files(song_listing(world, *IGNORED), holds_songs=False, allow_empty=False)

    def test_song_data_without_any_object_looks_empty(self, world: World) -> None:
        with pytest.raises(SourceError) as raised:
            require_song_files(song_listing(world), holds_songs=True, allow_empty=False)
        assert str(raised.value) == (
            f"{world.song_data}: looks empty: no song file, and nothing else; the names of song files end in .json or "
            ".json.gz; nothing was changed. Correct SPARKIFY_SONG_DATA or mount the disk; if the source is empty on "
            "purpose, run `sparkify etl --allow-empty songs` (in the run's config: allow_empty: true)"
        )

    def test_empty_objects_are_no_songs(self, world: World) -> None:
        (world.folder / "song_data" / "zero.json").touch()
        listing = song_listing(world)
        require_song_files(listing, holds_songs=False, allow_empty=False)
        with pytest.raises(SourceError, match=r"no song file, and 1 other object;"):
            require_song_files(listing, holds_songs=True, allow_empty=False)

    @pytest.mark.parametrize("holds_songs", [False, True])
    def test_song_data_of_other_names_alone_is_an_error_of_a_new_warehouse(
        self, world: World, holds_songs: bool
    ) -> None:
        listing = song_listing(world, "songs.csv")
        with pytest.raises(SourceError, match=r"no song file, and 1 other object \('songs.csv'\);"):
            require_song_files(listing, holds_songs=holds_songs, allow_empty=False)

    def test_one_song_file_is_enough_and_a_user_may_say_that_none_is_meant(self, world: World) -> None:
        require_song_files(song_listing(world), holds_songs=True, allow_empty=True)
        require_song_files(song_listing(world, SONG, "songs.csv"), holds_songs=True, allow_empty=False)
