"""Converts the JSON values of one row exactly as docs/contract.md (Values) says: the path for non-canonical records."""

import json
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.schema.event_columns import EPOCH_MS_RANGE, SHORT_TEXT_BYTES, TEXT_BYTES

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# More digits than any column holds before the point, so that 1e999999999 is never expanded. Together with those
# behind the point they are fewer than the 28 to which decimal's context rounds.
_MAX_DIGITS = 20


class Number(str):
    """A JSON number as written, which is its value if the column is text."""

    __slots__ = ()


class InvalidValueError(SparkifyError):
    """A value that staging cannot hold, with its column if it is known.

    The reason is shown in Dagster: it may quote a number but never a text, which may be a listener's name.
    """

    def __init__(self, reason: str, column: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.column = column


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


JSON_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_no_constant)


def integer(low: int, high: int) -> Callable[[Any], int | None]:
    def convert(value: Any) -> int | None:
        number = _decimal(value)
        if not number:
            return None if number is None else 0
        if number.adjusted() > _MAX_DIGITS:
            raise InvalidValueError(f"{_shown(value)} is out of range")
        _, digits, exponent = number.as_tuple()
        if isinstance(exponent, int) and exponent < 0 and any(digits[exponent:]):
            raise InvalidValueError(f"{_shown(value)} is not an integer")
        whole = int(number)
        if not low <= whole <= high:
            raise InvalidValueError(f"{_shown(value)} is out of range")
        return whole

    return convert


def decimal(digits: int, scale: int) -> Callable[[Any], Decimal | None]:
    last_digit = Decimal(1).scaleb(-scale)
    limit = Decimal(10) ** (digits - scale)
    zero = Decimal(0).quantize(last_digit)

    def convert(value: Any) -> Decimal | None:
        number = _decimal(value)
        if not number:
            return None if number is None else zero
        if number.adjusted() > _MAX_DIGITS:
            raise InvalidValueError(f"{_shown(value)} is out of range")
        rounded = number.quantize(last_digit, rounding=ROUND_HALF_UP)
        if abs(rounded) >= limit:
            raise InvalidValueError(f"{_shown(value)} is out of range")
        return rounded or zero

    return convert


def text(most_bytes: int) -> Callable[[Any], str | None]:
    def convert(value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise InvalidValueError(f"{_shown(value)} is not text")
        if "\x00" in value:
            raise InvalidValueError("holds a NUL character")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise InvalidValueError("holds an unpaired surrogate") from None
        if size > most_bytes:
            raise InvalidValueError(f"is {size:,} bytes long, at most {most_bytes:,} fit")
        return str(value)

    return convert


SHORT_TEXT = text(SHORT_TEXT_BYTES)
TEXT = text(TEXT_BYTES)
INTEGER = integer(-(2**31), 2**31 - 1)
BIGINT = integer(-(2**63), 2**63 - 1)
EPOCH_MS = integer(*EPOCH_MS_RANGE)
SECONDS = decimal(10, 5)
DEGREES = decimal(9, 6)


def convert_row(document: object, columns: Mapping[str, tuple[str, Callable[[Any], Any]]]) -> dict[str, Any]:
    """Returns the document's values by column, given each column's key and conversion. Raises InvalidValueError."""
    if not isinstance(document, dict):
        raise InvalidValueError("not a JSON object")
    row = {}
    for column, (key, convert) in columns.items():
        try:
            row[column] = convert(document.get(key))
        except InvalidValueError as problem:
            raise InvalidValueError(f"{column}: {problem.reason}", column) from None
    return row


def _decimal(value: Any) -> Decimal | None:
    """Converts a number, also one that is written as text; empty text is NULL."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise InvalidValueError(f"{_shown(value)} is not a number")
    try:
        return Decimal(value)
    except InvalidOperation:
        raise InvalidValueError(f"{_shown(value)} is out of range") from None


def _shown(value: Any) -> str:
    """Returns a number, true or false as written, and only the kind of any other value."""
    if isinstance(value, str):
        return value[:40] if _NUMBER.fullmatch(value) else "text"
    if isinstance(value, bool):
        return str(value).lower()
    return "an array" if isinstance(value, list) else "an object"
