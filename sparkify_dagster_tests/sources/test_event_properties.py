"""Whatever a log file holds: both ways of reading it agree, and DuckDB reads what was called plain."""

import gzip
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from sparkify_dagster.batches import InspectedDay
from sparkify_dagster.schema import tables
from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.sources.events import EventInspector
from sparkify_dagster.warehouse.base import LocalInputs
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.memory import MemoryStore
from sparkify_dagster_tests.support.world import Row, in_order

DAY = date(2018, 11, 1)
START_MS = 1_541_030_400_000

# Fragments of JSON as they are written, so that nothing is lost on the way.
USUAL = {key: json.dumps(value) for key, value in event().items()}
ODD_NUMBERS = st.sampled_from(
    [
        *("0", "-0", "0.0", "1.0", "1e0", "1E+2", "10e-1", "0.5", "-1", "2147483647", "2147483648", "1e25", "1e400"),
        *("9223372036854775807", "9223372036854775808", "12345678901234567890123456789", "1e-400", "0e999", "5e-324"),
        *("123456.789", "99999.99999", "99999.999995", "0.000005", "-0.000005", "246.3081200", "246.308125"),
        *("1541066400796", "1541066400796.0", "1541066400796.5", "1541116800000", "1541030399999", "99999999999999.0"),
        *("-62135596800000", "253402300799999", "253402300800000", "1.7976931348623157e308"),
    ]
)
ODD_TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "x ", "\u00a0", "Bj\u00c3\u00b6rk ", "\ufeff", "\ufffd", "\x7f", "\x85", "\u2028", "/", '"', "\\"]
    ),
    st.sampled_from(["x", "é", "€", "😀"]).flatmap(
        lambda letter: st.sampled_from([16, 17, 21, 22, 32, 33, 64, 65, 256, 257, 341, 342, 512, 513, 1024, 1025]).map(
            lambda length: letter * length
        )
    ),
    st.text(max_size=8),
    ODD_NUMBERS,
    st.sampled_from(["8", "008", "-8", "+8", " 8", "8 ", "1_0", "NaN", "null", "true", "9" * 18, "9" * 19, "9" * 20]),
)
WRITTEN_TEXTS = st.builds(
    lambda text, ascii: json.dumps(text, ensure_ascii=ascii), ODD_TEXTS, st.booleans()
) | st.sampled_from(
    [r'"\u0000"', r'"\ud83d"', r'"\ud83d\ude00"', r'"\/"', r'"\u00c3\u00b6 "', '"\\x41"', '"\t"', '"\x00"', '"']
)
OTHERS = st.sampled_from(
    ["null", "true", "false", "[]", "{}", '["x"]', '{"x": 1}', "NaN", "-Infinity", "nul", "01", ".5", "1."]
)
FRAGMENTS = ODD_NUMBERS | WRITTEN_TEXTS | OTHERS
SMALL = st.integers(0, 3).map(str)
PLAIN_CHANGES = {
    "userId": st.sampled_from(['""', '"0"', '"8"', '"26"', '"999999999999999999"']),
    "sessionId": SMALL,
    "itemInSession": SMALL,
    "ts": st.integers(START_MS, START_MS + 3).map(str) | st.just(str(START_MS + 86_399_999)),
    "length": st.sampled_from(["null", "246", "246.5", "99999.99999", "0.0"]),
    "registration": st.sampled_from(["null", "1540344794796.0", "1540344794796", "0"]),
    "artist": st.sampled_from(["null", '""', '"Bj\u00c3\u0083\u00c2\u00b6rk"', '"Bj\\u00c3\\u00b6rk "', '"Björk"']),
}
EXTRA_KEYS = ["extra", "Artist", "PAGE", "userid", "", "page ", "log_date", "a.b", "filename"]


def spell(key: str, escaped: bool) -> str:
    return f'"\\u{ord(key[0]):04x}{key[1:]}"' if escaped and key else json.dumps(key)


@st.composite
def lines(draw: st.DrawFn, *, odd: bool) -> str:
    """A line that is plain but for one or two values, or plain altogether."""
    fragments = USUAL | {key: draw(values) for key, values in PLAIN_CHANGES.items()}
    if odd:
        for key in draw(st.lists(st.sampled_from(DEFAULT_KEYS), max_size=2, unique=True)):
            if (fragment := draw(st.none() | FRAGMENTS)) is None:
                del fragments[key]
            else:
                fragments[key] = fragment
    keys = list(fragments)
    if draw(st.booleans()):
        extra = draw(st.sampled_from(EXTRA_KEYS))
        fragments[extra] = draw(FRAGMENTS)
        keys.insert(draw(st.integers(0, len(keys))), extra)
    colon, comma = draw(st.sampled_from([(":", ","), (": ", ", "), (" :\t", "\t, ")]))
    escaped = draw(st.sampled_from(["", *keys]))
    line = "{" + comma.join(f"{spell(key, key == escaped)}{colon}{fragments[key]}" for key in keys) + "}"
    return draw(st.sampled_from(["", "", "", " ", "\t"])) + line + draw(st.sampled_from(["", "", "", " ", "\r"]))


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Log files from plain to odd to broken."""
    odd = draw(st.booleans())
    drawn = draw(st.lists(lines(odd=odd), max_size=4))
    if odd:
        broken = st.sampled_from(
            ["", " ", "\t", "[]", "{}", "null", "12", "\ufeff{}", "nonsense", '{"ts":1}{"ts":2}', "{" * 2_000]
        )
        drawn = draw(st.permutations(drawn + draw(st.lists(broken, max_size=2))))
    content = draw(st.sampled_from(["", "", "\ufeff"])).encode()
    content += draw(st.sampled_from([b"\n", b"\n", b"\r\n"])).join(
        line.encode("utf-8", "surrogatepass") for line in drawn
    )
    content += draw(st.sampled_from([b"", b"\n", b"\n\n", b"\r\n", b" "]))
    if odd and content and draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(content) - 1))
        content = content[:at] + draw(st.binary(max_size=2)) + content[at + draw(st.integers(0, 2)) :]
    return content


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("properties") / "warehouse.duckdb"
    with DuckDBWarehouse(path=str(path)).connect("a test") as engine:
        yield engine


def inspect(contents: dict[str, bytes], *, rewrite: bool = False) -> InspectedDay:
    store = MemoryStore(contents)
    return EventInspector(store, DEFAULT_KEYS, keep_errors=10_000).inspect(DAY, store.list(), rewrite=rewrite)


def load(engine: Engine, day: InspectedDay) -> list[Row]:
    """The rows that the real loader makes of an inspected day. A RowCountMismatchError fails the test."""
    with engine.connect() as connection, connection.begin() as transaction:
        LocalInputs(DuckDBWarehouse(path="not opened")).events([day])(connection)
        rows = in_order([tuple(row) for row in connection.execute(select(tables.staging_events))])
        transaction.rollback()
    return rows


def summary(day: InspectedDay) -> tuple[Any, ...]:
    counts = [(file.lines, file.staged, file.duplicates, file.errors) for file in day.files]
    return counts, day.errors, day.repairs, day.fields


def check(engine: Engine, contents: dict[str, bytes]) -> None:
    usual, exact = inspect(contents), inspect(contents, rewrite=True)
    assert summary(usual) == summary(exact)
    assert len(usual.errors) == usual.error_count
    for file in usual.files:
        assert file.staged >= 0
        assert file.lines == file.staged + file.duplicates + file.errors
    rows = load(engine, usual)
    assert len(rows) == usual.staged
    assert rows == load(engine, exact)


@pytest.mark.slow
@given(first=files(), second=files())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_plain_and_the_exact_way_agree(engine: Engine, first: bytes, second: bytes) -> None:
    check(engine, {"a/2018-11-01-events.json": first, "b/2018-11-01-events.json": second})


@pytest.mark.slow
@given(
    content=st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.text('{}[]":,\\u0e+-. \r\n\t').map(str.encode)
)
@example(content=b"\xef\xbb\xbf")
@example(content=b"\n" * 5)
@example(content=b"\xef\xbb\xbf\xef\xbb\xbf{}")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_lines_or_errors(engine: Engine, content: bytes) -> None:
    check(engine, {"2018-11-01-events.json": content})
    check(engine, {"2018-11-01-events.json.gz": gzip.compress(content)})


@pytest.mark.slow
@given(content=st.binary(max_size=60), cut=st.integers(0, 80))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_for_gzip_are_one_error_or_a_file(engine: Engine, content: bytes, cut: int) -> None:
    check(engine, {"2018-11-01-events.json.gz": content})
    check(engine, {"2018-11-01-events.json.gz": gzip.compress(content)[:cut]})
