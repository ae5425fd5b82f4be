"""A source that lies in memory: what the inspections read, without files."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sparkify_dagster.batches import StoredObject
from sparkify_dagster.sources.object_store import ObjectNotFoundError, ObjectStore


class MemoryStore(ObjectStore):
    location = "memory"

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = objects

    def list(self) -> list[StoredObject]:
        return [self._stored(key) for key in sorted(self._objects, key=str.encode)]

    def read(self, key: str) -> tuple[StoredObject, bytes]:
        if key not in self._objects:
            raise ObjectNotFoundError(key)
        return self._stored(key), self._objects[key]

    def stream(self, key: str) -> tuple[StoredObject, Iterator[bytes]]:
        stored, content = self.read(key)
        return stored, iter([content])

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[StoredObject, bytes]]:
        return map(self.read, keys)

    def head(self, key: str) -> StoredObject:
        return self.read(key)[0]

    def _stored(self, key: str) -> StoredObject:
        content = self._objects[key]
        return StoredObject(key, hashlib.md5(content).hexdigest(), len(content), datetime.fromtimestamp(0, UTC))
