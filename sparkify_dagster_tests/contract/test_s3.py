"""A source in S3 gives the same rows as the same files in a folder."""

import gzip
import json
import logging
import traceback
from copy import copy
from pathlib import Path
from uuid import uuid4

import pytest

from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster_tests.contract.conftest import NewWorld
from sparkify_dagster_tests.support.events import event, lines, song
from sparkify_dagster_tests.support.servers.s3 import S3Server
from sparkify_dagster_tests.support.world import EVENTS, NewWarehouse, World

DAY, NEXT_DAY = "2018-11-01", "2018-11-02"
KEY = "log_data/2018/11/2018-11-01-events.json"


@pytest.fixture
def bucket() -> str:
    return f"bucket-{uuid4()}"


@pytest.fixture
def world(
    tmp_path: Path, s3: S3Server, bucket: str, new_warehouse: NewWarehouse, monkeypatch: pytest.MonkeyPatch
) -> World:
    """A world whose source is a bucket, with a day and a song in it."""
    s3.login(monkeypatch)
    s3.put(bucket, {KEY: lines(event()), "song_data/A/B/C/TRABC.json": lines(song())})
    return World(
        tmp_path,
        log_data=f"s3://{bucket}/log_data",
        song_data=f"s3://{bucket}/song_data",
        aws_endpoint_url=s3.url,
        new_warehouse=new_warehouse,
    )


def test_what_was_in_a_folder_comes_from_a_bucket_and_no_secret_is_shown(
    world: World, s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    local = World(tmp_path / "local")
    local.write(KEY, lines(event()))
    local.write_songs("A/B/C/TRABC.json", song())
    local.load(DAY)
    outcome = world.materialize(DAY)
    assert outcome.ok
    assert s3.secret_key not in caplog.text + repr(outcome.result.all_events)
    assert world.star() == local.star()
    assert world.column("songplays", "song_id") == [song()["song_id"]]


IGNORED_LOGS = ["log_data/2018/", "log_data/2018-11-02-events.json/"]
IGNORED_SONGS = [
    "song_data/A/",
    "song_data/A.json/",
    "song_data/A.json.gz/",
    "song_data/A/zero.json",
    "song_data/.DS_Store",
    "song_data/.x/TR.json",
    "song_data/README",
]
# A prefix is a folder and not the start of a name.
ELSEWHERE = [f"log_data_old/{DAY}-events.json", "song_data.json"]


def test_files_below_the_prefix_are_loaded_and_what_else_is_there_is_ignored(
    world: World, s3: S3Server, bucket: str
) -> None:
    """Markers of folders, whatever they are called, empty song files, dot-files, and the folders' own markers.

    The prefixes end with a slash here, and without one in the other tests.
    """
    empty = [*IGNORED_LOGS, *IGNORED_SONGS[:4], "log_data/", "song_data/", "log_data/2018/11/2018-11-02-events.json"]
    s3.put(bucket, dict.fromkeys(empty, b"") | dict.fromkeys([*IGNORED_SONGS[4:], *ELSEWHERE], b"broken"))
    world.log_data += "/"
    world.song_data += "/"
    assert world.load(DAY, NEXT_DAY).ok
    assert world.errors() == []
    assert world.counts() == {
        "2018/11/2018-11-01-events.json": (1, 1, 0, 0),
        "2018/11/2018-11-02-events.json": (0, 0, 0, 0),
        "A/B/C/TRABC.json": (1, 1, 0, 0),
    }
    logs, songs = world.source.list_log_files(), world.source.list_song_files()
    assert (logs.ignored, logs.unrecognized) == (len(IGNORED_LOGS), [])
    assert (songs.ignored, songs.unrecognized) == (len(IGNORED_SONGS), ["README"])
    assert len(world.rows("songs")) == 1


def test_a_whole_bucket_is_a_source_too(world: World, s3: S3Server, bucket: str) -> None:
    world.log_data = f"s3://{bucket}"
    world.load(DAY, steps=["staging_events"])
    assert KEY in world.counts()


def test_gzip_and_keys_of_any_characters(world: World, s3: S3Server, bucket: str) -> None:
    names = ["a b", "é", "[x]*?", "100%", "a+b", "#", "it's", "😀", "a%20b", "level=paid", "tab\t", "line\nbreak\x7f"]
    s3.put(
        bucket,
        {
            f"log_data/{name}/2018-11-01-events.json.gz": gzip.compress(lines(event(itemInSession=2 + number)))
            for number, name in enumerate(names)
        }
        | {f"song_data/{name}.json.gz": gzip.compress(lines(song(song_id=name))) for name in names},
    )
    assert world.load(DAY).ok
    assert len(world.rows(EVENTS)) == 1 + len(names)
    assert set(names) < set(world.column("songs", "song_id"))
    keys = world.query("SELECT key FROM staging.loaded_objects")
    assert {f"{name}/2018-11-01-events.json.gz" for name in names} < {key for (key,) in keys}


# What follows the prefix and its slash; each of them is a key like others to S3.
EXACT_KEYS = [
    "/2018/11/2018-11-01-events.json",
    "2018//11/2018-11-01-events.json",
    "./2018-11-01-events.json",
    "../2018-11-01-events.json",
    "a/../b/2018-11-01-events.json",
    "\t/2018-11-01-events.json",
    "\x7f\x01/2018-11-01-events.json.gz",
    "level=paid/2018-11-01-events.json",
]


def test_keys_that_a_path_could_not_have_are_keys_like_others(world: World, exact_s3: S3Server, bucket: str) -> None:
    bucket = f"exact-{bucket}"  # which the other server, where Redshift stages, does not have
    contents = {key: lines(event(itemInSession=number)) for number, key in enumerate(EXACT_KEYS)}
    contents = {key: gzip.compress(content) if key.endswith(".gz") else content for key, content in contents.items()}
    contents |= {"2018/11//": b"", ".hidden//2018-11-01-events.json": b"broken", "/.2018-11-01-events.json": b"broken"}
    exact_s3.put(bucket, {f"p//log_data/{key}": content for key, content in contents.items()})
    songs = {"./TRAAB.json": song(song_id="S1"), "A//TRAAC.json": song(song_id="S2"), "/../é.json": song(song_id="S3")}
    exact_s3.put(bucket, {f"song_data/{key}": lines(item) for key, item in songs.items()})
    world.log_data, world.song_data = f"s3://{bucket}/p//log_data", f"s3://{bucket}/song_data"
    world.aws_endpoint_url = exact_s3.url
    assert world.load(DAY).ok
    assert world.counts() == dict.fromkeys([*EXACT_KEYS, *songs], (1, 1, 0, 0))
    assert sorted(world.column(EVENTS, "item_in_session")) == list(range(len(EXACT_KEYS)))
    assert world.column("songs", "song_id") == ["S1", "S2", "S3"]
    assert world.source.list_log_files().ignored == 3


@pytest.fixture(scope="module")
def two_hundred_songs(s3: S3Server) -> str:
    """Returns a location with one song in A, and in 0 two hundred files with another copy and a song of their own."""
    bucket = f"bucket-{uuid4()}"
    files = {
        f"all/0/{number:03}.json": lines(song(title=str(number)), song(song_id=f"S{number:03}"))
        for number in range(200)
    }
    s3.put(bucket, files | {"all/A/B/C/TRABC.json": lines(song())})
    return f"s3://{bucket}/all"


def test_two_hundred_songs_come_in_the_order_of_their_keys(world: World, two_hundred_songs: str) -> None:
    world.song_data = two_hundred_songs
    assert world.load(steps=["staging_songs", "songs"]).ok
    assert len(world.rows("songs")) == 201
    # A sorts behind all digits.
    title = f"SELECT title FROM songs WHERE song_id = '{song()['song_id']}'"
    assert world.query(title) == [("You Gotta Be",)]
    world.song_data += "/0"
    world.load(steps=["staging_songs", "songs"])
    assert world.query(title) == [("199",)]


def test_objects_that_change_or_go_are_loaded_again_and_others_not(world: World, s3: S3Server, bucket: str) -> None:
    world.load(DAY, NEXT_DAY)
    s3.put(bucket, {KEY: lines(event(location="new")), "song_data/B.json": lines(song(song_id="S"))})
    s3.put(bucket, {KEY.replace(DAY, NEXT_DAY): lines(event(location="next", time=f"{NEXT_DAY}T10:00:00"))})
    songs = world.load(DAY, NEXT_DAY).songs
    assert world.column(EVENTS, "location") == ["new", "next"]
    assert (songs.new, songs.changed, songs.removed) == (1, 0, 0)
    s3.delete(bucket, KEY)
    s3.delete(bucket, "song_data/B.json")
    world.load(DAY, NEXT_DAY)
    assert world.everything() == world.from_scratch(DAY, NEXT_DAY).everything()
    assert world.column(EVENTS, "location") == ["next"]


def test_the_jsonpaths_file_comes_from_s3(world: World, s3: S3Server, bucket: str) -> None:
    world.load(DAY, steps=["staging_events"])
    assert world.column(EVENTS, "artist") == ["Des'ree"]
    world.log_jsonpath = f"s3://{bucket}/log_json_path.json"
    with pytest.raises(SourceError, match=r"log_json_path\.json: there is no such object: correct SPARKIFY_LOG_JSON"):
        world.load(DAY, steps=["staging_events"])
    s3.put(
        bucket,
        {
            "log_json_path.json": json.dumps(
                {"jsonpaths": [f"$['{key}']" for key in ("song", *DEFAULT_KEYS[1:13], "artist", *DEFAULT_KEYS[14:])]}
            ).encode()
        },
    )
    world.load(DAY, steps=["staging_events"])
    assert world.column(EVENTS, "artist") == ["You Gotta Be"]


def test_an_object_that_goes_while_it_is_read(
    world: World, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparkify_dagster.sources import source

    listing = source._listing

    def list_and_delete(*arguments: object) -> source.Listing:
        found = listing(*arguments)  # type: ignore[arg-type]
        s3.delete(bucket, KEY)
        return found

    monkeypatch.setattr(source, "_listing", list_and_delete)
    before = world.everything()
    with pytest.raises(SourceError, match="there is no such object"):
        world.load(DAY)
    assert world.everything() == before


def loaded_and_changed(world: World, s3: S3Server) -> World:
    """Returns a loaded warehouse whose source has changed since. Tests share it and must change neither."""
    bucket = f"bucket-{uuid4()}"
    world.log_data, world.song_data = f"s3://{bucket}/log_data", f"s3://{bucket}/song_data"
    world.aws_endpoint_url = s3.url
    s3.put(bucket, {KEY: lines(event()), "song_data/A.json": lines(song())})
    with pytest.MonkeyPatch.context() as environment:
        s3.login(environment)
        world.load(DAY)
    s3.put(bucket, {KEY: lines(event(), event(itemInSession=2)), "song_data/B.json": lines(song(song_id="S"))})
    return world


@pytest.fixture(scope="module")
def loaded(new_world: NewWorld, s3: S3Server) -> World:
    return loaded_and_changed(new_world(), s3)


@pytest.fixture(scope="module")
def loaded_into_duckdb(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> World:
    return loaded_and_changed(World(tmp_path_factory.mktemp("listed")), s3)


def check_nothing_changed(world: World, cause: str, caplog: pytest.LogCaptureFixture, *secret: str) -> None:
    """Both loads fail with one clear line, change nothing and show no secret."""
    caplog.set_level(logging.DEBUG)
    before = world.everything()
    for location, step in ((world.log_data, "staging_events"), (world.song_data, "staging_songs")):
        with pytest.raises(SparkifyError) as raised:
            world.load(DAY, steps=[step])
        check_said(location, cause, str(raised.value))
        shown = caplog.text + "".join(traceback.format_exception(raised.value))
        assert not [word for word in secret if word in shown]
    assert world.everything() == before


def check_said(location: str, cause: str, message: str) -> None:
    assert message.startswith(location)
    assert cause in message
    assert "<" not in message
    assert "\n" not in message


class TestASourceThatCannotBeRead:
    @pytest.fixture
    def world(self, loaded: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> World:
        s3.login(monkeypatch)
        return copy(loaded)

    def test_by_the_job(
        self, world: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The other tests do the same without it."""
        wrong = "a-wrong-secret-which-nobody-may-see"
        s3.login(monkeypatch, secret_key=wrong)
        caplog.set_level(logging.DEBUG)
        before = world.everything()
        outcome = world.materialize(DAY)
        assert outcome.failures.keys() == {"staging_events", "staging_songs"}
        check_said(world.log_data, "SignatureDoesNotMatch", outcome.failures["staging_events"])
        check_said(world.song_data, "SignatureDoesNotMatch", outcome.failures["staging_songs"])
        shown = caplog.text + repr(outcome.result.all_events)
        assert not [word for word in (wrong, s3.secret_key) if word in shown]
        assert world.everything() == before

    def test_a_user_who_may_list_but_not_read(
        self, world: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        s3.login(monkeypatch, s3.listing_access_key, s3.listing_secret_key)
        check_nothing_changed(world, "AccessDenied", caplog, s3.listing_secret_key, s3.secret_key)


class TestASourceThatCannotBeListed:
    """On DuckDB alone: a load lists the source before any warehouse has a part in it, as the tests above show."""

    @pytest.fixture
    def world(self, loaded_into_duckdb: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> World:
        s3.login(monkeypatch)
        return copy(loaded_into_duckdb)

    def test_wrong_secret(
        self, world: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        s3.login(monkeypatch, secret_key="a-wrong-secret-which-nobody-may-see")
        check_nothing_changed(
            world, "SignatureDoesNotMatch", caplog, "a-wrong-secret-which-nobody-may-see", s3.secret_key
        )

    def test_unknown_key(
        self, world: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        s3.login(monkeypatch, access_key="unknown")
        check_nothing_changed(world, "InvalidAccessKeyId", caplog, s3.secret_key)

    def test_no_such_bucket(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.log_data = f"s3://no-bucket-{uuid4()}/log_data"
        world.song_data = world.log_data
        check_nothing_changed(world, "NoSuchBucket", caplog)

    def test_no_server(self, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        world.aws_endpoint_url = "http://127.0.0.1:9"
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", world.aws_endpoint_url)
        check_nothing_changed(world, "cannot be read", caplog)

    def test_no_credentials(
        self, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        check_nothing_changed(world, "no AWS credentials were found", caplog)
