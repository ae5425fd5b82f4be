"""Lists and reads the objects of a source: a local folder or an S3 prefix, alike."""

import asyncio
import itertools
import os
import re
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from sparkify_dagster.inspected import InspectedFile, StoredObject

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import S3Config

# S3 answers a small object in some 30 ms, so many requests are kept in flight; more only helps beyond 128.
CONCURRENT_READS = 128
READS_PER_BATCH = 4_096


class SourceError(Exception):
    """The source cannot be listed or read. Never a data error: the load fails and changes nothing."""


class ObjectMissing(SourceError):
    """The object is not there (any more)."""


@dataclass(frozen=True)
class S3Access:
    """How S3 is reached. Credentials come from the usual AWS chain; these keys serve only where it finds none."""

    endpoint_url: str | None = None
    region: str | None = None
    fallback_access_key: str | None = None
    fallback_secret_key: str | None = None

    def __repr__(self) -> str:
        return f"S3Access(endpoint_url={self.endpoint_url!r}, region={self.region!r})"


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

    def local_path(self, key: str) -> Path | None:
        """Where the object lies on this machine, if it does."""
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
    def __init__(self, bucket: str, prefix: str, access: S3Access) -> None:
        self.location = f"s3://{bucket}/{prefix}".rstrip("/")
        self._store = s3_store(bucket, prefix, access)

    def list(self) -> list[StoredObject]:
        with self._clear_errors(""):
            found = [
                StoredObject(meta["path"], (meta["e_tag"] or "").strip('"'), meta["size"])
                for chunk in obstore.list(self._store, chunk_size=1_000)
                for meta in chunk
            ]
        return sorted(found, key=by_key_bytes)

    def read(self, key: str) -> tuple[StoredObject, bytes]:
        with self._clear_errors(key):
            result = obstore.get(self._store, key)
            return self._stored(key, result), bytes(result.bytes())

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[StoredObject, bytes]]:
        for batch in _batches(keys, READS_PER_BATCH):
            yield from asyncio.run(self._read_batch(batch))

    async def _read_batch(self, keys: Sequence[str]) -> Sequence[tuple[StoredObject, bytes]]:
        slots = asyncio.Semaphore(CONCURRENT_READS)

        async def read(key: str) -> tuple[StoredObject, bytes]:
            async with slots:
                with self._clear_errors(key):
                    result = await obstore.get_async(self._store, key)
                    return self._stored(key, result), bytes(await result.bytes_async())

        return await asyncio.gather(*map(read, keys))

    @staticmethod
    def _stored(key: str, result: "GetResult") -> StoredObject:
        return StoredObject(key, (result.meta["e_tag"] or "").strip('"'), result.meta["size"])

    @contextmanager
    def _clear_errors(self, key: str) -> Iterator[None]:
        place = f"{self.location}/{key}".rstrip("/")
        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissing(f"{place}: there is no such object") from error
        except (BaseError, OSError, ValueError) as error:
            raise SourceError(f"{place}: cannot be read: {_cause(error)}") from error


def open_store(location: str, access: S3Access) -> ObjectStore:
    """The store below an s3:// URL, a file:// URL or a local path. Raises SourceError where it cannot be one."""
    scheme, _, rest = location.partition("://")
    if scheme == "s3":
        bucket, _, prefix = rest.partition("/")
        return S3Prefix(bucket, prefix.strip("/"), access)
    if scheme == "file":
        return LocalFolder(Path(urllib.request.url2pathname(urllib.parse.urlsplit(location).path)))
    return LocalFolder(Path(location).expanduser())


def read_object(location: str, access: S3Access) -> bytes:
    """The bytes of the one object at a location. Raises SourceError, ObjectMissing."""
    parent, _, name = location.rstrip("/").rpartition("/")
    _, content = open_store(parent or ("/" if location.startswith("/") else "."), access).read(name)
    return content


def changed_since(file: InspectedFile) -> bool:
    """Whether a file that is read in place is another by now."""
    if file.local_path is None:
        return False
    try:
        return _local_object(file.source.key, file.local_path.stat()) != file.source
    except OSError:
        return True


def writable_store(location: str, access: S3Access) -> LocalStore | S3Store:
    """A store to write to below a location, which is made if it is a folder. Raises SourceError."""
    if location.startswith("s3://"):
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        return s3_store(bucket, prefix.strip("/"), access)
    return LocalStore(Path(location).expanduser().absolute(), mkdir=True)


def s3_store(bucket: str, prefix: str, access: S3Access) -> S3Store:
    """A client for the objects below a prefix, with the credentials that the AWS chain finds for this process."""
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session()
    # udacity-dend, the public bucket of this data, lies in us-west-2.
    region = access.region or session.region_name or "us-west-2"
    config: S3Config = {"region": region, "virtual_hosted_style_request": access.endpoint_url is None}
    if access.endpoint_url is not None:
        config["endpoint"] = access.endpoint_url
    provider = None
    if session.get_credentials() is not None:
        provider = Boto3CredentialProvider(session)
    elif access.fallback_access_key and access.fallback_secret_key:
        config["access_key_id"] = access.fallback_access_key
        config["secret_access_key"] = access.fallback_secret_key
    else:
        raise SourceError(
            f"s3://{bucket}/{prefix}: no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or [AWS] ACCESS_KEY and SECRET_KEY in dwh.cfg"
        )
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        credential_provider=provider,
        client_options={"allow_http": (access.endpoint_url or "").startswith("http://")},
    )


def _local_object(key: str, status: os.stat_result) -> StoredObject:
    return StoredObject(key, f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}", status.st_size)


def _batches(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    remaining = iter(keys)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _cause(error: Exception) -> str:
    """The error in one line: S3's own code and message, which it sends as XML, where there are any."""
    text = str(error).strip() or type(error).__name__
    said = [match[1] for name in ("Code", "Message") if (match := re.search(f"<{name}>([^<]+)</{name}>", text))]
    return (": ".join(said) or text.splitlines()[0])[:300]


def _raise(error: OSError) -> None:
    raise error
