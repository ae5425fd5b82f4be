"""Blanks at the end of a text do not count: staging keeps them, and what leaves it is without them.

Redshift ignores them wherever it compares texts, so that nothing else could be the same on all warehouses.
"""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from sparkify_dagster_tests.contract.cases import Day, case
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import EVENTS, SONGS, STAR, World

DAY = "2018-11-01"
# What ends in one of these does not end in a blank.
OTHER_SPACES = ["\u00a0", "\t", "\n", "\u2003", "\u3000", "\x0b"]


@case
def test_a_page_of_blanks_is_missing(day: Day) -> Iterator[None]:
    """In canonical lines, and in lines of which each value is looked at."""
    pages = [" ", "  ", "", "\u00a0", "Home "]
    for folder, user in (("canonical", "8"), ("other", 9)):
        events = (day.event(page=page, itemInSession=n, userId=user) for n, page in enumerate(pages))
        day.write(*events, folder=folder)
    yield
    assert day.reasons() == [(number, "page", "page: is missing") for number in (1, 2, 3) for _ in range(2)]
    assert day.rows(EVENTS, "user_id", "page") == [(user, page) for user in (8, 9) for page in ("Home ", "\u00a0")]


@case
def test_nextsong_with_blanks_needs_session_and_item(day: Day) -> Iterator[None]:
    needed = {"sessionId": "session_id", "itemInSession": "item_in_session"}
    for key in needed:
        day.write(*(day.event(page=page, **{key: None}) for page in ("NextSong ", "NextSong\t")), folder=key)
    yield
    assert sorted(day.reasons()) == sorted(
        (1, column, f"{column}: is missing on a NextSong") for column in needed.values()
    )
    assert day.column("songplays", "user_id") == []


@case
def test_texts_of_songplays_are_without_trailing_blanks(day: Day) -> Iterator[None]:
    day.write(
        day.event(itemInSession=1, level="free ", location=" P  ", userAgent="U ", song="one ", artist="X  "),
        day.event(itemInSession=2, level=" ", location="  ", userAgent=" ", song=" ", artist="   "),
        day.event(itemInSession=3, level=None, location=None, userAgent=None, song=None, artist=None),
        day.event(itemInSession=4, level="a\t", location="b\u00a0", userAgent="c\n", song="d\u2003 ", artist="e\u3000"),
    )
    yield
    columns = ("level", "location", "user_agent", "song", "artist")
    assert day.rows("songplays", *columns) == [
        (None,) * 5,
        ("",) * 5,
        ("a\t", "b\u00a0", "c\n", "d\u2003", "e\u3000"),
        ("free", " P", "U", "one", "X"),
    ]
    assert ("free ", " P  ", "U ", "one ", "X  ") in day.rows(EVENTS, *columns)


@case
def test_ids_of_songplays_are_those_of_the_dimensions(day: Day) -> Iterator[None]:
    day.write(day.event(length=1))
    day.world.write_songs("ids.json", song(song_id="SO1  ", artist_id="AR1 ", duration=1))
    yield
    assert day.rows("songplays", "song_id", "artist_id") == [("SO1", "AR1")]
    assert [(row[0], row[2]) for row in day.found["songs"] if row[0].startswith("SO1")] == [("SO1", "AR1")]
    assert [row[0] for row in day.found["artists"] if row[0].startswith("AR1")] == ["AR1"]


@case
def test_the_smallest_song_id_is_that_without_blanks(day: Day) -> Iterator[None]:
    day.write(day.event(length=2))
    # By bytes "SO2\t" is smaller than "SO2 ", but not than "SO2".
    with_blank, with_tab = (
        song(song_id=f"SO2{end}", artist_id=artist, duration=2) for end, artist in ((" ", "first"), ("\t", "second"))
    )
    day.world.write_songs("smallest.json", with_blank, with_tab)
    yield
    assert day.rows("songplays", "song_id", "artist_id") == [("SO2", "first")]


@case
def test_broken_names_that_differ_in_blanks_are_repaired_once(day: Day) -> Iterator[None]:
    names = ["BjÃ\x83Â¶rk", "BjÃ\x83Â¶rk ", "BjÃ\x83Â¶rk  "]
    day.write(*(day.event(itemInSession=n, artist=name, song=name) for n, name in enumerate(names)))
    yield
    assert day.rows("songplays", "artist", "song") == [("Björk", "Björk")] * 3
    assert day.rows(EVENTS, "artist", "song") == [(name, name) for name in names]


@case
def test_texts_of_users_are_without_trailing_blanks(day: Day) -> Iterator[None]:
    columns = ("firstName", "lastName", "gender", "level")
    values = ["x ", " x  ", "  ", "", None, "x\u00a0", "x\t "]
    for user, value in enumerate(values, 1001):
        day.write(day.event(page="Home", userId=str(user)) | dict.fromkeys(columns, value), folder=str(user))
    yield
    assert [row for row in day.found["users"] if row[0] > 1000] == [
        (user, *[value] * 4) for user, value in enumerate(["x", " x", "", "", None, "x\u00a0", "x\t"], 1001)
    ]


class TestPages:
    @pytest.mark.slow
    def test_nextsong_with_blanks_is_a_play(self, world: World) -> None:
        pages = ["NextSong", "NextSong ", "NextSong   ", " NextSong", *(f"NextSong{space}" for space in OTHER_SPACES)]
        world.write_log(DAY, *(event(page=page, itemInSession=number) for number, page in enumerate(pages)))
        outcome = world.materialize(DAY)
        assert outcome.ok
        assert outcome.evaluations[("songplays", "row_count_matches_staging")].metadata["staged"].value == 3
        assert len(world.rows("songplays")) == len(world.rows("time")) + 2 == 3
        assert sorted(world.column(EVENTS, "page")) == sorted(pages)

    def test_a_late_song_resolves_a_play_whose_page_has_blanks(self, world: World) -> None:
        world.write_log(DAY, event(page="NextSong  "))
        world.load(DAY)
        world.write_songs("A.json", song())
        world.load_songs_alone()
        assert world.pending() == [DAY]
        world.match_again(DAY)
        assert world.column("songplays", "song_id") == [song()["song_id"]]
        assert world.pending() == []


class TestSongs:
    def test_ids_that_differ_in_blanks_are_one_song_and_the_last_key_wins(self, world: World) -> None:
        world.write_songs("0.json", song(song_id="SO1\u00a0", title="another song"))
        world.write_songs("A.json", song(song_id="SO1", title="A"))
        world.write_songs("B.json", song(song_id="SO1  ", title="B"))
        world.write_songs("C.json", song(song_id="SO1 ", title="C"))
        for winner in ("C", "B", "A"):
            world.load_songs_alone()
            assert world.rows("songs", "song_id", "title") == [("SO1", winner), ("SO1\u00a0", "another song")]
            world.delete(f"song_data/{winner}.json")

    def test_within_a_file_the_last_one_wins(self, world: World) -> None:
        world.write_songs("A.json", song(song_id="SO1 ", title="first"), song(song_id="SO1", title="second "))
        world.load_songs_alone()
        assert world.rows("songs", "song_id", "title") == [("SO1", "second")]
        assert world.rows(SONGS, "song_id", "title") == [("SO1", "second "), ("SO1 ", "first")]

    @pytest.mark.parametrize("column", ["song_id", "artist_id"])
    def test_an_id_of_blanks_is_missing(self, world: World, column: str) -> None:
        world.write_songs("A.json", *(song(**{column: value}) for value in (" ", "   ", "", "\u00a0")))
        world.load_songs_alone()
        assert world.reasons() == [(number, column, f"{column}: is missing") for number in (1, 2, 3)]
        assert world.column("songs", column) == ["\u00a0"]


class TestArtists:
    @pytest.mark.slow
    def test_ids_that_differ_in_blanks_are_one_artist(self, world: World) -> None:
        nowhere = {"artist_latitude": None, "artist_longitude": None, "artist_location": None}
        world.write_songs(
            "A.json",
            song(song_id="S1", artist_id="AR1", artist_name="X", year=2000) | nowhere | {"artist_location": "P  "},
            song(song_id="S2", artist_id="AR1 ", artist_name="Y", year=2001)
            | nowhere
            | {"artist_latitude": 1, "artist_longitude": 2},
            song(song_id="S3", artist_id="AR1  ", artist_name="X ", year=2002) | nowhere | {"artist_location": "  "},
            song(song_id="S4", artist_id="AR1\u00a0", artist_name="Z"),
        )
        world.load_songs_alone()
        assert world.rows("artists")[0] == ("AR1", "X", "P", Decimal(1), Decimal(2))
        assert world.column("artists", "artist_id") == ["AR1", "AR1\u00a0"]

    def test_song_ids_decide_without_their_blanks(self, world: World) -> None:
        # By bytes "S1 " is greater than "S1\t", and "S1" is not.
        world.write_songs(
            "A.json",
            song(song_id="S1 ", artist_name="X", artist_location="X"),
            song(song_id="S1\t", artist_name="Y", artist_location="Y"),
        )
        world.load_songs_alone()
        assert world.rows("artists", "name", "location") == [("Y", "Y")]


@pytest.mark.slow
def test_no_text_of_the_star_ends_in_a_blank(world: World) -> None:
    """Every text of an event and of a song ends in one here."""
    texts = {key: f"{value} " for key, value in event().items() if isinstance(value, str) and key != "userId"}
    world.write_log(DAY, event(**texts))
    world.write_songs("A.json", song(**{key: f"{value} " for key, value in song().items() if isinstance(value, str)}))
    world.load(DAY)
    for table, columns in STAR.items():
        (row,) = world.rows(table)
        found = dict(zip(columns, row, strict=True))
        assert not [name for name, value in found.items() if isinstance(value, str) and value.endswith(" ")]
    assert world.column("songplays", "song_id") == [song()["song_id"]]
