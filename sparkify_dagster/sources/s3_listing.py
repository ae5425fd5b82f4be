"""Lists the objects of an S3 prefix with their exact keys.

obstore, which reads them, cannot: it strips the `/` from a folder marker, and rejects a whole listing for one key with
`//`, a segment `.` or `..`, or a control character.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from sparkify_dagster.batches import StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

# S3's own maximum. 400,000 songs without folders take 400 requests, one after the other.
KEYS_PER_REQUEST = 1_000
MAX_CONCURRENT_LISTINGS = 64


def list_objects(client: "S3Client", bucket: str, prefix: str) -> Iterable[StoredObject]:
    """Yields every object below the prefix, which ends in a slash or is empty, in any order. Raises S3_ERRORS."""
    pages = _pages(client, bucket, prefix)
    first = next(pages)
    if first["IsTruncated"]:
        top = next(_pages(client, bucket, prefix, delimiter="/"))
        folders = [folder["Prefix"] for folder in top.get("CommonPrefixes", ())]
        # A truncated page has too many folders to list them concurrently, or none.
        if not top["IsTruncated"] and 1 < len(folders) <= MAX_CONCURRENT_LISTINGS:
            with ThreadPoolExecutor(len(folders), thread_name_prefix="listing") as listing:
                in_folders = listing.map(lambda folder: list(_pages(client, bucket, folder)), folders)
                return _objects(prefix, chain([top], *in_folders))
    return _objects(prefix, chain([first], pages))


def stored_object(key: str, etag: str, size: int, modified: datetime) -> StoredObject:
    return StoredObject(key, etag.strip('"'), size, modified)


def _pages(client: "S3Client", bucket: str, prefix: str, delimiter: str = "") -> Iterator["ListObjectsV2OutputTypeDef"]:
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": KEYS_PER_REQUEST}
    )
    return iter(pages)


def _objects(prefix: str, pages: Iterable["ListObjectsV2OutputTypeDef"]) -> list[StoredObject]:
    return [
        stored_object(listed["Key"].removeprefix(prefix), listed["ETag"], listed["Size"], listed["LastModified"])
        for page in pages
        for listed in page.get("Contents", ())
        # The prefix itself may have a folder marker.
        if listed["Key"] != prefix
    ]
