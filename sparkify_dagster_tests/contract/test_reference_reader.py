"""The reference itself, against expectations that are written by hand: how it reads files, which days it rejects."""

import gzip
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pytest

from sparkify_dagster_tests.contract.reference import (
    BROKEN,
    Reference,
    day_of,
    is_hidden,
    log_records,
    reference,
    song_records,
    songplay_id,
)
from sparkify_dagster_tests.support.events import event, lines, millis, song

DAY = "2018-11-01"
KEY = f"{DAY}-events.json"
X = "broken"
ERROR_PAGE = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>\n'


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)  # so that each worker gives the tests the same names


def shown(content: bytes, *, songs: bool = False) -> list[tuple[int | None, object]]:
    """Line and value of each record; X stands for a broken one."""
    read = song_records if songs else log_records
    return [(line, X if value is BROKEN else value) for line, value in read(content)]


@pytest.mark.parametrize(
    ("content", "records"),
    [
        # Lines
        (b"", []),
        (b" \t\r\n\n\r\r\n", []),
        (b'{"a": "b"}', [(1, {"a": "b"})]),
        (b'{"a": "b"}\n', [(1, {"a": "b"})]),
        (b'\xef\xbb\xbf{"a": "b"}', [(1, {"a": "b"})]),
        (b'\n{"a": "b"}\r\n \t\r\n{}\n', [(2, {"a": "b"}), (4, {})]),
        (b'{"a": "}\\""} {}[]\n"c"\t null', [(1, {"a": '}"'}), (1, {}), (1, []), (2, "c"), (2, None)]),
        (b"{} and\n{}", [(1, X), (2, {})]),
        (b"and {}\n{}", [(1, X), (2, {})]),
        (b"{},\n{}", [(1, X), (2, {})]),
        (b"{}}\n{}", [(1, X), (2, {})]),
        (b'{"a": NaN}\n{"a": [1,]}\n{"a" 1}\n{"a": "\t"}', [(1, X), (2, X), (3, X), (4, X)]),
        (b'{"a": "\xff"}\n{}', [(1, X), (2, {})]),
        (b"{}\n\xef\xbb\xbf{}", [(1, {}), (2, X)]),
        (b'{\n"a": "\xff"}\n{}', [(1, X), (2, X), (3, {})]),
        (b'[\n{"a": "\xff"}\n]', [(1, X), (2, X), (3, X)]),
        (b"[{}]\n{}", [(1, [{}]), (2, {})]),
        (b"[1\n{}", [(1, X), (2, {})]),
        (b'{"a":\n', [(1, X)]),
        (b"{}\n{\n}", [(1, {}), (2, X), (3, X)]),
        (b"{} {\n}", [(1, X), (2, X)]),
        # An array
        (b"[]", []),
        (b" [ \n ] \n", []),
        (b'[{"a": "],["}, {}]', [(1, {"a": "],["}), (1, {})]),
        (b'\n[\n{"a":\n"b"},\n\n{}, null\n]\n', [(3, {"a": "b"}), (6, {}), (6, None)]),
        (b"[[{}], []]", [(1, [{}]), (1, [])]),
        # An array that was cut
        (b"[{}, {}", [(1, X)]),
        (b'\n [\n{},\n{"a"', [(2, X)]),
        (b"[{},\n{}] more", [(1, X)]),
        (b"[{},]", [(1, X)]),
        (b"[{}\n{}]", [(1, X)]),
        # Pretty-printed
        (b'{\n"a": "b"\n}', [(1, {"a": "b"})]),
        (b'\n\n{\n"a": "b"\n}\n{} {\n}', [(3, {"a": "b"}), (6, {}), (6, {})]),
        (b"{\n}\n12\n[\n]", [(1, {}), (3, "12"), (4, [])]),
        (b"{\n}\nand\n{\n}", [(1, {}), (3, X)]),
        (b"{\n}{", [(1, {}), (2, X)]),
        (b"{\n},\n{\n}", [(1, {}), (2, X)]),
        # Gzip
        (zipped(b"{}\n") + zipped(b"[]\n"), [(1, {}), (2, [])]),
        (zipped(b"{}\n" * 99)[:-9], [(None, X)]),
        (b"\x1f\x8b", [(None, X)]),
        (b"\x1f{}", [(1, X)]),
    ],
)
def test_a_log_file_is_read_in_its_form(content: bytes, records: list[tuple[int | None, object]]) -> None:
    assert shown(content) == records


@pytest.mark.parametrize(
    ("content", "records"),
    [
        (b"", []),
        (b'{\n"a": "b"}{}\n\n[] 12', [(1, {"a": "b"}), (2, {}), (4, []), (4, "12")]),
        (b"{}\nand {}", [(1, {}), (2, X)]),
        (b"[{}", [(1, X)]),
        (b'{}\n{"a": "\xff"}\n{}', [(1, {}), (2, X)]),
        (b"{}\n\xff", [(1, {}), (2, X)]),
        (zipped(b"\xef\xbb\xbf{}"), [(1, {})]),
        (zipped(b"{}")[:-1], [(None, X)]),
    ],
)
def test_a_song_file_is_one_value_after_the_other(content: bytes, records: list[tuple[int | None, object]]) -> None:
    assert shown(content, songs=True) == records


@pytest.mark.parametrize(
    ("key", "day"),
    [
        ("2018-11-01-events.json", DAY),
        ("a/level=paid/2018-11-01-events.json.gz", DAY),
        ("./../2018-11-01-events.json", DAY),
        ("/2018//2018-11-01-events.json", DAY),
        ("\n/2018-11-01-events.json", DAY),
        ("2018-11-31-events.json", None),
        ("2018-11-01-events.json/", None),
        ("2018-11-01-events.JSON", None),
        ("2018-11-01-events.json\n", None),
        (".git/2018-11-01-events.json", None),
        ("a/.../2018-11-01-events.json", None),
        (".2018-11-01-events.json", None),
    ],
)
def test_the_name_gives_the_day(key: str, day: str | None) -> None:
    assert day_of(key) == (date.fromisoformat(day) if day else None)


def test_dots_alone_hide_nothing() -> None:
    assert not is_hidden("./A/../TRA.json")
    assert is_hidden("A/..a/TRA.json")


def read(logs: Mapping[str, bytes], songs: Mapping[str, bytes] | None = None, **limits: int) -> Reference:
    days = {day for day in map(day_of, logs) if day}
    return reference(logs, songs or {}, days, **limits)


def plays(number: int, day: str = DAY) -> list[dict[str, Any]]:
    return [event(ts=millis(day) + item, itemInSession=item) for item in range(number)]


def test_a_pretty_printed_log_loads_and_its_copies_are_duplicates() -> None:
    """Eleven events over many lines, and the same ones as lines in another folder."""
    pretty = "\n".join(json.dumps(play, indent=2) for play in plays(11)).encode()
    read_both = read({f"a/{KEY}": pretty, f"b/{KEY}": lines(*plays(11))})
    assert read_both.counts == {f"a/{KEY}": (11, 11, 0, 0), f"b/{KEY}": (11, 0, 11, 0)}
    assert len(read_both.songplays) == 11
    assert not read_both.rejected_days


def test_bad_replacements_are_rejected_and_an_array_loads() -> None:
    """An error page, a one-line array, and an archive that was cut, a day each."""
    archive = zipped(lines(*plays(50, "2018-11-04")))
    result = read(
        {
            "2018-11-02-events.json": ERROR_PAGE,
            "2018-11-03-events.json": json.dumps(plays(5, "2018-11-03")).encode(),
            "2018-11-04-events.json.gz": archive[: len(archive) // 2],
        }
    )
    assert result.rejected_days == {date(2018, 11, 2), date(2018, 11, 4)}
    assert result.counts == {"2018-11-03-events.json": (5, 5, 0, 0)}
    assert {start.day for start, *_ in result.time} == {3}
    assert result.errors == []


@pytest.mark.parametrize(
    ("files", "is_rejected"),
    [
        ({"a": ERROR_PAGE, "b": lines(*plays(3))}, True),
        ({"a": lines("broken", *plays(1))}, False),
        ({"a": lines(*plays(1)), "b": lines("broken", *plays(1))}, False),  # a duplicate is good
        ({"a": b"", "b": b"[]", "c": b"\n"}, False),
        ({"a": b"", "b": b"{}"}, True),
        ({"a": lines(*plays(5), *["broken"] * 4)}, False),
        ({"a": lines(*plays(5), *["broken"] * 5)}, True),
        ({"a": lines(*plays(5), *["broken"] * 2), "b": lines(*plays(5), *["broken"] * 3)}, True),
    ],
)
def test_a_day_is_rejected_for_many_errors_or_a_file_without_a_good_record(
    files: dict[str, bytes], is_rejected: bool
) -> None:
    result = read({f"{folder}/{KEY}": content for folder, content in files.items()}, max_load_errors=4)
    assert bool(result.rejected_days) == is_rejected
    if is_rejected:
        assert (result.counts, result.songplays, result.users, result.time) == ({}, [], [], [])


def test_songs_with_too_many_errors_are_rejected_together() -> None:
    files = {"A.json": json.dumps(song()).encode(), "B.json": b"[] {} broken", "C.json": b""}
    assert read({}, files, max_load_errors=3).counts == {"A.json": (1, 1, 0, 0), "B.json": (3, 0, 0, 3)}
    rejected = read({}, files, max_load_errors=2)
    assert (rejected.songs_are_rejected, rejected.songs, rejected.counts) == (True, [], {})


def test_the_id_is_the_md5_of_the_identity() -> None:
    """Written out, as in test_star: the MD5 of 8|139|1|1541066400796."""
    identity: dict[str, Any] = {
        "user_id": 8,
        "session_id": 139,
        "item_in_session": 1,
        "ts": datetime(2018, 11, 1, 10, 0, 0, 796_000),
    }
    assert songplay_id(identity) == "03ff65170dfd0c9bf19e04addc2f6036"
    # Of 8|||1541066400796
    assert songplay_id(identity | {"session_id": None, "item_in_session": None}) == "a0e20c7e2fb9904307dcc307853b6c4a"
