"""infrastructure/dagster.yaml on a real PostgreSQL and a real S3: history in the one, what runs print in the other."""

import json
import re
import secrets
import shutil
import socket
import urllib.request
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from sparkify_dagster_tests.support.project import ROOT, Project, wait_until
from sparkify_dagster_tests.support.servers.ports import free_ports
from sparkify_dagster_tests.support.servers.postgres import PostgresServer
from sparkify_dagster_tests.support.servers.s3 import S3Server

DAY = "2018-11-01"
LAUNCH = """
mutation($tags: [ExecutionTag!]!) {
  launchRun(executionParams: {
    selector: {
      repositoryLocationName: "sparkify_dagster", repositoryName: "__repository__", jobName: "load_all",
      assetSelection: [{path: ["staging_events"]}, {path: ["songplays"]}]
    }
    executionMetadata: {tags: $tags}
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""
CONFIGURATION = "{ instance { info daemonHealth { allDaemonStatuses { daemonType required } } } }"


@pytest.mark.slow
def test_a_run_goes_through_the_queue_into_postgresql_and_s3(
    tmp_path: Path, s3: S3Server, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = f"history-{secrets.token_hex(8)}"
    address = history_of_a_user(postgres, password)
    bucket = f"compute-logs-{secrets.token_hex(6)}"
    s3.put(bucket, {})
    s3.login(monkeypatch)
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "infrastructure" / "dagster.yaml", home)
    project = Project(tmp_path)
    shutil.rmtree(tmp_path / ".sparkify")
    project.simulate(days=1)
    project.environment |= {
        "DAGSTER_HOME": str(home),
        "SPARKIFY_HISTORY": address,
        "SPARKIFY_COMPUTE_LOGS_BUCKET": bucket,
        "AWS_ENDPOINT_URL_S3": s3.url,
    }
    outputs = [project.sparkify("etl")]
    (port,) = free_ports(1)
    with (
        project.start("dagster-webserver", "--host", "127.0.0.1", "--port", str(port)) as webserver,
        project.start("dagster-daemon", "run") as daemon,
    ):
        wait_until(lambda: answers(port), f"a webserver on port {port}", pause=0.2)
        launched = ask(port, LAUNCH, tags=[{"key": "dagster/partition", "value": DAY}])["launchRun"]
        run_id = launched["run"]["runId"]
        wait_until(lambda: status_in(address, run_id) in ("SUCCESS", "FAILURE"), f"the end of run {run_id}", pause=0.2)
        configuration = ask(port, CONFIGURATION)["instance"]
        commands = [path.read_bytes().decode(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline")]
        outputs += [webserver.output, daemon.output, json.dumps(configuration), *commands]
    assert status_in(address, run_id) == "SUCCESS", daemon.output
    # Only the queue knows of runs in this state.
    assert "PIPELINE_ENQUEUED" in events_in(address, run_id)
    required = {
        daemon["daemonType"] for daemon in configuration["daemonHealth"]["allDaemonStatuses"] if daemon["required"]
    }
    assert required >= {"SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR", "MONITORING", "EVENT_LOG_CONSUMER"}
    kept = [found["Key"] for found in s3.client.list_objects_v2(Bucket=bucket)["Contents"]]
    # What a step prints is kept while it runs too, where it runs longer than the upload interval.
    assert {key.rpartition(".")[2] for key in kept} <= {"out", "err", "complete", "partial"}
    assert all(re.fullmatch(r"compute-logs/storage/[0-9a-f-]{36}/compute_logs/.+", key) for key in kept)
    assert any(run_id in key for key in kept)
    assert not (tmp_path / ".sparkify" / "dagster").exists()
    for output in outputs:
        assert password not in output
        assert s3.secret_key not in output
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or password.encode() not in path.read_bytes(), path


def history_of_a_user(postgres: PostgresServer, password: str) -> str:
    """An empty database and its owner, who needs a password."""
    user = f"history_{secrets.token_hex(4)}"
    address = postgres.new_database()
    postgres.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
    postgres.execute(f"ALTER DATABASE {address.rpartition('/')[2]} OWNER TO {user}")
    return address.replace(f"{postgres.user}@", f"{user}:{password}@")


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int, query: str, **variables: Any) -> dict[str, Any]:
    """Returns the response of the webserver's GraphQL API."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        answer = json.load(response)
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def query(address: str, sql: str, run_id: str) -> list[str]:
    with psycopg2.connect(address.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.execute(sql, (run_id,))
        return [value for (value,) in cursor.fetchall()]


def status_in(address: str, run_id: str) -> str:
    (status,) = query(address, "SELECT status FROM runs WHERE run_id = %s", run_id)
    return status


def events_in(address: str, run_id: str) -> list[str]:
    return query(address, "SELECT dagster_event_type FROM event_logs WHERE run_id = %s", run_id)
