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


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_prefix_may_end_with_a_slash(world: World, slash: str) -> None:
    world.log_data += slash
    world.song_data += slash
    world.load(DAY)
    assert list(world.counts()) == ["2018/11/2018-11-01-events.json", "A/B/C/TRABC.json"]


def test_a_prefix_is_a_folder_and_not_the_start_of_a_name(world: World, s3: S3Server, bucket: str) -> None:
    s3.put(bucket, {f"log_data_old/{DAY}-events.json": b"broken", "song_data.json": b"broken"})
    world.load(DAY)
    assert world.errors() == []


def test_a_whole_bucket_is_a_source_too(world: World, s3: S3Server, bucket: str) -> None:
    world.log_data = f"s3://{bucket}"
    world.load(DAY)
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


def test_what_is_ignored(world: World, s3: S3Server, bucket: str) -> None:
    ignored = [
        "song_data/A/",
        "song_data/A/zero.json",
        "song_data/.DS_Store",
        "song_data/.x/TR.json",
        "song_data/README",
    ]
    s3.put(bucket, {key: b"" if key.endswith(("/", "zero.json")) else b"broken" for key in ignored})
    s3.put(bucket, {"log_data/2018/11/2018-11-02-events.json": b"", "log_data/2018/": b""})
    assert world.load(NEXT_DAY).ok
    listing = world.source.list_song_files()
    assert (listing.ignored, listing.unrecognized) == (5, ["README"])
    assert world.counts()["2018/11/2018-11-02-events.json"] == (0, 0, 0, 0)
    assert len(world.rows("songs")) == 1


def test_a_folder_marker_is_ignored_whatever_it_is_called(world: World, s3: S3Server, bucket: str) -> None:
    markers = [
        "log_data/2018-11-02-events.json/",
        "song_data/A.json/",
        "song_data/A.json.gz/",
        "log_data/",
        "song_data/",
    ]
    s3.put(bucket, dict.fromkeys(markers, b""))
    assert world.load(DAY, NEXT_DAY).ok
    assert list(world.counts()) == ["2018/11/2018-11-01-events.json", "A/B/C/TRABC.json"]
    listings = world.source.list_log_files(), world.source.list_song_files()
    assert [listing.ignored for listing in listings] == [1, 2]
    assert [listing.unrecognized for listing in listings] == [[], []]


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
    assert world.load(DAY).ok
    assert len(world.rows("songs")) == 201
    # A sorts behind all digits.
    title = f"SELECT title FROM songs WHERE song_id = '{song()['song_id']}'"
    assert world.query(title) == [("You Gotta Be",)]
    world.song_data += "/0"
    world.load(DAY)
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
    world.load(DAY)
    assert world.column(EVENTS, "artist") == ["Des'ree"]
    world.log_jsonpath = f"s3://{bucket}/log_json_path.json"
    with pytest.raises(SourceError, match=r"log_json_path\.json: there is no such object: correct SPARKIFY_LOG_JSON"):
        world.load(DAY)
    s3.put(
        bucket,
        {
            "log_json_path.json": json.dumps(
                {"jsonpaths": [f"$['{key}']" for key in ("song", *DEFAULT_KEYS[1:13], "artist", *DEFAULT_KEYS[14:])]}
            ).encode()
        },
    )
    world.load(DAY)
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


@pytest.fixture(scope="module")
def loaded(new_world: NewWorld, s3: S3Server) -> World:
    """Returns a loaded warehouse whose source has changed since. Tests share it and must change neither."""
    bucket = f"bucket-{uuid4()}"
    world = new_world()
    world.log_data, world.song_data = f"s3://{bucket}/log_data", f"s3://{bucket}/song_data"
    world.aws_endpoint_url = s3.url
    s3.put(bucket, {KEY: lines(event()), "song_data/A.json": lines(song())})
    with pytest.MonkeyPatch.context() as environment:
        s3.login(environment)
        world.load(DAY)
    s3.put(bucket, {KEY: lines(event(), event(itemInSession=2)), "song_data/B.json": lines(song(song_id="S"))})
    return world


class TestASourceThatCannotBeRead:
    @pytest.fixture
    def world(self, loaded: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> World:
        s3.login(monkeypatch)
        return copy(loaded)

    def check(self, world: World, cause: str, caplog: pytest.LogCaptureFixture, *secret: str) -> None:
        """Both loads fail with one clear line, change nothing and show no secret."""
        caplog.set_level(logging.DEBUG)
        before = world.everything()
        for location, step in ((world.log_data, "staging_events"), (world.song_data, "staging_songs")):
            with pytest.raises(SparkifyError) as raised:
                world.load(DAY, steps=[step])
            self.check_said(location, cause, str(raised.value))
            shown = caplog.text + "".join(traceback.format_exception(raised.value))
            assert not [word for word in secret if word in shown]
        assert world.everything() == before

    def check_said(self, location: str, cause: str, message: str) -> None:
        assert message.startswith(location)
        assert cause in message
        assert "<" not in message
        assert "\n" not in message

    def test_by_the_job(
        self, world: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The tests below do the same without it."""
        wrong = "a-wrong-secret-which-nobody-may-see"
        s3.login(monkeypatch, secret_key=wrong)
        caplog.set_level(logging.DEBUG)
        before = world.everything()
        outcome = world.materialize(DAY)
        assert outcome.failures.keys() == {"staging_events", "staging_songs"}
        self.check_said(world.log_data, "SignatureDoesNotMatch", outcome.failures["staging_events"])
        self.check_said(world.song_data, "SignatureDoesNotMatch", outcome.failures["staging_songs"])
        shown = caplog.text + repr(outcome.result.all_events)
        assert not [word for word in (wrong, s3.secret_key) if word in shown]
        assert world.everything() == before

    def test_wrong_secret(
        self, world: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        s3.login(monkeypatch, secret_key="a-wrong-secret-which-nobody-may-see")
        self.check(world, "SignatureDoesNotMatch", caplog, "a-wrong-secret-which-nobody-may-see", s3.secret_key)

    def test_unknown_key(
        self, world: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        s3.login(monkeypatch, access_key="unknown")
        self.check(world, "InvalidAccessKeyId", caplog, s3.secret_key)

    def test_a_user_who_may_list_but_not_read(
        self, world: World, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        s3.login(monkeypatch, s3.listing_access_key, s3.listing_secret_key)
        self.check(world, "AccessDenied", caplog, s3.listing_secret_key, s3.secret_key)

    def test_no_such_bucket(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.log_data = f"s3://no-bucket-{uuid4()}/log_data"
        world.song_data = world.log_data
        self.check(world, "NoSuchBucket", caplog)

    def test_no_server(self, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        world.aws_endpoint_url = "http://127.0.0.1:9"
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", world.aws_endpoint_url)
        self.check(world, "cannot be read", caplog)

    def test_no_credentials(
        self, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        self.check(world, "no AWS credentials were found", caplog)
