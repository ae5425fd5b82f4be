"""Uploads what a benchmark reads from S3."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import obstore
from obstore.store import ObjectStore

_AT_A_TIME = 32


def upload(bucket: ObjectStore, objects: Iterable[tuple[str, bytes]]) -> list[str]:
    """Writes objects, given by key and content. Returns their keys."""

    def put(item: tuple[str, bytes]) -> str:
        obstore.put(bucket, *item)
        return item[0]

    with ThreadPoolExecutor(_AT_A_TIME) as uploads:
        return list(uploads.map(put, objects))
