"""Song files: their names, their objects, and the copy of a song that wins."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from sparkify_dagster_tests.contract.conftest import NewWorld
from sparkify_dagster_tests.support.events import song
from sparkify_dagster_tests.support.world import ERRORS, SONGS, Row, World


@pytest.mark.slow
def test_a_song_file_is_any_name_in_json_in_any_folder(world: World) -> None:
    keys = ["A/B/C/TRABC.json", "top.json", "é/x y/[1].json", "A/B/C/TRABD.json.gz", "A/2018-11-01-events.json"]
    for number, key in enumerate(keys):
        world.write_songs(key, song(song_id=f"S{number}"))
    loads = world.load_songs_alone()
    assert loads.ok
    assert world.column("songs", "song_id") == ["S0", "S1", "S2", "S3", "S4"]
    assert loads.songs.new == 5


@pytest.mark.slow
def test_names_that_are_no_song_files_are_ignored_and_counted(world: World) -> None:
    ignored = [
        ".DS_Store",
        "A/._TRABC.json",
        "A/.json",
        "A/.ipynb_checkpoints/TRABC-checkpoint.json",
        ".git/deeper/TRABC.json",
        "A/TRABC.JSON",
        "A/TRABC.jsonl",
        "A/TRABC.json.GZ",
        "A/TRABC.json.bak",
        "A/TRABC.txt",
        "A/json",
    ]
    for key in ignored:
        world.write_songs(key, "this would be an error")
    for key in ("A/zero.json", "A/zero.json.gz"):
        (world.folder / "song_data" / key).touch()  # as S3 consoles make folders
    world.write_songs("A/TRABC.json", song())
    assert world.load_songs_alone().ok
    assert list(world.counts()) == ["A/TRABC.json"]
    assert world.source.list_song_files().ignored == len(ignored) + 2


PRETTY = json.dumps(song(song_id="S1"), indent=4)


# A file's content, and the songs that load.
FORMS: list[tuple[str, list[str]]] = [
    (json.dumps(song(song_id="S1")), ["S1"]),
    (PRETTY, ["S1"]),
    (PRETTY.replace("\n", "\r\n"), ["S1"]),
    (f"\n\t {PRETTY} \r\n\n", ["S1"]),
    (f"\ufeff{PRETTY}", ["S1"]),
    (PRETTY + json.dumps(song(song_id="S2")), ["S1", "S2"]),
    (PRETTY + "\n\n" + json.dumps(song(song_id="S2")) + "\t" + json.dumps(song(song_id="S3")), ["S1", "S2", "S3"]),
    (" \r\n\t", []),
]
# A file's content, the songs that load, and of each error the line, the column, and how its reason begins.
WRONG: list[tuple[str | bytes, list[str], list[tuple[int, str | None, str]]]] = [
    # Text that is not JSON ends the file with one error
    ("CSV;no JSON;at all", [], [(1, None, "not JSON")]),
    (PRETTY + "\nbroken\n" + json.dumps(song(song_id="S2")), ["S1"], [(14 - 1, None, "not JSON")]),
    (PRETTY + ",\n" + PRETTY, ["S1"], [(12, None, "not JSON")]),
    (PRETTY[:-1], [], [(1, None, "not JSON")]),
    ('{"song_id": NaN}', [], [(1, None, "not JSON")]),
    (PRETTY.encode() + b"\xff", ["S1"], [(12, None, "not UTF-8")]),
    (b'{"title": "\xe9"}', [], [(1, None, "not UTF-8")]),
    ("[" * 10_000, [], [(1, None, "nested too deeply")]),
    # What is no object is an error; those behind it load
    (f"[{PRETTY}]", [], [(1, None, "not a JSON object")]),
    (f"[]\n{PRETTY}\n12 null", ["S1"], [(1, None, "not a JSON object"), (14, None, "not a"), (14, None, "not a")]),
    # So is each object with a value that its column cannot hold, or without its ids
    (
        "\n".join(
            json.dumps(line)
            for line in (
                song(song_id="S1", year="MCMXCIV"),
                song(song_id="S2"),
                song(song_id=""),
                song(song_id=None),
                song(artist_id=""),
                {"song_id": "S3"},
                {"artist_id": "A"},
                {},
                song(song_id="S4"),
            )
        ),
        ["S2", "S4"],
        [
            (1, "year", "year: text is not a number"),
            (3, "song_id", "song_id: is missing"),
            (4, "song_id", "song_id: is missing"),
            (5, "artist_id", "artist_id: is missing"),
            (6, "artist_id", "artist_id: is missing"),
            (7, "song_id", "song_id: is missing"),
            (8, "song_id", "song_id: is missing"),
        ],
    ),
]


@dataclass(frozen=True)
class LoadedFiles:
    """Returns the loaded rows by the keys of their files."""

    songs: Mapping[str, list[str]]
    errors: Mapping[str, list[Row]]
    counts: Mapping[str, tuple[int, int, int, int]]


@pytest.fixture(scope="module")
def files(new_world: NewWorld) -> LoadedFiles:
    """The files of FORMS and WRONG, loaded at once: file F7 is FORMS[7]."""
    world = new_world()
    contents: dict[str, str | bytes] = {f"F{number}": content for number, (content, _) in enumerate(FORMS)}
    contents |= {f"W{number}": content for number, (content, *_) in enumerate(WRONG)}
    for name, content in contents.items():
        # So that the files have songs of their own.
        as_bytes = content if isinstance(content, bytes) else content.encode()
        world.write(f"song_data/{name}.json", re.sub(rb'("song_id": ")(?=S)', rb"\g<1>%s-" % name.encode(), as_bytes))
    world.load_songs_alone()
    songs, errors = defaultdict(list), defaultdict(list)
    for (song_id,) in world.rows("songs", "song_id"):
        name, _, its_own = song_id.partition("-")
        songs[name].append(its_own)
    for error in world.errors():
        errors[error[0].removesuffix(".json")].append(error)
    counts = {key.removesuffix(".json"): count for key, count in world.counts().items()}
    return LoadedFiles(songs, errors, counts)


@pytest.mark.parametrize("number", range(len(FORMS)))
def test_objects_of_a_song_file_follow_one_another(files: LoadedFiles, number: int) -> None:
    name, (_, ids) = f"F{number}", FORMS[number]
    assert files.songs.get(name, []) == ids
    assert files.counts[name] == (len(ids), len(ids), 0, 0)


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_is_an_error_in_a_song_file(files: LoadedFiles, number: int) -> None:
    name, (_, ids, errors) = f"W{number}", WRONG[number]
    assert files.songs.get(name, []) == ids
    found = files.errors[name]
    assert [(line, column) for _, line, _, column, _, _ in found] == [error[:2] for error in errors]
    for (*_, reason, raw), (_, _, start) in zip(found, errors, strict=True):
        assert reason.startswith(start)
        assert raw
    assert files.counts[name] == (len(ids) + len(errors), len(ids), 0, len(errors))
    assert {log_date for _, _, log_date, *_ in found} == {None}


def test_song_files_give_no_song_and_no_error_but_their_own(files: LoadedFiles) -> None:
    assert sum(map(len, files.songs.values())) == sum(len(case[1]) for case in [*FORMS, *WRONG])
    assert sum(map(len, files.errors.values())) == sum(len(errors) for _, _, errors in WRONG)


class Raw(str):
    """JSON as it is written."""


ERROR = object()
VALUES: list[tuple[str, Any, Any]] = [
    ("num_songs", 1, 1),
    ("num_songs", "1", 1),
    ("num_songs", "", None),
    ("num_songs", 2**31, ERROR),
    ("year", 0, 0),  # staging keeps what the source says
    ("year", "1994", 1994),
    ("year", Raw("1994.0"), 1994),
    ("year", Raw("1994.5"), ERROR),
    ("year", None, None),
    ("year", "", None),
    ("year", -5, -5),
    ("year", True, ERROR),
    ("duration", Raw("218.93179"), Decimal("218.93179")),
    ("duration", Raw("218.931785"), Decimal("218.93179")),
    ("duration", Raw("99999.999995"), ERROR),
    ("duration", Raw("1e25"), ERROR),
    ("duration", "", None),
    ("artist_latitude", Raw("35.14968"), Decimal("35.14968")),
    ("artist_latitude", Raw("-90.0489155"), Decimal("-90.048916")),
    ("artist_latitude", Raw("0.0000005"), Decimal("0.000001")),
    ("artist_latitude", Raw("-0.0000005"), Decimal("-0.000001")),
    ("artist_latitude", Raw("999.9999994"), Decimal("999.999999")),
    ("artist_latitude", Raw("999.9999995"), ERROR),
    ("artist_latitude", "", None),
    ("artist_latitude", None, None),
    ("artist_latitude", "north", ERROR),
    ("artist_longitude", "12.5", Decimal("12.5")),
    ("artist_longitude", Raw("1000"), ERROR),
    ("artist_name", 112, "112"),
    ("artist_name", Raw("1.50"), "1.50"),
    ("artist_name", "", ""),
    ("artist_name", None, None),
    ("artist_name", "x" * 1024, "x" * 1024),
    ("artist_name", "é" * 513, ERROR),
    ("artist_name", ["X"], ERROR),
    ("artist_location", {}, ERROR),
    ("artist_location", Raw('"\\u0000"'), ERROR),
    ("title", Raw(r'"\ud800"'), ERROR),
    ("title", Raw(r'"\ud83d\ude00"'), "😀"),
    ("title", "x" * 1025, ERROR),
    ("title", False, ERROR),
    ("artist_id", 112, "112"),
    ("artist_id", "é" * 32, "é" * 32),
    ("artist_id", "é" * 32 + "x", ERROR),
    ("artist_id", " ", ERROR),
    ("artist_id", "\u00a0", "\u00a0"),
    ("artist_id", "A ", "A "),
]


@pytest.mark.slow
def test_each_song_column_holds_the_value_or_the_object_is_an_error(world: World) -> None:
    for number, (column, value, _) in enumerate(VALUES):
        document = json.dumps(song(song_id=f"S{number}") | {column: "here" if isinstance(value, Raw) else value})
        world.write_songs(
            f"{number:03}.json", document.replace('"here"', value) if isinstance(value, Raw) else document
        )
    world.load_songs_alone()
    blamed: dict[str, str] = dict(world.rows(ERRORS, "key", "column_name"))
    for number, (column, value, expected) in enumerate(VALUES):
        found = world.query(f"SELECT {column} FROM {SONGS} WHERE song_id = 'S{number}'")
        if expected is ERROR:
            assert found == [], (column, value)
            assert blamed.pop(f"{number:03}.json") == column
        else:
            assert found == [(expected,)], (column, value)
    assert blamed == {}


class TestDuplicatedSongs:
    @pytest.mark.slow
    def test_staging_keeps_every_copy_and_the_last_one_of_the_last_key_wins(self, world: World) -> None:
        """A song in three files, and one twelve times in a file."""
        world.write_songs("B.json", song(song_id="S1", title="B"))
        world.write_songs("C/A.json.gz", song(song_id="S1", title="C"))
        world.write_songs("A.json", song(song_id="S1", title="A"))
        titles = [f"{number:02}" for number in range(12)]
        world.write_songs("D.json", *(song(song_id="S2", title=title) for title in titles))
        assert world.load_songs_alone().ok
        copies = [*(("S1", title) for title in "ABC"), *(("S2", title) for title in titles)]
        assert world.rows(SONGS, "song_id", "title") == copies
        assert world.rows("songs", "song_id", "title") == [("S1", "C"), ("S2", "11")]

    @pytest.mark.slow
    def test_keys_of_song_files_sort_by_their_utf8_bytes(self, world: World) -> None:
        names = ["\uff5e", "😀", "Z", "a", "é", "a-", "a.", "a/b", "a0"]
        in_order = sorted(names, key=lambda name: f"{name}/s.json".encode())
        # Song n is in all files but the last n, so that each file is the last one of a song.
        for place, name in enumerate(in_order):
            songs = (song(song_id=f"S{number}", title=name) for number in range(len(names) - place))
            world.write_songs(f"{name}/s.json", *songs)
        world.load_songs_alone()
        assert [title for _, title in world.rows("songs", "song_id", "title")] == in_order[::-1]

    @pytest.mark.slow
    def test_a_winner_wins_no_more_when_its_file_goes_or_it_becomes_an_error(self, world: World) -> None:
        world.write_songs(
            "A.json", *(song(song_id=song_id, title="A", artist_id="AA", artist_name="One") for song_id in ("S1", "S2"))
        )
        world.write_songs("B.json", song(song_id="S1", title="B", artist_id="AB", artist_name="Two"))
        world.write_songs("C.json", song(song_id="S2", title="C", artist_id="AC", artist_name="Three"))
        world.load_songs_alone()
        assert world.rows("songs", "song_id", "title") == [("S1", "B"), ("S2", "C")]
        assert world.rows("artists", "artist_id", "name") == [("AB", "Two"), ("AC", "Three")]
        world.delete("song_data/B.json")
        world.write_songs("C.json", song(song_id="S2", title="C", artist_id="AC", year="?"))
        assert world.load_songs_alone().ok
        assert world.rows("songs", "song_id", "title") == [("S1", "A"), ("S2", "A")]
        assert world.rows("artists", "artist_id", "name") == [("AA", "One")]


@pytest.mark.slow
def test_a_song_file_that_changed_replaces_its_song(world: World) -> None:
    world.write_songs("A.json", song(song_id="S1"), song(song_id="S2"))
    world.write_songs("B.json", song(song_id="S3"))
    world.load_songs_alone()
    world.write_songs("A.json", song(song_id="S1", title="new"))
    assert world.load_songs_alone().songs.changed == 1
    assert world.rows("songs", "song_id", "title") == [("S1", "new"), ("S3", "You Gotta Be")]


@pytest.mark.slow
def test_only_new_and_changed_song_files_are_read(world: World) -> None:
    world.write_songs("A.json", song(song_id="S1"))
    world.write_songs("B.json", song(song_id="S2"))
    world.load_songs_alone()
    world.write_songs("C.json", song(song_id="S3"))
    world.delete("song_data/B.json")
    metadata = world.materialize(None, job="load_songs", assets=["staging_songs"]).metadata("staging_songs")
    names = ("new_files", "changed_files", "removed_files", "dagster/row_count")
    assert [metadata[name] for name in names] == [1, 0, 1, 2]
    world.delete("song_data/C.json")
    world.write_songs("A.json", song(song_id="S1"))
    songs = world.load(steps=["staging_songs"], full=True).songs
    assert (songs.new, songs.changed, songs.removed, len(world.rows(SONGS))) == (0, 1, 1, 1)


@pytest.mark.slow
def test_a_full_load_reads_every_song_file_again(world: World) -> None:
    world.write_songs("A.json", song())
    world.load_songs_alone()
    before = world.everything()
    outcome = world.materialize(None, job="load_songs", full=True)
    assert outcome.metadata("staging_songs")["changed_files"] == 1
    assert world.everything() == before
