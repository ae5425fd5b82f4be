"""Destinations of log files: a folder or an S3 prefix, in which a file has its name only when it is complete."""

import tempfile
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import obstore

from sparkify_dagster.config.aws import S3_ERRORS, AwsAccess, s3_cause
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.sources.events import log_date
from sparkify_dagster.sources.object_keys import printable
from sparkify_dagster.sources.object_store import local_folder, open_store, writable_store


class DestinationError(SparkifyError):
    """The destination cannot be written, or has a file that must not be replaced."""


class Destination(ABC):
    """A location for log files, with what was there when this was created."""

    def __init__(self, location: str, access: AwsAccess, *, overwrite: bool) -> None:
        """Raises SourceError if the location cannot be listed."""
        self.location = location
        self._overwrite = overwrite
        self._keys = {stored.key for stored in open_store(location, access).list()}
        self._keys_of_day: dict[date, set[str]] = defaultdict(set)
        for key in self._keys:
            if day := log_date(key):
                self._keys_of_day[day].add(key)

    def path(self, key: str) -> str:
        return f"{self.location.rstrip('/')}/{key}"

    def require_free(self, key: str, day: date | None = None) -> None:
        """Raises DestinationError if the file exists, or another one of its day, which a load would take as well.

        With `overwrite` the file itself may exist.
        """
        others = self._keys_of_day.get(day, set()) - {key} if day else set()
        if others:
            problem, remedy = min(others), f"a load would take it as well for {day}: remove it"
        elif key in self._keys and not self._overwrite:
            problem, remedy = key, "replace such files with --overwrite"
        else:
            return
        raise DestinationError(
            f"{printable(self.path(problem))} exists already: {remedy}, or choose another destination; "
            "nothing was written"
        )

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    @contextmanager
    @abstractmethod
    def unfinished(self) -> Iterator[Path]:
        """Provides a local folder for files that no load finds, until the block ends. Raises DestinationError."""
        yield Path()

    @abstractmethod
    def publish(self, file: Path, key: str) -> None:
        """Gives a finished file its name. Raises DestinationError."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Removes a file. Raises DestinationError."""


class LocalDestination(Destination):
    def __init__(self, location: str, access: AwsAccess, *, overwrite: bool) -> None:
        self._folder = local_folder(location)
        with self._translate_errors():
            self._folder.mkdir(parents=True, exist_ok=True)
        super().__init__(location, access, overwrite=overwrite)

    @contextmanager
    def unfinished(self) -> Iterator[Path]:
        # On the same file system, for the files to be renamed; loads ignore dot-folders.
        with self._translate_errors(), tempfile.TemporaryDirectory(prefix=".split-", dir=self._folder) as folder:
            yield Path(folder)

    def publish(self, file: Path, key: str) -> None:
        with self._translate_errors():
            (self._folder / key).parent.mkdir(parents=True, exist_ok=True)
            file.replace(self._folder / key)

    def remove(self, key: str) -> None:
        with self._translate_errors():
            (self._folder / key).unlink(missing_ok=True)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = printable(str(error.filename or self._folder))
            raise DestinationError(f"{place}: cannot be written: {error.strerror}") from error


class S3Destination(Destination):
    def __init__(self, location: str, access: AwsAccess, *, overwrite: bool) -> None:
        self._store = writable_store(location, access)
        super().__init__(location, access, overwrite=overwrite)

    @contextmanager
    def unfinished(self) -> Iterator[Path]:
        try:
            with tempfile.TemporaryDirectory(prefix="sparkify-split-") as folder:
                yield Path(folder)
        except OSError as error:
            place = tempfile.gettempdir()
            raise DestinationError(
                f"{place}: cannot be written: {error.strerror}; the files are there until they are complete: set TMPDIR"
            ) from error

    def publish(self, file: Path, key: str) -> None:
        with self._translate_errors(key):
            # In parts if it is large; the object is there when the last one is.
            obstore.put(self._store, key, file)
        file.unlink()

    def remove(self, key: str) -> None:
        with self._translate_errors(key):
            obstore.delete(self._store, key)

    @contextmanager
    def _translate_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except S3_ERRORS as error:
            raise DestinationError(f"{self.path(key)}: cannot be written: {s3_cause(error)}") from error


def open_destination(location: str, access: AwsAccess, *, overwrite: bool) -> Destination:
    """Returns the destination at an s3:// URL, or in a folder, which is created. Raises SparkifyError."""
    kind = S3Destination if location.startswith("s3://") else LocalDestination
    return kind(location, access, overwrite=overwrite)
