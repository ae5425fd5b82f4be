"""Log files: their three forms, compression, and the limits of what is read."""

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.ingest import inspect_ahead
from sparkify_dagster.sources.records import MAX_NESTING, MAX_RECORD_BYTES
from sparkify_dagster_tests.support.events import event, lines, song
from sparkify_dagster_tests.support.faults import hooked
from sparkify_dagster_tests.support.world import ERRORS, EVENTS, World

DAY = "2018-11-01"


def plays(*items: int, **changes: Any) -> list[dict[str, Any]]:
    return [event(itemInSession=item, **changes) for item in items]


def array(*elements: object, indent: int | None = None) -> bytes:
    return json.dumps(elements, indent=indent).encode()


def pretty(*objects: object) -> bytes:
    return b"\n".join(json.dumps(each, indent=2).encode() for each in objects)


ONE, TWO, FOUR = lines(event()).strip(), lines(event(itemInSession=2)).strip(), lines(event(itemInSession=4)).strip()
WRONG = b'{"page": 1}'
# Lines of an event that is pretty-printed.
HEIGHT = 20

# Content, then the number of records, of those that load, and the lines on which the broken ones begin.
FORMS: dict[str, tuple[bytes, int, int, list[int]]] = {
    "an array on one line": (array(*plays(1, 2, 3)), 3, 3, []),
    "an array over many lines": (b"\n " + array(*plays(1, 2), indent=1) + b"\r\n", 2, 2, []),
    "an array with elements that are wrong": (array(event(), "text", event(itemInSession=2, ts="?")), 3, 1, [1, 1]),
    "an array, its third element on line 4": (b"[\n" + b",\n".join([ONE, TWO, WRONG]) + b"\n]", 3, 2, [4]),
    "an empty array": (b" [ \n ] ", 0, 0, []),
    "an array that was cut": (array(*plays(1, 2), indent=1)[:-20], 1, 0, [1]),
    "an array that was cut on its only line": (b"\n" + array(*plays(1, 2))[:-20], 1, 0, [2]),
    "an array with more text after it": (array(*plays(1, 2), indent=1) + b" more", 1, 0, [1]),
    "two arrays over many lines": (array(*plays(1), indent=1) + b"\n" + array(*plays(2), indent=1), 1, 0, [1]),
    "an array of arrays": (array([event()], []), 2, 0, [1, 1]),
    "lines that are arrays": (lines("[]", "[{}]", event()), 3, 1, [1, 2]),
    "an array with a byte that is not UTF-8": (array(*plays(1)).replace(b"Kaylee", b"Kaylee\xff"), 1, 0, [1]),
    "objects over many lines": (pretty(*plays(1, 2, 3)), 3, 3, []),
    "objects over many lines, close to each other": (pretty(*plays(1, 2)).replace(b"}\n{", b"}{"), 2, 2, []),
    "objects over many lines, then a number": (pretty(event(), 12, event(itemInSession=2)), 3, 2, [HEIGHT + 1]),
    "objects over many lines, then text": (pretty(event()) + b"\n \nand\n" + pretty(event()), 2, 1, [HEIGHT + 2]),
    "an object that was cut": (pretty(event())[:-2], HEIGHT - 1, 0, list(range(1, HEIGHT))),
    "a line, then an object over many lines": (
        ONE + b"\n" + pretty(event(itemInSession=2)), HEIGHT + 1, 1, list(range(2, HEIGHT + 2)),
    ),
    "several values on a line": (ONE + b" " + TWO + FOUR + b"\n" + lines(*plays(5)), 4, 4, []),
    "several values on a line, one of them wrong": (ONE + WRONG + TWO, 3, 2, [1]),
    "several values on a line, then text": (ONE + b" and more\n" + TWO, 2, 1, [1]),
}  # fmt: skip

DAYS = [date(2018, 11, 1) + timedelta(days=number) for number in range(len(FORMS))]


def test_each_form_of_a_log_file_is_read_record_by_record(world: World) -> None:
    """Each form is the file of a day of its own. A day whose file has errors and no good record is rejected."""
    for number, (day, (content, *_)) in enumerate(zip(DAYS, FORMS.values(), strict=True)):
        that_day = content.replace(b"1541066400796", b"%d" % (1541066400796 + number * 86_400_000))
        world.write(f"log_data/{day}-events.json", that_day)
    world.load(str(DAYS[0]), str(DAYS[-1]))
    counts, errors = world.counts(), world.errors()
    for day, (name, (_, records, good, wrong)) in zip(DAYS, FORMS.items(), strict=True):
        key = f"{day}-events.json"
        assert sorted(line for of, line, *_ in errors if of == key) == wrong, name
        if wrong and not good:
            assert key not in counts, name
        else:
            assert counts[key] == (records, good, 0, len(wrong)), name
    staged: dict[date, int] = dict(world.query(f"SELECT log_date, count(*) FROM {EVENTS} GROUP BY log_date"))
    assert staged == {day: good for day, (_, _, good, _) in zip(DAYS, FORMS.values(), strict=True) if good}


def test_records_of_one_line_are_kept_in_their_order(world: World) -> None:
    """Of copies the first one is kept, so its place counts."""
    world.write_log(DAY, lines(event(location="first"), event(location="second")).replace(b"\n", b" "))
    world.write(f"log_data/b/{DAY}-events.json", array(*plays(2, 2), *plays(3)))
    world.load(DAY)
    assert sorted(world.counts().values()) == [(2, 1, 1, 0), (3, 2, 1, 0)]
    assert "first" in world.column(EVENTS, "location")
    assert "second" not in world.column(EVENTS, "location")


def test_gzip_is_what_begins_with_its_magic_bytes(world: World) -> None:
    """Files of each kind under both names: the name says nothing."""
    (world.folder / "log_data/a").mkdir()
    (world.folder / "log_data/a" / f"{DAY}-events.json").write_bytes(gzip.compress(lines(*plays(1, 2))))
    (world.folder / "log_data/a" / f"{DAY}-events.json.gz").write_bytes(lines(*plays(3)))
    (world.folder / "log_data/b").mkdir()
    odd = lines(*plays(4), "broken")
    (world.folder / "log_data/b" / f"{DAY}-events.json").write_bytes(gzip.compress(odd[:20]) + gzip.compress(odd[20:]))
    (world.folder / "log_data/b" / f"{DAY}-events.json.gz").write_bytes(lines(*plays(5), "broken"))
    for number, name in enumerate(("A.json", "B.json.gz")):
        text = json.dumps(song(song_id=f"S{number}")).encode()
        (world.folder / "song_data" / name).write_bytes(text if name.endswith(".gz") else gzip.compress(text))
    world.load(DAY)
    assert world.column(EVENTS, "item_in_session") == [1, 2, 3, 4, 5]
    assert len(world.errors()) == 2
    assert world.column("songs", "song_id") == ["S0", "S1"]


def test_a_folder_sets_no_column(world: World) -> None:
    """Neither one of the location nor one within it."""
    folders = ["level=paid", "userId=7/ts=1", "batch=1"]
    location = "/".join([*folders, "log_data"])
    world.log_data = str(world.folder / location)
    for user, folder in enumerate(folders, 8):
        world.write(f"{location}/{folder}/{DAY}-events.json", lines(event(level="free", userId=str(user))))
    world.load(DAY)
    assert world.rows(EVENTS, "level", "user_id") == [("free", user) for user in (8, 9, 10)]
    assert world.rows("users", "user_id", "level") == [(user, "free") for user in (8, 9, 10)]


def test_a_record_may_nest_so_deep(world: World) -> None:
    """In a field that nobody reads, on a line of its own and in an array. The second day's record is too deep."""
    for day, nesting in ((DAYS[0], MAX_NESTING), (DAYS[1], MAX_NESTING + 1)):
        one, two, three, four = (event(time=f"{day}T10:00:00", itemInSession=item) for item in (1, 2, 3, 4))
        deep = json.dumps(two)[:-1] + ', "extra": ' + "[" * (nesting - 1) + "]" * (nesting - 1) + "}"
        world.write_log(str(day), one, deep, three | {"extra": "[" * 2 * MAX_NESTING})
        world.write(f"log_data/b/{day}-events.json", f"[{deep},{json.dumps(four)}]".encode())
    world.load(str(DAYS[0]), str(DAYS[1]))
    assert world.rows(EVENTS, "log_date", "item_in_session") == [
        *((DAYS[0], item) for item in (1, 2, 3, 4)),
        *((DAYS[1], item) for item in (1, 3, 4)),
    ]
    reason = "nested too deeply: more than 500 levels"
    assert world.rows(ERRORS, "log_date", "reason") == [(DAYS[1], reason)] * 2


@pytest.mark.slow
def test_a_record_may_be_so_long(world: World) -> None:
    whole = json.dumps(event(itemInSession=2, extra=""))
    filling = MAX_RECORD_BYTES - len(whole)
    for number, length in enumerate((filling, filling + 1)):
        padded = whole.replace('"extra": ""', f'"extra": "{"x" * length}"')
        world.write_log(DAY, event(), padded, key=f"{number}/{DAY}-events.json")
    world.load(DAY)
    assert world.counts() == {f"0/{DAY}-events.json": (2, 2, 0, 0), f"1/{DAY}-events.json": (2, 0, 1, 1)}
    ((key, line, _, _, reason, raw),) = world.errors()
    assert (key, line, len(raw)) == (f"1/{DAY}-events.json", 2, 1_000)
    assert reason == "is 67,108,865 bytes long, the limit is 67,108,864"


@pytest.mark.slow
def test_a_file_may_inflate_so_far(world: World) -> None:
    """A file that inflates beyond the limit is one error without a line, which names the setting; none of it loads."""
    content = lines(*plays(1, 2, 3))
    world.max_inflated_bytes = len(content) - 1
    world.write(f"log_data/a/{DAY}-events.json.gz", lines(*plays(1, 2)))
    world.load(DAY)
    world.write(f"log_data/b/{DAY}-events.json.gz", content)
    world.write("song_data/A.json.gz", json.dumps(song(extra="x" * len(content))).encode())
    loads = world.load(DAY)
    assert (loads.rejected_days, loads.songs.rejected) == ([DAY], False)
    assert world.column(EVENTS, "item_in_session") == [1, 2]
    limit = f"more than {len(content) - 1:,} bytes, the limit of SPARKIFY_MAX_INFLATED_BYTES"
    assert [(key, line, reason) for key, line, _, _, reason, _ in world.errors()] == [
        (key, None, f"cannot be decompressed: inflates to {limit}") for key in ("A.json.gz", f"b/{DAY}-events.json.gz")
    ]
    world.max_inflated_bytes = len(content)
    world.load(DAY)
    assert world.column(EVENTS, "item_in_session") == [1, 2, 3]


def test_a_batch_is_bounded_by_what_its_files_inflate_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few kilobytes each, one transaction for as many as inflate to the limit."""
    content = lines(*(event(itemInSession=item) for item in range(300)))
    monkeypatch.setattr(inspect_ahead, "BATCH_BYTES", 2 * len(content))
    for number in range(5):
        that_day = content.replace(b"1541066400796", b"%d" % (1541066400796 + number * 86_400_000))
        path = world.write(f"log_data/{DAYS[number]}-events.json.gz", that_day)
        assert path.stat().st_size < len(content) / 20
    batches: list[int] = []
    with hooked(world, lambda loaded: batches.append(len(loaded)) if isinstance(loaded, Sequence) else None):
        world.load(str(DAYS[0]), str(DAYS[4]))
    assert batches == [2, 2, 1]
    assert len(world.rows(EVENTS)) == 1_500


MEGABYTES = 192


@pytest.mark.slow
def test_a_file_that_inflates_far_is_held_once(tmp_path: Path) -> None:
    """Measured in a process of its own: the peak of its memory, over that of a process that reads nothing."""
    script = (
        "import resource, sys; from datetime import date\n"
        "from sparkify_dagster.sources.events import EventInspector\n"
        "from sparkify_dagster.schema.event_columns import DEFAULT_KEYS\n"
        "from sparkify_dagster.sources.object_store import LocalFolder\n"
        "from pathlib import Path\n"
        "store = LocalFolder(Path(sys.argv[1]))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "day = EventInspector(store, DEFAULT_KEYS, keep_errors=1).inspect(date(2018, 11, 1), store.list())\n"
        "print(day.error_count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    compressor = zlib.compressobj(wbits=31)
    with (tmp_path / f"{DAY}-events.json.gz").open("wb") as file:
        for _ in range(MEGABYTES):
            file.write(compressor.compress(b" " * (1 << 20)))
        file.write(compressor.flush())
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    errors, megabytes = map(int, ran.stdout.split())
    assert errors == 0
    assert megabytes < MEGABYTES * 1.25
