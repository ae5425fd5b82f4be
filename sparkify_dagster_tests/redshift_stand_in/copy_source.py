"""The input of COPY in S3: the manifest, the JSONPaths file and the objects with their JSON.

Pages: copy-parameters-data-source-s3, copy-parameters-data-format, copy-usage_notes-copy-from-json,
loading-data-files-using-manifest.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from sparkify_dagster_tests.redshift_stand_in.copy_command import CopyCommand
from sparkify_dagster_tests.redshift_stand_in.copy_values import Column, Number
from sparkify_dagster_tests.redshift_stand_in.refusal import Refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_OBJECT_BYTES = 4 << 20
# What is not JSON at all.
INVALID_LINE = 1216

_STEP = re.compile(r"\.(?P<dot>[^.\[\]]+)|\[(?P<index>\d+)\]|\['(?P<single>[^']*)'\]|\[\"(?P<double>[^\"]*)\"\]")


@dataclass(frozen=True)
class Row:
    """The values of a JSON object, or None and the reason where there is none; line is the last one of its text."""

    line: int
    text: str
    values: Sequence[object] | None
    reason: str = ""


@dataclass(frozen=True)
class SourceFile:
    url: str
    content: bytes
    etag: str
    bytes: int


class Source:
    """The objects that a COPY loads, and how their JSON becomes rows."""

    def __init__(self, client: "S3Client", command: CopyCommand, columns: Sequence[Column]) -> None:
        self._client = client
        self._command = command
        self._names = [column.name for column in columns]
        self._ignores_case = command.json == "auto ignorecase"
        self._paths: Sequence[Sequence[str | int]] | None = None
        if command.json.startswith("s3://"):
            self._paths = self._read_paths(command.json)
            if self._paths is not None and len(self._paths) != len(columns):
                _fail(
                    "Number of jsonpaths and the number of columns should match."
                    f" JSONPath size: {len(self._paths)}, Number of columns in table or column list: {len(columns)}"
                )

    def urls(self) -> Sequence[str]:
        if "manifest" in self._command.flags:
            return self._manifest()
        bucket, prefix = _parts(self._command.source)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        try:
            found = [f"s3://{bucket}/{item['Key']}" for page in pages for item in page.get("Contents", ())]
        except (ClientError, BotoCoreError) as error:
            _fail(_s3_message(error))
        if not found:
            _fail(f"The specified S3 prefix '{prefix}' does not exist")
        return found

    def read(self, url: str) -> SourceFile:
        content, etag = self._get_version(url)
        size = len(content)
        if "gzip" in self._command.flags:
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error) as error:
                _fail(f"Invalid GZIP file: {url}: {error}")
        return SourceFile(url, content, etag, size)

    def rows(self, file: SourceFile) -> Iterator[Row]:
        """Each JSON object of the text, wherever lines end. What is not JSON is passed over to the end of its line."""
        # Bytes that are not UTF-8 become surrogates, which no value may hold.
        text = file.content.decode("utf-8", "surrogateescape")
        place, line = 0, 1
        while (start := _after_blanks(text, place)) < len(text):
            reason = ""
            value: object = None
            try:
                value, end = _DECODER.raw_decode(text, start)
            except (ValueError, RecursionError) as error:
                # The reader goes on behind the line in which it failed.
                failed_at = error.pos if isinstance(error, json.JSONDecodeError) else start
                end = text.find("\n", min(failed_at, len(text) - 1))
                end = len(text) if end < 0 else end
                reason = "Invalid value."
            line += text.count("\n", place, end)
            raw = text[start:end]
            if len(raw.encode("utf-8", "surrogateescape")) > MAX_OBJECT_BYTES:
                _fail(f"Invalid JSON: object size exceeds the limit of {MAX_OBJECT_BYTES} bytes in {file.url}")
            values = None
            if not reason:
                values = self._values(value)
                reason = "" if values is not None else "Invalid JSONPath format: Member is not an object."
            yield Row(line, raw, values, reason)
            place = end

    def _values(self, value: object) -> Sequence[object] | None:
        if self._paths is not None:
            if not isinstance(value, dict | list) or any(
                isinstance(value, list) == isinstance(path[0], str) for path in self._paths
            ):
                return None
            return [_at(value, path) for path in self._paths]
        if not isinstance(value, dict):
            return None
        if self._ignores_case:
            value = {key.lower(): item for key, item in value.items()}
        return [value.get(name) for name in self._names]

    def _manifest(self) -> Sequence[str]:
        try:
            manifest = json.loads(self._get(self._command.source, "Problem reading manifest file - "))
            entries = [(entry["url"], bool(entry.get("mandatory", False))) for entry in manifest["entries"]]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _fail(f"Problem reading manifest file - Invalid manifest: {error}")
        urls = []
        for url, mandatory in entries:
            bucket, key = _parts(url)
            try:
                self._client.head_object(Bucket=bucket, Key=key)
            except (ClientError, BotoCoreError) as error:
                missing = isinstance(error, ClientError) and error.response["Error"]["Code"] in ("404", "NoSuchKey")
                if not missing:
                    _fail(_s3_message(error))
                if mandatory:
                    _fail(f"The specified mandatory file of the manifest does not exist: {url}")
            else:
                urls.append(url)
        if not urls:
            _fail("No file of the manifest was found")
        return urls

    def _read_paths(self, url: str) -> Sequence[Sequence[str | int]] | None:
        """The paths; None, for 'auto', if the file has another key than "jsonpaths"."""
        try:
            content = json.loads(self._get(url))
        except ValueError as error:
            _fail(f"Invalid JSONPath format: the file is not JSON: {error}")
        if not isinstance(content, dict) or "jsonpaths" not in content:
            return None
        return [_steps(expression) for expression in content["jsonpaths"]]

    def _get(self, url: str, context: str = "") -> bytes:
        return self._get_version(url, context)[0]

    def _get_version(self, url: str, context: str = "") -> tuple[bytes, str]:
        bucket, key = _parts(url)
        try:
            response = self._client.get_object(Bucket=bucket, Key=key)
            return response["Body"].read(), response["ETag"]
        except (ClientError, BotoCoreError) as error:
            _fail(context + _s3_message(error))


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_refuse_constant)
_NOT_BLANK = re.compile(r"[^ \t\r\n]")


def _after_blanks(text: str, place: int) -> int:
    found = _NOT_BLANK.search(text, place)
    return found.start() if found else len(text)


def _steps(expression: object) -> Sequence[str | int]:
    if not isinstance(expression, str) or not expression.startswith("$"):
        _fail(f"Invalid JSONPath format: {expression}")
    steps: list[str | int] = []
    place = 1
    notations = set()
    while place < len(expression):
        found = _STEP.match(expression, place)
        if found is None:
            _fail(f"Invalid JSONPath format: {expression}")
        kind = str(found.lastgroup)
        if kind != "index":
            notations.add("dot" if kind == "dot" else "bracket")
        steps.append(int(found.group(kind)) if kind == "index" else found.group(kind))
        place = found.end()
    if not steps or len(notations) > 1 or "*" in expression or "?" in expression:
        _fail(f"Invalid JSONPath format: {expression}")
    return steps


def _at(value: object, path: Sequence[str | int]) -> object:
    """Returns the value at the path, or None if an object lacks the key."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                _fail("Invalid JSONPath format: Not an array or index out of range.")
            value = value[step]
        elif not isinstance(value, dict) or step not in value:
            return None
        else:
            value = value[step]
    return value


def _parts(url: object) -> tuple[str, str]:
    if not isinstance(url, str) or not url.startswith("s3://") or "/" not in url[5:]:
        _fail(f"COPY with MANIFEST parameter requires full path of an S3 object: {url}")
    bucket, _, key = url[5:].partition("/")
    return bucket, key


def _s3_message(error: Exception) -> str:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        details = error.response.get("Error", {})
        return f"S3ServiceException:{details.get('Message')},Status {status},Error {details.get('Code')}"
    return f"S3CurlException: {error}"


def _fail(message: str) -> NoReturn:
    raise Refusal(message, "XX000")
