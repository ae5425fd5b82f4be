"""Ordinary users of a cluster, each with only the privileges that docs/how-to/redshift.md grants."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, text, update
from sqlalchemy.pool import NullPool

from sparkify_dagster.cli.main import main
from sparkify_dagster.schema.tables import metadata, schema_versions
from sparkify_dagster.warehouse import server
from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.redshift_stand_in.fixtures import STAGING_BUCKET, RedshiftServers
from sparkify_dagster_tests.redshift_stand_in.stand_in import RedshiftStandIn
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.project import ROOT
from sparkify_dagster_tests.support.world import World, refresh_queries

DAY = "2018-11-01"
LOADER, SECOND, ANALYST = "IAMR:name-of-the-role", "IAMR:name-of-another", "IAMR:name-of-an-analyst"
LOADERS, ANALYSTS = "loaders", "analysts"


@dataclass
class Users:
    """The users of the documentation on a cluster; the back end's are those of all its databases, hence the suffix."""

    server: RedshiftStandIn
    suffix: str = field(default_factory=lambda: f"-{secrets.token_hex(4)}")

    def name(self, documented: str) -> str:
        return documented + self.suffix

    def run_documented(self, heading: str) -> None:
        """Runs the statements of a section, as the admin."""
        page = (ROOT / "docs" / "how-to" / "redshift.md").read_text("utf-8")
        (section,) = re.findall(rf"^### {heading}\n(.*?)^##", page, re.DOTALL | re.MULTILINE)
        (statements,) = re.findall(r"^```sql\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
        statements = re.sub(r'"(IAMR:[\w-]+)"', rf'"\1{self.suffix}"', statements)
        statements = re.sub(rf"\bROLE ({LOADERS}|{ANALYSTS})\b", rf'ROLE "\1{self.suffix}"', statements)
        with create_engine(self.server.url, poolclass=NullPool).begin() as connection:
            for statement in filter(str.strip, statements.split(";")):
                connection.execute(text(statement.replace(":", "\\:")))

    def address(self, documented: str) -> str:
        """The user's login, as with temporary credentials of AWS."""
        self.server.passwords[self.name(documented)] = "temporary"
        return self.server.url_of(self.name(documented), "temporary").render_as_string(hide_password=False)

    def warehouse(self, documented: str) -> RedshiftWarehouse:
        staging = f"s3://{STAGING_BUCKET}/{secrets.token_hex(6)}"
        return RedshiftWarehouse(address=self.address(documented), copy_staging=staging)


@pytest.fixture
def users(redshift_servers: RedshiftServers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Users]:
    redshift_servers.login(monkeypatch)
    server = redshift_servers.new_server()
    yield Users(server)
    server.stop()


@contextmanager
def a_load_under_way(warehouse: RedshiftWarehouse) -> Iterator[None]:
    """Holds the writers' lock, with rows deleted."""
    with warehouse.connect("somebody's load") as engine, engine.begin() as connection:
        connection.execute(text("DELETE FROM songplays"))
        yield
        connection.rollback()


def sparkify(*arguments: str, expect: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == expect, result.output
    return result.output


def test_every_command_and_job_needs_no_more_than_is_documented(
    users: Users, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a schema of the loader's own; the other test has `public`, which is the admin's."""
    users.run_documented("Of the loader")
    loader = users.warehouse(LOADER).model_copy(update={"star_schema": "sparkify"})
    role = users.name(ANALYSTS)
    monkeypatch.setenv("SPARKIFY_STAR_SCHEMA", "sparkify")
    monkeypatch.setenv("SPARKIFY_WAREHOUSE", loader.address)
    monkeypatch.setenv("SPARKIFY_EXPECTED_RESULTS", str(tmp_path / "expected"))
    sparkify("create-tables")
    refused = sparkify("grant", "--role", role, expect=1)
    assert f"permission denied to create role; an administrator has to run CREATE ROLE {role}" in refused
    users.run_documented("Of analysts")
    world = World(tmp_path, new_warehouse=lambda: loader)
    world.write_log(DAY, event(), event(itemInSession=2), "broken")
    world.write_songs("A.json", song())
    assert world.materialize(DAY, queries=True).ok
    sparkify("grant", "--role", role)
    sparkify("load-errors")
    expected = sparkify("query", "top_songs", "--format", "csv")
    world.write("expected/top_songs.csv", expected.encode())
    sparkify("verify")
    users.server.forget()
    assert world.materialize(None, job="maintain_warehouse").ok
    assert {sent for sent in users.server.statements if sent.startswith(("ANALYZE", "VACUUM"))} == {
        f"{command} {table.fullname}" for table in metadata.sorted_tables for command in ("ANALYZE", "VACUUM")
    }
    # An analyst, while somebody loads.
    monkeypatch.setenv("SPARKIFY_WAREHOUSE", users.address(ANALYST))
    with a_load_under_way(loader):
        assert sparkify("query", "top_songs", "--format", "csv") == expected
        sparkify("verify")
    said = sparkify("load-errors", expect=1)
    assert "permission denied for schema staging; docs/how-to/redshift.md lists the privileges" in said
    monkeypatch.setenv("SPARKIFY_WAREHOUSE", loader.address)
    sparkify("create-tables", "--drop", "--yes")


def test_two_loaders_take_turns(users: Users, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users.run_documented("Of the loader")
    first = World(tmp_path, new_warehouse=lambda: users.warehouse(LOADER))
    second = World(tmp_path, new_warehouse=lambda: users.warehouse(SECOND))
    first.write_log(DAY, event(), "broken")
    first.write_songs("A.json", song())
    first.load(DAY)
    refresh_queries(first, "top_songs")
    users.run_documented("Of a second loader")
    role = users.name(LOADERS)
    with pytest.raises(WarehouseError, match=r"permission denied for database \w+; docs/how-to/redshift\.md lists"):
        second.load(DAY)
    on_duckdb = World(tmp_path)
    for world, query in ((first, "top_artists"), (second, "plays_by_hour"), (first, "plays_by_hour")):
        # As documented, each of them grants; here after its predecessor's new query.
        warehouse = world.warehouse
        with warehouse.connect("a test") as engine, engine.begin() as connection:
            warehouse.grant_loading(connection, role)
        first.write_log(DAY, event(), event(itemInSession=2, userAgent=query), "broken", query)
        first.write_songs("A.json", song(title=f"{world} {query}"))
        world.load(DAY)
        refresh_queries(world, "top_songs", query)
        on_duckdb.load(DAY)
        assert world.everything() == on_duckdb.everything()
    # Nor does it fail that statistics are the owner's to refresh; that the tables are its to change is said.
    with second.warehouse.connect("a test") as engine:
        second.warehouse.maintain(engine)
    first.warehouse.run("a test", lambda connection: connection.execute(update(schema_versions).values(version="old")))
    monkeypatch.setattr(server, "_databases_with_tables", set())
    with pytest.raises(WarehouseError, match="only the user who created the tables may change or drop"):
        second.load(DAY)
    first.load(DAY)
    second.load(DAY)
    assert second.everything() == on_duckdb.everything()
