"""The source as Dagster's resource: where logs, JSONPaths file and songs are, and what lies there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from dagster import ConfigurableResource

from sparkify_dagster.aws import AwsAccess, access_of
from sparkify_dagster.inspected import StoredObject
from sparkify_dagster.settings import Settings
from sparkify_dagster.sources.events import log_date
from sparkify_dagster.sources.jsonpaths import JsonPaths, look_up_jsonpaths, read_jsonpaths
from sparkify_dagster.sources.object_store import ObjectStore, SourceError, open_store
from sparkify_dagster.sources.songs import is_song_file


@dataclass(frozen=True)
class Listing:
    """What a listing found: the source's files, and the objects that are none."""

    location: str
    files: Sequence[StoredObject]
    ignored: int

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def newest(self) -> StoredObject | None:
        """The file that was written last."""
        return max(self.files, key=lambda file: file.modified, default=None)

    @cached_property
    def by_day(self) -> Mapping[date, Sequence[StoredObject]]:
        """The log files of each day, in the order of their keys."""
        days: dict[date, list[StoredObject]] = {}
        for file in self.files:
            if (day := log_date(file.key)) is not None:
                days.setdefault(day, []).append(file)
        return days


class Source(ConfigurableResource[None]):
    """Log data, JSONPaths file and song data in S3 or in local folders. S3 credentials are no part of it."""

    log_data: str
    log_jsonpath: str | None = None
    song_data: str
    aws_endpoint_url: str | None = None
    aws_region: str | None = None

    def log_store(self) -> ObjectStore:
        return open_store(self.log_data, self._access())

    def song_store(self) -> ObjectStore:
        return open_store(self.song_data, self._access())

    def json_paths(self) -> JsonPaths:
        """Which key of a log line is which column. Raises SourceError."""
        return read_jsonpaths(self.log_jsonpath, self._access())

    def json_paths_etag(self) -> str | None:
        """The ETag of the JSONPaths file; None where there is no such file. Raises SourceError."""
        return look_up_jsonpaths(self.log_jsonpath, self._access())

    def list_log_files(self) -> Listing:
        return _listing(self.log_store(), lambda stored: log_date(stored.key) is not None)

    def list_song_files(self) -> Listing:
        return _listing(self.song_store(), is_song_file)

    def _access(self) -> AwsAccess:
        access = access_of(Settings.load())
        return replace(access, endpoint_url=self.aws_endpoint_url, region=self.aws_region)


def _listing(store: ObjectStore, is_file: Callable[[StoredObject], bool]) -> Listing:
    objects = store.list()
    files = [stored for stored in objects if is_file(stored)]
    for stored in files:
        # Python reads other bytes of a file's name as surrogates, which no warehouse holds.
        if not stored.key.isascii() and any("\ud800" <= character <= "\udfff" for character in stored.key):
            raise SourceError(f"{store.location}: the name of {stored.key!a} is not UTF-8: rename the file")
    return Listing(store.location, files, ignored=len(objects) - len(files))
