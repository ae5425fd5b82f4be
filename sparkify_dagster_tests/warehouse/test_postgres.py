"""PostgreSQL alone: writers that wait, its COPY's corner cases, and what a person reads when it fails.

That it holds the contract and the same rows as DuckDB is in contract/, whose tests run on both.
"""

import logging
import re
import secrets
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from sparkify_dagster.config.settings import Settings
from sparkify_dagster.schema.tables import load_errors
from sparkify_dagster.warehouse.connect import create_warehouse
from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.postgres import PostgresWarehouse
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.project import Project
from sparkify_dagster_tests.support.servers.postgres import PostgresServer
from sparkify_dagster_tests.support.world import EVENTS, SONGS, STAR, World, refresh_queries

# In a constant, since a traceback quotes the code.
NAME = "Ayleen"
DAYS = [f"2018-11-{number:02}" for number in range(1, 7)]
MATCHED = "SELECT start_time FROM songplays WHERE song_id IS NOT NULL ORDER BY start_time"


@pytest.fixture
def world(tmp_path: Path, postgres: PostgresServer) -> World:
    return World(tmp_path, new_warehouse=postgres.new_warehouse)


@pytest.fixture
def password(postgres: PostgresServer) -> str:
    """The password of a user named analyst, who may read and write."""
    password = f"to/be@quoted-{secrets.token_hex(8)}"
    postgres.execute("DO $$ BEGIN CREATE ROLE analyst LOGIN SUPERUSER; EXCEPTION WHEN duplicate_object THEN END $$")
    postgres.execute(f"ALTER ROLE analyst PASSWORD '{password}'")
    return password


def test_a_writer_that_waits_says_for_whom(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.query("SELECT 1")
    with ThreadPoolExecutor(1) as others:
        with world.warehouse.connect("somebody's load") as engine, engine.begin():
            waiting = others.submit(world.query, "SELECT 1")
            while not caplog.messages:
                assert not waiting.done()
        assert waiting.result() == [(1,)]
    assert caplog.messages == ["Waiting for sparkify: somebody's load"]


@pytest.mark.parametrize(
    "title", ["", " ", "a\n\\.\nb", "\\.", "\\N", 'a "quoted" word', "a,b;c\td", "\r\n", "NULL", "Sigur Rós – 日本 🎵"]
)
def test_text_that_means_something_to_copy_arrives_as_it_is(world: World, title: str) -> None:
    world.write_log(DAYS[0], event(song=title, lastName=None))
    world.write_songs("A.json", song(title=title))
    world.load(DAYS[0])
    assert world.rows(EVENTS, "song", "last_name") == [(title, None)]
    assert world.rows("songs", "title") == [(title.rstrip(" "),)]


def test_keys_are_enforced_where_the_warehouse_can(world: World) -> None:
    world.write_log(DAYS[0], event())
    world.load(DAYS[0])
    with (
        pytest.raises(Exception, match="duplicate key"),
        world.warehouse.connect("a test") as engine,
        engine.begin() as connection,
    ):
        connection.execute(text("INSERT INTO songplays SELECT * FROM songplays"))


def test_the_password_is_used_and_never_shown(
    postgres: PostgresServer, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quoted = password.replace("/", "%2F").replace("@", "%40")
    address = postgres.new_database().replace("sparkify@", f"analyst:{quoted}@")
    monkeypatch.setenv("SPARKIFY_WAREHOUSE", address)
    warehouse = create_warehouse(Settings.load())
    with warehouse.connect("a test") as engine, engine.begin() as connection:
        assert connection.scalar(text("SELECT current_user")) == "analyst"
    for shown in (repr(warehouse), warehouse.database, str(warehouse.model_dump())):
        assert password not in shown
        assert quoted not in shown


def test_a_wrong_password_is_one_clear_line(
    postgres: PostgresServer, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKIFY_WAREHOUSE", postgres.address().replace("sparkify@", "analyst:wrong-one@"))
    with pytest.raises(WarehouseError) as raised, create_warehouse(Settings.load()).connect("a test"):
        pass
    said = str(raised.value)
    assert "password authentication failed" in said
    assert "check SPARKIFY_WAREHOUSE" in said
    assert "wrong-one" not in said
    assert "\n" not in said


def test_a_server_that_is_not_there_is_one_clear_line() -> None:
    warehouse = PostgresWarehouse(address="postgresql+psycopg2://somebody@127.0.0.1:1/sparkify")
    with pytest.raises(WarehouseError) as raised, warehouse.connect("a test"):
        pass
    assert str(raised.value).startswith("postgresql://127.0.0.1:1/sparkify: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_another_encoding_than_utf8_is_one_line_with_the_remedy(postgres: PostgresServer, encoding: str) -> None:
    name = f"test_{secrets.token_hex(6)}"
    postgres.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    postgres.databases.append(name)
    with pytest.raises(WarehouseError) as raised, PostgresWarehouse(address=postgres.address(name)).connect("a test"):
        pass
    said = str(raised.value)
    assert said.startswith(
        f"postgresql://127.0.0.1:{postgres.port}/{name}: the database's encoding is {encoding} and must be UTF8: "
    )
    assert "\n" not in said
    # What the line says to do is what helps.
    (remedy,) = re.findall("CREATE DATABASE sparkify .* TEMPLATE template0", said)
    remedied = f"test_{secrets.token_hex(6)}"
    postgres.execute(remedy.replace("sparkify", remedied))
    postgres.databases.append(remedied)
    with (
        PostgresWarehouse(address=postgres.address(remedied)).connect("a test") as engine,
        engine.begin() as connection,
    ):
        assert connection.scalar(text("SELECT count(*) FROM songplays")) == 0


def test_a_user_who_may_not_create_reads_what_to_do(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    role, database = f"reader_{secrets.token_hex(4)}", make_url(postgres.new_database()).database
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    monkeypatch.setenv("SPARKIFY_WAREHOUSE", postgres.address(str(database)).replace("sparkify@", f"{role}:secret@"))
    warehouse = create_warehouse(Settings.load())
    with pytest.raises(WarehouseError) as raised, warehouse.connect("a test"):
        pass
    remedy = f"ALTER DATABASE {database} OWNER TO {role}"
    assert str(raised.value) == (
        f"postgresql://127.0.0.1:{postgres.port}/{database}: permission denied for database {database}; "
        f"sparkify creates schemas and tables, so the user must own the database: {remedy}"
    )
    postgres.execute(remedy)
    with warehouse.connect("a test") as engine, engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM songplays")) == 0
    postgres.drop_databases(len(postgres.databases) - 1)
    postgres.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("SELECT no_column FROM users WHERE first_name = :name", 'column "no_column" does not exist'),
        ("INSERT INTO users (first_name, user_id) VALUES (:name, NULL)", "violates not-null constraint"),
        ("INSERT INTO users (first_name, level) SELECT :name, no_column", 'column "no_column" does not exist'),
    ],
)
def test_an_error_shows_neither_parameters_nor_rows(world: World, statement: str, cause: str) -> None:
    with pytest.raises(DBAPIError) as raised, world.warehouse.connect("a test") as engine, engine.begin() as connection:
        connection.execute(text(statement), {"name": NAME})
    shown = "".join(traceback.format_exception(raised.value))
    assert cause in shown
    assert NAME not in shown


def test_a_row_that_copy_refuses_is_not_shown(world: World) -> None:
    world.query("SELECT 1")
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE staging.staging_events ADD CHECK (first_name <> '{NAME}')"))
    world.write_log(DAYS[0], event(firstName=NAME))
    with pytest.raises(WarehouseError) as raised:
        world.load(DAYS[0])
    shown = "".join(traceback.format_exception(raised.value))
    assert "violates check constraint" in shown
    assert NAME not in shown


def test_a_role_may_read_star_and_answers_and_not_staging(world: World, postgres: PostgresServer) -> None:
    world.write_log(DAYS[0], event())
    world.load(DAYS[0])
    refresh_queries(world, "top_songs")
    role = f"Analysts {secrets.token_hex(4)}"
    for _ in range(2):
        with world.warehouse.connect("a test") as engine, engine.begin() as connection:
            world.warehouse.grant_reading(connection, role)
    # Its table is made when the role is already there.
    refresh_queries(world, "top_artists")
    readable = world.query(
        "SELECT table_name FROM information_schema.tables"
        f" WHERE table_schema IN ('public', 'analytics', 'staging') AND has_table_privilege('{role}',"
        " quote_ident(table_schema) || '.' || quote_ident(table_name), 'SELECT')"
    )
    assert {name for (name,) in readable} == {*STAR, "top_songs", "top_artists"}
    assert world.query(f"SELECT has_schema_privilege('{role}', 'analytics', 'USAGE')") == [(True,)]
    assert world.query(f"SELECT has_schema_privilege('{role}', 'staging', 'USAGE')") == [(False,)]
    writable = "SELECT " + ", ".join(
        f"has_table_privilege('{role}', '{table}', 'INSERT') AND has_table_privilege('{role}', '{table}', 'DELETE')"
        for table in ("songplays", "staging.staging_events", "analytics.top_artists")
    )
    assert world.query(writable) == [(False, False, False)]
    world.warehouse.run("a test", lambda connection: world.warehouse.grant_loading(connection, role))
    assert world.query(writable) == [(True, True, True)]
    postgres.execute(f'DROP OWNED BY "{role}"')


@pytest.mark.slow
def test_the_commands_are_the_same(tmp_path: Path, postgres: PostgresServer) -> None:
    project = Project(tmp_path)
    project.simulate()
    on_duckdb = rows_on_duckdb(project)
    project.environment["SPARKIFY_WAREHOUSE"] = postgres.new_database()
    project.call("create-tables")
    on_postgres = project.sparkify("etl")
    assert counts(on_postgres) | on_duckdb == counts(on_postgres)
    assert "57 passed, 0 warn, 0 failed" in on_postgres
    assert "23 of 23 queries as expected" in on_postgres
    assert project.sparkify("etl").startswith("Nothing to do: ")
    built_again = project.sparkify("etl", "--from", "2018-11-01", "--to", "2018-11-03")
    assert result(built_again) == result(on_postgres)
    assert "23 of 23 queries as expected" in project.call("verify")
    role = f"analysts_{secrets.token_hex(4)}"
    assert "may read the star" in project.sparkify("grant", "--role", role)
    warehouse = PostgresWarehouse(address=project.environment["SPARKIFY_WAREHOUSE"])
    an_analyst_reads_while_a_load_writes(project, warehouse, postgres, role)
    project.call("create-tables", "--drop", expect=1)
    plays = text("SELECT count(*) FROM songplays")
    with warehouse.connect("a test") as engine, engine.begin() as connection:
        assert connection.scalar(plays)
    project.sparkify("create-tables", "--drop", "--yes")
    with warehouse.connect("a test") as engine, engine.begin() as connection:
        assert connection.scalar(plays) == 0


@pytest.mark.slow
def test_queries_wait_for_all_plays_to_be_matched_again(tmp_path: Path, postgres: PostgresServer) -> None:
    """A failed re-match of one day does not keep other days from it, but the queries."""
    warehouse = postgres.new_warehouse()
    world = World(tmp_path, new_warehouse=lambda: warehouse)
    project = Project(tmp_path, {"SPARKIFY_WAREHOUSE": warehouse.address})
    project.use(tmp_path)
    for day in (DAYS[0], DAYS[2]):
        world.write_log(day, event(time=f"{day}T10:00:00"))
    world.write_songs("A/A/A/TRAAA.json", song(song_id="SOOTHER", title="Never played"))
    project.sparkify("etl")
    world.execute(f"ALTER TABLE songplays ADD CONSTRAINT c CHECK (song_id IS NULL OR start_time >= '{DAYS[1]}')")
    world.write_songs("A/A/B/TRAAB.json", song())
    output = project.sparkify("etl", expect=1)
    for day in (DAYS[0], DAYS[2]):
        assert f"The song catalogue changed: re-matching the plays of {day} to {day}\n" in output
    assert [str(start)[:10] for (start,) in world.query(MATCHED)] == [DAYS[2]]
    # The queries of the run that loads the song are older than all re-matches.
    assert runs_with_queries(project) == [True, True, False, False]
    world.execute("ALTER TABLE songplays DROP CONSTRAINT c")
    project.sparkify("etl")
    assert [str(start)[:10] for (start,) in world.query(MATCHED)] == [DAYS[0], DAYS[2]]
    assert runs_with_queries(project)[4:] == [True]


def runs_with_queries(project: Project) -> list[bool]:
    """Returns for each run, the oldest first, whether it has materialized a query."""
    with project.instance() as instance:
        return [
            any(
                entry.dagster_event and entry.dagster_event.asset_key == dg.AssetKey("top_songs")
                for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
            )
            for run in project.runs()
        ]


def an_analyst_reads_while_a_load_writes(
    project: Project, warehouse: PostgresWarehouse, postgres: PostgresServer, role: str
) -> None:
    """With no privilege but those of the analysts' role, and without waiting."""
    analyst, password = f"ann_{secrets.token_hex(4)}", secrets.token_hex(8)
    postgres.execute(f"CREATE ROLE {analyst} LOGIN PASSWORD '{password}' IN ROLE {role}")
    url = make_url(warehouse.address).set(username=analyst, password=password)
    address = url.render_as_string(hide_password=False)
    with warehouse.connect("somebody's load") as engine, engine.begin() as connection:
        connection.execute(text("DELETE FROM songplays"))
        assert "song,artist,plays" in project.call("query", "top_songs", "--format", "csv", SPARKIFY_WAREHOUSE=address)
        assert "23 of 23 queries as expected" in project.call("verify", SPARKIFY_WAREHOUSE=address)
        connection.rollback()
    assert "permission denied" in project.call("load-errors", expect=1, SPARKIFY_WAREHOUSE=address)


def result(output: str) -> list[str]:
    """Returns the end of a run's output: the tables and queries with their rows, the checks and the match rate."""
    return output[output.index("Table ") :].splitlines()[1:]


def counts(output: str) -> dict[str, str]:
    """Returns the tables and queries with their rows, and the match rate."""
    lines = [line.replace("Match rate:", "match_rate").split() for line in result(output)]
    return {line[0]: line[1] for line in lines if len(line) > 1}


def rows_on_duckdb(project: Project) -> dict[str, str]:
    """Returns the tables with their rows, and the match rate, of the project's source in a DuckDB file."""
    world = project.world.from_scratch("2018-11-01", "2018-11-03")
    rows = {table: f"{len(world.rows(table)):,}" for table in (EVENTS, SONGS, *STAR)}
    matched = [song_id is not None for song_id in world.column("songplays", "song_id")]
    return rows | {"match_rate": f"{sum(matched) / len(matched):.1%}"}


def test_an_error_of_copy_quotes_neither_line_nor_value(world: World) -> None:
    with (
        pytest.raises(WarehouseError) as caught,
        world.warehouse.connect("a test") as engine,
        engine.begin() as connection,
    ):
        world.warehouse.insert_rows(
            connection, load_errors, [{"key": "k", "reason": "r", "raw_text": "Kaylee" * 1_000}]
        )
    assert str(caught.value).endswith(": value too long for type character varying(4000)")
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None
