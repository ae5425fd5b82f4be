"""The product against the plain-Python reference, on small random worlds that change step by step."""

import gzip
import json
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sparkify_dagster_tests.contract.reference import Reference, is_rejected, read_day, reference
from sparkify_dagster_tests.redshift_stand_in.fixtures import log_in
from sparkify_dagster_tests.support.events import event, lines, millis, song
from sparkify_dagster_tests.support.world import (
    ERROR_COLUMNS,
    ERRORS,
    OBJECTS,
    PRODUCT,
    STAR,
    Everything,
    NewWarehouse,
    World,
    in_order,
    thrown_away,
)

DAYS = ("2018-11-01", "2018-11-02", "2018-11-03")
MAX_LOAD_ERRORS = 1_000

# What events and songs are usually made of, so that users, plays, duplicates and matches meet often; and what is odd.
Values: TypeAlias = dict[str, list[Any]]

USUAL_EVENT: Values = {
    "artist": ["X", "X ", "BjÃ\x83Â¶rk"],
    "firstName": ["Ann", "Bob"],
    "itemInSession": [0, 1],
    "length": [1, "1.0", 1.000004],
    "level": ["free", "paid"],
    "page": ["NextSong", "NextSong", "Home", "NextSong ", "Submit Upgrade", "Thumbs Up", "Cancellation Confirmation"],
    "sessionId": [1, 2],
    "song": ["one", "two"],
    "userId": ["1", "2", ""],
}
ODD_EVENT: Values = {
    "artist": ["Björk", "Bj\u00c3\u00b6rk ", "X\u00a0", "", None, 112],
    "firstName": [None, "", "x" * 1025, "Ann  "],
    "gender": [None, "", "F ", " "],
    "itemInSession": [2, "1", 1.0, None, "", -1],
    "length": [2.5, 1.000005, None, "", "?", 1e25],
    "lastName": ["Summers ", " ", "\u00a0 "],
    "level": [None, "x" * 65, "paid ", " ", ""],
    "location": [None, " ", "P ", " P\t"],
    "page": ["", None, "nextsong", " ", "  ", "NextSong\t", " NextSong", "Home ", "NextSong   "],
    "registration": [None, 0, "", 0.5],
    "sessionId": [None, "", "1", 2**63],
    "song": ["é", "Ã©", "one  ", None, True],
    "status": [None, "200", "x", 399, 400, 404],
    "userAgent": ["U ", "U", "  ", ""],
    "userId": [None, 1, "01", 1.5, "x", " ", "1 "],
}
USUAL_SONG: Values = {
    "artist_id": ["A1", "A2"],
    "artist_location": ["P", None],
    "artist_name": ["X", "X feat. Y", "Björk"],
    "duration": [1, 1.000004],
    "song_id": ["S1", "S2", "S3"],
    "title": ["one", "two"],
    "year": [0, 1999],
}
ODD_SONG: Values = {
    "artist_id": ["a1", "", None, " ", "A1 ", "A2  "],
    "artist_latitude": [None, 1.0000005, "x", ""],
    "artist_location": ["Q ", "", "  "],
    "artist_longitude": [None, 1000],
    "artist_name": ["X ", "112", 112, "", None],
    "duration": ["1", 2.5, None, 1.000005],
    "song_id": ["s1", "Sé", "S10", "", None, "  ", "S1 ", "S2  ", "S3\u00a0"],
    "title": ["one ", "é", None, " ", ""],
    "year": [2000, None, -1, "y"],
}


@st.composite
def documents(draw: st.DrawFn, usual: Values, odd: Values) -> dict[str, Any]:
    document = {key: draw(st.sampled_from(values)) for key, values in usual.items()}
    if draw(st.integers(0, 2)) == 0:
        key = draw(st.sampled_from(sorted(odd)))
        document[key] = draw(st.sampled_from(odd[key]))
    return document


# In bytes the limits are 64 and 1,024.
LONG_TEXTS = [
    "x" * 64,
    "x" * 63 + "é",
    "é" * 512,
    "é" * 512 + "x",
    "x" * 1_024,
    "x" * 1_025,
    "🎵" * 256,
    "BjÃ\x83Â¶rk" * 85,
]
BROKEN = [
    b"broken",
    b"[]",
    b"{}",
    b"",
    b"\xff",
    b' \t {"page": "Home"}',
    b'{"ts": 1}{',
    b"null 12",
    b"[{",
    b"{",
    b"}\r",
]


@st.composite
def events(draw: st.DrawFn, day: str) -> bytes:
    if draw(st.integers(0, 14)) == 14:
        return draw(st.sampled_from(BROKEN))
    start = millis(day)
    times = [*[start, start + 1, start + 86_399_999] * 4, str(start), start - 1, start + 86_400_000, None, 0.5]
    document = event(ts=draw(st.sampled_from(times))) | draw(documents(USUAL_EVENT, ODD_EVENT))
    return json.dumps(document, ensure_ascii=draw(st.booleans())).encode()


@st.composite
def songs(draw: st.DrawFn) -> str:
    if draw(st.integers(0, 14)) == 0:
        return draw(st.sampled_from(["broken", "[]", "{}", "null"]))
    return json.dumps(song(**draw(documents(USUAL_SONG, ODD_SONG))), indent=draw(st.sampled_from([None, 2])))


@dataclass(frozen=True)
class Write:
    """A file appears, changes, or goes where there is no content."""

    key: str
    content: bytes | None


@dataclass(frozen=True)
class Load:
    """All songs and some days are loaded."""

    first_day: str
    last_day: str


def pretty(text: bytes) -> bytes:
    """JSON over many lines; other text as it is."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1).encode()
    except ValueError:
        return text


def in_pairs(texts: Sequence[bytes]) -> list[bytes]:
    return [b" ".join(texts[start : start + 2]) for start in range(0, len(texts), 2)]


# What a log file is made of records by. Arrays and pretty-printed files end where one of them is broken.
FORMS: dict[str, Callable[[Sequence[bytes]], bytes]] = {
    "lines": lambda texts: lines(*texts),
    "lines of Windows": lambda texts: b"\xef\xbb\xbf" + b"\r\n".join(texts),
    "several values per line": lambda texts: lines(*in_pairs(texts)),
    "an array on one line": lambda texts: b"[" + b", ".join(texts) + b"]\n",
    "an array over many lines": lambda texts: b"\n[\n" + b",\n".join(map(pretty, texts)) + b"\n]",
    "an array that was cut": lambda texts: (b"[" + b",\n".join(texts))[:-9],
    "pretty-printed": lambda texts: b"\n".join(map(pretty, texts)),
    "pretty-printed, then cut": lambda texts: b"".join(map(pretty, texts))[:-9],
}
USUAL_FORMS = [*["lines"] * 4, *FORMS]
NO_RECORDS = [b"", b"\n", b"[]", b"\xef\xbb\xbf \r\n"]
ONLY_ERRORS = [
    b"<Error>\n<Code>AccessDenied</Code>\n</Error>",
    b"broken",
    b"{}\n{}",
    b"\x1f\x8b",
    b"[{",
    b"\xff\xfe{\x00",
]


@st.composite
def log_files(draw: st.DrawFn) -> Write:
    day = draw(st.sampled_from(DAYS))
    folder, name = draw(
        st.sampled_from([*[("a", "json"), ("B", "json.gz")] * 4, ("level=paid", "json"), (".a", "json")])
    )
    key = f"log_data/{folder}/{day}-events.{name}"
    if draw(st.integers(0, 9)) == 9:
        return Write(key, draw(st.sampled_from(NO_RECORDS + ONLY_ERRORS)))
    form = FORMS[draw(st.sampled_from(USUAL_FORMS))]
    return Write(key, draw(maybe_zipped(form(draw(st.lists(events(day), min_size=3, max_size=10))))))


@st.composite
def song_files(draw: st.DrawFn) -> Write:
    key = draw(st.sampled_from([*["A.json", "a/B.json.gz", "C.json"] * 3, ".a/D.json", "a/._D.json"]))
    content = "\n".join(draw(st.lists(songs(), min_size=2, max_size=5))).encode()
    return Write(f"song_data/{key}", draw(maybe_zipped(content)))


@st.composite
def maybe_zipped(draw: st.DrawFn, content: bytes) -> bytes:
    """Gzip or not: the names say nothing."""
    return gzip.compress(content, mtime=0) if draw(st.booleans()) else content


DELETIONS = st.sampled_from(
    [
        Write(key, None)
        for key in (
            f"log_data/a/{DAYS[0]}-events.json",
            f"log_data/B/{DAYS[1]}-events.json.gz",
            "song_data/A.json",
            "song_data/a/B.json.gz",
        )
    ]
)


@st.composite
def loads(draw: st.DrawFn) -> Load:
    return Load(*sorted([draw(st.sampled_from(DAYS)), draw(st.sampled_from(DAYS))]))


@st.composite
def long_texts(draw: st.DrawFn) -> list[Write | Load]:
    """A log file and a song file with a text at the limit of its column."""
    text = draw(st.sampled_from(LONG_TEXTS))
    column = draw(st.sampled_from(["artist", "song", "level", "page", "location", "firstName"]))
    events = lines(event(**{column: text}), event(itemInSession=2))
    return [
        Write("song_data/long.json", json.dumps(song(title=text, song_id="SLONG")).encode()),
        Write(f"log_data/long/{DAYS[0]}-events.json", events),
    ]


@st.composite
def scripts(draw: st.DrawFn) -> list[Write | Load]:
    """Changes of files and loads in turn."""
    script = draw(long_texts())
    for _ in range(draw(st.integers(1, 4))):
        script += draw(st.lists(log_files() | song_files(), min_size=2, max_size=4))
        script += draw(st.lists(DELETIONS, max_size=1))
        script.append(draw(loads()))
    return script


Files: TypeAlias = dict[str, bytes]


def play(script: list[Write | Load], world: World) -> Files:
    """Does what the script says, then loads what is not loaded yet, and nothing more.

    Returns the log files that the warehouse holds at the end: of a rejected day those that it held before.
    """
    held: Files = {}
    to_load: set[str] = set()

    def load(first_day: str, last_day: str) -> None:
        world.load(first_day, last_day)
        present = files_in(world.folder / "log_data")
        for day in DAYS:
            if first_day <= day <= last_day and not is_rejected(
                read_day(present, date.fromisoformat(day)), MAX_LOAD_ERRORS
            ):
                for key in [key for key in held if day in key]:
                    del held[key]
                held.update({key: content for key, content in present.items() if day in key})

    for step in script:
        if isinstance(step, Load):
            load(step.first_day, step.last_day)
            to_load -= {day for day in DAYS if step.first_day <= day <= step.last_day}
        else:
            to_load |= {day for day in DAYS if day in step.key}
            if step.content is not None:
                world.put(step.key, step.content)
            else:
                (world.folder / step.key).unlink(missing_ok=True)
    # Songs are loaded with any day.
    for first_day, last_day in blocks(to_load or DAYS[:1]):
        load(first_day, last_day)
    return held


def blocks(days: Collection[str]) -> list[tuple[str, str]]:
    """Returns the first and last days of what hangs together, the last block first."""
    if set(days) == {DAYS[0], DAYS[2]}:
        return [(day, day) for day in sorted(days, reverse=True)]
    return [(min(days), max(days))]


def files_in(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected(world: World, log_data: Files | None = None) -> Reference:
    """Returns the expected contents for the world's files, or for other log files with its songs."""
    days = set(map(date.fromisoformat, DAYS))
    logs = files_in(world.folder / "log_data") if log_data is None else log_data
    return reference(logs, files_in(world.folder / "song_data"), days, max_load_errors=MAX_LOAD_ERRORS)


def compare(built: Everything, meant: Reference, rejected_days: Set[date] = frozenset()) -> None:
    """All that the reference says; of rejected days load_errors has the errors of what they do not hold."""
    for table in (*STAR, *PRODUCT):
        assert built[table] == in_order(getattr(meant, table.removeprefix("product."))), table
    assert counts_of(built) == meant.counts
    day_of = ERROR_COLUMNS.index("log_date")
    errors = [row for row in built[ERRORS] if row[day_of] not in rejected_days]
    held = [(key, line) for key, line in meant.errors if not any(day.isoformat() in key for day in rejected_days)]
    assert in_order([row[:2] for row in errors]) == in_order(held)


def counts_of(built: Everything) -> dict[str, Any]:
    """Returns lines, staged, duplicates and errors of each loaded object."""
    return {key: tuple(counts) for key, _, _, *counts in built[OBJECTS]}


def new_world(folder: Path, new_warehouse: NewWarehouse) -> World:
    return World(folder, max_load_errors=MAX_LOAD_ERRORS, new_warehouse=new_warehouse, marts=True)


@pytest.mark.slow
@given(script=scripts())
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_after_any_changes_and_loads_each_warehouse_holds_the_references_rows(
    warehouses: Mapping[str, NewWarehouse], script: list[Write | Load]
) -> None:
    """They are those of a load from scratch too."""
    with tempfile.TemporaryDirectory() as folder:
        world = new_world(Path(folder, "duckdb"), warehouses["duckdb"])
        with thrown_away(world):
            held = play(script, world)
            everything, pending = world.everything(), world.pending()
        from_scratch = expected(world)
        compare(everything, expected(world, held), from_scratch.rejected_days)
        fresh = replace(world, warehouse_file=Path(folder, "from_scratch.duckdb"))
        with thrown_away(fresh):
            fresh.load(DAYS[0], DAYS[-1])
            loaded = fresh.everything()
        compare(loaded, from_scratch, from_scratch.rejected_days)
        if not from_scratch.rejected_days:
            assert everything == loaded
        for name in warehouses.keys() - {"duckdb"}:
            other = new_world(Path(folder, name), warehouses[name])
            with pytest.MonkeyPatch.context() as environment:
                log_in(other.new_warehouse, environment)
                with thrown_away(other):
                    play(script, other)
                    built, other_pending = other.everything(), other.pending()
            assert other_pending == pending, name
            # Of a copied file the ETag is another one.
            assert counts_of(built) == counts_of(everything), name
            assert {**built, OBJECTS: None} == {**everything, OBJECTS: None}, name


@pytest.mark.slow
def test_the_reference_agrees_on_the_real_jobs_too(world: World) -> None:
    """One fixed world through Dagster, with something of everything."""
    world.marts = True
    for number, day in enumerate(DAYS):
        world.write_log(
            day,
            *(event(time=f"{day}T0{hour}:00:00.001", itemInSession=hour, userId=str(hour % 3)) for hour in range(6)),
            event(time=f"{day}T10:00:00", userId="", page="Home"),
            event(time=f"{day}T00:00:00.001", itemInSession=0, userId="0"),
            "broken",
            event(time=f"{day}T11:00:00", artist="BjÃ\x83Â¶rk", level=["free", "paid"][number % 2]),
        )
    world.write_songs("A.json", song(), song(song_id="S2", artist_name="Björk", year=0))
    world.write_songs("B.json.gz", song(song_id="S2", artist_name="Björk ", artist_location=None))
    assert world.materialize(DAYS[0], DAYS[-1]).ok
    compare(world.everything(), expected(world))
    assert len(world.rows("songplays")) == 21
    assert [row[0] for row in world.query("SELECT DISTINCT song_id FROM songplays ORDER BY 1")] == [
        "S2",
        song()["song_id"],
    ]


@pytest.mark.slow
@pytest.mark.skipif(
    not (Path(__file__).parents[2] / ".." / "shared" / "data" / "sample").is_dir(), reason="the real sample is not here"
)
def test_the_reference_agrees_on_the_real_sample(tmp_path: Path, new_warehouse: NewWarehouse) -> None:
    folder = (Path(__file__).parents[2] / ".." / "shared" / "data" / "sample").resolve()
    world = World(
        tmp_path,
        log_data=f"{folder}/log_data",
        song_data=f"{folder}/song_data",
        new_warehouse=new_warehouse,
        marts=True,
    )
    world.load("2018-11-01", "2018-11-03")
    world.folder = folder
    compare(world.everything(), expected(world))
