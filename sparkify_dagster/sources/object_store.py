"""Lists and reads the objects of a source: a local folder or an S3 prefix, alike."""

import asyncio
import itertools
import os
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.store import LocalStore, S3Store

from sparkify_dagster.aws import S3_ERRORS, AwsAccess, NoCredentials, s3_cause, s3_store, split_s3_url
from sparkify_dagster.inspected import StoredObject

if TYPE_CHECKING:
    from obstore import ObjectMeta

# S3 answers a small object in some 30 ms, so many requests are kept in flight; more only helps beyond 128.
CONCURRENT_READS = 128
READS_PER_BATCH = 4_096
# S3's own most. A catalogue of 400,000 songs takes 400 requests, one after the other for want of folders.
LISTED_PER_REQUEST = 1_000
CONCURRENT_LISTINGS = 64


class SourceError(Exception):
    """The source cannot be listed or read. Never a data error: the load fails and changes nothing."""


class ObjectMissing(SourceError):
    """The object is not there (any more)."""


class ObjectStore(ABC):
    """The objects below one location."""

    location: str

    @abstractmethod
    def list(self) -> list[StoredObject]:
        """Every object below the location, in the order of the keys' UTF-8 bytes. Raises SourceError."""

    @abstractmethod
    def read(self, key: str) -> tuple[StoredObject, bytes]:
        """The object as it is now, with the ETag and size of what was read. Raises SourceError, ObjectMissing."""

    @abstractmethod
    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[StoredObject, bytes]]:
        """Reads many objects with the concurrency that suits the store, in the order of `keys`."""

    @abstractmethod
    def look_up(self, key: str) -> StoredObject:
        """The object as it is now, without its content. Raises SourceError, ObjectMissing."""

    def local_path(self, key: str) -> Path | None:
        """Where the object lies on this machine, if it does."""
        return None

    def uri(self, key: str) -> str | None:
        """The object's s3:// URL, if it lies in S3."""
        return None


def by_key_bytes(stored: StoredObject) -> bytes:
    return stored.key.encode("utf-8", "surrogateescape")


class LocalFolder(ObjectStore):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.location = str(folder)

    def list(self) -> list[StoredObject]:
        if not self.folder.is_dir():
            raise SourceError(f"{self.folder}: there is no such folder")
        found = []
        with self._clear_errors(""):
            for parent, _, names in os.walk(self.folder, onerror=_raise):
                below = os.path.relpath(parent, self.folder).replace(os.sep, "/")
                for name in names:
                    try:
                        status = os.stat(os.path.join(parent, name))  # noqa: PTH116, PTH118 (pathlib costs twice the listing)
                    except FileNotFoundError:
                        continue  # deleted since, or a dangling link
                    found.append(_local_object(name if below == "." else f"{below}/{name}", status))
        return sorted(found, key=by_key_bytes)

    def read(self, key: str) -> tuple[StoredObject, bytes]:
        with self._clear_errors(key), (self.folder / key).open("rb") as file:
            return _local_object(key, os.fstat(file.fileno())), file.read()

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[StoredObject, bytes]]:
        return map(self.read, keys)

    def look_up(self, key: str) -> StoredObject:
        with self._clear_errors(key):
            return _local_object(key, (self.folder / key).stat())

    def local_path(self, key: str) -> Path:
        return self.folder / key

    @contextmanager
    def _clear_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissing(f"{self.folder / key}: there is no such file") from error
        except OSError as error:
            raise SourceError(f"{error.filename or self.folder / key}: cannot be read: {error.strerror}") from error


class S3Prefix(ObjectStore):
    def __init__(self, bucket: str, prefix: str, access: AwsAccess) -> None:
        self.location = f"s3://{bucket}/{prefix}".rstrip("/")
        self._store = _s3_store(self.location, access)

    def list(self) -> list[StoredObject]:
        with self._clear_errors(""):
            pages = obstore.list(self._store, chunk_size=LISTED_PER_REQUEST)
            first = next(pages, [])
            found: Iterable[ObjectMeta] = first
            if len(first) == LISTED_PER_REQUEST:
                found = self._list_folders() or itertools.chain(first, itertools.chain.from_iterable(pages))
            return sorted((self._stored(meta["path"], meta) for meta in found), key=by_key_bytes)

    def _list_folders(self) -> "Sequence[ObjectMeta] | None":
        """Every object, all folders listed at once; None where there are no folders, or too many, to gain by it."""
        top = obstore.list_with_delimiter(self._store)
        folders = top["common_prefixes"]
        if not 1 < len(folders) <= CONCURRENT_LISTINGS:
            return None

        def list_folder(folder: str) -> "Sequence[ObjectMeta]":
            return list(itertools.chain.from_iterable(obstore.list(self._store, folder, chunk_size=LISTED_PER_REQUEST)))

        with ThreadPoolExecutor(len(folders), thread_name_prefix="listing") as listing:
            return [*top["objects"], *itertools.chain.from_iterable(listing.map(list_folder, folders))]

    def read(self, key: str) -> tuple[StoredObject, bytes]:
        with self._clear_errors(key):
            result = obstore.get(self._store, key)
            return self._stored(key, result.meta), bytes(result.bytes())

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[StoredObject, bytes]]:
        for batch in _batches(keys, READS_PER_BATCH):
            yield from asyncio.run(self._read_batch(batch))

    async def _read_batch(self, keys: Sequence[str]) -> Sequence[tuple[StoredObject, bytes]]:
        slots = asyncio.Semaphore(CONCURRENT_READS)

        async def read(key: str) -> tuple[StoredObject, bytes]:
            async with slots:
                with self._clear_errors(key):
                    result = await obstore.get_async(self._store, key)
                    return self._stored(key, result.meta), bytes(await result.bytes_async())

        return await asyncio.gather(*map(read, keys))

    def look_up(self, key: str) -> StoredObject:
        with self._clear_errors(key):
            return self._stored(key, obstore.head(self._store, key))

    def uri(self, key: str) -> str:
        return f"{self.location}/{key}"

    @staticmethod
    def _stored(key: str, meta: "ObjectMeta") -> StoredObject:
        return StoredObject(key, (meta["e_tag"] or "").strip('"'), meta["size"], meta["last_modified"])

    @contextmanager
    def _clear_errors(self, key: str) -> Iterator[None]:
        place = f"{self.location}/{key}".rstrip("/")
        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissing(f"{place}: there is no such object") from error
        except S3_ERRORS as error:
            raise SourceError(f"{place}: cannot be read: {s3_cause(error)}") from error


def open_store(location: str, access: AwsAccess) -> ObjectStore:
    """The store below an s3:// URL, a file:// URL or a local path. Raises SourceError where it cannot be one."""
    scheme = location.partition("://")[0]
    if scheme == "s3":
        return S3Prefix(*split_s3_url(location), access)
    if scheme == "file":
        return LocalFolder(Path(urllib.request.url2pathname(urllib.parse.urlsplit(location).path)))
    return LocalFolder(Path(location).expanduser())


def read_object(location: str, access: AwsAccess) -> bytes:
    """The bytes of the one object at a location. Raises SourceError, ObjectMissing."""
    store, name = _store_and_name(location, access)
    _, content = store.read(name)
    return content


def look_up_object(location: str, access: AwsAccess) -> StoredObject:
    """The one object at a location, without its content. Raises SourceError, ObjectMissing."""
    store, name = _store_and_name(location, access)
    return store.look_up(name)


def writable_store(location: str, access: AwsAccess) -> LocalStore | S3Store:
    """A store to write to below a location, which is made if it is a folder. Raises SourceError."""
    if location.startswith("s3://"):
        return _s3_store(location, access)
    return LocalStore(Path(location).expanduser().absolute(), mkdir=True)


def _store_and_name(location: str, access: AwsAccess) -> tuple[ObjectStore, str]:
    parent, _, name = location.rstrip("/").rpartition("/")
    return open_store(parent or ("/" if location.startswith("/") else "."), access), name


def _s3_store(location: str, access: AwsAccess) -> S3Store:
    try:
        return s3_store(*split_s3_url(location), access)
    except NoCredentials as error:
        raise SourceError(f"{location}: {error}") from error


def _local_object(key: str, status: os.stat_result) -> StoredObject:
    # The time of the last change of any kind, since who writes a file can set the time of its content.
    etag = f"{status.st_ino:x}-{status.st_ctime_ns:x}-{status.st_size:x}"
    return StoredObject(key, etag, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _batches(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    remaining = iter(keys)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _raise(error: OSError) -> None:
    raise error
