"""The star's rules, table by table."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from sparkify_dagster_tests.contract.cases import Day, case
from sparkify_dagster_tests.contract.conftest import NewWorld
from sparkify_dagster_tests.support.events import event, millis, song, utc
from sparkify_dagster_tests.support.world import EVENTS, SONGS, STAR, Row, World

DAY, NEXT_DAY = "2018-11-01", "2018-11-02"


def broken(text: str, times: int = 2) -> str:
    """UTF-8 read as Latin-1, as eventsim did twice."""
    for _ in range(times):
        text = text.encode().decode("latin-1")
    return text


@case
def test_a_play_is_an_event_of_page_nextsong_with_a_user(day: Day) -> Iterator[None]:
    day.write(
        day.event(itemInSession=1),
        day.event(itemInSession=2, page="Home"),
        day.event(itemInSession=3, userId=""),
        day.event(itemInSession=4, userId=None),
        day.event(itemInSession=5, userId="0"),
        day.event(itemInSession=6, userId="-1"),
    )
    yield
    assert day.column("songplays", "user_id") == [-1, 0, 8]


@case
def test_level_is_the_events_own(day: Day) -> Iterator[None]:
    user = "1001"
    day.write(*(day.event(userId=user, itemInSession=item, level=level) for item, level in ((1, "free"), (2, "paid"))))
    yield
    assert day.column("songplays", "level") == ["free", "paid"]
    assert [level for user_id, *_, level in day.found["users"] if user_id == int(user)] == ["paid"]


@case
def test_ids_are_those_of_the_identity(day: Day) -> Iterator[None]:
    """The MD5 of user, session, item and epoch milliseconds, of which one is written out below."""
    epoch_ms = millis(f"{day}T10:00:00.796")
    day.write(day.event(userId="008", ts=str(epoch_ms)))
    yield
    identity = f"8|139|1|{epoch_ms}".encode()
    assert day.column("songplays", "songplay_id") == [hashlib.md5(identity).hexdigest()]


@case
def test_parts_of_the_identity_are_distinguished(day: Day) -> Iterator[None]:
    day.write(
        day.event(userId="1", sessionId=11, itemInSession=1),
        day.event(userId="11", sessionId=1, itemInSession=1),
        day.event(userId="1", sessionId=1, itemInSession=11),
    )
    yield
    assert len(set(day.column("songplays", "songplay_id"))) == 3


@case
def test_time_has_one_row_per_distinct_start_time_of_a_play(day: Day) -> Iterator[None]:
    day.write(
        day.event(time=f"{day}T00:00:00.001"),
        day.event(time=f"{day}T00:00:00.001", userId="9"),
        day.event(time=f"{day}T00:00:00.002"),
        day.event(time=f"{day}T12:00:00", page="Home"),
        day.event(time=f"{day}T13:00:00", userId=""),
        day.event(time=f"{day}T23:59:59.999"),
    )
    yield
    parts = (day.date.day, day.date.isocalendar().week, day.date.month, day.date.year, day.date.isoweekday() % 7)
    assert day.rows("time") == [
        (utc(f"{day}T00:00:00.001"), 0, *parts),
        (utc(f"{day}T00:00:00.002"), 0, *parts),
        (utc(f"{day}T23:59:59.999"), 23, *parts),
    ]


@case
def test_users_has_one_row_per_user_of_any_event(day: Day) -> Iterator[None]:
    day.write(
        day.event(page="Home", userId="1002"),
        day.event(userId="1003", gender=None),
        day.event(userId="", firstName=None),
    )
    yield
    assert [row for row in day.found["users"] if row[0] in (1002, 1003)] == [
        (1002, "Kaylee", "Summers", "F", "free"),
        (1003, "Kaylee", "Summers", None, "free"),
    ]


@case
def test_texts_that_differ_in_blanks_at_the_end_are_one_play_each(day: Day) -> Iterator[None]:
    texts = [broken("é"), broken("é") + " ", broken("é") + "  ", "é", "é ", broken("é", 1)]
    day.write(*(day.event(itemInSession=number, song=text, length=1) for number, text in enumerate(texts)))
    day.world.write_songs("blanks.json", song(song_id="S1", title="é", duration=1))
    yield
    assert day.column("songplays", "song_id") == ["S1"] * len(texts)


@case
def test_only_the_winning_copy_of_a_song_is_matched(day: Day) -> Iterator[None]:
    day.write(day.event(length=2))
    day.world.write_songs("copies/A.json", song(song_id="S2", duration=2))
    day.world.write_songs("copies/B.json", song(song_id="S2", duration=2, title="another"))
    yield
    assert day.column("songplays", "song_id") == [None]


@case
def test_a_double_encoded_name_of_the_real_logs_matches(day: Day) -> Iterator[None]:
    day.write(day.event(artist="BjÃ\x83Â¶rk", length=3))
    day.world.write_songs("real.json", song(song_id="S3", artist_name="Björk", duration=3))
    yield
    assert day.column("songplays", "song_id") == ["S3"]


@case
def test_staging_keeps_double_encoded_text_and_trailing_blanks(day: Day) -> Iterator[None]:
    day.write(day.event(artist=broken("Björk") + " "))
    day.world.write_songs("staged.json", song(song_id="S4", artist_name="Björk ", duration=4))
    yield
    assert day.column(EVENTS, "artist") == [broken("Björk") + " "]
    assert [row for row in day.found[SONGS] if "S4" in row and "Björk " in row]


class TestSongplays:
    def test_the_table_has_the_contracts_columns_in_their_order(self, world: World) -> None:
        for table, columns in STAR.items():
            found = world.query(
                f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"
                " AND table_catalog = current_database() AND table_schema = current_schema() ORDER BY ordinal_position"
            )
            assert tuple(name for (name,) in found)[: len(columns)] == columns

    @pytest.mark.slow
    def test_a_play_has_the_events_own_values_and_its_song(self, world: World) -> None:
        world.write_log(DAY, event())
        world.write_songs("A.json", song())
        assert world.materialize(DAY).ok
        # The MD5 of 8|139|1|1541066400796, written out so that no change of the code changes what analysts have.
        assert world.rows("songplays") == [
            (
                "03ff65170dfd0c9bf19e04addc2f6036",
                utc("2018-11-01T10:00:00.796"),
                8,
                "free",
                "SOCIWDW12A8C13D406",
                "ARMJAGH1187FB546F3",
                139,
                "Phoenix-Mesa-Scottsdale, AZ",
                '"Mozilla/5.0 (Windows NT 6.1; WOW64)"',
                "You Gotta Be",
                "Des'ree",
                Decimal("246.30812"),
            )
        ]

    @pytest.mark.slow
    def test_the_same_event_has_the_same_id_after_every_reload_and_in_any_company(self, world: World) -> None:
        world.write_log(DAY, event())
        world.load(DAY)
        (first,) = world.column("songplays", "songplay_id")
        world.write_log(DAY, event(itemInSession=0), event(location="elsewhere"), event(itemInSession=2))
        world.write_songs("A.json", song())
        world.load(DAY, full=True)
        assert world.query("SELECT songplay_id FROM songplays WHERE location = 'elsewhere'") == [(first,)]


# What the log says, what the catalogue says, and whether they match.
MATCHES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {}, True),
    ({"song": "other"}, {}, False),
    ({"artist": "other"}, {}, False),
    ({"length": 246.30813}, {}, False),
    ({"song": "you gotta be"}, {}, False),
    ({"artist": "DES'REE"}, {}, False),
    ({"song": None}, {}, False),
    ({"artist": None}, {}, False),
    ({"length": None}, {}, False),
    ({"length": ""}, {"duration": None}, False),
    ({"song": None}, {"title": None}, False),
    ({"length": "246.308120"}, {}, True),
    ({"length": 246.308124}, {"duration": 246.308116}, True),
    ({"artist": 112}, {"artist_name": "112"}, True),
    ({"artist": "112"}, {"artist_name": 112}, True),
    # Blanks at the end are dropped on both sides; a blank is U+0020 alone
    ({"song": "You Gotta Be  "}, {}, True),
    ({"artist": "Des'ree "}, {"artist_name": "Des'ree   "}, True),
    ({}, {"title": "You Gotta Be "}, True),
    ({"song": " You Gotta Be"}, {}, False),
    ({"song": "You  Gotta Be"}, {}, False),
    ({"song": "You Gotta Be\u00a0"}, {}, False),
    ({}, {"title": "You Gotta Be\u00a0"}, False),
    ({"song": "You Gotta Be\u00a0 "}, {"title": "You Gotta Be\u00a0"}, True),
    ({"song": "You Gotta Be\t"}, {}, False),
    ({"song": "You Gotta Be\u3000"}, {}, False),
    ({"song": "You Gotta Be\u2003"}, {"title": "You Gotta Be\u2003  "}, True),
    ({"song": "   "}, {"title": ""}, True),
    # The event's text is repaired, not the catalogue's
    ({"artist": broken("Björk")}, {"artist_name": "Björk"}, True),
    ({"artist": broken("Björk", 1)}, {"artist_name": "Björk"}, True),
    ({"artist": broken("Björk", 3)}, {"artist_name": "Björk"}, True),
    ({"artist": "Björk"}, {"artist_name": "Björk"}, True),
    ({"artist": broken("Björk") + "  "}, {"artist_name": "Björk "}, True),
    ({"artist": broken("Björk")}, {"artist_name": broken("Björk")}, False),
    ({"artist": "Björk"}, {"artist_name": broken("Björk")}, False),
    ({"song": broken("Où est-elle ? Là")}, {"title": "Où est-elle ? Là"}, True),
    ({"song": broken("voilà")}, {"title": "voilà"}, True),  # à is C3 A0: a non-breaking space as its second half
    ({"song": broken("voilà") + " "}, {"title": "voilà"}, True),
    ({"song": broken("日本\u3000")}, {"title": "日本\u3000"}, True),
    ({"song": broken("日本\u00a0")}, {"title": "日本\u00a0"}, True),
    ({"song": broken("日本\u00a0")}, {"title": "日本"}, False),
    ({"song": broken("😀")}, {"title": "😀"}, True),
    ({"song": "日本"}, {"title": "日本"}, True),  # not Latin-1 at all
    ({"song": broken("é") + " 日本"}, {"title": broken("é") + " 日本"}, True),
    ({"song": broken("é") + " ÿ"}, {"title": broken("é") + " ÿ"}, True),
    ({"song": "Ã©"}, {"title": "é"}, True),
    ({"song": "Ã©"}, {"title": "Ã©"}, False),
    ({"song": "naïve"}, {"title": "naïve"}, True),
    ({"song": "e\u0301"}, {"title": "é"}, False),
]


class TestMatch:
    @pytest.mark.slow
    def test_song_artist_and_length_match_exactly_or_the_play_is_kept_without_a_song(self, world: World) -> None:
        for number, (log, catalogue, _) in enumerate(MATCHES):
            # A year's worth of lengths keeps the pairs apart where they do not decide themselves.
            apart = {} if {"length", "duration"} & (log.keys() | catalogue.keys()) else {"length": 1000 + number}
            also = {"duration": 1000 + number} if apart else {}
            log_date = f"2018-11-{1 + number % 2:02}"
            world.write_log(
                log_date,
                event(time=f"{log_date}T10:00:00", sessionId=number) | apart | log,
                key=f"{number}/{log_date}-events.json",
            )
            world.write_songs(f"{number}.json", song(song_id=f"S{number:03}") | also | catalogue)
        assert world.load(DAY, NEXT_DAY).ok
        found: dict[int, str | None] = dict(world.rows("songplays", "session_id", "song_id"))
        assert len(found) == len(MATCHES)
        for number, (log, catalogue, matches) in enumerate(MATCHES):
            if "length" in log or "duration" in catalogue:
                assert (found[number] is not None) == matches, (log, catalogue)
            else:
                assert found[number] == (f"S{number:03}" if matches else None), (log, catalogue)

    @pytest.mark.slow
    def test_a_play_matches_the_smallest_song_id_by_bytes(self, world: World) -> None:
        ids = sorted(["SO2", "SO10", "sO1", "Sé", "SO1z", "SO1Z"], key=str.encode)
        # Play n matches all songs but the n smallest ones.
        for number in range(len(ids)):
            for song_id in (f"{number}{song_id}" for song_id in ids[number:]):
                changes = {"song_id": song_id, "artist_id": f"AR{song_id}", "title": f"{number}"}
                world.write_songs(f"{song_id}.json", song(**changes))
        world.write_log(DAY, *(event(itemInSession=number, song=f"{number}") for number in range(len(ids))))
        world.load(DAY)
        smallest = [f"{number}{song_id}" for number, song_id in enumerate(ids)]
        assert world.rows("songplays", "song_id", "artist_id") == [(song_id, f"AR{song_id}") for song_id in smallest]


# An earlier and a later event of one user.
USERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"ts": millis("2018-11-01T10:00:00.001")}, {"ts": millis("2018-11-01T10:00:00.002")}),
    ({"ts": 1541070000000, "sessionId": 9, "itemInSession": 9}, {"ts": 1541070000001, "sessionId": 1}),
    ({"sessionId": 9, "itemInSession": 8}, {"sessionId": 10, "itemInSession": 7}),
    ({"itemInSession": 9}, {"itemInSession": 10}),
    ({"sessionId": None, "itemInSession": 9}, {"sessionId": -5}),
    ({"itemInSession": None}, {"itemInSession": -5}),
    ({"sessionId": None, "itemInSession": None}, {"sessionId": None, "itemInSession": 0}),
    ({"sessionId": "", "itemInSession": 9}, {"sessionId": 0, "itemInSession": None}),
]


@pytest.fixture(scope="module")
def users(new_world: NewWorld) -> Mapping[int, Row]:
    """The rows of the users of USERS: user 2n has USERS[n] in its order, user 2n + 1 swapped."""
    world, events = new_world(), []
    for number, (earlier, later) in enumerate(USERS):
        for swapped in (False, True):
            user = str(2 * number + swapped)
            home = event(page="Home", userId=user)
            old = home | {"firstName": "Old", "lastName": "Old", "gender": "F", "level": "free"} | earlier
            new = home | {"firstName": "New", "lastName": None, "gender": "", "level": "paid"} | later
            events += [new, old] if swapped else [old, new]
    world.write_log(DAY, *events)
    world.load(DAY)
    return {row[0]: row for row in world.rows("users")}


class TestUsers:
    @pytest.mark.parametrize("number", range(len(USERS)))
    @pytest.mark.parametrize("swapped", [False, True])
    def test_names_gender_and_level_are_as_of_the_latest_event(
        self, users: Mapping[int, Row], number: int, swapped: bool
    ) -> None:
        user = 2 * number + swapped
        assert users[user] == (user, "New", None, "", "paid"), USERS[number]

    def test_users_with_two_events_have_one_row_each(self, users: Mapping[int, Row]) -> None:
        assert len(users) == 2 * len(USERS)

    def test_the_latest_event_of_all_days_counts(self, world: World) -> None:
        world.write_log(DAY, event(level="free"))
        world.write_log(NEXT_DAY, event(level="paid", time=f"{NEXT_DAY}T00:00:00"))
        world.load(NEXT_DAY)
        world.load(DAY)
        assert world.column("users", "level") == ["paid"]

    @pytest.mark.slow
    def test_a_user_whose_events_are_all_gone_is_gone(self, world: World) -> None:
        world.write_log(DAY, event(), event(userId="9", level="free"))
        world.write_log(NEXT_DAY, event(userId="9", level="paid", time=f"{NEXT_DAY}T00:00:00"))
        world.load(DAY, NEXT_DAY)
        world.delete("log_data/2018/11/2018-11-02-events.json")
        world.write_log(DAY, event(userId="9", level="free"))
        world.load(DAY, NEXT_DAY)
        assert world.rows("users", "user_id", "level") == [(9, "free")]


YEARS: list[Any] = [0, "0", None, "", 0.0]
# A title, and how it is shown.
TITLES = {" blanks  ": " blanks", "": "", "  ": "", "X\u00a0": "X\u00a0", broken("é"): broken("é"), None: None}


@pytest.fixture(scope="module")
def songs(new_world: NewWorld) -> Mapping[str, Row]:
    """Returns the rows of one plain song, and of songs with the years and titles below."""
    world = new_world()
    world.write_songs("plain.json", song())
    world.write_songs("years.json", *(song(song_id=f"Y{n}", year=year) for n, year in enumerate(YEARS)))
    world.write_songs("titles.json", *(song(song_id=f"T{n}", title=title) for n, title in enumerate(TITLES)))
    world.load_songs_alone()
    return {row[0]: row for row in world.rows("songs")}


class TestSongs:
    def test_songs_has_one_row_per_song_id(self, songs: Mapping[str, Row]) -> None:
        expected = ("SOCIWDW12A8C13D406", "You Gotta Be", "ARMJAGH1187FB546F3", 1994, Decimal("246.30812"))
        assert songs["SOCIWDW12A8C13D406"] == expected
        assert len(songs) == 1 + len(YEARS) + len(TITLES)

    def test_year_0_means_unknown_and_becomes_null(self, songs: Mapping[str, Row]) -> None:
        assert [songs[f"Y{number}"][3] for number in range(len(YEARS))] == [None] * len(YEARS)

    def test_a_title_is_shown_as_it_is_but_for_blanks_at_its_end(self, songs: Mapping[str, Row]) -> None:
        assert {title: songs[f"T{number}"][1] for number, title in enumerate(TITLES)} == TITLES


# The names on an artist's songs, and the artist's name.
NAMES: list[tuple[list[Any], str | None]] = [
    (["X"], "X"),
    (["X", "X", "X feat. Y"], "X"),
    (["X feat. Y", "X feat. Z", "X", "X"], "X"),
    (["X", "X feat. Y"], "X feat. Y"),  # a tie goes to the name on the greatest song_id
    (["X feat. Y", "X"], "X"),
    (["A", "B", "B", "A"], "A"),
    (["A", "B", "B", "A", "C"], "A"),  # the greatest among the tied
    (["C", "A", "B"], "B"),
    (["X ", "X", "Y", "X  "], "X"),
    (["Y", "Y", "X ", "X", "X  "], "X"),
    (["X   "], "X"),
    ([None, "", "  ", "X"], "X"),
    (["X", None, "", "  "], "X"),
    ([None, ""], None),
    (["  "], None),
    (["\u00a0"], "\u00a0"),
    (["X\u00a0", "X", "X"], "X"),
    (["x", "X", "x"], "x"),
    ([112, "112", "Y"], "112"),
    ([" X"], " X"),
    ([broken("Björk")], broken("Björk")),
]
# Year and location of an artist's songs, and the artist's location.
LOCATIONS: list[tuple[list[tuple[int | None, str | None]], str | None]] = [
    ([(1999, "old"), (2001, "new"), (2000, "middle")], "new"),
    ([(2001, "first"), (2001, "second")], "second"),  # then by song_id
    ([(2001, "known"), (0, "unknown")], "known"),
    ([(0, "unknown"), (None, "unknown too")], "unknown too"),
    ([(None, "unknown"), (0, "unknown too")], "unknown too"),
    ([(-5, "negative"), (0, "unknown")], "negative"),
    ([(2000, "has one"), (2001, None), (2002, ""), (2003, "  ")], "has one"),
    ([(0, "only one"), (2001, None)], "only one"),
    ([(2001, None)], None),
    ([(2001, "  ")], None),
    ([(2001, " X ")], " X"),
    ([(2001, "\u00a0")], "\u00a0"),
]


@pytest.fixture(scope="module")
def artists(new_world: NewWorld) -> Mapping[str, Row]:
    """The rows of the artists of NAMES and LOCATIONS: artist N7 has the names of NAMES[7]."""
    world = new_world()
    cases: dict[str, list[dict[str, Any]]] = {
        f"N{n}": [{"artist_name": name} for name in names] for n, (names, _) in enumerate(NAMES)
    }
    for n, (known, _) in enumerate(LOCATIONS):
        cases[f"L{n}"] = [{"year": year, "artist_location": location} for year, location in known]
    for artist_id, songs in cases.items():
        for n, changes in enumerate(songs):
            world.write_songs(f"{artist_id}/{n}.json", song(song_id=f"S{artist_id}-{n}", artist_id=artist_id) | changes)
    world.load_songs_alone()
    return {row[0]: row for row in world.rows("artists")}


class TestArtists:
    def artist(self, world: World, *songs: dict[str, Any]) -> Sequence[Any]:
        """The one artist's row but for its id, of songs with the ids S0, S1 and so on."""
        for number, changes in enumerate(songs):
            world.write_songs(f"{number}.json", song(song_id=f"S{number}") | changes)
        world.load_songs_alone()
        (row,) = world.rows("artists")
        return row[1:]

    @pytest.mark.parametrize("number", range(len(NAMES)))
    def test_the_name_that_most_songs_carry(self, artists: Mapping[str, Row], number: int) -> None:
        names, name = NAMES[number]
        assert artists[f"N{number}"][1] == name, names

    @pytest.mark.parametrize("number", range(len(LOCATIONS)))
    def test_the_location_of_the_latest_song_that_has_one(self, artists: Mapping[str, Row], number: int) -> None:
        songs, location = LOCATIONS[number]
        assert artists[f"L{number}"][2] == location, songs

    def test_artists_with_several_songs_have_one_row_each(self, artists: Mapping[str, Row]) -> None:
        assert len(artists) == len(NAMES) + len(LOCATIONS)

    def test_latitude_counts_only_with_longitude(self, world: World) -> None:
        both = {"artist_latitude": 1, "artist_longitude": -2}
        found = self.artist(
            world,
            {"year": 2000, "artist_location": "old"} | both,
            {"year": 2001, "artist_latitude": None, "artist_longitude": 4, "artist_location": "new"},
            {"year": 2002, "artist_latitude": 3, "artist_longitude": None, "artist_location": None},
            {"year": 0, "artist_latitude": 5, "artist_longitude": 6},
        )
        assert found[1:] == ("new", Decimal(1), Decimal(-2))

    def test_location_and_position_of_an_artist_come_from_songs_of_their_own(self, world: World) -> None:
        nowhere = {"artist_latitude": None, "artist_longitude": None, "artist_location": None}
        found = self.artist(
            world,
            nowhere | {"year": 2000, "artist_latitude": 1, "artist_longitude": 2},
            nowhere | {"year": 2001, "artist_location": "there"},
            nowhere | {"year": 2002},
        )
        assert found == ("Des'ree", "there", Decimal(1), Decimal(2))

    def test_zero_is_a_latitude_and_a_longitude(self, world: World) -> None:
        assert self.artist(world, {"artist_latitude": 0, "artist_longitude": 0})[2:] == (Decimal(0), Decimal(0))

    def test_only_winning_copies_of_songs_count_for_artists(self, world: World) -> None:
        world.write_songs("A.json", song(artist_id="A1", artist_name="Loser"), song(song_id="S2", artist_id="A2"))
        world.write_songs("B.json", song(artist_id="A2", artist_name="Winner"))
        world.load_songs_alone()
        assert world.rows("artists", "artist_id", "name") == [("A2", "Winner")]  # on the greater song_id of two


# A day, its ISO week, its calendar year, and its weekday from Sunday.
WEEKS = [
    ("2018-12-30", 52, 2018, 0),
    ("2018-12-31", 1, 2018, 1),
    ("2019-01-01", 1, 2019, 2),
    ("2019-12-29", 52, 2019, 0),
    ("2019-12-30", 1, 2019, 1),
    ("2020-02-29", 9, 2020, 6),
    ("2020-12-31", 53, 2020, 4),
    ("2021-01-03", 53, 2021, 0),
    ("2021-01-04", 1, 2021, 1),
    ("2022-01-01", 52, 2022, 6),
]


@pytest.fixture(scope="module")
def times(new_world: NewWorld) -> Mapping[datetime, Row]:
    """The rows of the plays at half past eight on the days of WEEKS."""
    world = new_world()
    for day, *_ in WEEKS:
        world.write_log(day, event(time=f"{day}T08:30:00.500"))
    world.load(WEEKS[0][0], WEEKS[-1][0])
    return {row[0]: row for row in world.rows("time")}


class TestTime:
    @pytest.mark.parametrize(("day", "week", "year", "weekday"), WEEKS)
    def test_iso_week_calendar_year_and_weekday_from_sunday(
        self, times: Mapping[datetime, Row], day: str, week: int, year: int, weekday: int
    ) -> None:
        date, time = datetime.fromisoformat(day), utc(f"{day}T08:30:00.500")
        assert times[time] == (time, 8, date.day, week, date.month, year, weekday)

    def test_one_play_per_day_is_one_row_of_time_per_day(self, times: Mapping[datetime, Row]) -> None:
        assert len(times) == len(WEEKS)


def test_the_star_lives_in_the_default_schema_and_staging_in_its_own(world: World) -> None:
    found = world.query("SELECT table_schema, table_name FROM information_schema.tables")
    ((default,),) = world.query("SELECT current_schema()")
    assert {(schema, name) for schema, name in found if name in STAR} == {(default, name) for name in STAR}
    assert {"staging_events", "staging_songs", "loaded_objects", "load_errors"} <= {
        name for schema, name in found if schema == "staging"
    }


def test_the_columns_have_the_contracts_types(world: World) -> None:
    types = {
        name: (type_.lower().partition("(")[0], precision, scale)
        for name, type_, precision, scale in world.query(
            "SELECT column_name, data_type, numeric_precision, numeric_scale FROM information_schema.columns"
            " WHERE table_schema = 'staging' AND table_name IN ('staging_events', 'staging_songs')"
        )
    }
    assert {types[name][0] for name in ("user_id", "session_id")} == {"bigint"}
    assert {types[name][0] for name in ("item_in_session", "status", "num_songs", "year")} == {"integer"}
    assert {types[name][0] for name in ("ts", "registration")} <= {"timestamp", "timestamp without time zone"}
    assert {types[name][1:] for name in ("length", "duration")} == {(10, 5)}
    assert {types[name][1:] for name in ("artist_latitude", "artist_longitude")} == {(9, 6)}
