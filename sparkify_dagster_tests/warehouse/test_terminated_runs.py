"""*Terminate* in the UI ends a run of the command line within seconds, whatever it waits for in the warehouse."""

import psycopg2
import pytest

from sparkify_dagster.warehouse.postgres import PostgresWarehouse
from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.runtime.test_liveness import add_run
from sparkify_dagster_tests.support.killed_commands import DAYS, project_of
from sparkify_dagster_tests.support.project import Started, wait_until
from sparkify_dagster_tests.support.world import World

# Deletes what there is, then executes the statement in the same transaction.
COMMAND = """
import sys
import dagster as dg
from sparkify_dagster.cli.main import reports_errors
from sparkify_dagster.config.settings import Settings
from sparkify_dagster.runtime import liveness, termination
from sparkify_dagster.warehouse.connect import create_warehouse

_, run_id, statement = sys.argv

def execute(connection):
    connection.exec_driver_sql("DELETE FROM staging.staging_events")
    print("executing", flush=True)
    connection.exec_driver_sql(statement)

@reports_errors
def command():
    with dg.DagsterInstance.from_config(".") as instance:
        with liveness.alive(instance, run_id), termination.watched(instance, run_id):
            create_warehouse(Settings.load()).run("a command", execute)

command()
"""
# One or two on a machine that does nothing else; what the commands wait for lasts longer.
SECONDS = 10
_CROSS_JOIN = (
    "SELECT COUNT(*) FROM pg_attribute AS a, pg_attribute AS b, pg_attribute AS c WHERE a.attnum + b.attnum > c.attnum"
)
LONG_STATEMENTS = {
    "duckdb": "SELECT SUM(a.range * b.range) FROM range(100000000) AS a, range(100000) AS b",
    "postgres": "SELECT pg_sleep(60)",
    "redshift": _CROSS_JOIN,
}


@pytest.mark.slow
def test_a_run_is_terminated_while_it_waits_for_a_lock_or_a_statement(six_days: World) -> None:
    six_days.load(DAYS[0])
    before = six_days.everything()
    project = project_of(six_days)
    with project.instance() as instance:

        def terminate(started: Started, run_id: str) -> None:
            # As the UI's button does.
            assert instance.run_coordinator.cancel_run(run_id)
            assert started.process.wait(SECONDS) == 143, started.output
            assert started.output.splitlines()[-1] == "sparkify: terminated in the UI"

        statement = LONG_STATEMENTS[six_days.warehouse.kind]
        first, second = add_run(instance), add_run(instance)
        with (
            six_days.warehouse.connect("a test") as engine,
            engine.begin(),
            project.start_code(COMMAND, first, statement) as started,
        ):
            wait_until(lambda: is_waiting(six_days, started), "the command at the lock", pause=0.05)
            terminate(started, first)
        with project.start_code(COMMAND, second, statement) as started:
            started.wait_for("executing")
            terminate(started, second)
    assert six_days.everything() == before


def is_waiting(world: World, started: Started) -> bool:
    """Returns whether a session waits for the lock that the test holds."""
    match world.warehouse, world.new_warehouse:
        case PostgresWarehouse(address=address), _:
            back_end = address
        case RedshiftWarehouse() as warehouse, RedshiftServers() as servers:
            back_end = servers.server_of(warehouse).back_end.render_as_string()
        case _:
            return "Waiting for a test (process" in started.output
    connection = psycopg2.connect(back_end.replace("+psycopg2", "").replace("redshift://", "postgresql://"))
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return cursor.fetchall() == [(1,)]
    finally:
        connection.close()
