"""The report's place: a local file or an object in S3, whichever can be written."""

import os
import tempfile
from pathlib import Path

import obstore
from dagster import ConfigurableResource

from sparkify_dagster.config import current
from sparkify_dagster.config.aws import S3_ERRORS, s3_cause
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.sources.object_store import writable_store

_REMEDY = "name a file or an s3:// URL that can be written, as an argument or as SPARKIFY_REPORT_FILE"


class ReportError(SparkifyError):
    """The report cannot be written; the message names the place and the remedy."""


class ReportLocation(ConfigurableResource[None]):
    """The location of the report: a local path or `s3://bucket/key`."""

    location: str

    def write(self, page: str) -> None:
        """Replaces the report, so that a reader sees the one before or this one. Raises ReportError."""
        try:
            if self.location.startswith("s3://"):
                self._put(page.encode())
            else:
                _replace(Path(self.location), page.encode())
        except S3_ERRORS as error:
            cause = (isinstance(error, OSError) and error.strerror) or s3_cause(error)
            raise ReportError(f"{self.location}: the report cannot be written: {cause}; {_REMEDY}") from error

    def _put(self, page: bytes) -> None:
        prefix, _, name = self.location.rpartition("/")
        store = writable_store(prefix, current.aws_access())
        # So that a browser shows the object, as a download would not be.
        obstore.put(store, name, page, attributes={"Content-Type": "text/html; charset=utf-8"})


def _replace(path: Path, content: bytes) -> None:
    if path.is_dir():
        raise IsADirectoryError(None, "it is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_bytes() == content:
        return
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(handle, "wb") as file:  # noqa: PTH123
            file.write(content)
        # As any file that a command writes; a temporary one is its owner's alone.
        Path(unfinished).chmod(0o666 & ~_umask())
        Path(unfinished).replace(path)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)
        raise


def _umask() -> int:
    # It can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
