"""Redshift alone: the objects that COPY is given, conflicts between writers, and the messages of failures.

That it holds the contract and the same rows as the other warehouses is in contract/, whose tests run on all of them.
How it finds its cluster and logs in is in test_redshift_login.py.
"""

import gzip
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlfluff
from sqlalchemy import text

from sparkify_dagster.batches import InspectedDay, InspectedSongs
from sparkify_dagster.config.aws import AwsAccess, session
from sparkify_dagster.schema.tables import metadata, songplays, songs
from sparkify_dagster.warehouse import base
from sparkify_dagster.warehouse.base import count_rows
from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.redshift import copy as redshift_copy
from sparkify_dagster.warehouse.redshift.copy import CopyFolder
from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.redshift_stand_in.cluster import SHA_256
from sparkify_dagster_tests.redshift_stand_in.fixtures import STAGING_BUCKET, RedshiftServers
from sparkify_dagster_tests.redshift_stand_in.stand_in import RedshiftStandIn
from sparkify_dagster_tests.support.events import event, lines, song
from sparkify_dagster_tests.support.faults import hooked
from sparkify_dagster_tests.support.project import Project
from sparkify_dagster_tests.support.servers.aws_api import AwsServer
from sparkify_dagster_tests.support.servers.s3 import S3Server
from sparkify_dagster_tests.support.world import EVENTS, STAR, World, refresh_queries
from sparkify_dagster_tests.warehouse.test_postgres import counts, result, rows_on_duckdb

DAYS = [f"2018-11-{number:02}" for number in range(1, 7)]
DAY = DAYS[0]
# One bucket for all tests: each takes the server a quarter of a second.
SOURCE_BUCKET = "redshift-source"
BROKEN_NAME = "BjÃ\x83Â¶rk"
# What each session begins with.
AT_LOGIN = "SET timezone TO 'UTC'"


@dataclass
class OnRedshift:
    """A world whose source is a bucket, its warehouse and the stand-in behind it."""

    world: World
    server: RedshiftStandIn
    s3: S3Server
    folder: str
    manifests: list[list[str]] = field(default_factory=list)

    @property
    def location(self) -> str:
        return f"s3://{SOURCE_BUCKET}/{self.folder}"

    @property
    def warehouse(self) -> RedshiftWarehouse:
        assert isinstance(self.world.warehouse, RedshiftWarehouse)
        return self.world.warehouse

    def replace(self, **changes: Any) -> None:
        """Another configuration of the same warehouse."""
        self.world.__dict__["warehouse"] = self.warehouse.model_copy(update=changes)

    def write_log(self, day: str, *items: Any, key: str | None = None) -> str:
        key = key or f"{day[:4]}/{day[5:7]}/{day}-events.json"
        content = lines(*items)
        self.s3.put(
            SOURCE_BUCKET, {f"{self.folder}/log_data/{key}": gzip.compress(content) if key.endswith(".gz") else content}
        )
        return f"{self.location}/log_data/{key}"

    def write_songs(self, *items: Any) -> None:
        self.s3.put(
            SOURCE_BUCKET, {f"{self.folder}/song_data/{number}.json": lines(item) for number, item in enumerate(items)}
        )

    def copied(self) -> set[str]:
        """Returns the URLs of the manifests; of copies only the file's name."""
        urls = {url for manifest in self.manifests for url in manifest}
        return {url if url.startswith(self.location) else url.rpartition("/")[2] for url in urls}

    def left_behind(self) -> list[str]:
        listed = self.s3.client.list_objects_v2(Bucket=STAGING_BUCKET)
        prefix = str(self.warehouse.copy_staging).removeprefix(f"s3://{STAGING_BUCKET}/")
        return [found["Key"] for found in listed.get("Contents", ()) if found["Key"].startswith(prefix)]


@pytest.fixture
def on_redshift(
    tmp_path: Path, redshift_servers: RedshiftServers, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OnRedshift]:
    redshift_servers.login(monkeypatch)
    folder = secrets.token_hex(6)
    s3.put(SOURCE_BUCKET, {f"{folder}/song_data/README": b"no song"})
    world = World(
        tmp_path,
        log_data=f"s3://{SOURCE_BUCKET}/{folder}/log_data",
        song_data=f"s3://{SOURCE_BUCKET}/{folder}/song_data",
        aws_endpoint_url=s3.url,
        new_warehouse=redshift_servers,
    )
    assert isinstance(world.warehouse, RedshiftWarehouse)
    on_redshift = OnRedshift(world, redshift_servers.server_of(world.warehouse), s3, folder)
    put_manifest = CopyFolder.put_manifest

    def note_manifest(folder: CopyFolder, name: str, urls: Sequence[str]) -> str:
        on_redshift.manifests.append(list(urls))
        return put_manifest(folder, name, urls)

    monkeypatch.setattr(CopyFolder, "put_manifest", note_manifest)
    monkeypatch.setattr("sparkify_dagster.warehouse.base.MAX_PAUSE_SECONDS", 0.01)
    yield on_redshift
    assert on_redshift.left_behind() == []


# What is sent


def test_the_statements_of_a_run_hold_no_credential_and_sqlfluff_reads_them(on_redshift: OnRedshift) -> None:
    on_redshift.write_log(DAYS[0], event())
    on_redshift.write_log(
        DAYS[1], "broken", event(time=f"{DAYS[1]}T10:00:00"), event(time=f"{DAYS[1]}T11:00:00", artist=BROKEN_NAME)
    )
    on_redshift.write_songs(song(), song(song_id="S2", artist_name="Björk"))
    outcome = on_redshift.world.materialize(DAYS[0], DAYS[1])
    assert outcome.ok
    sent = on_redshift.server.statements
    assert sum(statement.startswith("COPY") for statement in sent) >= 3
    for secret in (on_redshift.server.password, on_redshift.s3.secret_key, on_redshift.s3.access_key):
        assert not [statement for statement in sent if secret in statement]
    # A statement a shape: literals of days and keys do not matter to a grammar.
    shapes = {re.sub(r"'(?:[^']|'')*'", "'x'", statement): statement for statement in sent}
    # Valid, and SQLAlchemy's own; sqlfluff does not know it.
    shapes.pop("show transaction isolation level", None)
    script = ";\n".join(sorted(shapes.values())) + ";\n"
    found = sqlfluff.lint(script, dialect="redshift", rules=["LT12"])
    lines_of_script = script.splitlines()
    unread = [lines_of_script[problem["start_line_no"] - 1] for problem in found if problem["code"] == "PRS"]
    assert unread == []


def test_each_session_shows_its_purpose(on_redshift: OnRedshift) -> None:
    on_redshift.write_log(DAY, event())
    outcome = on_redshift.world.materialize(DAY)
    run_id = outcome.result.run_id
    assert f"SET query_group TO 'staging_events of run {run_id[:8]}'" in on_redshift.server.statements
    assert "SET statement_timeout TO 3600000" in on_redshift.server.statements


def test_plain_files_are_read_where_they_lie_and_others_from_a_copy(on_redshift: OnRedshift) -> None:
    plain = on_redshift.write_log(DAYS[0], event())
    compressed = on_redshift.write_log(DAYS[1], event(time=f"{DAYS[1]}T10:00:00"), key=f"{DAYS[1]}-events.json.gz")
    on_redshift.write_log(DAYS[2], event(time=f"{DAYS[2]}T10:00:00"), "broken", key=f"{DAYS[2]}-events.json")
    on_redshift.write_log(DAYS[3], "nothing but", "dirt")
    on_redshift.world.load(DAYS[0], DAYS[3])
    assert on_redshift.copied() == {plain, compressed, f"0003-{DAYS[2]}-events.json.gz"}
    assert on_redshift.world.reasons()[0][2].startswith("not JSON")
    copies = [statement for statement in on_redshift.server.statements if statement.startswith("COPY landing_events")]
    assert sorted("GZIP" in copy for copy in copies) == [False, True]
    assert all("MANIFEST" in copy and "jsonpaths.json" in copy for copy in copies)


def test_a_local_source_is_read_from_copies(on_redshift: OnRedshift) -> None:
    local = World(on_redshift.world.folder / "local", new_warehouse=lambda: on_redshift.warehouse)
    local.write_log(DAYS[0], event())
    local.write_log(DAYS[1], event(time=f"{DAYS[1]}T10:00:00"), key=f"{DAYS[1]}-events.json.gz")
    local.write_songs("A.json", song())
    local.load(DAYS[0], DAYS[1])
    assert on_redshift.copied() == {
        f"0001-{DAYS[0]}-events.json.gz",
        f"0002-{DAYS[1]}-events.json.gz",
        "landing_songs-1-1.json.gz",
    }
    assert len(local.rows("songplays")) == 2


def test_a_source_in_another_region_is_read_from_copies(
    on_redshift: OnRedshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With REGION, COPY wants manifest and objects all in that region."""
    regions = {STAGING_BUCKET: "us-west-2", SOURCE_BUCKET: "eu-central-1"}
    known = {(bucket, on_redshift.s3.url): region for bucket, region in regions.items()}
    monkeypatch.setattr(redshift_copy, "_regions", known)
    on_redshift.write_log(DAY, event())
    on_redshift.write_songs(song())
    on_redshift.world.load(DAY)
    assert on_redshift.copied() == {f"0001-{DAY}-events.json.gz", "landing_songs-1-1.json.gz"}
    copies = [statement for statement in on_redshift.server.statements if statement.startswith("COPY")]
    assert all("REGION 'us-west-2'" in copy for copy in copies)
    known[SOURCE_BUCKET, on_redshift.s3.url] = "us-west-2"
    plain = on_redshift.write_log(DAY, event(itemInSession=2))
    on_redshift.world.load(DAY)
    assert plain in on_redshift.copied()


def test_the_region_of_a_bucket_is_found(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.login(monkeypatch)
    access = AwsAccess(endpoint_url=aws.moto_url)
    name = f"bucket-{secrets.token_hex(6)}"
    client = session(access).client("s3", endpoint_url=aws.moto_url)
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert redshift_copy.bucket_region(name, access) == "eu-central-1"
    with pytest.raises(WarehouseError, match="there is no such bucket"):
        redshift_copy.bucket_region(f"{name}-missing", access)


def test_many_songs_are_few_objects(on_redshift: OnRedshift) -> None:
    """Also what is written down about them comes by COPY, as rows by INSERT would take longer than the songs."""
    on_redshift.write_songs(*(song(song_id=f"S{number:04}", title="x" * 1_000) for number in range(600)))
    on_redshift.world.load(DAY)
    assert len(on_redshift.world.rows("songs")) == 600
    assert on_redshift.copied() == {"landing_songs-1-1.json.gz", "loaded_objects-1-1.json.gz"}
    before = on_redshift.world.everything()
    on_redshift.world.load(DAY)
    assert on_redshift.world.everything() == before


def test_lines_are_parted_at_their_ends() -> None:
    from sparkify_dagster.warehouse.redshift.inputs import BUNDLE_BYTES, parts

    content = b"\n".join(b"%07d" % number for number in range(BUNDLE_BYTES // 4))
    parted = list(parts(content))
    assert len(parted) == 2
    assert b"\n".join(parted) == content
    assert list(parts(b"one")) == [b"one"]


def test_decimals_and_times_arrive_exactly(on_redshift: OnRedshift) -> None:
    """246.30812 is no double: COPY might cut it to 246.30811."""
    on_redshift.write_log(
        DAY,
        event(length=246.30812, registration=1540344794796.0, time=f"{DAY}T23:59:59.999"),
        event(length=99999.99999, registration=1, itemInSession=2, time=f"{DAY}T00:00:00.001"),
        event(length="0.00001", registration=-1, itemInSession=3),
        event(length=None, registration=253402300799999, itemInSession=4),
    )
    on_redshift.write_songs(song(artist_latitude=-90.04892, artist_longitude=0.000001, duration=0.29))
    on_redshift.world.load(DAY)
    on_duckdb = World(
        on_redshift.world.folder / "other",
        log_data=on_redshift.world.log_data,
        song_data=on_redshift.world.song_data,
        aws_endpoint_url=on_redshift.s3.url,
    )
    on_duckdb.load(DAY)
    assert on_redshift.world.everything() == on_duckdb.everything()
    assert [str(length) for length in on_redshift.world.column(EVENTS, "length")][-1] == "99999.99999"


# Files that COPY rejects


def test_a_day_that_copy_rejects_is_copied_in_a_normalised_form_though_the_records_are_not_listed_yet(
    on_redshift: OnRedshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redshift_copy, "ERROR_TABLE_SECONDS", 0)
    url = on_redshift.write_log(DAY, event(), event(itemInSession=2))
    rejected = "Load into table 'landing_events' failed.  Check 'sys_load_error_detail' system table for details."
    # Of the batch of days, and of the day by itself.
    for _ in range(2):
        on_redshift.server.fail_next("COPY landing_events", "XX000", rejected)
    assert on_redshift.world.materialize(DAY, assets=["staging_events"]).ok
    assert on_redshift.server.failures_to_come == []
    assert on_redshift.world.column(EVENTS, "item_in_session") == [1, 2]
    assert on_redshift.manifests[0] == [url]
    assert url not in on_redshift.manifests[-1]


# Conflicts, cuts, changes


@pytest.fixture
def loaded(on_redshift: OnRedshift) -> OnRedshift:
    """With a day, whose file has another content by now."""
    on_redshift.write_log(DAY, event())
    on_redshift.write_songs(song())
    on_redshift.world.load(DAY)
    on_redshift.write_log(DAY, event(itemInSession=7), event(itemInSession=8, userId="9"))
    on_redshift.write_songs(song(title="Another"))
    return on_redshift


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions are repeated at once."""
    monkeypatch.setattr(base, "MAX_PAUSE_SECONDS", 0.01)


def test_a_full_disk_is_no_conflict_and_is_not_repeated(loaded: OnRedshift) -> None:
    before = loaded.world.everything()
    loaded.server.forget()
    loaded.server.fail_next("INSERT INTO staging.staging_events", "53100", "Disk Full")
    outcome = loaded.world.materialize(DAY, job="load_log_days", assets=["staging_events"])
    assert "Disk Full" in outcome.failures["staging_events"]
    assert sum(s.startswith("INSERT INTO staging.staging_events") for s in loaded.server.statements) == 1
    assert loaded.world.everything() == before


@pytest.mark.usefixtures("short_pauses")
def test_a_conflict_that_does_not_end_fails_at_last(loaded: OnRedshift) -> None:
    for _ in range(5):
        loaded.server.fail_next("COPY landing_events", "40001", "could not serialize access")
    outcome = loaded.world.materialize(DAY, job="load_log_days", assets=["staging_events"])
    assert "could not serialize access" in outcome.failures["staging_events"]


def before_the_transaction(
    on_redshift: OnRedshift, monkeypatch: pytest.MonkeyPatch, *works: Callable[[], object]
) -> None:
    """Does each of the works once, after the inspection of a file and before the transaction that loads it."""
    remaining = iter(works)
    noting = CopyFolder.put_manifest

    def put_manifest(folder: CopyFolder, name: str, urls: Sequence[str]) -> str:
        if work := next(remaining, None):
            work()
        return noting(folder, name, urls)

    monkeypatch.setattr(CopyFolder, "put_manifest", put_manifest)


def test_an_object_that_changes_between_inspection_and_copy_is_loaded_as_it_then_is(
    loaded: OnRedshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = loaded
    changed = [event(itemInSession=20), event(itemInSession=21), event(itemInSession=22)]
    # With as many rows, so that only the ETag differs.
    before_the_transaction(
        day,
        monkeypatch,
        lambda: day.write_log(DAY, event(itemInSession=18), event(itemInSession=19)),
        lambda: day.write_log(DAY, *changed),
    )
    day.world.load(DAY)
    assert day.world.column(EVENTS, "item_in_session") == [20, 21, 22]
    assert day.world.everything() == day.world.from_scratch(DAY).everything()


def test_an_object_that_changes_after_copy_is_loaded_as_copy_read_it_and_then_again(loaded: OnRedshift) -> None:
    day = loaded
    changes = iter([[event(itemInSession=20)]])

    def change(loaded: Sequence[InspectedDay] | InspectedSongs) -> None:
        if items := next(changes, None):
            day.write_log(DAY, *items)

    with hooked(day.world, change):
        day.world.load(DAY)
    assert day.world.column(EVENTS, "item_in_session") == [7, 8]
    day.world.load(DAY)
    assert day.world.column(EVENTS, "item_in_session") == [20]


def test_an_object_whose_version_the_cluster_does_not_list_is_read_from_a_copy(
    loaded: OnRedshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redshift_copy, "LISTING_SECONDS", 0)
    loaded.server.lists_loaded_files = False
    loaded.world.load(DAY)
    assert loaded.world.column(EVENTS, "item_in_session") == [7, 8]
    assert f"0001-{DAY}-events.json.gz" in loaded.copied()


def test_what_another_run_stages_in_the_meantime_is_noticed(
    loaded: OnRedshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the day, of which it has a newer file; and of the songs, which it has then loaded already."""

    def other_run() -> None:
        loaded.write_log(DAY, event(itemInSession=30))
        loaded.world.load(DAY)

    # Of this file a copy is read, which is as old as its inspection.
    loaded.write_log(DAY, event(itemInSession=7), "broken")
    before_the_transaction(loaded, monkeypatch, other_run)
    loaded.world.load(DAY)
    assert loaded.world.column(EVENTS, "item_in_session") == [30]
    assert loaded.world.everything() == loaded.world.from_scratch(DAY).everything()

    loaded.write_songs(song(title="Yet another"), song(song_id="S2"))
    before_the_transaction(loaded, monkeypatch, loaded.world.load_songs_alone)
    loaded.server.forget()
    loaded.world.load_songs_alone()
    assert sum(statement.startswith("COPY landing_songs") for statement in loaded.server.statements) == 1
    assert loaded.world.rows("songs") == loaded.world.from_scratch(DAY).rows("songs")


def test_where_copy_and_the_inspection_disagree_a_cleaned_copy_is_read(
    loaded: OnRedshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here COPY reads another file than the one that was inspected, and finds it broken."""
    broken = loaded.write_log(DAY, "broken", key="elsewhere.json")
    noting = CopyFolder.put_manifest

    def other_manifest(folder: CopyFolder, name: str, urls: Sequence[str]) -> str:
        return noting(folder, name, [broken if url.startswith(loaded.location) else url for url in urls])

    monkeypatch.setattr(CopyFolder, "put_manifest", other_manifest)
    loaded.world.load(DAY)
    assert loaded.world.column(EVENTS, "item_in_session") == [7, 8]
    assert f"0001-{DAY}-events.json.gz" in loaded.copied()


# What a person reads


def failure(on_redshift: OnRedshift) -> str:
    """The first line of what the load of a day says."""
    outcome = on_redshift.world.materialize(DAY, job="load_log_days", assets=["staging_events"])
    said = outcome.failures["staging_events"]
    assert on_redshift.server.password not in repr(outcome.result.all_events)
    return said


def test_redshift_without_a_staging_location(on_redshift: OnRedshift) -> None:
    staging = on_redshift.warehouse.copy_staging
    on_redshift.replace(copy_staging=None)
    said = failure(on_redshift)
    on_redshift.replace(copy_staging=staging)
    assert said.startswith("SPARKIFY_COPY_STAGING is missing: ")
    assert "s3://bucket/prefix" in said


def test_a_staging_bucket_that_is_not_there(on_redshift: OnRedshift) -> None:
    staging = on_redshift.warehouse.copy_staging
    on_redshift.replace(copy_staging="s3://no-such-bucket-here/x")
    on_redshift.write_log(DAY, event())
    said = failure(on_redshift)
    on_redshift.replace(copy_staging=staging)
    assert said == "SPARKIFY_COPY_STAGING: s3://no-such-bucket-here: there is no such bucket"


def test_a_role_without_access(on_redshift: OnRedshift) -> None:
    on_redshift.write_log(DAY, event())
    on_redshift.server.s3 = type(on_redshift.server.s3)(
        on_redshift.s3.url, on_redshift.s3.listing_access_key, on_redshift.s3.listing_secret_key
    )
    said = failure(on_redshift)
    assert "Access Denied" in said
    assert "needs s3:GetObject and s3:ListBucket on the source's bucket and on that of SPARKIFY_COPY_STAGING" in said


def test_a_role_that_the_cluster_does_not_have(on_redshift: OnRedshift) -> None:
    on_redshift.write_log(DAY, event())
    on_redshift.replace(iam_role="arn:aws:iam::123456789012:role/another")
    said = failure(on_redshift)
    assert "attach the role arn:aws:iam::123456789012:role/another to the cluster" in said


def test_the_default_role_and_a_chain(on_redshift: OnRedshift) -> None:
    on_redshift.write_log(DAY, event())
    on_redshift.replace(iam_role=None)
    on_redshift.world.load(DAY)
    assert any("IAM_ROLE default" in statement for statement in on_redshift.server.statements)
    on_redshift.write_log(DAY, event(itemInSession=2))
    second = "arn:aws:iam::210987654321:role/second"
    on_redshift.server.roles.add(second)
    on_redshift.replace(iam_role=f"{on_redshift.server.default_role},{second}")
    on_redshift.world.load(DAY)
    assert on_redshift.world.column(EVENTS, "item_in_session") == [2]


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"password": "not-the-password"}, "check user and password: [CLUSTER] DB_USER and DB_PASSWORD"),
        ({"database": "missing"}, "check [CLUSTER] DB_NAME"),
        ({"port": 1}, "check host and port, that the cluster runs, and that its security group lets this machine in"),
    ],
)
def test_a_connection_that_is_refused(
    on_redshift: OnRedshift, change: dict[str, Any], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparkify_dagster.warehouse.redshift.engine.MAX_CONNECT_SECONDS", 0)
    url = on_redshift.server.url.set(**change)
    on_redshift.replace(address=url.render_as_string(hide_password=False))
    with pytest.raises(WarehouseError) as raised, on_redshift.warehouse.connect("a test"):
        pass
    assert remedy in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "not-the-password" not in str(raised.value)


def test_a_server_that_is_not_who_it_says(on_redshift: OnRedshift) -> None:
    url = on_redshift.server.url.difference_update_query(["sslrootcert"])
    on_redshift.replace(address=url.render_as_string(hide_password=False))
    with pytest.raises(WarehouseError, match=r"certificate verify failed; TLS is verified in full"):
        on_redshift.warehouse.connect("a test").__enter__()


def test_a_statement_that_takes_too_long(on_redshift: OnRedshift) -> None:
    on_redshift.world.load(DAY)
    on_redshift.replace(statement_timeout_seconds=1)
    too_long = pytest.raises(WarehouseError, match="canceled on user's request; raise SPARKIFY_STATEMENT_TIMEOUT")
    with holding(on_redshift, "LOCK songs"), too_long:
        on_redshift.world.warehouse.read("a test", lambda connection: count_rows(connection, songs))


def test_to_wait_for_another_writer_is_no_statement_that_takes_too_long(on_redshift: OnRedshift) -> None:
    on_redshift.world.load(DAY)
    on_redshift.replace(statement_timeout_seconds=1)
    with ThreadPoolExecutor(1) as others:
        with holding(on_redshift):
            waiting = others.submit(on_redshift.world.query, "SELECT 1")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=2)
        assert waiting.result() == [(1,)]


@contextmanager
def holding(on_redshift: OnRedshift, *statements: str) -> Iterator[None]:
    """A writer of the same warehouse, in a transaction."""
    with on_redshift.world.warehouse.connect("somebody's load") as engine, engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        yield


def test_readers_wait_for_no_writer_and_create_nothing(on_redshift: OnRedshift) -> None:
    on_redshift.write_log(DAY, event())
    on_redshift.world.load(DAY)
    on_redshift.server.forget()
    with holding(on_redshift, "DELETE FROM songplays"):
        plays = on_redshift.warehouse.read("a test", lambda connection: count_rows(connection, songplays))
    assert plays == 1
    read = [statement for statement in on_redshift.server.statements if "songplays" in statement or "LOCK" in statement]
    assert read == [
        "LOCK staging.pending_rematch",
        "DELETE FROM songplays",
        "SELECT count(*) AS count_1 \nFROM songplays",
    ]


def test_a_reader_of_a_warehouse_without_tables_reads_the_remedy(
    on_redshift: OnRedshift, redshift_servers: RedshiftServers
) -> None:
    address = redshift_servers.new_server().url.render_as_string(hide_password=False)
    on_redshift.replace(address=address)
    with pytest.raises(WarehouseError, match="has no tables of sparkify: `sparkify create-tables` creates them"):
        on_redshift.warehouse.read("a test", lambda connection: count_rows(connection, songplays))


def test_a_cluster_that_is_not_up_yet_is_connected_to_again(
    on_redshift: OnRedshift, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sparkify_dagster.warehouse.redshift.engine.MAX_CONNECT_PAUSE_SECONDS", 0.01)
    on_redshift.server.connections_to_refuse = 2
    assert on_redshift.world.query("SELECT 1") == [(1,)]
    assert caplog.text.count("connecting again in") == 2


def test_a_user_with_a_sha_256_password_reads_what_to_do(on_redshift: OnRedshift) -> None:
    on_redshift.server.authentication = SHA_256
    with pytest.raises(WarehouseError, match="stored as SHA-256, which this driver cannot send: leave DB_PASSWORD out"):
        on_redshift.world.query("SELECT 1")


def test_numbers_are_rounded_as_on_the_other_warehouses(on_redshift: OnRedshift) -> None:
    assert str(on_redshift.world.query("SELECT CAST(2.0 / 3 AS NUMERIC(5, 4))")[0][0]) == "0.6667"
    on_redshift.server.forget()
    on_redshift.server.fail_next("enable_numeric_rounding", "42704", "unrecognized configuration parameter")
    assert on_redshift.world.query("SELECT 1") == [(1,)]
    assert on_redshift.server.failures_to_come == []


# Tables and commands


def test_a_role_may_read_star_and_answers_and_not_staging(on_redshift: OnRedshift) -> None:
    on_redshift.write_log(DAY, event())
    on_redshift.world.load(DAY)
    refresh_queries(on_redshift.world, "top_songs")
    role = f"Analysts {secrets.token_hex(4)}"
    for _ in range(2):
        on_redshift.warehouse.run("a test", lambda c: on_redshift.warehouse.grant_reading(c, role))
    # Its table is made when the role is already there.
    refresh_queries(on_redshift.world, "top_artists")
    readable = {
        name
        for schema, name in on_redshift.world.query(
            "SELECT table_schema, table_name FROM information_schema.tables"
            f" WHERE table_schema IN ('public', 'analytics', 'staging') AND has_table_privilege('{role}',"
            " table_schema || '.' || table_name, 'SELECT')"
        )
    }
    assert readable == {*STAR, "top_songs", "top_artists"}
    assert on_redshift.world.query(f"SELECT has_schema_privilege('{role}', 'analytics', 'USAGE')") == [(True,)]
    assert on_redshift.world.query(f"SELECT has_schema_privilege('{role}', 'staging', 'USAGE')") == [(False,)]


def test_a_database_of_another_isolation_level_is_maintained(on_redshift: OnRedshift) -> None:
    """One whose name PostgreSQL does not know."""
    on_redshift.server.isolation_level = "SNAPSHOT ISOLATION"
    with on_redshift.warehouse.connect("a test") as engine:
        assert len(on_redshift.warehouse.maintain(engine)) == 2 * len(metadata.sorted_tables)


@pytest.mark.slow
def test_the_commands_are_the_same(
    tmp_path: Path, redshift_servers: RedshiftServers, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    redshift_servers.login(monkeypatch)
    project = Project(tmp_path)
    project.simulate()
    on_duckdb = rows_on_duckdb(project)
    warehouse = redshift_servers()
    server = redshift_servers.server_of(warehouse)
    project.environment |= {
        "SPARKIFY_WAREHOUSE": warehouse.address,
        "SPARKIFY_COPY_STAGING": str(warehouse.copy_staging),
    }
    project.call("create-tables")
    logins = server.statements.count(AT_LOGIN)
    on_redshift = project.sparkify("etl")
    # One session that writes, and one that reads, for all steps.
    assert server.statements.count(AT_LOGIN) - logins == 2
    assert counts(on_redshift) | on_duckdb == counts(on_redshift)
    assert "57 passed, 0 warn, 0 failed" in on_redshift
    assert "23 of 23 queries as expected" in on_redshift
    assert project.sparkify("etl").startswith("Nothing to do: ")
    built_again = project.sparkify("etl", "--from", "2018-11-01", "--to", "2018-11-03")
    assert result(built_again) == result(on_redshift)
    assert "23 of 23 queries as expected" in project.call("verify")
    assert "may read the star" in project.call("grant", "--role", f"analysts_{secrets.token_hex(4)}")
    project.call("create-tables", "--drop", expect=1)
    project.call("create-tables", "--drop", "--yes")
    with warehouse.connect("a test") as engine, engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM songplays")) == 0
    # Neither what is printed nor what Dagster keeps shows the password.
    for kept in tmp_path.rglob("*"):
        if kept.is_file():
            content = kept.read_bytes()
            assert server.password.encode() not in content, kept
            assert server.password.replace(" ", "+").encode() not in content, kept
            assert s3.secret_key.encode() not in content, kept
