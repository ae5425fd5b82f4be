"""`sparkify split`: a log in one file becomes a file per UTC day, which loads as if the app had written the days."""

import gzip
import os
import random
import resource
import signal
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sparkify_dagster.config.aws import AwsAccess
from sparkify_dagster.sources import object_store, splitting
from sparkify_dagster.sources.splitting import split_log
from sparkify_dagster_tests.support.events import event, lines, millis, text_of
from sparkify_dagster_tests.support.project import Project
from sparkify_dagster_tests.support.servers.s3 import S3Server
from sparkify_dagster_tests.support.world import World

DAYS = ("2018-11-01", "2018-11-02", "2018-11-03")
UNPLACED = "mini.json.unplaced.txt"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def written(folder: Path) -> dict[str, bytes]:
    """The files below a folder, those in dot-folders too, with their bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def key(day: str) -> str:
    return f"{day[:4]}/{day[5:7]}/{day}-events.json"


def events_of(day: str) -> list[dict[str, Any]]:
    """Events as eventsim writes them: only plays have a song, and nobody is signed in on the last one."""
    play = event(time=f"{day}T00:00:00", itemInSession=0)
    home = {name: value for name, value in play.items() if name not in ("artist", "song", "length")}
    personal = ("firstName", "gender", "lastName", "location", "registration", "userAgent", "userId")
    signed_out = {name: value for name, value in home.items() if name not in personal}
    return [
        play,
        event(time=f"{day}T23:59:59.999", itemInSession=1, song="Bj\u00c3\u0083\u00c2\u00b6rk"),
        home | {"page": "Home", "itemInSession": 2},
        signed_out | {"page": "Login", "auth": "Logged Out", "itemInSession": 3, "ts": millis(f"{day}T12:00:00")},
    ]


def test_days_in_any_order_load_as_if_they_were_written_separately(project: Project) -> None:
    separate, split = World(project.folder / "separate"), World(project.folder / "split")
    for day in DAYS:
        separate.write_log(day, *events_of(day))
    mixed = [(day, text_of(item)) for day in DAYS for item in events_of(day)]
    # A time in another form, and spaces that Python does not write.
    mixed[0] = (DAYS[0], mixed[0][1].replace(b'"ts": 1541030400000', b'  "ts"  :\t1541030400000.0 ') + b"  \r")
    random.Random(1).shuffle(mixed)
    # Blank lines, and a last line without an end.
    (project.folder / "mini.json").write_bytes(b"\n\r\n".join(line for _, line in mixed))

    output = project.sparkify("split", "mini.json", split.log_data)

    assert written(Path(split.log_data)) == {
        key(day): b"".join(line + b"\n" for of, line in mixed if of == day) for day in DAYS
    }
    for world in (separate, split):
        world.load(DAYS[0], DAYS[-1])
    assert split.star() == separate.star()
    for table in ("staging.staging_events", "staging.load_errors"):
        assert split.rows(table) == separate.rows(table)
    assert output.splitlines() == [
        f"Wrote 12 records of 2018-11-01 to 2018-11-03 into 3 log files below {split.log_data}",
        f"To load them: SPARKIFY_LOG_DATA={split.log_data} SPARKIFY_LOG_START=2018-11-01 SPARKIFY_LOG_END=2018-11-04, "
        "and SPARKIFY_SONG_DATA; then `sparkify etl`",
    ]


def test_records_without_a_day_get_a_file_of_their_own_which_a_load_reports(project: Project) -> None:
    first, second = ({"ts": millis(f"{day}T10:00:00"), "page": "Home"} for day in DAYS[:2])
    good, other = text_of(first), text_of(second)
    outside = b'{"ts": -1}'
    unplaced = {
        b"not JSON": "not JSON: Expecting value at character 1",
        b'{"page": "Home"}': "ts: is missing",
        b'{"ts": "noon"}': "ts: text is not a number",
        b'{"ts": 1541066400796.5}': "ts: 1541066400796.5 is not an integer",
        b'{"ts": 1541066400796, "page": "\xff"}': "not UTF-8: byte 32 of the line",
        b'["ts"]': "not a JSON object",
        b'{"ts": 99999999999999999}': "ts: 99999999999999999 is out of range",
        outside: "ts: -1 is not within 1970-01-01 and 9999-12-30",
    }
    content = b"\xef\xbb\xbf" + b"\n".join([*unplaced, good, good + other, good + b" " + outside, b"[" + good])
    # Compressed, whatever the name says.
    (project.folder / "mini.json").write_bytes(gzip.compress(content))
    log_data = project.folder / "log_data"

    output = project.call("split", "mini.json", "log_data", expect=1).splitlines()

    cut = b"[" + good
    assert written(log_data) == {
        key(DAYS[0]): b"".join([good + b"\n"] * 3),
        key(DAYS[1]): other + b"\n",
        UNPLACED: b"".join(line + b"\n" for line in [*unplaced, outside, cut]),
    }
    assert output[2:] == [
        *(f"  line {number}: {reason}" for number, reason in list(enumerate(unplaced.values(), start=1))[:5]),
        "  (showing the first 5)",
        f"sparkify: 10 records without a day, kept in log_data/{UNPLACED}, which no load takes",
    ]
    for line, reason in unplaced.items():
        (project.folder / "one.json").write_bytes(line + b"\n" + good)
        assert split_log(
            str(project.folder / "one.json"), str(project.folder / "ones"), AwsAccess(), overwrite=True
        ).examples == [(1, reason)]
    listing = World(project.folder).source.list_log_files()
    assert (len(listing.files), listing.ignored, listing.unrecognized) == (2, 1, [UNPLACED])
    # A corrected file leaves nothing over.
    (project.folder / "mini.json").write_bytes(good)
    project.call("split", "mini.json", "log_data", "--overwrite")
    assert set(written(log_data)) == {key(day) for day in DAYS[:2]}


def test_files_that_exist_are_replaced_only_on_demand(project: Project) -> None:
    World(project.folder).write_log(DAYS[1], event(), key="archive/2018-11-02-events.json.gz")
    log_data = project.folder / "log_data"
    before = written(log_data)
    (project.folder / "mini.json").write_bytes(lines(*events_of(DAYS[0]), *events_of(DAYS[1])))
    for options in ([], ["--overwrite"]):
        output = project.call("split", "mini.json", "log_data", *options, expect=1)
        assert output == (
            "sparkify: log_data/archive/2018-11-02-events.json.gz exists already: a load would take it as well for "
            "2018-11-02: remove it, or choose another destination; nothing was written\n"
        )
    assert written(log_data) == before

    (project.folder / "mini.json").write_bytes(lines(*events_of(DAYS[0])))
    project.call("split", "mini.json", "log_data")
    (project.folder / "mini.json").write_bytes(lines(event()))
    output = project.call("split", "mini.json", "log_data", expect=1)
    assert output == (
        "sparkify: log_data/2018/11/2018-11-01-events.json exists already: replace such files with --overwrite, or "
        "choose another destination; nothing was written\n"
    )
    assert written(log_data) == before | {key(DAYS[0]): lines(*events_of(DAYS[0]))}
    project.call("split", "mini.json", "log_data", "--overwrite")
    assert written(log_data) == before | {key(DAYS[0]): lines(event())}


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_split_leaves_no_part_of_a_day(
    end: signal.Signals, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "STREAM_PIECE_BYTES", 100)
    monkeypatch.setattr(splitting, "_BUFFER_BYTES", 100)
    file, log_data = project.folder / "mini.json", project.folder / "log_data"
    days = [lines(*events_of(day)) for day in DAYS]
    file.write_bytes(b"".join(days))

    def split_and_end(*, at_read: int, at_written: int) -> None:
        def end_at(limit: int, now: int) -> None:
            if limit <= now:
                os.kill(os.getpid(), end)

        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                split_log(
                    str(file),
                    str(log_data),
                    AwsAccess(),
                    on_read=lambda read, _: end_at(at_read, read),
                    on_written=lambda number, _: end_at(at_written, number),
                )
            finally:
                os._exit(1)
        os.waitpid(pid, 0)

    never = 1 << 30
    split_and_end(at_read=len(days[0]) + len(days[1]) // 2, at_written=never)
    listing = World(project.folder).source.list_log_files()
    assert (listing.files, listing.unrecognized) == ([], [])
    # A killed process can only leave what a load ignores.
    assert bool(listing.ignored) is (end is signal.SIGKILL)
    split_and_end(at_read=never, at_written=2)
    listing = World(project.folder).source.list_log_files()
    assert [(log_data / found.key).read_bytes() for found in listing.files] == days[:2]
    project.call("split", "mini.json", "log_data", "--overwrite")
    assert [(log_data / key(day)).read_bytes() for day in DAYS] == days


def test_more_days_than_files_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "STREAM_PIECE_BYTES", 10_000)
    monkeypatch.setattr(splitting, "_BUFFER_BYTES", 20_000)
    days = [date(1999, 12, 1) + timedelta(days=number) for number in range(300)]
    content = [(day, text_of({"ts": millis(f"{day}T{hour:02}:00:00")})) for hour in range(10) for day in days]
    (tmp_path / "mini.json").write_bytes(b"\n".join(line for _, line in content))
    open_files = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files + 20, limits[1]))
    try:
        found = split_log(str(tmp_path / "mini.json"), str(tmp_path / "days"), AwsAccess())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert found.records == dict.fromkeys(days, 10)
    assert written(tmp_path / "days") == {
        key(day.isoformat()): b"".join(line + b"\n" for of, line in content if of == day) for day in days
    }


def test_from_bucket_to_bucket(s3: S3Server, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.login(monkeypatch)
    bucket = f"bucket-{uuid4()}"
    # One day in several parts of an upload.
    large = text_of(event(userAgent="x" * (11 << 20)))
    content = {DAYS[0]: large + b"\n", DAYS[1]: lines(event(time=f"{DAYS[1]}T10:00:00"))}
    # A key that only boto3 can address.
    s3.put(bucket, {"in/é mini.json": gzip.compress(b"".join(content.values()) + b"{}"), "in/b.json": large})
    target = f"s3://{bucket}/log_data/"
    unplaced = "__mini.json.unplaced.txt"
    project.environment["AWS_ENDPOINT_URL_S3"] = s3.url

    def stored() -> dict[str, bytes]:
        found = s3.client.list_objects_v2(Bucket=bucket, Prefix="log_data/")["Contents"]
        return {
            item["Key"].removeprefix("log_data/"): s3.client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            for item in found
        }

    output = project.call("split", f"s3://{bucket}/in/é mini.json", target, expect=1)
    assert f"sparkify: 1 record without a day, kept in {target}{unplaced}, which no load takes\n" in output
    expected = {key(day): text for day, text in content.items()}
    assert stored() == expected | {unplaced: b"{}\n"}
    output = project.call("split", f"s3://{bucket}/in/b.json", target, expect=1)
    assert f"sparkify: {target}{key(DAYS[0])} exists already" in output
    s3.put(bucket, {"in/é mini.json": large})
    project.call("split", f"s3://{bucket}/in/é mini.json", target, "--overwrite")
    assert stored() == expected
    output = project.call("split", f"s3://{bucket}/in/b.json", f"s3://no-{bucket}/x", expect=1)
    assert output.startswith(f"sparkify: s3://no-{bucket}/x: cannot be read: NoSuchBucket")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", ", no line: each line should be a JSON object with an event's time in ts; nothing was written"),
        (b"not JSON", ", line 1: not JSON: Expecting value at character 1: each line should be a JSON object"),
        (b'\n [\n{"ts": 1},\n{"ts": 2}\n]', ", line 2: begins an array: each line should be a JSON object"),
        (b'{"ts": 1}\n' + b"x" * 2_000, ", line 2: is longer than 1,000 bytes: each line should be a JSON object"),
        (gzip.compress(b'{"ts": 1}\n')[:-9], ": cannot be decompressed: ends before its end-of-stream marker"),
    ],
    ids=["empty", "no JSON", "array", "long line", "cut archive"],
)
def test_a_file_that_is_no_log_in_lines_is_an_error(
    content: bytes, problem: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "MAX_RECORD_BYTES", 1_000)
    (project.folder / "mini.json").write_bytes(content)
    output = project.call("split", "mini.json", "log_data", expect=1)
    assert output.startswith(f"sparkify: mini.json{problem}")
    assert output.count("\n") == 1
    assert written(project.folder / "log_data") == {}


def test_a_place_that_cannot_be_read_or_written_is_named(project: Project) -> None:
    (project.folder / "mini.json").write_bytes(lines(event()))
    for arguments, problem in {
        ("none.json", "log_data"): "none.json: there is no such file",
        (".", "log_data"): ".: cannot be read: Is a directory",
        ("mini.json", "mini.json"): "mini.json: cannot be written: File exists",
        ("mini.json", "/proc/log_data"): "/proc/log_data: cannot be written: ",
    }.items():
        output = project.call("split", *arguments, expect=1)
        assert output.startswith("sparkify: ")
        assert output.count("\n") == 1
        assert problem in output
    assert not (project.folder / "log_data").exists()
