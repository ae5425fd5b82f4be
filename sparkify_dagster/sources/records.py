"""Splits the content of a source file into records, each with the line on which it begins.

A log file has one of three forms, tried in this order: one JSON array of records; pretty-printed objects, one after the
other; or lines, each with one or more JSON values. A song file is objects one after the other. docs/contract.md
(Reading a file) has the rules in full, with examples.
"""

import json
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from sparkify_dagster.schema.event_columns import RAW_TEXT_CHARACTERS
from sparkify_dagster.sources.coerce import JSON_DECODER, InvalidValueError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_RECORD_BYTES = 64 << 20
# Python's own decoder fails at some 1,000 levels, and sooner if the stack is deep already.
MAX_NESTING = 500

_WHITE_SPACE = re.compile(r"[ \t\r\n]*")
_LEADING_BLANKS = re.compile(rb"[ \t\r\n]*")
_ARRAY_OF_OBJECTS = re.compile(rb"\[[ \t\r\n]*\{")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class Record(NamedTuple):
    """A record of a log file. `problem` is set if the text is already known not to be JSON."""

    line_number: int
    text: bytes
    problem: str | None = None


class Document(NamedTuple):
    """A JSON value with its numbers as written, or the InvalidValueError that says why the text is not JSON."""

    line_number: int
    text: str
    value: object


def log_records(content: bytes) -> Iterator[Record]:
    """Returns the records of a log file. In the form of lines, a record's text is a line of one or more values."""
    content = content.removeprefix(BYTE_ORDER_MARK)
    start = _end_of_leading_blanks(content)
    opening = content[start : start + 1]
    if opening == b"[" and (text := _decoded(content)) is not None:
        spans = _array_elements(text)
        if spans is not None:
            return (Record(line_number, text[begin:end].encode()) for line_number, begin, end in spans)
        if _ARRAY_OF_OBJECTS.match(content, start) and not _is_json(_line_at(content, start)):
            line_number = content.count(b"\n", 0, start) + 1
            return iter([Record(line_number, content, "not JSON: an array that is cut, or followed by more text")])
    if opening == b"{" and not _is_json(_line_at(content, start)) and (text := _decoded(content)) is not None:
        first = next(documents_of(text))
        if isinstance(first.value, dict) and "\n" in first.text:
            return _pretty_printed(text)
    return _lines(content)


def documents_of(text: str) -> Iterator[Document]:
    """Yields the JSON values of a text. Text that is not JSON comes last, as an InvalidValueError."""
    position = counted = 0
    line_number = 1
    while (position := _end_of_white_space(text, position)) < len(text):
        line_number += text.count("\n", counted, position)
        counted = position
        try:
            value, end = _decode(text, position)
        except InvalidValueError as problem:
            yield Document(line_number, text[position:], problem)
            return
        yield Document(line_number, text[position:end], value)
        position = end


def json_values(record: Record) -> list[Document]:
    """Returns the JSON values of a record's text, at least one. Raises InvalidValueError if any of it is not JSON."""
    if record.problem is not None:
        raise InvalidValueError(record.problem)
    _require_length(len(record.text))
    try:
        documents = list(documents_of(record.text.decode()))
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"not UTF-8: byte {error.start + 1} of the line") from None
    for document in documents:
        require_within_limits(document)
    return documents


def require_within_limits(document: Document) -> None:
    """Raises the document's InvalidValueError, or one for a text that is too long or nested too deeply."""
    if isinstance(document.value, InvalidValueError):
        raise document.value
    _require_length(len(document.text))
    if document.text.count("{") + document.text.count("[") > MAX_NESTING and _depth(document.text) > MAX_NESTING:
        raise InvalidValueError(_TOO_DEEP)


def raw_text(text: bytes) -> str:
    """Returns a record's text for load_errors: cut, and without NUL, which PostgreSQL and Redshift cannot store."""
    shown = text[: 4 * RAW_TEXT_CHARACTERS].decode(errors="replace")[:RAW_TEXT_CHARACTERS]
    return shown.replace("\x00", "\N{REPLACEMENT CHARACTER}")


_TOO_DEEP = f"nested too deeply: more than {MAX_NESTING} levels"


def _array_elements(text: str) -> list[tuple[int, int, int]] | None:
    """Returns line, begin and end of each element if the text is one JSON array, and None for any other text."""
    position = _end_of_white_space(text, 0) + 1
    elements: list[tuple[int, int, int]] = []
    line_number, counted = 1, 0
    while True:
        position = _end_of_white_space(text, position)
        if text[position : position + 1] == "]" and not elements:
            break
        line_number += text.count("\n", counted, position)
        counted = position
        try:
            _, end = _decode(text, position)
        except InvalidValueError:
            return None
        elements.append((line_number, position, end))
        position = _end_of_white_space(text, end)
        if text[position : position + 1] == "]":
            break
        if text[position : position + 1] != ",":
            return None
        position += 1
    return elements if _end_of_white_space(text, position + 1) == len(text) else None


def _require_length(length: int) -> None:
    if length > MAX_RECORD_BYTES:
        raise InvalidValueError(f"is {length:,} bytes long, the limit is {MAX_RECORD_BYTES:,}")


def _depth(text: str) -> int:
    """Returns the depth to which arrays and objects are nested."""
    steps = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)))
    return max(accumulate(steps), default=0)


def _pretty_printed(text: str) -> Iterator[Record]:
    for document in documents_of(text):
        problem = document.value.reason if isinstance(document.value, InvalidValueError) else None
        yield Record(document.line_number, document.text.encode(), problem)


def _lines(content: bytes) -> Iterator[Record]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        line = line.removesuffix(b"\r")
        if line.strip(b" \t\r"):
            yield Record(number, line)


def _decode(text: str, position: int) -> tuple[object, int]:
    """Returns the JSON value at a position, and where it ends. Raises InvalidValueError."""
    try:
        return JSON_DECODER.raw_decode(text, position)
    except RecursionError:
        raise InvalidValueError(_TOO_DEEP) from None
    except json.JSONDecodeError as error:
        # The decoder's own line number is left out: it counts from the beginning of this text.
        raise InvalidValueError(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}") from None
    except ValueError as error:
        raise InvalidValueError(f"not JSON: {error}") from None


def _is_json(line: bytes) -> bool:
    try:
        json_values(Record(1, line))
    except InvalidValueError:
        return False
    return True


def _line_at(content: bytes, start: int) -> bytes:
    end = content.find(b"\n", start)
    return content[start : end if end >= 0 else len(content)]


def _decoded(content: bytes) -> str | None:
    """Returns the content as text, or None if it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _end_of_leading_blanks(content: bytes) -> int:
    match = _LEADING_BLANKS.match(content)
    return match.end() if match else 0


def _end_of_white_space(text: str, position: int) -> int:
    match = _WHITE_SPACE.match(text, position)
    return match.end() if match else position
