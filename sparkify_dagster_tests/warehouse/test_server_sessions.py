"""Sessions of a server: one login for the transactions of a connection, and for the connections that a block keeps."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from sparkify_dagster.warehouse.server import ServerWarehouse
from sparkify_dagster_tests.redshift_stand_in.fixtures import log_in
from sparkify_dagster_tests.support.servers.postgres import PostgresServer

PURPOSE = {"postgres": "SHOW application_name", "redshift": "SHOW query_group"}


@pytest.fixture(params=["postgres", "redshift"])
def new_warehouse(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ServerWarehouse:
    fixture = request.getfixturevalue("postgres" if request.param == "postgres" else "redshift_servers")
    log_in(fixture, monkeypatch)
    warehouse: ServerWarehouse = fixture.new_warehouse() if isinstance(fixture, PostgresServer) else fixture()
    return warehouse


@pytest.fixture
def warehouse(new_warehouse: ServerWarehouse) -> Iterator[ServerWarehouse]:
    with new_warehouse.kept_open():
        yield new_warehouse


def session(engine: Engine) -> int:
    """Returns the process of the server that serves the session."""
    with engine.begin() as connection:
        return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)


def session_of(warehouse: ServerWarehouse, *, read_only: bool = False) -> int:
    with warehouse.connect("a test", read_only=read_only) as engine:
        return session(engine)


def test_transactions_share_a_session_until_it_breaks(new_warehouse: ServerWarehouse, postgres: PostgresServer) -> None:
    with new_warehouse.connect("a test") as engine:
        first = session(engine)
        assert session(engine) == first
        postgres.execute(f"SELECT pg_terminate_backend({first}, 10000)")
        assert session(engine) not in (0, first)


def test_connections_of_a_block_are_one_session_that_shows_what_each_is_for(warehouse: ServerWarehouse) -> None:
    sessions = set()
    for purpose in ("a load", "a check", "a load"):
        with warehouse.connect(purpose) as engine:
            for _ in range(2):
                with engine.begin() as connection:
                    shown = connection.scalar(text(PURPOSE[warehouse.kind]))
                assert str(shown).removeprefix("sparkify: ") == purpose
            sessions.add(session(engine))
    assert len(sessions) == 1
    # A transaction of a reader begins in another way.
    assert {session_of(warehouse, read_only=True) for _ in range(2)}.isdisjoint(sessions)


def test_without_a_block_each_connection_is_a_session(new_warehouse: ServerWarehouse) -> None:
    assert session_of(new_warehouse) != session_of(new_warehouse)
    with new_warehouse.kept_open():
        kept = session_of(new_warehouse)
        with new_warehouse.kept_open():
            assert session_of(new_warehouse) == kept
        assert session_of(new_warehouse) == kept
    assert session_of(new_warehouse) != kept


def test_connections_at_the_same_time_are_sessions_of_their_own(warehouse: ServerWarehouse) -> None:
    kept = session_of(warehouse)
    with warehouse.connect("outer") as outer, warehouse.connect("inner") as inner:
        assert session(outer) == kept
        sessions = {kept, session(inner)}
        with ThreadPoolExecutor(1) as others:
            sessions.add(others.submit(session_of, warehouse).result())
    assert len(sessions) == 3
    assert session_of(warehouse) in sessions


def test_after_an_error_the_session_is_not_used_again(warehouse: ServerWarehouse) -> None:
    before = session_of(warehouse)
    with pytest.raises(ZeroDivisionError):
        warehouse.run("a test", lambda connection: 1 / 0)
    after = session_of(warehouse)
    assert after != before
    assert session_of(warehouse) == after


def test_a_session_that_has_broken_is_begun_again_with_its_purpose(
    warehouse: ServerWarehouse, postgres: PostgresServer
) -> None:
    with warehouse.connect("a load") as engine:
        broken = session(engine)
    postgres.execute(f"SELECT pg_terminate_backend({broken}, 10000)")
    with warehouse.connect("a check") as engine, engine.begin() as connection:
        assert str(connection.scalar(text(PURPOSE[warehouse.kind]))).removeprefix("sparkify: ") == "a check"
        assert connection.scalar(text("SELECT pg_backend_pid()")) != broken
