"""Values of the event's columns in staging, and the values that are errors.

All lines lie in one file and are loaded at once; each test looks at its own.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from sparkify_dagster.schema.event_columns import COLUMN_NAMES, DEFAULT_KEYS
from sparkify_dagster_tests.contract.cases import Day, case
from sparkify_dagster_tests.support.events import event, utc
from sparkify_dagster_tests.support.world import ERRORS, EVENTS, World

DAY = "2018-11-01"
KEY_OF = dict(zip(COLUMN_NAMES, DEFAULT_KEYS, strict=True))
SHORT_COLUMNS = ("auth", "gender", "level", "method", "page")
TEXT_COLUMNS = ("artist", "first_name", "last_name", "location", "song", "user_agent")


class Raw(str):
    """JSON as it is written."""


@dataclass(frozen=True)
class Error:
    part: str = ""


def is_(part: str = "") -> Error:
    return Error(part)


MISSING = object()
# Session and item of a line are this and its number, where they are not the odd value themselves.
FIRST = 1_000_000
CASES: list[tuple[str, Any, Any]] = [
    # A number, or text that reads like one
    ("user_id", "8", 8),
    ("user_id", 8, 8),
    ("user_id", Raw("8.0"), 8),
    ("user_id", Raw("8.000000000000000000000000000000000"), 8),
    ("user_id", Raw("80e-1"), 8),
    ("user_id", Raw("0.8E+1"), 8),
    ("user_id", "0.8E+1", 8),
    ("user_id", "008", 8),
    ("user_id", "-8", -8),
    ("user_id", "-0", 0),
    ("user_id", "0", 0),
    ("user_id", "", None),
    ("user_id", None, None),
    ("user_id", MISSING, None),
    ("user_id", "9223372036854775807", 2**63 - 1),
    ("user_id", 2**63 - 1, 2**63 - 1),
    ("user_id", -(2**63), -(2**63)),
    ("user_id", "9223372036854775808", is_("out of range")),
    ("user_id", -(2**63) - 1, is_("out of range")),
    ("user_id", Raw("9.223372036854775808e18"), is_("out of range")),
    ("user_id", " 8", is_("not a number")),
    ("user_id", "8 ", is_("not a number")),
    ("user_id", "8\n", is_("not a number")),
    ("user_id", "+8", is_("not a number")),
    ("user_id", "8.", is_("not a number")),
    ("user_id", ".8", is_("not a number")),
    ("user_id", "0x8", is_("not a number")),
    ("user_id", "1_000", is_("not a number")),
    ("user_id", "٨", is_("not a number")),
    ("user_id", "NaN", is_("not a number")),
    ("user_id", "Infinity", is_("not a number")),
    ("user_id", "eight", is_("not a number")),
    ("user_id", " ", is_("not a number")),
    ("user_id", "8.5", is_("not an integer")),
    ("user_id", Raw("8.5"), is_("not an integer")),
    ("user_id", Raw("8e-1"), is_("not an integer")),
    ("user_id", Raw("1e-400"), is_("not an integer")),
    ("user_id", Raw("1e400"), is_("out of range")),
    ("user_id", Raw("-1e999999999"), is_("out of range")),
    ("user_id", "1e25", is_("out of range")),
    ("user_id", Raw("0e999999999"), 0),
    ("user_id", True, is_()),
    ("user_id", False, is_()),
    ("user_id", [], is_()),
    ("user_id", ["8"], is_()),
    ("user_id", {}, is_()),
    ("session_id", 2**63 - 1, 2**63 - 1),
    ("session_id", 2**63, is_("out of range")),
    ("session_id", "139", 139),
    ("session_id", Raw("139.0"), 139),
    ("session_id", Raw("139.25"), is_("not an integer")),
    ("item_in_session", 2**31 - 1, 2**31 - 1),
    ("item_in_session", -(2**31), -(2**31)),
    ("item_in_session", 2**31, is_("out of range")),
    ("item_in_session", -(2**31) - 1, is_("out of range")),
    ("item_in_session", "7", 7),
    ("status", "200", 200),
    ("status", "", None),
    ("status", None, None),
    ("status", MISSING, None),
    ("status", Raw("200.0"), 200),
    ("status", Raw("-0"), 0),
    ("status", Raw("200.5"), is_("not an integer")),
    ("status", 2**31, is_("out of range")),
    ("status", True, is_()),
    # Times: from epoch milliseconds, an integer or a float
    ("ts", 1541077528796, utc("2018-11-01T13:05:28.796")),
    ("ts", Raw("1541077528796.0"), utc("2018-11-01T13:05:28.796")),
    ("ts", Raw("1.541077528796E12"), utc("2018-11-01T13:05:28.796")),
    ("ts", "1541077528796", utc("2018-11-01T13:05:28.796")),
    ("ts", "1541077528796.00", utc("2018-11-01T13:05:28.796")),
    ("ts", 1541030400000, utc("2018-11-01T00:00:00")),
    ("ts", 1541116799999, utc("2018-11-01T23:59:59.999")),
    ("ts", 1541030399999, is_("belongs to 2018-10-31")),
    ("ts", 1541116800000, is_("belongs to 2018-11-02")),
    ("ts", 1541918528796, is_("belongs to 2018-11-11")),
    ("ts", 0, is_("belongs to 1970-01-01")),
    ("ts", -1, is_("belongs to 1969-12-31")),
    ("ts", 1541077528, is_("belongs to 1970-01-18")),
    ("ts", Raw("1541077528796.5"), is_("not an integer")),
    ("ts", "2018-11-01T13:05:28", is_("not a number")),
    ("ts", None, is_("missing")),
    ("ts", MISSING, is_("missing")),
    ("ts", "", is_("missing")),
    ("ts", 253_402_300_800_000, is_("out of range")),
    ("ts", -62_135_596_800_001, is_("out of range")),
    ("ts", [1541077528796], is_()),
    ("registration", Raw("1541077528796.0"), utc("2018-11-01T13:05:28.796")),
    ("registration", 1541077528796, utc("2018-11-01T13:05:28.796")),
    ("registration", "1541077528796.0", utc("2018-11-01T13:05:28.796")),
    ("registration", Raw("1.5E12"), utc("2017-07-14T02:40:00")),
    ("registration", None, None),
    ("registration", MISSING, None),
    ("registration", "", None),
    ("registration", 0, utc("1970-01-01T00:00:00")),
    ("registration", -1, utc("1969-12-31T23:59:59.999")),
    ("registration", -62_135_596_800_000, datetime.min),
    ("registration", 253_402_300_799_999, utc("9999-12-31T23:59:59.999")),
    ("registration", Raw("253402300799999.0"), utc("9999-12-31T23:59:59.999")),
    ("registration", -62_135_596_800_001, is_("out of range")),
    ("registration", 253_402_300_800_000, is_("out of range")),
    ("registration", Raw("99999999999999.0"), utc("5138-11-16T09:46:39.999")),
    ("registration", Raw("1541077528796.001"), is_("not an integer")),
    ("registration", Raw("1e400"), is_("out of range")),
    ("registration", False, is_()),
    # Decimals: exact, rounded half away from zero
    ("length", Raw("246.30812"), Decimal("246.30812")),
    ("length", "246.30812", Decimal("246.30812")),
    ("length", Raw("246"), Decimal(246)),
    ("length", Raw("99999.99999"), Decimal("99999.99999")),
    ("length", Raw("-99999.99999"), Decimal("-99999.99999")),
    ("length", Raw("0.000005"), Decimal("0.00001")),
    ("length", Raw("-0.000005"), Decimal("-0.00001")),
    ("length", Raw("0.0000049999999999999999999999999999999999"), Decimal(0)),
    ("length", Raw("0.000015"), Decimal("0.00002")),
    ("length", Raw("0.000025"), Decimal("0.00003")),
    ("length", Raw("2.463081249999e2"), Decimal("246.30812")),
    ("length", Raw("99999.999994"), Decimal("99999.99999")),
    ("length", Raw("99999.999995"), is_("out of range")),
    ("length", Raw("100000"), is_("out of range")),
    ("length", Raw("-100000"), is_("out of range")),
    ("length", Raw("1e22"), is_("out of range")),
    ("length", Raw("1e25"), is_("out of range")),
    ("length", Raw("-1e30"), is_("out of range")),
    ("length", "9" * 40, is_("out of range")),
    ("length", Raw("1e31"), is_("out of range")),
    ("length", Raw("1e999999999"), is_("out of range")),
    ("length", Raw("1e-999999999"), Decimal(0)),
    ("length", Raw("0e999999999"), Decimal(0)),
    ("length", Raw("-0.0"), Decimal(0)),
    ("length", Raw("1" + "0" * 30 + "e-30"), Decimal(1)),
    ("length", Raw("0." + "0" * 400 + "1"), Decimal(0)),
    ("length", "", None),
    ("length", None, None),
    ("length", MISSING, None),
    ("length", "long", is_("not a number")),
    ("length", "1,5", is_("not a number")),
    ("length", True, is_()),
    ("length", [], is_()),
    # Text
    ("artist", 112, "112"),
    ("artist", Raw("-1.50"), "-1.50"),
    ("artist", Raw("1E5"), "1E5"),
    ("artist", Raw("12345678901234567890123456789"), "12345678901234567890123456789"),
    ("artist", "", ""),
    ("artist", None, None),
    ("artist", MISSING, None),
    ("artist", " ", " "),
    ("artist", "X  ", "X  "),
    ("artist", "\t\n\r\x01\x7f\x85\u2028", "\t\n\r\x01\x7f\x85\u2028"),
    ("artist", "\ufffd", "\ufffd"),
    ("artist", "\ufeffX", "\ufeffX"),
    ("artist", Raw(r'"Bj\u00f6rk \ud83d\ude00 \/ \\ \""'), 'Björk 😀 / \\ "'),
    ("artist", "e\u0301", "e\u0301"),  # nothing is normalised
    ("artist", Raw('"a\\u0000b"'), is_("NUL")),
    ("artist", Raw(r'"\ud83d"'), is_("surrogate")),
    ("artist", Raw(r'"\ude00\ud83d"'), is_("surrogate")),
    ("artist", True, is_()),
    ("artist", False, is_()),
    ("artist", ["X"], is_()),
    ("artist", {"name": "X"}, is_()),
    ("page", "Home", "Home"),
    ("page", 404, "404"),
    ("page", "", is_("missing")),
    ("page", None, is_("missing")),
    ("page", MISSING, is_("missing")),
    ("page", " ", is_("missing")),
    ("page", "   ", is_("missing")),
    ("page", "\u00a0", "\u00a0"),
    ("page", "\t", "\t"),
    ("page", "Home ", "Home "),
    ("page", True, is_()),
    ("gender", "", ""),
    ("level", "", ""),
    *((column, value, expected) for column in SHORT_COLUMNS for value, expected in [
        ("x" * 64, "x" * 64),
        ("x" * 65, is_("65 bytes")),
        ("é" * 32, "é" * 32),
        ("é" * 32 + "x", is_("65 bytes")),
        ("😀" * 16, "😀" * 16),
        ("😀" * 17, is_("68 bytes")),
        (int("1" * 64), "1" * 64),
        (int("1" * 65), is_("65 bytes")),
    ]),
    *((column, value, expected) for column in TEXT_COLUMNS for value, expected in [
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, is_("1,025 bytes")),
        ("é" * 512, "é" * 512),
        ("é" * 512 + "x", is_("1,025 bytes")),
        (Raw('"' + r"\u00e9" * 513 + '"'), is_("1,026 bytes")),
        ("€" * 341 + "x", "€" * 341 + "x"),
        ("€" * 342, is_("1,026 bytes")),
    ]),
]  # fmt: skip


def line_of(number: int, column: str, value: Any) -> str:
    """Returns an event with one non-canonical value, and a session and item of its own."""
    document = event(page="Home", sessionId=FIRST + number, itemInSession=FIRST + number)
    key = KEY_OF[column]
    if value is MISSING:
        del document[key]
    elif isinstance(value, Raw):
        document[key] = "here"
        return json.dumps(document).replace('"here"', value)
    else:
        document[key] = value
    return json.dumps(document)


@dataclass(frozen=True)
class Loaded:
    """By line number."""

    rows: Mapping[int, dict[str, Any]]
    errors: Mapping[int, tuple[str, str, str]]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    world = World(tmp_path_factory.mktemp("values"), max_load_errors=10_000)
    world.write_log(DAY, *(line_of(number, column, value) for number, (column, value, _) in enumerate(CASES, 1)))
    # No page is NextSong, which a check reports.
    assert not world.materialize(DAY).failures
    rows = [dict(zip(COLUMN_NAMES, row, strict=True)) for row in world.rows(EVENTS, *COLUMN_NAMES)]
    errors = world.rows(ERRORS, "line_number", "column_name", "reason", "raw_text")
    found: dict[int, dict[str, Any]] = {}
    for number, (column, _, _) in enumerate(CASES, 1):
        other = "item_in_session" if column == "session_id" else "session_id"
        for row in rows:
            if row[other] == FIRST + number:
                found[number] = row
    return Loaded(found, {number: (column, reason, raw) for number, column, reason, raw in errors})


@pytest.mark.parametrize(
    ("number", "column", "value", "expected"),
    [
        pytest.param(number, column, value, expected, id=f"{number}-{column}-{ascii(value)[:20]}")
        for number, (column, value, expected) in enumerate(CASES, 1)
    ],
)
def test_a_column_holds_the_value_or_the_line_is_an_error(
    loaded: Loaded, number: int, column: str, value: Any, expected: Any
) -> None:
    if isinstance(expected, Error):
        assert number in loaded.errors, loaded.rows.get(number)
        blamed, reason, raw = loaded.errors[number]
        assert blamed == column
        assert reason.startswith(f"{column}: ")
        assert expected.part in reason
        assert raw == line_of(number, column, value)[:1000]
    else:
        assert number not in loaded.errors
        found = loaded.rows[number][column]
        assert found == expected
        assert type(found) is type(expected)


def test_lines_are_staged_or_errors(loaded: Loaded) -> None:
    expected = sum(isinstance(case[2], Error) for case in CASES)
    assert len(loaded.errors) == expected


@case
def test_a_play_needs_session_and_item(day: Day) -> Iterator[None]:
    """Null, empty or missing, each for a user of its own."""
    needed = {"sessionId": "session_id", "itemInSession": "item_in_session"}
    for key in needed:
        for user, value in enumerate([None, "", MISSING]):
            play = day.event(**{key: value}, userId=str(user))
            if value is MISSING:
                del play[key]
            day.write(play, play | {"page": "Home"}, folder=f"{key}{user}")
    yield
    assert sorted(day.reasons()) == sorted(
        (1, column, f"{column}: is missing on a NextSong") for column in needed.values() for _ in range(3)
    )
    rows = day.rows(EVENTS, "user_id", "page", "session_id", "item_in_session")
    assert rows == [(user, "Home", *ids) for user in range(3) for ids in ((None, 1), (139, None))]


@case
def test_pages_are_case_sensitive_and_only_nextsong_is_a_play(day: Day) -> Iterator[None]:
    pages = ["NextSong", "nextsong", "NextSong ", "Next Song", "NEXTSONG", "Home"]
    day.write(*(day.event(page=page, itemInSession=number) for number, page in enumerate(pages)))
    yield
    assert sorted(day.column(EVENTS, "page")) == sorted(pages)
    assert len(day.rows("songplays")) == 2  # the first, and that with a blank at its end


@case
def test_raw_text_is_cut_to_1000_characters(day: Day) -> Iterator[None]:
    day.write("é" * 5_000, "😀" * 1_000, b"\xff" * 3_000, b"a\x00b")
    yield
    texts = day.column(ERRORS, "raw_text")
    assert sorted(map(len, texts)) == [3, 1000, 1000, 1000]
    assert "é" * 1_000 in texts


@pytest.mark.slow
def test_an_error_names_its_line_and_column_and_the_good_lines_around_it_load(world: World) -> None:
    world.write_log(DAY, event(itemInSession=1), event(status="OK"), event(itemInSession=3))
    outcome = world.materialize(DAY)
    assert outcome.ok
    assert outcome.checks[("staging_events", "no_load_errors")] is False
    assert world.reasons() == [(2, "status", "status: text is not a number")]
    assert world.column(EVENTS, "item_in_session") == [1, 3]
    assert len(world.rows("songplays")) == 2
