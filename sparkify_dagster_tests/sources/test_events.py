"""Log files that are canonical, and the normalised copies of the others."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.batches import InspectedDay, InspectedFile
from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.sources.events import EventInspector, log_date
from sparkify_dagster.sources.fast_path import CANONICAL_LINE_BYTES, DECODE_CHUNK_BYTES
from sparkify_dagster.sources.object_store import LocalFolder
from sparkify_dagster_tests.support.events import event, lines
from sparkify_dagster_tests.support.memory import MemoryStore

DAY = date(2018, 11, 1)
KEY = "2018-11-01-events.json"


def inspect(content: bytes, *, keep_errors: int = 100) -> tuple[InspectedDay, InspectedFile]:
    store = MemoryStore({KEY: content})
    day = EventInspector(store, DEFAULT_KEYS, keep_errors=keep_errors).inspect(DAY, store.list())
    (file,) = day.files
    return day, file


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"userId": "", "artist": None, "song": None, "length": None, "registration": None, "auth": "Logged Out"},
        {"length": 246},
        {"registration": 1540344794796},
        {"userAgent": '"Mozilla/5.0" \\ é 😀 \x7f'},
        {"artist": "BjÃ\x83Â¶rk"},
        {"extra": [1, {"more": None}, {"more": "in : a", "song": 1}]},
    ],
)
def test_usual_lines_are_plain_and_are_read_as_they_are(changes: dict[str, Any]) -> None:
    content = lines(event(), event(itemInSession=2) | changes)
    _, file = inspect(content)
    assert file.canonical
    assert (file.lines, file.staged, file.content) == (2, 2, content)


@pytest.mark.parametrize(
    "line",
    [
        lines(event(userId=8)),
        lines(event(userId="008")),
        lines(event(userId=None)),
        lines(event(sessionId="139")),
        lines(event(ts=1541066400796.0)),
        lines(event(status=200.0)),
        lines(event(length="246.30812")),
        lines(event(length=246.308121)),
        lines(event(length=-1)),
        lines(event(length=1e-5)),
        lines(event(artist=112)),
        lines(event(artist="x" * 1024)),
        lines(event(registration="1540344794796")),
        lines(event(registration=-1)),
        lines(event(sessionId=None, page="Home")),
        lines(event(song="a\x00b")),
        json.dumps(event(song="\ud83d")).encode() + b"\n",
        # A whole character in two escapes, and a key given twice: no page says how COPY reads them.
        json.dumps(event(song="😀")).encode() + b"\n",
        lines(event()).replace(b'"song":', b'"song": "Another", "song":'),
        lines(event()).replace(b'"song":', b'"song" : "Another", "song":'),
        lines(event(extra={"song": "nested"})).replace(b'"song":', b'"song": "Another", "song":', 1),
        json.dumps({key: value for key, value in event().items() if key != "artist"})
        .encode()
        .replace(b'"page":', b'"song": "Another", "page":')
        + b"\n",
        lines(event(page="")),
        lines(event(time="2018-11-02T00:00:00")),
        lines(event()),  # the second copy
        b"\xef\xbb\xbf" + lines(event()),
        lines(event()).replace(b"\n", b"\r\n"),
        b"\n",
        b"[]\n",
    ],
)
def test_whatever_warehouses_might_read_differently_is_not_plain(line: bytes) -> None:
    plain = lines(event(itemInSession=1))
    _, file = inspect(plain + line)
    assert not file.canonical
    # Plain lines stay as they are in the cleaned copy.
    assert file.content.split(b"\n")[0] + b"\n" == plain
    assert len(file.content.split(b"\n")) == file.staged


def test_a_cleaned_line_holds_our_keys_in_their_exact_form() -> None:
    odd = event(userId=8, sessionId="139", ts="1541066400796.0", length="246.308125", artist=112, extra="dropped")
    del odd["gender"]
    _, file = inspect(lines(odd))
    assert json.loads(file.content, parse_float=str) == event(
        artist="112", gender=None, length="246.30813", registration=1540344794796
    )


def test_a_plain_file_in_a_folder_is_read_in_place(tmp_path: Path) -> None:
    (tmp_path / KEY).write_bytes(lines(event()))
    store = LocalFolder(tmp_path)
    (file,) = EventInspector(store, DEFAULT_KEYS, keep_errors=1).inspect(DAY, store.list()).files
    assert (file.canonical, file.local_path) == (True, tmp_path / KEY)


def test_files_larger_than_a_part_are_canonical() -> None:
    number = 3 * DECODE_CHUNK_BYTES // len(lines(event()))
    content = lines(*(event(itemInSession=item) for item in range(number)))
    day, file = inspect(content)
    assert file.canonical
    assert day.staged == number
    odd = content + lines(event(itemInSession="0", location="again"), event(itemInSession="-1"))
    day, file = inspect(odd)
    assert (day.staged, day.duplicates, day.error_count) == (number + 1, 1, 0)


@pytest.mark.parametrize("size", [CANONICAL_LINE_BYTES, 20 << 20])
def test_a_line_of_many_megabytes_is_read_the_exact_way(size: int) -> None:
    _, file = inspect(lines(event(), event(itemInSession=2, extra="x" * size)))
    assert not file.canonical
    assert file.staged == 2
    assert len(file.content) < 2_000


def test_only_the_first_errors_are_kept_but_all_are_counted() -> None:
    day, _ = inspect(b"broken\n" * 10, keep_errors=3)
    assert [error.line_number for error in day.errors] == [1, 2, 3]
    assert day.error_count == 10


def test_repairs_are_those_of_songs_and_artists() -> None:
    day, _ = inspect(lines(event(artist="BjÃ\x83Â¶rk ", song="VoilÃ\xa0", location="ZÃ¼rich", firstName="JosÃ©")))
    assert day.repairs == {"BjÃ\x83Â¶rk": "Björk", "VoilÃ\xa0": "Voilà"}


@pytest.mark.parametrize(
    ("key", "day"),
    [
        (KEY, DAY),
        ("2018/11/2018-11-01-events.json.gz", DAY),
        ("2020-02-29-events.json", date(2020, 2, 29)),
        ("2019-02-29-events.json", None),
        (".2018/2018-11-01-events.json", None),
        (KEY + "\n", None),
        ("", None),
    ],
)
def test_the_day_in_a_name(key: str, day: date | None) -> None:
    assert log_date(key) == day
