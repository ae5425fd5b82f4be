"""The source (Dagster resource): locations of logs, JSONPaths file and songs, and their listings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from dagster import ConfigurableResource
from pydantic import Field

from sparkify_dagster.batches import StoredObject
from sparkify_dagster.config import current
from sparkify_dagster.config.aws import AwsAccess
from sparkify_dagster.sources.events import log_date
from sparkify_dagster.sources.jsonpaths import JsonPaths, head_jsonpaths, read_jsonpaths
from sparkify_dagster.sources.object_keys import has_no_text, is_folder_marker, is_hidden, printable
from sparkify_dagster.sources.object_store import ObjectStore, SourceError, key_below, open_store
from sparkify_dagster.sources.songs import is_song_file

MAX_EXAMPLES = 3


@dataclass(frozen=True)
class Listing:
    """A listing: the source's files, and the objects that are not files of the source.

    `ignored` counts the latter. `unrecognized` has the keys of those that are reported: not dot-files, not folder
    markers or other empty objects, and not what another setting names below the same location.
    """

    location: str
    files: Sequence[StoredObject]
    ignored: int
    unrecognized: Sequence[str] = ()

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def newest(self) -> StoredObject | None:
        """Returns the file that was written last, or None if there are no files."""
        return max(self.files, key=lambda file: file.modified, default=None)

    @property
    def examples(self) -> Sequence[str]:
        """Returns some of the unrecognized keys in printable form."""
        return [printable(key) for key in self.unrecognized[:MAX_EXAMPLES]]

    @cached_property
    def by_day(self) -> Mapping[date, Sequence[StoredObject]]:
        """Returns the log files of each day, in the order of their keys."""
        days: dict[date, list[StoredObject]] = {}
        for file in self.files:
            if (day := log_date(file.key)) is not None:
                days.setdefault(day, []).append(file)
        return days


class Source(ConfigurableResource[None]):
    """Log data, JSONPaths file and song data in S3 or in local folders. S3 credentials are not part of it.

    `other_locations` are configured for other purposes: a listing does not report what lies there.
    """

    log_data: str
    log_jsonpath: str | None = None
    song_data: str
    aws_endpoint_url: str | None = None
    aws_region: str | None = None
    other_locations: list[str] = Field(default_factory=list)

    def log_store(self) -> ObjectStore:
        return open_store(self.log_data, self._access())

    def song_store(self) -> ObjectStore:
        return open_store(self.song_data, self._access())

    def json_paths(self) -> JsonPaths:
        """Returns the JSON key of each column of the log. Raises SourceError."""
        return read_jsonpaths(self.log_jsonpath, self._access())

    def json_paths_etag(self) -> str | None:
        """Returns the ETag of the JSONPaths file, or None if none is configured. Raises SourceError."""
        return head_jsonpaths(self.log_jsonpath, self._access())

    def list_log_files(self) -> Listing:
        return _listing(self.log_store(), _is_log_file, self._other_places(self.log_data))

    def list_song_files(self) -> Listing:
        return _listing(self.song_store(), is_song_file, self._other_places(self.song_data))

    def _access(self) -> AwsAccess:
        access = current.aws_access()
        return replace(access, endpoint_url=self.aws_endpoint_url, region=self.aws_region)

    def _other_places(self, location: str) -> Sequence[str]:
        """Returns the keys, within the location, of the other configured locations below it."""
        others = (self.log_data, self.song_data, self.log_jsonpath, *self.other_locations)
        return [key for other in others if other is not None and (key := key_below(location, other))]


def _is_log_file(stored: StoredObject) -> bool:
    return log_date(stored.key) is not None


def _listing(store: ObjectStore, is_file: Callable[[StoredObject], bool], others: Sequence[str]) -> Listing:
    files: list[StoredObject] = []
    ignored: list[StoredObject] = []
    for stored in store.list():
        (files if is_file(stored) else ignored).append(stored)
    for stored in files:
        if has_no_text(stored.key):
            raise SourceError(f"{store.location}: the name of {stored.key!a} is not UTF-8 text: rename the file")
    of_others = tuple(f"{other}/" for other in others)
    unrecognized = [
        stored.key
        for stored in ignored
        if stored.size > 0
        and not is_folder_marker(stored.key)
        and not is_hidden(stored.key)
        and not f"{stored.key}/".startswith(of_others)
    ]
    return Listing(store.location, files, len(ignored), unrecognized)
