"""Whatever a song file holds: it is rows or errors, and DuckDB reads the rows that were written for it."""

import gzip
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from sparkify_dagster.schema import tables
from sparkify_dagster.sources.songs import inspect_song_file, inspect_songs
from sparkify_dagster.warehouse.base import LocalInputs
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
from sparkify_dagster_tests.sources.test_event_properties import FRAGMENTS
from sparkify_dagster_tests.support.events import song
from sparkify_dagster_tests.support.memory import MemoryStore

USUAL = {key: json.dumps(value) for key, value in song().items()}


@st.composite
def objects(draw: st.DrawFn) -> str:
    fragments = dict(USUAL)
    for key in draw(st.lists(st.sampled_from([*USUAL, "extra", "Title"]), max_size=2, unique=True)):
        fragments[key] = draw(FRAGMENTS)
    blank = draw(st.sampled_from(["", " ", "\n  ", "\r\n\t"]))
    return "{" + f",{blank}".join(f'"{key}":{blank}{value}' for key, value in fragments.items()) + "}"


CONTENTS = (
    st.lists(objects() | st.sampled_from(["[]", "12", "nonsense", "\ufeff", ","]), max_size=4)
    .flatmap(lambda parts: st.sampled_from(["", " ", "\n", "\r\n\r\n"]).map(lambda between: between.join(parts)))
    .map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=40)
    | st.text('{}[]":,\\u0e+-. \r\n\t', max_size=40).map(str.encode)
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("properties") / "warehouse.duckdb"
    with DuckDBWarehouse(path=str(path)).connect("a test") as engine:
        yield engine


@pytest.mark.slow
@given(contents=st.lists(CONTENTS, min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_each_object_is_a_row_or_an_error(engine: Engine, contents: list[bytes]) -> None:
    plain = {f"{number}.json": content for number, content in enumerate(contents)}
    zipped = {f"{number}.json.gz": gzip.compress(content) for number, content in enumerate(contents)}
    store = MemoryStore(plain | zipped)
    (batch,) = inspect_songs(store, [stored.key for stored in store.list()], keep_errors=1_000)
    counts = {file.source.key: (file.lines, file.staged, file.errors) for file in batch.files}
    for number in range(len(contents)):
        assert counts[f"{number}.json"] == counts[f"{number}.json.gz"]
    for lines, staged, errors in counts.values():
        assert staged >= 0
        assert lines == staged + errors
    assert len(batch.errors) == sum(errors for _, _, errors in counts.values())
    with engine.connect() as connection, connection.begin() as transaction:
        LocalInputs(DuckDBWarehouse(path="not opened")).songs(batch)(connection)
        table = tables.staging_songs
        keys = connection.execute(select(table.c.source_key, table.c.song_id, table.c.artist_id)).all()
        transaction.rollback()
    assert sorted(key for key, _, _ in keys) == sorted(key for key, count in counts.items() for _ in range(count[1]))
    assert all(song_id and artist_id for _, song_id, artist_id in keys)


@given(parts=st.lists(st.sampled_from([json.dumps(song()), json.dumps(song(), indent=2)]), max_size=5))
def test_objects_are_counted_however_they_are_written(parts: list[str]) -> None:
    store = MemoryStore({"A.json": "".join(parts).encode()})
    file, rows, errors = inspect_song_file(*store.read("A.json"))
    assert (file.lines, len(rows), list(errors)) == (len(parts), len(parts), [])
    assert [json.loads(row)["object_number"] for row in rows] == list(range(1, len(parts) + 1))
