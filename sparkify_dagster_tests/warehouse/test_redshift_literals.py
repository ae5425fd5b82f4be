"""No text becomes SQL: bound texts arrive exactly, whatever Redshift says of the literals that it reads.

Public reports say that Redshift reads a backslash in a plain literal as an escape. Whether it claims otherwise, by the
parameter standard_conforming_strings, no page of AWS's says; the driver believes the claim.
"""

import csv
import io
import json
import secrets
from pathlib import Path

import pytest
from sqlalchemy import text

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.comparison import compare
from sparkify_dagster.analytics.expected import parse
from sparkify_dagster.analytics.query import read_query
from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.redshift import inputs as redshift_inputs
from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.support.events import event, lines, song
from sparkify_dagster_tests.support.servers.s3 import S3Server
from sparkify_dagster_tests.support.world import World
from sparkify_dagster_tests.warehouse.test_redshift import SOURCE_BUCKET

DAY = "2018-11-01"
HOSTILE = [
    "\\",
    "\\\\",
    "\\'; DROP TABLE songplays; --",
    "\\\\'; DROP TABLE songplays; --",
    "' OR 1=1; DELETE FROM users; --",
    "'' \\'' \\\\''",
    "\\n is not a line's end, \\x41 no A, \\u0041 neither",
    "$$; DROP TABLE songs; $$",
    "ends in a backslash \\",
]


# Whether a backslash escapes, and whether the server says that it does not.
MODES = {"escapes, says nothing": (True, False), "escapes, says on": (True, True), "no escapes, says on": (False, True)}


@pytest.fixture(params=MODES)
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    redshift_servers: RedshiftServers,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    redshift_servers.login(monkeypatch)
    world = World(tmp_path, new_warehouse=redshift_servers)
    assert isinstance(world.warehouse, RedshiftWarehouse)
    server = redshift_servers.server_of(world.warehouse)
    server.has_escapes, server.claims_conforming_strings = MODES[request.param]
    return world


def test_a_bound_text_arrives_as_it_is(world: World) -> None:
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        assert [connection.scalar(text("SELECT :text"), {"text": hostile}) for hostile in HOSTILE] == HOSTILE
        connection.execute(text("CREATE TEMP TABLE texts (t VARCHAR(999))"))
        connection.execute(text("INSERT INTO texts VALUES (:t)"), [{"t": hostile} for hostile in HOSTILE])
        assert sorted(connection.scalars(text("SELECT t FROM texts"))) == sorted(HOSTILE)


@pytest.mark.slow
def test_hostile_lines_songs_keys_and_runs_are_loaded_as_on_duckdb(
    world: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken lines, texts of events and songs, double-encoded ones, the names of files and of S3's objects, run ids."""
    texts = lines(
        event(),
        *HOSTILE,
        *(json.dumps({"ts": hostile, "page": hostile}) for hostile in HOSTILE),
        *(
            event(itemInSession=number, song=hostile, artist=f"BjÃ\x83Â¶rk {hostile}", userAgent=hostile, level=hostile)
            for number, hostile in enumerate(HOSTILE, start=10)
        ),
    )
    songs = lines(*HOSTILE, *(song(song_id=f"S{number}", title=title) for number, title in enumerate(HOSTILE)))
    content = {
        f"log_data/2018/11/{DAY}-events.json": texts,
        f"log_data/it's a $1 %s :key;/{DAY}-events.json": lines("broken", event(itemInSession=2)),
        "song_data/O'Brien; --.json": songs,
    }
    # No server of ours keeps a backslash in the key of an object.
    for key in (f"log_data/it's \\' a $1 %s :key \\\\/{DAY}-events.json", "song_data/O'Brien \\'; --.json"):
        world.put(key, songs if key.startswith("song") else texts)
    folder = f"hostile-{secrets.token_hex(4)}"
    s3.put(SOURCE_BUCKET, {f"{folder}/{key}": value for key, value in content.items()})
    in_s3 = [f"s3://{SOURCE_BUCKET}/{folder}/{name}" for name in ("log_data", "song_data")]
    on_duckdb = World(world.folder, warehouse_file=world.folder / "other.duckdb")
    for run_id in HOSTILE[2:4]:
        for loaded in (world, on_duckdb):
            loaded.load(DAY, run_id=run_id)
            loaded.log_data, loaded.song_data = in_s3
            loaded.aws_endpoint_url = s3.url
        assert world.everything() == on_duckdb.everything()
        assert world.column("staging.day_profiles", "run_id") == [run_id]
        assert len(world.errors()) >= 2 * len(HOSTILE)
        # From then on all that is written down goes by COPY, as it does of many rows.
        monkeypatch.setattr(redshift_inputs, "ROWS_BY_INSERT", 0)


def test_hostile_results_are_as_expected(world: World) -> None:
    """Of a query with texts of its own, stored, compared, and shown."""
    select = "\n".join(
        [
            "-- Who uses what?",
            "-- Asked by: nobody.",
            "-- Columns:",
            "--   user_agent VARCHAR(1024) The browser.",
            "--   quoted VARCHAR(64) A text of the query.",
            "-- Groups people: user_agent",
            "SELECT p.user_agent, '100% of ''x''; -- \\:first_day' AS quoted",
            "FROM songplays AS p",
            "ORDER BY p.user_agent",
        ]
    )
    query = read_query(world.put("hostile_results.sql", f"{select}\n".encode()))
    world.write_log(DAY, *(event(itemInSession=number, userAgent=text_) for number, text_ in enumerate(HOSTILE)))
    world.load(DAY)
    with world.warehouse.connect("a test") as engine:
        assert refresh.refresh(world.warehouse, engine, [query])[1] == []
        with engine.begin() as connection:
            found = refresh.run_query(world.warehouse, connection, query)
            assert refresh.stored_result(connection, query) == found
    expected = io.StringIO(newline="")
    csv.writer(expected).writerows([query.columns, *found])
    assert compare(query, parse(query, expected.getvalue().encode(), "a.csv"), found).matches_expected
    assert [tuple(row) for row in found] == [(text_, "100% of 'x'; -- :first_day") for text_ in sorted(HOSTILE)]


def test_hostile_purposes_and_roles_are_names(world: World) -> None:
    purpose, role = "\\'; DROP TABLE songs; --", f'\\\'; "x" 100% :y {secrets.token_hex(4)}'
    warehouse = world.warehouse
    with warehouse.connect(purpose) as engine, engine.begin() as connection:
        assert connection.scalar(text("SHOW query_group")) == purpose
        for _ in range(2):
            warehouse.grant_reading(connection, role)
        assert connection.scalar(text("SELECT COUNT(*) FROM svv_roles AS r WHERE r.role_name = :r"), {"r": role}) == 1


def test_texts_that_would_arrive_changed_are_not_sent(
    redshift_servers: RedshiftServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the server reads no escapes and does not report it, the driver doubles each backslash."""
    redshift_servers.login(monkeypatch)
    warehouse = redshift_servers()
    server = redshift_servers.server_of(warehouse)
    server.has_escapes = False
    with pytest.raises(WarehouseError, match="a text with backslashes does not reach the database as it is"):
        warehouse.connect("a test").__enter__()
