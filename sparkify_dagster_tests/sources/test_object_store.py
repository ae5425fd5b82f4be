"""Listing and reading of objects: S3 keys of any name, and listings that take more than one request."""

from uuid import uuid4

import pytest

from sparkify_dagster.config.aws import AwsAccess, s3_client, split_s3_url
from sparkify_dagster.sources import s3_listing
from sparkify_dagster.sources.object_store import (
    ObjectNotFoundError,
    ObjectStore,
    SourceError,
    head_object,
    key_below,
    open_store,
    read_object,
    writable_store,
)
from sparkify_dagster_tests.support.servers.s3 import S3Server

NOT_NORMALISED = [
    "/2018/11/2018-11-02-events.json",
    "//two.json",
    "2018/11//",
    "2018//11.json",
    "./a.json",
    "../a.json",
    "a/./b.json",
    "a/../b.json",
    "..",
    "a/..",
]
CONTROL_CHARACTERS = ["tab\t.json", "return\r.json", "\x01.json", "a/\x7f.json", "\x85.json"]
PLAIN = ["a b.json", "a+b.json", "(1).json", "level=paid/a.json", "a,b@c_d-e.json", "...", "..a", "a..b/c..json"]
OTHERS = [
    "é.json",
    "e\u0301.json",
    "😀",
    "a%20b",
    "100%",
    "#",
    "it's",
    "[x]*?",
    "a\\b",
    "a&lt;<>&amp;",
    '"',
    "~",
    "{a}|^`",
]


def access(server: S3Server) -> AwsAccess:
    return AwsAccess(endpoint_url=server.url, region="us-west-2")


def fill(server: S3Server, keys: list[str], prefix: str = "logs/") -> ObjectStore:
    """A store of these objects, whose content is their key."""
    bucket = f"bucket-{uuid4()}"
    server.put(bucket, {f"{prefix}{key}": key.encode() for key in keys})
    return open_store(f"s3://{bucket}/{prefix}", access(server))


@pytest.fixture(autouse=True)
def _login(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("s3", "exact_s3"):
        if name in request.fixturenames:
            request.getfixturevalue(name).login(monkeypatch)


@pytest.mark.parametrize("prefix", ["logs/", "a//logs/", "/logs/", "./..//x/", ""])
def test_keys_are_exact(exact_s3: S3Server, prefix: str) -> None:
    keys = [*NOT_NORMALISED, *CONTROL_CHARACTERS, *PLAIN, *OTHERS]
    store = fill(exact_s3, keys, prefix)
    keys.sort(key=str.encode)
    listed = store.list()
    assert [stored.key for stored in listed] == keys
    assert [content.decode() for _, content in store.read_many(keys)] == keys
    for stored in listed:
        # ETag, size and key are the same, however an object is looked at.
        assert store.head(stored.key) == stored
        assert store.read(stored.key) == (stored, stored.key.encode())


def test_keys_that_a_path_may_have_are_exact_on_a_server_that_keeps_paths(s3: S3Server) -> None:
    keys = sorted(
        [*CONTROL_CHARACTERS, "line\n.json", *PLAIN, *(key for key in OTHERS if "\\" not in key)], key=str.encode
    )
    store = fill(s3, keys)
    listed = store.list()
    assert [stored.key for stored in listed] == keys
    assert [stored for stored, _ in store.read_many(keys)] == listed
    assert [content.decode() for _, content in store.read_many(keys)] == keys


def test_a_folder_marker_keeps_its_slash(s3: S3Server) -> None:
    store = fill(s3, ["2018-11-02-events.json"])
    bucket, _ = split_s3_url(store.location)
    s3.put(bucket, {"logs/2018-11-03-events.json/": b"", "logs/": b""})
    assert [stored.key for stored in store.list()] == ["2018-11-02-events.json", "2018-11-03-events.json/"]


def test_a_missing_key_is_one_line(exact_s3: S3Server) -> None:
    store = fill(exact_s3, ["a.json"])
    for key in ("b.json", "//b.json", "line\n.json"):
        for look in (store.read, store.head):
            with pytest.raises(ObjectNotFoundError) as raised:
                look(key)
            shown = key.replace("\n", "\\n")
            assert str(raised.value) == f"{store.location}/{shown}: there is no such object"


@pytest.mark.parametrize("key", ["paths.json", "a//paths.json", "/paths.json", "a/./paths.json"])
def test_one_object_has_an_exact_key_too(exact_s3: S3Server, key: str) -> None:
    bucket = f"bucket-{uuid4()}"
    exact_s3.put(bucket, {key: b"content"})
    location = f"s3://{bucket}/{key}"
    assert read_object(location, access(exact_s3)) == b"content"
    assert head_object(location, access(exact_s3)).size == 7


@pytest.mark.parametrize("prefix", ["/a", "a//b", "a/../b"])
def test_nothing_is_written_where_keys_would_be_changed(exact_s3: S3Server, prefix: str) -> None:
    with pytest.raises(SourceError, match=f"^s3://bucket/{prefix}: "):
        writable_store(f"s3://bucket/{prefix}", access(exact_s3))


@pytest.mark.parametrize("max_folders", [1, 64])
@pytest.mark.parametrize(
    "keys",
    [
        ["A/a.json", "A/B/b.json", "B/c.json", "C/d.json", "a.json", "z.json"],
        ["2018/11/1.json", "2018/11/2.json", "2018/12/1.json"],
        ["a.json", "b.json", "c.json"],
        ["A/a.json", "B/b.json", "C/c.json"],
    ],
    ids=["folders and files", "one folder", "no folder", "folders"],
)
def test_a_listing_of_several_pages_finds_every_object(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, keys: list[str], max_folders: int
) -> None:
    bucket = f"bucket-{uuid4()}"
    s3.put(bucket, {f"songs/{key}": key.encode() for key in keys} | {"songs-of-others/x.json": b"", "songs/": b""})
    # A page of two or three stands for S3's of a thousand.
    for page in (2, 3, 4):
        monkeypatch.setattr(s3_listing, "KEYS_PER_REQUEST", page)
        monkeypatch.setattr(s3_listing, "MAX_CONCURRENT_LISTINGS", max_folders)
        store = open_store(f"s3://{bucket}/songs", access(s3))
        assert [(stored.key, stored.size) for stored in store.list()] == [(key, len(key)) for key in sorted(keys)]


def test_folders_without_a_name_are_listed_at_once_like_others(
    exact_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ["/a.json", "/b.json", "./c.json", "d/e.json", "f.json"]
    store = fill(exact_s3, keys)
    monkeypatch.setattr(s3_listing, "KEYS_PER_REQUEST", 4)
    assert sorted(stored.key for stored in store.list()) == sorted(keys)


def test_a_page_is_parsed_as_botocore_parses_it(
    s3: S3Server, exact_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for server in (s3, exact_s3):
        server.login(monkeypatch)
        store = fill(server, [*PLAIN, *CONTROL_CHARACTERS, *OTHERS])
        bucket, prefix = split_s3_url(store.location)
        client = s3_client(access(server), connections=1)
        for delimiter in ("", "/"):
            page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter=delimiter)
            expected = server.client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter=delimiter)
            fields = ("Key", "ETag", "Size", "LastModified")
            assert [[found[name] for name in fields] for found in page.get("Contents", ())] == [  # type: ignore[literal-required]
                [found[name] for name in fields]  # type: ignore[literal-required]
                for found in expected.get("Contents", ())
            ]
            for name in ("CommonPrefixes", "IsTruncated", "KeyCount", "Prefix"):
                assert page.get(name) == expected.get(name)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a/b/", ("bucket", "a/b")),
        ("s3://bucket//a", ("bucket", "/a")),
        ("s3://bucket/a//b", ("bucket", "a//b")),
    ],
)
def test_a_url_keeps_the_slashes_of_its_key(url: str, parts: tuple[str, str]) -> None:
    assert split_s3_url(url) == parts


@pytest.mark.parametrize(
    ("location", "other", "key"),
    [
        ("s3://b", "s3://b/songs", "songs"),
        ("s3://b/logs/", "s3://b/logs/paths.json", "paths.json"),
        ("s3://b/logs", "s3://b/logs//songs/", "/songs"),
        ("s3://b/logs", "s3://b/logs_old", ""),
        ("s3://b/logs", "s3://b/logs", ""),
        ("s3://b/logs", "s3://c/logs/songs", ""),
        ("s3://b/logs", "logs/songs", ""),
        ("logs", "logs/a/songs", "a/songs"),
        ("/x/logs", "file:///x/logs/songs", "songs"),
        ("/x/logs", "/x/logs_old", ""),
        ("/x/logs", "/x/logs", ""),
        ("/", "/x/logs", "x/logs"),
    ],
)
def test_a_location_below_another_has_a_key_in_it(location: str, other: str, key: str) -> None:
    assert key_below(location, other) == key
