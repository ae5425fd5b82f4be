"""Transactions on Redshift: each holds statements only, since an open one keeps other writers waiting and is billed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.redshift_stand_in.cluster import Transaction
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.support.events import event, lines, song
from sparkify_dagster_tests.support.servers.s3 import Recorder, S3Server, recording
from sparkify_dagster_tests.support.world import World

BUCKET = "redshift-short-transactions"
DAYS = [f"2018-11-{number:02}" for number in range(1, 6)]
BROKEN_NAMES = [f"Bj\u00c3\u0083\u00c2\u00b6rk {number}" for number in range(600)]


@pytest.fixture
def s3_requests(s3: S3Server) -> Iterator[Recorder]:
    with recording(s3) as recorder:
        yield recorder


def within(transactions: Sequence[Transaction], requests: Sequence[tuple[float, str]]) -> list[str]:
    """The requests of this process, not those of COPY, that came in a transaction."""
    return [
        request
        for time, request in requests
        if any(transaction.began < time < transaction.ended for transaction in transactions)
    ]


def test_no_transaction_of_a_run_waits_for_s3(
    tmp_path: Path,
    redshift_servers: RedshiftServers,
    s3: S3Server,
    s3_requests: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run with all that it may write for COPY: normalised copies, and bookkeeping of more rows than it inserts."""
    redshift_servers.login(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_requests.url)
    files = {
        f"log_data/{day}-events.json": lines(*(event(time=f"{day}T10:00:00", itemInSession=n) for n in range(2)))
        for day in DAYS[:3]
    }
    broken = [event(time=f"{DAYS[3]}T10:00:00", itemInSession=n, artist=name) for n, name in enumerate(BROKEN_NAMES)]
    files[f"log_data/{DAYS[3]}-events.json"] = lines(*broken, "no JSON")
    files[f"log_data/{DAYS[4]}-events.json"] = lines(*["no JSON"] * 600)
    files |= {f"song_data/{number}.json": lines(song(song_id=f"S{number:04}")) for number in range(501)}
    s3.put(BUCKET, files)
    world = World(
        tmp_path,
        max_load_errors=599,
        log_data=f"s3://{BUCKET}/log_data",
        song_data=f"s3://{BUCKET}/song_data",
        aws_endpoint_url=s3_requests.url,
        new_warehouse=redshift_servers,
    )
    assert isinstance(world.warehouse, RedshiftWarehouse)
    server = redshift_servers.server_of(world.warehouse)
    assert world.materialize(DAYS[0], DAYS[-1]).failures == {}
    s3.delete(BUCKET, "song_data/0.json")
    s3.put(BUCKET, {"song_data/1.json": b"no song"})
    world.load(DAYS[0], DAYS[-1])
    transactions = [transaction for transaction in server.transactions if transaction.statements[0] == "BEGIN"]
    assert {request.split()[0] for _, request in s3_requests.requests} == {"GET", "PUT", "POST", "HEAD"}
    assert within(transactions, s3_requests.requests) == []
    assert len(world.rows("songs")) == 499
    loads = [t for t in transactions if any(statement.startswith("COPY") for statement in t.statements)]
    for transaction in loads:
        print(f"{transaction.seconds:.3f} s, {len(transaction.statements)} statements")
    print(
        f"{len(transactions)} transactions, the longest {max(t.seconds for t in transactions):.3f} s,"
        f" {sum(len(t.statements) for t in transactions)} statements"
    )
    assert max(len(transaction.statements) for transaction in loads) <= 32
