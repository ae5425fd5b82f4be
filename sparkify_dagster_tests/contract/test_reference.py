"""The product against the plain-Python reference, on small random worlds that change step by step."""

import gzip
import json
import tempfile
from collections.abc import Set
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sparkify_dagster_tests.contract.reference import Reference, is_rejected, read_day, reference
from sparkify_dagster_tests.world import ERRORS, STAR, NewWarehouse, World, event, in_order, lines, millis, song

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
    "page": ["NextSong", "NextSong", "Home", "NextSong "],
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
    "level": [None, "x" * 65, "paid ", " "],
    "location": [None, " ", "P ", " P\t"],
    "page": ["", None, "nextsong", " ", "  ", "NextSong\t", " NextSong", "Home ", "NextSong   "],
    "registration": [None, 0, "", 0.5],
    "sessionId": [None, "", "1", 2**63],
    "song": ["é", "Ã©", "one  ", None, True],
    "status": [None, "200", "x"],
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


@st.composite
def events(draw: st.DrawFn, day: str) -> bytes:
    if draw(st.integers(0, 14)) == 0:
        return draw(st.sampled_from([b"broken", b"[]", b"{}", b"", b"\xff", b' \t {"page": "Home"}', b'{"ts": 1}{']))
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


@st.composite
def log_files(draw: st.DrawFn) -> Write:
    day = draw(st.sampled_from(DAYS))
    key = draw(st.sampled_from([f"log_data/a/{day}-events.json", f"log_data/B/{day}-events.json.gz"]))
    good = event(ts=millis(day) + draw(st.integers(0, 9)))
    return Write(key, zipped(key, lines(*draw(st.lists(events(day), min_size=3, max_size=10)), good)))


@st.composite
def song_files(draw: st.DrawFn) -> Write:
    key = draw(st.sampled_from(["song_data/A.json", "song_data/a/B.json.gz", "song_data/C.json"]))
    return Write(key, zipped(key, "\n".join(draw(st.lists(songs(), min_size=2, max_size=5))).encode()))


def zipped(key: str, content: bytes) -> bytes:
    return gzip.compress(content, mtime=0) if key.endswith(".gz") else content


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
def scripts(draw: st.DrawFn) -> list[Write | Load]:
    """Changes of files and loads in turn."""
    script: list[Write | Load] = []
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
    for day in sorted(to_load, reverse=True) or DAYS[:1]:
        load(day, day)
    return held


def files_in(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected(world: World, log_data: Files | None = None) -> Reference:
    """What the warehouse must hold of the world's files, or of other log files with its songs."""
    days = set(map(date.fromisoformat, DAYS))
    logs = files_in(world.folder / "log_data") if log_data is None else log_data
    return reference(logs, files_in(world.folder / "song_data"), days, max_load_errors=MAX_LOAD_ERRORS)


def compare(world: World, meant: Reference, rejected_days: Set[date] = frozenset()) -> None:
    """All that the reference says; of rejected days load_errors has the errors of what they do not hold."""
    star = world.star()
    for table in STAR:
        assert star[table] == in_order(getattr(meant, table)), table
    assert world.counts() == meant.counts
    errors = [row for row in world.rows(ERRORS, "key", "line_number", "log_date") if row[2] not in rejected_days]
    held = [(key, line) for key, line in meant.errors if not any(day.isoformat() in key for day in rejected_days)]
    assert in_order([row[:2] for row in errors]) == in_order(held)


@given(script=scripts())
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_after_any_changes_and_loads_the_star_is_the_references_and_that_of_a_load_from_scratch(
    new_warehouse: NewWarehouse, script: list[Write | Load]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), max_load_errors=MAX_LOAD_ERRORS, new_warehouse=new_warehouse)
        held = play(script, world)
        from_scratch = expected(world)
        compare(world, expected(world, held), from_scratch.rejected_days)
        fresh = world.from_scratch(DAYS[0], DAYS[-1])
        compare(fresh, from_scratch, from_scratch.rejected_days)
        if not from_scratch.rejected_days:
            assert world.everything() == fresh.everything()


def test_the_reference_agrees_on_the_real_jobs_too(world: World) -> None:
    """One fixed world through Dagster, with something of everything."""
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
    compare(world, expected(world))
    assert len(world.rows("songplays")) == 21
    assert [row[0] for row in world.query("SELECT DISTINCT song_id FROM songplays ORDER BY 1")] == [
        "S2",
        song()["song_id"],
    ]


@pytest.mark.skipif(
    not (Path(__file__).parents[2] / ".." / "shared" / "data" / "sample").is_dir(), reason="the real sample is not here"
)
def test_the_reference_agrees_on_the_real_sample(tmp_path: Path, new_warehouse: NewWarehouse) -> None:
    folder = (Path(__file__).parents[2] / ".." / "shared" / "data" / "sample").resolve()
    world = World(tmp_path, log_data=f"{folder}/log_data", song_data=f"{folder}/song_data", new_warehouse=new_warehouse)
    world.load("2018-11-01", "2018-11-03")
    world.folder = folder
    compare(world, expected(world))
