"""Measures the cost of loading PostgreSQL and Redshift, as ratios of one run: `make benchmark-warehouses`.

The servers are those of the tests, on loopback, so only the ratios mean something.

- postgres: 1,000,000 events into PostgreSQL, inspection and all, beside a bare psycopg2 COPY of the same rows.
- songs:    15,000 files of a song each on an S3 server: to read and bundle them, and to have COPY load the bundles,
            beside reading them one by one, and beside DuckDB's own reader of the same files in a folder.
- month, million: 8,000 and 1,000,000 events in 30 days into Redshift, inspected and by COPY first: transactions, their
            statements, how long they are open, and what this process reads from S3. Seconds are the stand-in's.
"""

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import duckdb
import obstore
import psycopg2
import psycopg2.extensions
from obstore.store import ObjectStore
from simulated import FIRST_DAY, MONTH_DAYS, million, month
from sqlalchemy import make_url, text
from uploads import upload
from workplace import run

from sparkify_dagster.config.aws import AwsAccess, s3_store
from sparkify_dagster.days import Window, days_between
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.ingest.load_logs import load_log_days
from sparkify_dagster.ingest.load_songs import load_songs
from sparkify_dagster.schema.tables import staging_events
from sparkify_dagster.sources.songs import inspect_songs
from sparkify_dagster.sources.source import Source
from sparkify_dagster.warehouse.base import Warehouse, count_rows
from sparkify_dagster.warehouse.redshift.copy import compressed
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.support.servers import postgres, s3

BUCKET = "benchmark"


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def load_events(warehouse: Warehouse, source: Source) -> None:
    days = days_between(FIRST_DAY, FIRST_DAY + timedelta(days=MONTH_DAYS - 1))
    with warehouse.connect("a benchmark") as engine:
        loading = load_log_days(
            engine,
            warehouse,
            source,
            source.list_log_files(),
            source.json_paths().keys,
            days,
            Limits(),
            run_id="a benchmark",
            window=Window(FIRST_DAY),
            log=logging.getLogger(),
        )
        for _ in loading:
            pass


def postgres_events(folder: Path, rounds: int) -> None:
    place = million(folder)
    source = Source(log_data=str(place / "log_data"), song_data=str(place / "song_data"))
    rows_file = folder / "events.csv"
    ours, bare = [], []
    with postgres.serving() as server:
        for _ in range(rounds):
            warehouse = server.new_warehouse()
            warehouse.run("a benchmark", lambda connection: None)
            ours.append(seconds(partial(load_events, warehouse, source)))
            url = make_url(warehouse.address)
            connection = psycopg2.connect(host=url.host, port=url.port, user=url.username, dbname=url.database)
            with connection, connection.cursor() as cursor:
                with rows_file.open("w") as file:
                    cursor.copy_expert("COPY staging.staging_events TO STDOUT (FORMAT csv)", file)
                cursor.execute("CREATE TABLE bare (LIKE staging.staging_events INCLUDING INDEXES)")
                cursor.execute("SELECT count(*) FROM staging.staging_events")
                (count,) = cursor.fetchone() or (0,)
            bare.append(seconds(partial(copy, connection, rows_file)))
            connection.close()
    mine, copied = statistics.median(ours), statistics.median(bare)
    print(
        f"postgres: {count:,} events in {mine:.1f} s, {count / mine:,.0f} rows per second; a bare COPY of the same "
        f"rows {copied:.1f} s, {count / copied:,.0f} rows per second: {mine / copied:.2f} x"
    )


def copy(connection: psycopg2.extensions.connection, rows_file: Path) -> None:
    with connection, connection.cursor() as cursor, rows_file.open() as file:
        cursor.copy_expert("COPY bare FROM STDIN (FORMAT csv)", file)


def songs(folder: Path, rounds: int) -> None:
    place = million(folder)
    with serving_redshift() as (redshift, server):
        bucket, keys = upload_folder(server, place / "song_data", "song_data")
        source = Source(
            log_data=f"s3://{BUCKET}/log_data", song_data=f"s3://{BUCKET}/song_data", aws_endpoint_url=server.url
        )
        _songs(rounds, source, redshift, bucket, keys, place)


@contextmanager
def serving_redshift() -> Iterator[tuple[RedshiftServers, s3.S3Server]]:
    with tempfile.TemporaryDirectory() as temporary:
        servers = Path(temporary)
        (servers / "s3").mkdir()
        with postgres.serving() as database, s3.serving(servers / "s3") as server:
            os.environ |= {
                **server.login_variables,
                "AWS_ENDPOINT_URL_S3": server.url,
                "SPARKIFY_CONFIG": "",
            }
            redshift = RedshiftServers(database, server, servers)
            try:
                yield redshift, server
            finally:
                redshift.stop()


def upload_folder(server: s3.S3Server, folder: Path, prefix: str) -> tuple[ObjectStore, list[str]]:
    """Copies a folder into the bucket and returns the store of that prefix with the keys in it."""
    server.put(BUCKET, {})
    bucket = s3_store(BUCKET, prefix, AwsAccess(endpoint_url=server.url))
    files = (path for path in folder.rglob("*") if path.is_file())
    return bucket, upload(bucket, ((path.relative_to(folder).as_posix(), path.read_bytes()) for path in files))


def redshift_events(name: str, simulated: Callable[[Path], Path], folder: Path, rounds: int) -> None:
    """Counts, which are the same in each round; so there is one."""
    place = simulated(folder)
    with serving_redshift() as (redshift, server), s3.recording(server) as recorder:
        upload_folder(server, place / "log_data", "log_data")
        os.environ["AWS_ENDPOINT_URL_S3"] = recorder.url
        source = Source(log_data=f"s3://{BUCKET}/log_data", song_data="", aws_endpoint_url=recorder.url)
        for mode, is_first in (("inspected", False), ("COPY first", True)):
            warehouse = redshift().model_copy(update={"copy_first": is_first})
            warehouse.run("a benchmark", lambda connection: None)
            stand_in = redshift.server_of(warehouse)
            stand_in.forget()
            before = recorder.bytes_received
            took = seconds(partial(load_events, warehouse, source))
            # Those of the load: reading what is staged takes one more.
            open_ones = [t for t in stand_in.transactions if t.statements[0] == "BEGIN"]
            writing = [t for t in open_ones if any(statement.startswith("COPY") for statement in t.statements)]
            events = warehouse.read("a benchmark", lambda connection: count_rows(connection, staging_events))
            print(
                f"{name + ':':<9} {mode}: {events:,} events in {took:.1f} s; {len(open_ones)} transactions with "
                f"{sum(len(t.statements) for t in open_ones)} statements, open for "
                f"{sum(t.seconds for t in open_ones):.1f} s; {len(writing)} of them with a COPY, the longest with "
                f"{max(len(t.statements) for t in writing)} statements; "
                f"{(recorder.bytes_received - before) / 1e6:,.2f} MB read from S3 by this process"
            )


def _songs(
    rounds: int, source: Source, redshift: RedshiftServers, bucket: ObjectStore, keys: list[str], place: Path
) -> None:
    bundling, loading, one_by_one, duck = [], [], [], []
    listing = source.list_song_files()

    def bundle() -> None:
        for batch in inspect_songs(source.song_store(), keys, keep_errors=100):
            compressed(batch.rows)

    def load(warehouse: Warehouse) -> None:
        with warehouse.connect("a benchmark") as engine:
            load_songs(engine, warehouse, source.song_store(), listing, Limits(), full=False)

    def read_one_by_one() -> None:
        for key in keys:
            obstore.get(bucket, key).bytes()

    def read_by_duckdb() -> None:
        with duckdb.connect() as connection:
            connection.execute(f"SELECT count(title) FROM read_json('{place}/song_data/**/*.json')").fetchall()

    for _ in range(rounds):
        bundling.append(seconds(bundle))
        warehouse = redshift()
        warehouse.run("a benchmark", lambda connection: connection.execute(text("SELECT 1")))
        loading.append(seconds(partial(load, warehouse)))
        one_by_one.append(seconds(read_one_by_one))
        duck.append(seconds(read_by_duckdb))
    read, loaded, single, local = map(statistics.median, (bundling, loading, one_by_one, duck))
    print(
        f"songs:    {len(keys):,} objects: read, inspected and bundled in {read:.1f} s, staged after {loaded:.1f} s; "
        f"read one by one {single:.1f} s ({single / read:.1f} x); DuckDB's reader, from a folder, {local:.1f} s"
    )


if __name__ == "__main__":
    run(
        __doc__,
        {
            "postgres": postgres_events,
            "songs": songs,
            "month": partial(redshift_events, "month", month),
            "million": partial(redshift_events, "million", million),
        },
    )
