"""Listings of S3 that take more than one request."""

from uuid import uuid4

import pytest

from sparkify_dagster.aws import AwsAccess
from sparkify_dagster.sources import object_store
from sparkify_dagster_tests.s3_server import S3Server


@pytest.mark.parametrize("folders_at_once", [1, 64])
@pytest.mark.parametrize(
    "keys",
    [
        ["A/a.json", "A/B/b.json", "B/c.json", "C/d.json", "a.json", "z.json"],
        ["2018/11/1.json", "2018/11/2.json", "2018/12/1.json"],
        ["a.json", "b.json", "c.json"],
    ],
    ids=["several folders", "one folder", "no folder"],
)
def test_a_listing_of_several_pages_finds_every_object(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, keys: list[str], folders_at_once: int
) -> None:
    bucket = f"bucket-{uuid4()}"
    s3.put(bucket, {f"songs/{key}": key.encode() for key in keys} | {"songs-of-others/x.json": b""})
    s3.login(monkeypatch)
    # A page of two stands for S3's of a thousand.
    monkeypatch.setattr(object_store, "LISTED_PER_REQUEST", 2)
    monkeypatch.setattr(object_store, "CONCURRENT_LISTINGS", folders_at_once)
    store = object_store.open_store(f"s3://{bucket}/songs", AwsAccess(endpoint_url=s3.url, region="us-west-2"))
    assert [(stored.key, stored.size) for stored in store.list()] == [(key, len(key)) for key in sorted(keys)]
