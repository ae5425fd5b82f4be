"""Tables of the star's names that sparkify did not make are never read, altered, emptied or dropped, by any command."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.ddl import ForeignTablesError, create_tables, drop_tables
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers, log_in
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.project import Project
from sparkify_dagster_tests.support.servers.postgres import PostgresServer
from sparkify_dagster_tests.support.world import NewWarehouse, World

DAY = "2018-11-01"
# As the original course has them.
COURSE = """
CREATE TABLE songplays (songplay_id INT, start_time TIMESTAMP NOT NULL, user_id INT NOT NULL, level VARCHAR(9));
CREATE TABLE users (user_id INT, first_name VARCHAR(99), last_name VARCHAR(99), gender VARCHAR(9), level VARCHAR(9));
CREATE TABLE songs (song_id VARCHAR(99), title VARCHAR(99), artist_id VARCHAR(99), year INT, duration NUMERIC(9, 4));
INSERT INTO songplays VALUES (1, '2018-11-01', 8, 'free');
INSERT INTO users VALUES (8, 'Kaylee', 'Summers', 'F', 'free');
INSERT INTO songs VALUES ('SO1', 'Title', 'AR1', 1999, 1.5);
"""
TABLES = ("songplays", "users", "songs")
REFUSAL = (
    "the schema public has tables that sparkify did not make: songplays, users, songs. Nothing was changed. Give "
    "sparkify a schema of its own: SPARKIFY_STAR_SCHEMA=sparkify"
)
COMMANDS = (["etl"], ["create-tables"], ["create-tables", "--drop", "--yes"], ["grant", "--role", "analysts"])
READERS = (["query", "top_songs"], ["verify"], ["load-errors"])


@pytest.fixture(params=["postgres", "redshift"])
def project(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project on a database in which somebody did the course."""
    project = Project(tmp_path)
    project.simulate(days=1)
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        project.environment["SPARKIFY_WAREHOUSE"] = postgres.new_database()
    else:
        servers: RedshiftServers = request.getfixturevalue("redshift_servers")
        log_in(servers, monkeypatch)
        server = servers.new_server()
        project.environment |= {
            "SPARKIFY_WAREHOUSE": server.url.render_as_string(hide_password=False),
            "SPARKIFY_COPY_STAGING": f"s3://redshift-staging/{tmp_path.name}",
        }
    with engine_of(project).begin() as connection:
        for statement in filter(str.strip, COURSE.split(";")):
            connection.execute(text(statement))
    return project


def engine_of(project: Project) -> Engine:
    return create_engine(project.environment["SPARKIFY_WAREHOUSE"], poolclass=NullPool)


def rows_of(project: Project) -> list[list[object]]:
    with engine_of(project).connect() as connection:
        return [[tuple(row) for row in connection.execute(text(f"SELECT * FROM public.{table}"))] for table in TABLES]


@pytest.mark.slow
def test_no_command_touches_somebody_elses_tables(project: Project) -> None:
    before = rows_of(project)
    for command in COMMANDS:
        assert REFUSAL in run(project, command), command
    for command in READERS:
        said = run(project, command)
        assert "has no tables of sparkify: `sparkify create-tables` creates them" in said, command
    assert rows_of(project) == before
    # In a schema of its own, beside them, everything works.
    project.environment["SPARKIFY_STAR_SCHEMA"] = "ours"
    project.sparkify("etl")
    project.call("verify")
    # Nor are they taken for its own now that it has some.
    del project.environment["SPARKIFY_STAR_SCHEMA"]
    for command in COMMANDS:
        said = run(project, command)
        assert "the star of this database is in the schema ours, and this user's is public" in said, command
    for command in READERS:
        assert "has no tables of sparkify" in run(project, command), command
    project.environment["SPARKIFY_STAR_SCHEMA"] = "ours"
    project.call("create-tables", "--drop", "--yes")
    assert rows_of(project) == before


def run(project: Project, command: list[str]) -> str:
    """Runs a command that fails. Only `etl` needs a process of its own for it."""
    return (project.sparkify if command == ["etl"] else project.call)(*command, expect=1)


@pytest.mark.parametrize("kind", ["duckdb", "postgres", "redshift"])
def test_tables_of_the_marts_names_that_somebody_else_made_are_left_alone(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_warehouse: NewWarehouse = None
    if kind == "postgres":
        new_warehouse = request.getfixturevalue("postgres").new_warehouse
    if kind == "redshift":
        new_warehouse = request.getfixturevalue("redshift_servers")
        log_in(new_warehouse, monkeypatch)
    world = World(tmp_path, new_warehouse=new_warehouse)
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        # As a version without marts left it, beside somebody's table.
        drop_tables(connection)
        connection.execute(text("CREATE TABLE product.events (name VARCHAR(9))"))
        connection.execute(text("INSERT INTO product.events VALUES ('theirs')"))
        for change in (create_tables, drop_tables):
            with pytest.raises(ForeignTablesError, match=r"sparkify did not make these tables: product\.events"):
                change(connection)
        assert connection.execute(text("SELECT name FROM product.events")).all() == [("theirs",)]
        connection.execute(text("ALTER TABLE product.events RENAME TO their_events"))
        create_tables(connection)
        drop_tables(connection)
        assert connection.execute(text("SELECT name FROM product.their_events")).all() == [("theirs",)]


def test_what_depends_on_a_table_is_named_when_it_cannot_be_dropped(tmp_path: Path, postgres: PostgresServer) -> None:
    world = World(tmp_path, new_warehouse=postgres.new_warehouse)
    world.write_log(DAY, event())
    world.load(DAY)
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        connection.execute(text("CREATE VIEW of_an_analyst AS SELECT song_id FROM songplays"))
    with pytest.raises(WarehouseError, match="view of_an_analyst depends on table songplays: drop it first"):
        world.warehouse.run("a test", drop_tables)
    assert len(world.rows("songplays")) == 1
