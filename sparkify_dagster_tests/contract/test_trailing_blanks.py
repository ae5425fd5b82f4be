"""Blanks at the end of a text do not count: staging keeps them, and what leaves it is without them.

Redshift ignores them wherever it compares texts, so that nothing else could be the same on all warehouses.
"""

from decimal import Decimal

import pytest

from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import EVENTS, SONGS, STAR, World

DAY = "2018-11-01"
# What ends in one of these does not end in a blank.
OTHER_SPACES = ["\u00a0", "\t", "\n", "\u2003", "\u3000", "\x0b"]


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

    def test_a_page_of_blanks_is_missing(self, world: World) -> None:
        """In canonical lines, and in lines of which each value is looked at."""
        pages = [" ", "  ", "", "\u00a0", "Home "]
        for folder, user in (("canonical", "8"), ("other", 9)):
            events = (event(page=page, itemInSession=n, userId=user) for n, page in enumerate(pages))
            world.write_log(DAY, *events, key=f"{folder}/{DAY}-events.json")
        world.load(DAY)
        assert world.reasons() == [(number, "page", "page: is missing") for number in (1, 2, 3)] * 2
        assert world.rows(EVENTS, "user_id", "page") == [
            (user, page) for user in (8, 9) for page in ("Home ", "\u00a0")
        ]

    @pytest.mark.parametrize("key", ["sessionId", "itemInSession"])
    def test_nextsong_with_blanks_needs_session_and_item(self, world: World, key: str) -> None:
        world.write_log(DAY, event(page="NextSong ", **{key: None}), event(page="NextSong\t", **{key: None}))
        world.load(DAY)
        column = {"sessionId": "session_id", "itemInSession": "item_in_session"}[key]
        assert world.reasons() == [(1, column, f"{column}: is missing on a NextSong")]
        assert world.column("songplays", "user_id") == []

    def test_a_late_song_resolves_a_play_whose_page_has_blanks(self, world: World) -> None:
        world.write_log(DAY, event(page="NextSong  "))
        world.load(DAY)
        world.write_songs("A.json", song())
        world.load_songs_alone()
        assert world.pending() == [DAY]
        world.match_again(DAY)
        assert world.column("songplays", "song_id") == [song()["song_id"]]
        assert world.pending() == []


class TestSongplays:
    @pytest.mark.slow
    def test_texts_of_songplays_are_without_trailing_blanks(self, world: World) -> None:
        world.write_log(
            DAY,
            event(itemInSession=1, level="free ", location=" P  ", userAgent="U ", song="one ", artist="X  "),
            event(itemInSession=2, level=" ", location="  ", userAgent=" ", song=" ", artist="   "),
            event(itemInSession=3, level=None, location=None, userAgent=None, song=None, artist=None),
            event(itemInSession=4, level="a\t", location="b\u00a0", userAgent="c\n", song="d\u2003 ", artist="e\u3000"),
        )
        world.load(DAY)
        assert world.rows("songplays", "level", "location", "user_agent", "song", "artist") == [
            (None,) * 5,
            ("",) * 5,
            ("a\t", "b\u00a0", "c\n", "d\u2003", "e\u3000"),
            ("free", " P", "U", "one", "X"),
        ]
        columns = ("level", "location", "user_agent", "song", "artist")
        assert ("free ", " P  ", "U ", "one ", "X  ") in world.rows(EVENTS, *columns)

    @pytest.mark.slow
    def test_ids_of_songplays_are_those_of_the_dimensions(self, world: World) -> None:
        world.write_log(DAY, event())
        world.write_songs("A.json", song(song_id="SO1  ", artist_id="AR1 "))
        world.load(DAY)
        assert world.rows("songplays", "song_id", "artist_id") == [("SO1", "AR1")]
        assert world.rows("songs", "song_id", "artist_id") == [("SO1", "AR1")]
        assert world.column("artists", "artist_id") == ["AR1"]

    def test_the_smallest_song_id_is_that_without_blanks(self, world: World) -> None:
        world.write_log(DAY, event())
        # By bytes "SO1\t" is smaller than "SO1 ", but not than "SO1".
        world.write_songs("A.json", song(song_id="SO1 ", artist_id="first"), song(song_id="SO1\t", artist_id="second"))
        world.load(DAY)
        assert world.rows("songplays", "song_id", "artist_id") == [("SO1", "first")]

    def test_broken_names_that_differ_in_blanks_are_repaired_once(self, world: World) -> None:
        names = ["BjÃ\x83Â¶rk", "BjÃ\x83Â¶rk ", "BjÃ\x83Â¶rk  "]
        world.write_log(DAY, *(event(itemInSession=n, artist=name, song=name) for n, name in enumerate(names)))
        world.load(DAY)
        assert world.rows("songplays", "artist", "song") == [("Björk", "Björk")] * 3
        assert world.rows(EVENTS, "artist", "song") == [(name, name) for name in names]


class TestUsers:
    @pytest.mark.slow
    def test_texts_of_users_are_without_trailing_blanks(self, world: World) -> None:
        columns = ("firstName", "lastName", "gender", "level")
        for user, value in enumerate(["x ", " x  ", "  ", "", None, "x\u00a0", "x\t "]):
            world.write_log(
                DAY,
                event(page="Home", userId=str(user)) | dict.fromkeys(columns, value),
                key=f"{user}/{DAY}-events.json",
            )
        world.load(DAY)
        assert world.rows("users") == [
            (user, *[value] * 4) for user, value in enumerate(["x", " x", "", "", None, "x\u00a0", "x\t"])
        ]


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
