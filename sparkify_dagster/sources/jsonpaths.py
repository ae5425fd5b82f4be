"""Reads the JSONPaths file, which maps its positions to the columns of the log."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sparkify_dagster.config.aws import AwsAccess
from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.sources.object_store import ObjectNotFoundError, SourceError, head_object, read_object

_SIMPLE_PATH = re.compile(r"""\$(?:\.(?P<dotted>\w+)|\[\s*(?P<quote>['"])(?P<quoted>[^'"\[\]\\]+)(?P=quote)\s*\])""")


@dataclass(frozen=True)
class JsonPaths:
    """The keys of a log event, in the order of schema/event_columns.py, and the size of the JSONPaths file, if any."""

    keys: tuple[str, ...] = DEFAULT_KEYS
    bytes: int | None = None


def read_jsonpaths(location: str | None, access: AwsAccess) -> JsonPaths:
    """Returns the keys of the JSONPaths file, or the usual keys if none is configured.

    Raises SourceError if the file cannot be read or does not hold a simple path per column.
    """
    if location is None:
        return JsonPaths()
    with _required():
        content = read_object(location, access)
    return JsonPaths(parse_jsonpaths(content, location), len(content))


def head_jsonpaths(location: str | None, access: AwsAccess) -> str | None:
    """Returns the file's ETag, or None if none is configured. Raises SourceError."""
    if location is None:
        return None
    with _required():
        return head_object(location, access).etag


@contextmanager
def _required() -> Iterator[None]:
    try:
        yield
    except ObjectNotFoundError as error:
        raise SourceError(
            f"{error}: correct SPARKIFY_LOG_JSONPATH ([S3] LOG_JSONPATH in dwh.cfg), or unset it if the log's keys "
            "have the usual names"
        ) from error


def parse_jsonpaths(content: bytes, location: str) -> tuple[str, ...]:
    remedy = f'it must hold {{"jsonpaths": [...]}} with {len(DEFAULT_KEYS)} paths like "$[\'artist\']", one per column'
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise SourceError(f"{location}: not a JSONPaths file: {error}; {remedy}") from error
    paths = document.get("jsonpaths") if isinstance(document, dict) else None
    if not isinstance(paths, list) or len(paths) != len(DEFAULT_KEYS):
        found = f"{len(paths)} paths" if isinstance(paths, list) else "no list of paths"
        raise SourceError(f"{location}: not a JSONPaths file: {found}; {remedy}")
    keys = []
    for position, path in enumerate(paths, start=1):
        match = _SIMPLE_PATH.fullmatch(path) if isinstance(path, str) else None
        if match is None:
            raise SourceError(f"{location}: path {position}, {path!r}, is not a simple path; {remedy}")
        keys.append(match["dotted"] or match["quoted"])
    # To DuckDB's reader, keys that differ only in case are one column.
    if len({key.lower() for key in keys}) < len(keys):
        raise SourceError(f"{location}: two paths name the same key; {remedy}")
    return tuple(keys)
