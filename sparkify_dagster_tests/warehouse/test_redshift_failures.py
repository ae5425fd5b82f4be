"""Every statement of a run fails once in each way that a cluster knows, and the rows are right all the same."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.warehouse import base
from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.redshift import engine as redshift_engine
from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.redshift_stand_in.cluster import Failure
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.redshift_stand_in.stand_in import RedshiftStandIn
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import World

DAYS = ("2018-11-01", "2018-11-02")
BROKEN_NAME = "BjÃ\x83Â¶rk"
CUT = [
    Failure("", cuts=True, after=after, refused_connections=refused) for after in (False, True) for refused in (0, 2)
]
CONFLICTS = [
    Failure("", "XX000", "1023\nDETAIL:  Serializable isolation violation on table - 108226, transactions forming the"),
    Failure("", "XX000", "1018\nDETAIL:  Relation does not exist."),
    Failure("", "40001", "could not serialize access due to concurrent update"),
    Failure("", "XX000", "table 108226 dropped by concurrent transaction"),
]
# Each ends a run, so that not every statement fails.
CANCELED = [Failure("", "57014", "Query (150) canceled on user's request"), None, None]


@dataclass
class OncePerStatement:
    """Fails each statement of each transaction once; the failures take turns.

    A statement is known by those before it in its transaction, all without their values. None is no failure.
    """

    failures: Sequence[Failure | None]
    met: set[tuple[str, ...]] = field(default_factory=set)
    failed: int = 0
    _transaction: tuple[str, ...] = ()

    def __call__(self, sql: str) -> Failure | None:
        shape = re.sub(r"'(?:[^']|'')*'|\d+", "?", sql)
        statement = (shape,) if sql == "BEGIN" else (*self._transaction, shape)
        self._transaction = () if sql in ("COMMIT", "ROLLBACK") else statement
        # A rollback ends a transaction whatever else fails, and a connection is tried out without one.
        if sql == "ROLLBACK" or statement[0] != "BEGIN" or statement in self.met:
            return None
        self.met.add(statement)
        failure = self.failures[len(self.met) % len(self.failures)]
        self.failed += failure is not None
        return failure


@pytest.fixture
def world(tmp_path: Path, redshift_servers: RedshiftServers, monkeypatch: pytest.MonkeyPatch) -> World:
    redshift_servers.login(monkeypatch)
    monkeypatch.setattr(base, "MAX_PAUSE_SECONDS", 0)
    monkeypatch.setattr(redshift_engine, "MAX_CONNECT_PAUSE_SECONDS", 0)
    # One run meets each failure.
    monkeypatch.setattr(base, "MAX_TRANSACTION_ATTEMPTS", 1000)
    world = World(tmp_path, new_warehouse=redshift_servers)
    for day in DAYS:
        world.write_log(day, event(time=f"{day}T10:00:00"))
    world.write_songs("A.json", song())
    run(world)
    # A changed day, one that is gone, another song.
    world.write_log(DAYS[0], event(itemInSession=2, artist=BROKEN_NAME), event(userId="9", itemInSession=3), "broken")
    world.delete(f"log_data/2018/11/{DAYS[1]}-events.json")
    world.write_songs("A.json", song(title="Another"), "broken")
    world.write_songs("B.json", song(song_id="SO2", artist_name="Björk"))
    return world


def run(world: World) -> None:
    world.load(*DAYS)
    with world.warehouse.connect("a test") as engine:
        for error in refresh.refresh(world.warehouse, engine, [all_queries()["top_songs"]])[1]:
            raise error


def error_of(world: World) -> str | None:
    try:
        run(world)
    except SparkifyError as error:
        return str(error)
    return None


def server_of(world: World, servers: RedshiftServers) -> RedshiftStandIn:
    assert isinstance(world.warehouse, RedshiftWarehouse)
    return servers.server_of(world.warehouse)


def expected(world: World) -> dict[str, list[tuple[object, ...]]]:
    on_duckdb = World(world.folder)
    on_duckdb.load(*DAYS)
    return on_duckdb.everything()


@pytest.mark.slow
@pytest.mark.parametrize("failures", [CUT, CONFLICTS], ids=["cut", "conflict"])
def test_a_failure_at_each_statement_costs_nothing(
    world: World, redshift_servers: RedshiftServers, failures: Sequence[Failure]
) -> None:
    """Also where a commit was done and only its answer is lost, and where the cluster is not up again at once."""
    server = server_of(world, redshift_servers)
    server.fault = faults = OncePerStatement(failures)
    run(world)
    server.forget()
    assert faults.failed > 70
    assert world.everything() == expected(world)


@pytest.mark.slow
def test_a_statement_that_is_cancelled_ends_the_run_and_the_next_one_does_it(
    world: World, redshift_servers: RedshiftServers
) -> None:
    server = server_of(world, redshift_servers)
    server.fault = faults = OncePerStatement(CANCELED)
    runs = 0
    while error := error_of(world):
        runs += 1
        assert "canceled on user's request; raise SPARKIFY_STATEMENT_TIMEOUT" in error
        assert faults.failed == runs
    server.forget()
    assert runs > 25
    assert world.everything() == expected(world)


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (CONFLICTS[0], "1023; other sessions change the same tables at the same time"),
        (CUT[0], "EOF detected; the connection was cut, and what was not committed is undone"),
    ],
    ids=["1023", "cut"],
)
def test_what_does_not_end_is_reported_by_its_cause(
    world: World, redshift_servers: RedshiftServers, monkeypatch: pytest.MonkeyPatch, failure: Failure, cause: str
) -> None:
    monkeypatch.setattr(base, "MAX_TRANSACTION_ATTEMPTS", 2)
    before = world.everything()
    server = server_of(world, redshift_servers)
    server.fault = lambda sql: failure if sql.startswith("DELETE FROM staging.staging_events") else None
    with pytest.raises(WarehouseError, match=cause):
        run(world)
    server.forget()
    assert world.everything() == before
    run(world)
    assert world.everything() == expected(world)
