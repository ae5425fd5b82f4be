"""Copy first on Redshift: COPY reads the log files before any inspection, and days that are not certain are inspected.

The rows are those of the other warehouses, whatever the files hold, but for what UNSEEN lists.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sparkify_dagster.warehouse import base
from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.redshift import copy as redshift_copy
from sparkify_dagster.warehouse.redshift import engine as redshift_engine
from sparkify_dagster.warehouse.redshift import inputs as redshift_inputs
from sparkify_dagster.warehouse.redshift.copy import CopyFolder
from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.contract.test_reference import events
from sparkify_dagster_tests.redshift_stand_in.cluster import Failure
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.redshift_stand_in.stand_in import RedshiftStandIn
from sparkify_dagster_tests.support.events import event, lines, song
from sparkify_dagster_tests.support.servers.s3 import Recorder, S3Server, recording
from sparkify_dagster_tests.support.world import ERROR_COLUMNS, ERRORS, EVENTS, OBJECTS, World
from sparkify_dagster_tests.warehouse.test_redshift_failures import CONFLICTS, CUT, OncePerStatement

BUCKET = "redshift-copy-first"
DAYS = [f"2018-11-{number:02}" for number in range(1, 31)]
BROKEN_NAME = "Bj\u00c3\u0083\u00c2\u00b6rk"


def key_of(day: str) -> str:
    return f"log_data/{day}-events.json"


@dataclass
class Copying:
    """A source in S3, and the addresses under which this process and the cluster see it."""

    folder: Path
    servers: RedshiftServers
    s3: S3Server
    seen: Recorder
    prefix: str

    def put(self, files: Mapping[str, bytes]) -> None:
        self.s3.put(BUCKET, {f"{self.prefix}/{key}": content for key, content in files.items()})

    def world(self, name: str, *, on_redshift: bool = True, **changes: Any) -> World:
        location = f"s3://{BUCKET}/{self.prefix}"
        folder = self.folder / name
        folder.mkdir()
        world = World(
            folder,
            log_data=f"{location}/log_data",
            song_data=f"{location}/song_data",
            aws_endpoint_url=self.seen.url,
            new_warehouse=self.servers if on_redshift else None,
            **changes,
        )
        if on_redshift:
            world.__dict__["warehouse"] = world.warehouse.model_copy(update={"copy_first": True})
        return world

    def server_of(self, world: World) -> RedshiftStandIn:
        assert isinstance(world.warehouse, RedshiftWarehouse)
        return self.servers.server_of(world.warehouse)

    def read(self) -> set[str]:
        """Returns the log files that this process has read since the last call."""
        requests = [request for _, request in self.seen.requests]
        self.seen.requests.clear()
        place = f"GET /{BUCKET}/{self.prefix}/"
        return {
            request.removeprefix(place).partition("?")[0]
            for request in requests
            if request.startswith(f"{place}log_data/")
        }


@pytest.fixture
def copying(
    tmp_path: Path, redshift_servers: RedshiftServers, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Copying]:
    redshift_servers.login(monkeypatch)
    with recording(s3) as seen:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seen.url)
        copying = Copying(tmp_path, redshift_servers, s3, seen, secrets.token_hex(6))
        copying.put({"song_data/1.json": lines(song())})
        yield copying


def clean(day: str, number: int = 2) -> bytes:
    return lines(*(event(time=f"{day}T10:00:00.007", itemInSession=item) for item in range(number)))


def test_days_of_which_copy_is_certain_are_not_read_by_this_process(copying: Copying) -> None:
    files = {key_of(day): clean(day) for day in DAYS[:3]}
    files[key_of(DAYS[3])] = lines(
        event(time=f"{DAYS[3]}T23:59:59.999", artist=f"{BROKEN_NAME} ", song="Und\u00f3", userId=""),
        event(time=f"{DAYS[3]}T00:00:00", length=99999.99999, registration=None, page="Home", sessionId=None),
        event(time=f"{DAYS[3]}T00:00:00.001", length=0.1, registration=-1, song="[Untitled] \\ \\'; --", status="200"),
    )
    files[f"log_data/late/{DAYS[3]}-events.json"] = lines(event(time=f"{DAYS[3]}T05:00:00", itemInSession=9))
    files[key_of(DAYS[4])] = b""
    copying.put({**files, "song_data/2.json": lines(song(song_id="S2", artist_name="Bj\u00f6rk", title="Und\u00f3"))})
    world = copying.world("redshift")
    outcome = world.stage(DAYS[0], DAYS[5])
    assert (outcome.failures, outcome.failed_checks) == ({}, set())
    assert copying.read() == {key_of(DAYS[4])}
    on_duckdb = copying.world("duckdb", on_redshift=False)
    on_duckdb.load(DAYS[0], DAYS[5])
    assert world.everything() == on_duckdb.everything()
    copying.read()
    copies = [s for s in copying.server_of(world).statements if s.startswith("COPY landing_events")]
    # Of every second day, and of the others.
    assert len(copies) == 2
    assert "MAXERROR 100000" in copies[0]

    # A day that changed is copied again, one that is gone is emptied, and the others stay as they are.
    copying.put({key_of(DAYS[0]): clean(DAYS[0], 3)})
    copying.s3.delete(BUCKET, f"{copying.prefix}/{key_of(DAYS[1])}")
    world.load(DAYS[0], DAYS[5])
    assert copying.read() == set()
    on_duckdb.load(DAYS[0], DAYS[5])
    assert world.rows(EVENTS) == on_duckdb.rows(EVENTS)


def dirt(day: str) -> Mapping[str, bytes]:
    """By name, the files of a day that COPY takes for more, or less, than they are."""
    usual = event(time=f"{day}T10:00:00")
    other = event(time=f"{day}T10:00:00", itemInSession=2)
    cases: dict[str, Sequence[Any]] = {
        "a duplicate": [usual, usual],
        "of another day": [usual, event(time="2018-12-24T10:00:00")],
        "not JSON": [usual, "broken"],
        "no event": [usual, {}],
        "an integer that is none": [usual, other | {"itemInSession": "two"}],
        "beyond a double": [other | {"sessionId": 2**53 + 1}],
        "a long text": [other | {"song": "x" * 1_025}],
        "a long text of blanks": [other | {"song": "x" * 1_000 + " " * 30}],
        "true": [other | {"song": True}],
        "an array": [other | {"song": ["x"]}],
        "an object": [usual, other | {"location": {"city": "x"}}],
        "NUL first": [usual, other | {"artist": "\0x"}],
        "half a character": [usual, r'{"artist": "\ud83d"}'],
        "no page": [usual, other | {"page": " "}],
        "no item": [usual, other | {"itemInSession": ""}],
        "a long length": [usual, other | {"length": 100_000}],
        "six decimals": [usual, other | {"length": 1.000005}],
        "half a millisecond": [usual, other | {"registration": 0.5}],
        "too late": [usual, other | {"registration": 1e15}],
        "two values on a line": [text_of_two(usual, other)],
        "a blank line": [usual, "", other],
        "one on two lines": [text_of_two(usual).replace(b', "auth"', b',\n"auth"')],
        "an array of records": [b"[" + text_of_two(usual) + b",\n" + text_of_two(other) + b"]"],
    }
    return {name: lines(*items) for name, items in cases.items()}


def text_of_two(*items: Mapping[str, Any]) -> bytes:
    return b" ".join(lines(item).strip() for item in items)


def test_days_with_dirt_are_inspected_and_all_is_as_on_the_other_warehouses(copying: Copying) -> None:
    names = list(dirt(DAYS[0]))
    dirty = dict(zip(DAYS[1::1], names, strict=False))
    assert len(dirty) == len(names)
    files = {key_of(day): dirt(day)[name] for day, name in dirty.items()}
    untouched = [day for day in DAYS if day not in dirty]
    # Days that exchange as many events as they have, or shift them.
    for day, other in ((25, 26), (26, 25), (28, 29)):
        files[key_of(DAYS[day])] = lines(event(time=f"{DAYS[other]}T10:00:00", itemInSession=day))
    files[key_of(DAYS[29])] = lines(event(time="2018-12-01T10:00:00"))
    # Clean days of which neighbours hold an event more: in a COPY before, and in one after.
    for day, other in ((1, 0), (28, 27)):
        files[key_of(DAYS[day])] += lines(event(time=f"{DAYS[other]}T11:00:00", itemInSession=day))
    copying.put({key_of(day): clean(day) for day in untouched} | files)
    world = copying.world("redshift")
    world.load(DAYS[0], DAYS[-1])
    assert copying.read() in [{*files, key_of(DAYS[clean_day])} for clean_day in (0, 27)]
    on_duckdb = copying.world("duckdb", on_redshift=False)
    on_duckdb.load(DAYS[0], DAYS[-1])
    assert world.everything() == on_duckdb.everything()
    assert len(world.rows(ERRORS)) > 10


@settings(max_examples=1, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(contents=st.tuples(*(st.lists(events(day), min_size=1, max_size=4) for day in DAYS[:14])))
def test_random_days_are_as_on_the_other_warehouses(copying: Copying, contents: Sequence[Sequence[bytes]]) -> None:
    copying.put({key_of(day): b"\n".join(content) for day, content in zip(DAYS, contents, strict=False)})
    name = secrets.token_hex(6)
    world = copying.world(f"redshift-{name}", max_load_errors=1_000)
    world.load(DAYS[0], DAYS[13])
    on_duckdb = copying.world(f"duckdb-{name}", on_redshift=False, max_load_errors=1_000)
    on_duckdb.load(DAYS[0], DAYS[13])
    assert world.everything() == on_duckdb.everything()


@pytest.mark.slow
@pytest.mark.parametrize("failures", [CUT, CONFLICTS], ids=["cut", "conflict"])
def test_a_failure_at_each_statement_costs_nothing(
    copying: Copying, monkeypatch: pytest.MonkeyPatch, failures: Sequence[Failure | None]
) -> None:
    """In a temporary table that goes with its transaction, and of days that stay although others are inspected."""
    monkeypatch.setattr(base, "MAX_PAUSE_SECONDS", 0)
    monkeypatch.setattr(redshift_engine, "MAX_CONNECT_PAUSE_SECONDS", 0)
    monkeypatch.setattr(base, "MAX_TRANSACTION_ATTEMPTS", 1000)
    world = copying.world("redshift")
    copying.put({key_of(DAYS[0]): clean(DAYS[0]), key_of(DAYS[1]): clean(DAYS[1])})
    world.load(DAYS[0], DAYS[1])
    copying.put({key_of(DAYS[0]): clean(DAYS[0], 3), key_of(DAYS[1]): clean(DAYS[1]) + b"broken\n"})
    copying.read()
    server = copying.server_of(world)
    server.fault = faults = OncePerStatement(failures)
    world.load(DAYS[0], DAYS[1], steps=["staging_events"])
    server.forget()
    assert faults.failed > 50
    assert copying.read() == {key_of(DAYS[1])}
    on_duckdb = copying.world("duckdb", on_redshift=False)
    on_duckdb.load(DAYS[0], DAYS[1], steps=["staging_events"])
    assert world.rows(EVENTS) == on_duckdb.rows(EVENTS)
    assert world.rows(ERRORS, *ERROR_COLUMNS) == on_duckdb.rows(ERRORS, *ERROR_COLUMNS)


# What is loaded although the contract rejects it, or loads it otherwise: docs/contract.md has the list.
UNSEEN: Mapping[str, Callable[[str], Sequence[Any]]] = {
    "NUL within a text ends it": lambda day: [event(time=f"{day}T10:00:00", song="a\0b")],
    "a plus sign": lambda day: [event(time=f"{day}T10:00:00", itemInSession="+7")],
    "no digit before the point": lambda day: [event(time=f"{day}T10:00:00", length=".5")],
    "digits that a double does not hold": lambda day: [
        lines(event(time=f"{day}T10:00:00")).replace(b"1540344794796.0", b"1540344794796.00001").strip()
    ],
}


def test_what_copy_takes_without_a_word_is_this(copying: Copying) -> None:
    days = dict(zip(DAYS[2:], UNSEEN.values(), strict=False))
    files = {key_of(day): lines(event(time=f"{day}T09:00:00"), *items(day)) for day, items in days.items()}
    # Two days that hold as many events of each other, and are not neighbours.
    for day, other in ((DAYS[-1], DAYS[-3]), (DAYS[-3], DAYS[-1])):
        files[key_of(day)] = lines(event(time=f"{day}T10:00:00"), event(time=f"{other}T11:00:00"))
    copying.put(files)
    world = copying.world("redshift")
    world.load(DAYS[0], DAYS[-1])
    assert copying.read() == set()
    assert world.rows(ERRORS) == []
    assert len(world.rows(EVENTS)) == 2 * len(files)
    assert {"a", "You Gotta Be"} == set(world.column(EVENTS, "song"))
    on_duckdb = copying.world("duckdb", on_redshift=False)
    on_duckdb.load(DAYS[0], DAYS[-1])
    assert len(on_duckdb.rows(ERRORS)) == len(UNSEEN) + 2


def test_a_batch_that_copy_fails_on_is_inspected(
    copying: Copying, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Because it has more errors than COPY passes over, or since a file is no gzip file whatever its name says."""
    caplog.set_level("INFO")
    monkeypatch.setattr(redshift_inputs, "MAX_COPY_ERRORS", 2)
    # Longer than the system tables show it.
    long = f"log_data/{'x' * 200}/{'y' * 100}/{DAYS[1]}-events.json"
    copying.put({key_of(DAYS[0]): clean(DAYS[0]), long: clean(DAYS[1]) + b"broken\n" * 3})
    world = copying.world("redshift")
    world.load(DAYS[0], DAYS[1])
    assert copying.read() == {key_of(DAYS[0]), long}
    assert f"COPY rejected s3://{BUCKET}/{copying.prefix}/{long} line 3: " in caplog.text
    assert "; 2 days are inspected" in caplog.text
    assert world.column(OBJECTS, "errors") == [0, 0, 3]
    copying.put({f"{key_of(DAYS[2])}.gz": clean(DAYS[2])})
    world.load(DAYS[0], DAYS[2])
    assert copying.read() == {f"{key_of(DAYS[2])}.gz"}
    assert len(world.rows(EVENTS)) == 6
    # The reason is not in the files: they are not read.
    copying.put({key_of(DAYS[0]): clean(DAYS[0], 3)})
    copying.server_of(world).fail_next("COPY landing_events", "57014", "Query (150) canceled on user's request")
    with pytest.raises(WarehouseError, match="raise SPARKIFY_STATEMENT_TIMEOUT"):
        world.load(DAYS[0], DAYS[2])
    assert copying.read() == set()


def test_a_file_that_changes_or_is_not_listed_alone_is_inspected(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SYS_LOAD_DETAIL cuts names at 256 bytes."""
    monkeypatch.setattr(redshift_copy, "LISTING_SECONDS", 0)
    long = "/".join(["x" * 200, "y" * 100])
    alike = [f"log_data/{long}/1/{DAYS[1]}-events.json", f"log_data/{long}/2/{DAYS[3]}-events.json"]
    alone = f"log_data/z{long}/{DAYS[2]}-events.json"
    copying.put({key_of(DAYS[0]): clean(DAYS[0])})
    copying.put({key: clean(key[-22:-12]) for key in (*alike, alone)})
    put_manifest = CopyFolder.put_manifest

    def change(folder: CopyFolder, name: str, urls: Sequence[str]) -> str:
        monkeypatch.setattr(CopyFolder, "put_manifest", put_manifest)
        copying.put({key_of(DAYS[0]): clean(DAYS[0], 3)})
        return put_manifest(folder, name, urls)

    monkeypatch.setattr(CopyFolder, "put_manifest", change)
    world = copying.world("redshift")
    world.load(DAYS[0], DAYS[3])
    assert copying.read() == {key_of(DAYS[0]), *alike}
    assert len(world.rows(EVENTS)) == 9
    copying.server_of(world).lists_loaded_files = False
    copying.put({alone: clean(DAYS[2], 3)})
    world.load(DAYS[0], DAYS[3])
    assert copying.read() == {alone}
    assert len(world.rows(EVENTS)) == 10
