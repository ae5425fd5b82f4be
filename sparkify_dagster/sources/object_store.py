"""Lists and reads the objects of a source, which is a local folder or an S3 prefix."""

import asyncio
import itertools
import os
import re
import stat
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import obstore
from botocore.exceptions import ClientError
from obstore.store import LocalStore, S3Store

from sparkify_dagster.batches import StoredObject
from sparkify_dagster.config.aws import (
    S3_ERRORS,
    AwsAccess,
    MissingCredentialsError,
    is_missing,
    s3_cause,
    s3_client,
    s3_store,
    split_s3_url,
)
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.sources.local_listing import BrokenLinkError, walk
from sparkify_dagster.sources.object_keys import printable
from sparkify_dagster.sources.s3_listing import MAX_CONCURRENT_LISTINGS, list_objects, stored_object

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, HeadObjectOutputTypeDef
    from obstore import ObjectMeta

# S3 answers a request for a small object in some 30 ms, so many are kept in flight; beyond 128 more does not help.
MAX_CONCURRENT_READS = 128
READS_PER_BATCH = 4_096
STREAM_PIECE_BYTES = 4 << 20


class SourceError(SparkifyError):
    """The source cannot be listed or read: the load fails and changes nothing. Bad data is never one."""


class ObjectNotFoundError(SourceError):
    """The object does not exist (any more)."""


class ObjectStore(ABC):
    """The objects below one location."""

    location: str

    @abstractmethod
    def list(self) -> list[StoredObject]:
        """Returns every object below the location, in the order of the keys' UTF-8 bytes. Raises SourceError."""

    @abstractmethod
    def read(self, key: str) -> tuple[StoredObject, bytes]:
        """Reads an object and returns it with the ETag and size of what was read.

        Raises SourceError, ObjectNotFoundError.
        """

    @abstractmethod
    def stream(self, key: str) -> tuple[StoredObject, Iterator[bytes]]:
        """Returns an object and its content piece by piece, for objects of any size.

        Raises SourceError, ObjectNotFoundError, also while the pieces are read.
        """

    @abstractmethod
    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[StoredObject, bytes]]:
        """Reads many objects with the concurrency that suits the store, in the order of `keys`."""

    @abstractmethod
    def head(self, key: str) -> StoredObject:
        """Returns an object without its content. Raises SourceError, ObjectNotFoundError."""

    def local_path(self, key: str) -> Path | None:
        """Returns the object's path on this machine, or None if it has none."""
        return None

    def uri(self, key: str) -> str | None:
        """Returns the object's s3:// URL, or None if it is not in S3."""
        return None


def by_key_bytes(stored: StoredObject) -> bytes:
    return stored.key.encode("utf-8", "surrogateescape")


class LocalFolder(ObjectStore):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.location = str(folder)

    def list(self) -> list[StoredObject]:
        with self._translate_errors(""):
            try:
                mode = self.folder.stat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                raise SourceError(f"{self.folder}: there is no such folder") from None
            if not stat.S_ISDIR(mode):
                raise SourceError(f"{self.folder}: is a file, not a folder")
            return sorted(starmap(_local_object, walk(os.fspath(self.folder))), key=by_key_bytes)

    def read(self, key: str) -> tuple[StoredObject, bytes]:
        with self._translate_errors(key), self._open(key) as file:
            return _local_object(key, os.fstat(file.fileno())), file.read()

    def stream(self, key: str) -> tuple[StoredObject, Iterator[bytes]]:
        with self._translate_errors(key):
            file = self._open(key)
        return _local_object(key, os.fstat(file.fileno())), self._pieces(key, file)

    def _pieces(self, key: str, file: BinaryIO) -> Iterator[bytes]:
        with self._translate_errors(key), file:
            while piece := file.read(STREAM_PIECE_BYTES):
                yield piece

    def _open(self, key: str) -> BinaryIO:
        # pathlib's open() takes no opener.
        file = open(self.folder / key, "rb", opener=_open_at_once)  # noqa: SIM115
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
        raise SourceError(f"{self.folder / key}: is not a file")

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[StoredObject, bytes]]:
        return map(self.read, keys)

    def head(self, key: str) -> StoredObject:
        with self._translate_errors(key):
            return _local_object(key, (self.folder / key).stat())

    def local_path(self, key: str) -> Path:
        return self.folder / key

    @contextmanager
    def _translate_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except BrokenLinkError as error:
            raise SourceError(
                f"{printable(error.filename)}: cannot be read: it is a link that leads nowhere; mount or restore what "
                "it leads to, or remove it"
            ) from error
        except OSError as error:
            place = printable(error.filename or str(self.folder / key))
            if isinstance(error, FileNotFoundError):
                raise ObjectNotFoundError(f"{place}: there is no such file") from error
            raise SourceError(f"{place}: cannot be read: {error.strerror}") from error


class S3Prefix(ObjectStore):
    """An S3 prefix with exact keys: obstore reads what it can address, concurrently, and boto3 the rest."""

    def __init__(self, bucket: str, prefix: str, access: AwsAccess) -> None:
        self.location = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._access = access
        self._store = _s3_store(self.location, bucket, "", access)

    @cached_property
    def _client(self) -> "S3Client":
        return s3_client(self._access, connections=MAX_CONCURRENT_LISTINGS)

    def list(self) -> list[StoredObject]:
        with self._translate_errors(""):
            return sorted(list_objects(self._client, self._bucket, self._prefix), key=by_key_bytes)

    def read(self, key: str) -> tuple[StoredObject, bytes]:
        with self._translate_errors(key):
            full_key = self._prefix + key
            if not _is_addressable(full_key):
                response = self._client.get_object(Bucket=self._bucket, Key=full_key)
                return _described_response(key, response), response["Body"].read()
            result = obstore.get(self._store, full_key)
            return _described(key, result.meta), bytes(result.bytes())

    def stream(self, key: str) -> tuple[StoredObject, Iterator[bytes]]:
        with self._translate_errors(key):
            full_key = self._prefix + key
            if not _is_addressable(full_key):
                response = self._client.get_object(Bucket=self._bucket, Key=full_key)
                pieces = response["Body"].iter_chunks(STREAM_PIECE_BYTES)
                return _described_response(key, response), self._pieces(key, pieces)
            result = obstore.get(self._store, full_key)
            pieces = map(bytes, result.stream(min_chunk_size=STREAM_PIECE_BYTES))
            return _described(key, result.meta), self._pieces(key, pieces)

    def _pieces(self, key: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        with self._translate_errors(key):
            yield from pieces

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[StoredObject, bytes]]:
        for batch in _batches(keys, READS_PER_BATCH):
            addressable = [key for key in batch if _is_addressable(self._prefix + key)]
            found = dict(zip(addressable, asyncio.run(self._read_concurrently(addressable)), strict=True))
            others = [key for key in batch if key not in found]
            with ThreadPoolExecutor(MAX_CONCURRENT_LISTINGS, thread_name_prefix="reading") as reading:
                found.update(zip(others, reading.map(self.read, others), strict=True))
            yield from (found[key] for key in batch)

    async def _read_concurrently(self, keys: Sequence[str]) -> Sequence[tuple[StoredObject, bytes]]:
        slots = asyncio.Semaphore(MAX_CONCURRENT_READS)

        async def read(key: str) -> tuple[StoredObject, bytes]:
            async with slots:
                with self._translate_errors(key):
                    result = await obstore.get_async(self._store, self._prefix + key)
                    return _described(key, result.meta), bytes(await result.bytes_async())

        return await asyncio.gather(*map(read, keys))

    def head(self, key: str) -> StoredObject:
        with self._translate_errors(key):
            full_key = self._prefix + key
            if not _is_addressable(full_key):
                return _described_response(key, self._client.head_object(Bucket=self._bucket, Key=full_key))
            return _described(key, obstore.head(self._store, full_key))

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"

    @contextmanager
    def _translate_errors(self, key: str) -> Iterator[None]:
        place = printable(self.uri(key) if key else self.location)
        try:
            yield
        except S3_ERRORS as error:
            if isinstance(error, FileNotFoundError) or (isinstance(error, ClientError) and is_missing(error)):
                raise ObjectNotFoundError(f"{place}: there is no such object") from error
            raise SourceError(f"{place}: cannot be read: {s3_cause(error)}") from error


# Narrower than what obstore can address, which is not documented: no empty segment, no `.` or `..`, only ASCII.
_ADDRESSABLE_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9_=+,@() .-]+"
_ADDRESSABLE_KEY = re.compile(rf"{_ADDRESSABLE_SEGMENT}(?:/{_ADDRESSABLE_SEGMENT})*")


def _is_addressable(key: str) -> bool:
    """Returns whether obstore addresses exactly this object by the key."""
    return _ADDRESSABLE_KEY.fullmatch(key) is not None


def _described(key: str, meta: "ObjectMeta") -> StoredObject:
    return stored_object(key, meta["e_tag"] or "", meta["size"], meta["last_modified"])


def _described_response(key: str, response: "GetObjectOutputTypeDef | HeadObjectOutputTypeDef") -> StoredObject:
    return stored_object(key, response["ETag"], response["ContentLength"], response["LastModified"])


def open_store(location: str, access: AwsAccess) -> ObjectStore:
    """Returns the store of an s3:// URL, a file:// URL or a local path. Raises SourceError if it is none of these."""
    if location.startswith("s3://"):
        return S3Prefix(*split_s3_url(location), access)
    return LocalFolder(local_folder(location))


def key_below(location: str, other: str) -> str:
    """Returns the key of a location within another one; empty if it is not within it, or is the same."""
    if location.startswith("s3://") or other.startswith("s3://"):
        prefix = location.rstrip("/") + "/"
        return other.rstrip("/").removeprefix(prefix) if other.startswith(prefix) else ""
    folder, below = (os.path.realpath(local_folder(place)) for place in (location, other))
    return os.path.relpath(below, folder) if below.startswith(os.path.join(folder, "")) else ""  # noqa: PTH118


def read_object(location: str, access: AwsAccess) -> bytes:
    """Returns the bytes of the object at a location. Raises SourceError, ObjectNotFoundError."""
    store, name = _store_and_name(location, access)
    _, content = store.read(name)
    return content


def stream_object(location: str, access: AwsAccess) -> tuple[StoredObject, Iterator[bytes]]:
    """Returns the object at a location and its content piece by piece. Raises SourceError, ObjectNotFoundError."""
    store, name = _store_and_name(location, access)
    return store.stream(name)


def head_object(location: str, access: AwsAccess) -> StoredObject:
    """Returns the object at a location without its content. Raises SourceError, ObjectNotFoundError."""
    store, name = _store_and_name(location, access)
    return store.head(name)


def writable_store(location: str, access: AwsAccess) -> LocalStore | S3Store:
    """Returns a store to write to below a location; a local folder is created. Raises SourceError."""
    if location.startswith("s3://"):
        return _s3_store(location, *split_s3_url(location), access)
    return LocalStore(Path(location).expanduser().absolute(), mkdir=True)


def local_folder(location: str) -> Path:
    """Returns the path of a file:// URL or a local path."""
    if location.startswith("file://"):
        return Path(urllib.request.url2pathname(urllib.parse.urlsplit(location).path))
    return Path(location).expanduser()


def _store_and_name(location: str, access: AwsAccess) -> tuple[ObjectStore, str]:
    if location.startswith("s3://"):
        bucket, key = split_s3_url(location)
        return S3Prefix(bucket, "", access), key
    parent, _, name = location.rstrip("/").rpartition("/")
    return open_store(parent or ("/" if location.startswith("/") else "."), access), name


def _s3_store(location: str, bucket: str, prefix: str, access: AwsAccess) -> S3Store:
    try:
        return s3_store(bucket, prefix, access)
    except (MissingCredentialsError, ValueError) as error:
        raise SourceError(f"{location}: {error}") from error


def _local_object(key: str, status: os.stat_result) -> StoredObject:
    # The time of the last change of any kind (ctime), since a writer can set the time of the content (mtime).
    etag = f"{status.st_ino:x}-{status.st_ctime_ns:x}-{status.st_size:x}"
    return StoredObject(key, etag, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _batches(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    remaining = iter(keys)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _open_at_once(path: str, flags: int) -> int:
    """Opens a file without blocking: opening a named pipe would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)
