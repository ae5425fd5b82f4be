"""COPY's conversion of JSON values by column type, and its rejections, with the codes of STL_LOAD_ERRORS.

Pages: copy-parameters-data-conversion, copy-parameters-data-format, copy-usage_notes-copy-from-json,
r_Load_Error_Reference, multi-byte-character-load-errors.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal


class Number(str):
    """A JSON number as it is written, so that no digit is lost."""

    __slots__ = ()


@dataclass
class ValueRefused(Exception):
    code: int
    reason: str


@dataclass(frozen=True)
class Column:
    """A column of the target; length is the bytes of a text or the precision of a DECIMAL."""

    name: str
    type: str
    length: int = 0
    scale: int = 0
    not_null: bool = False


@dataclass(frozen=True)
class Conversion:
    """COPY's parameters that change values."""

    time_format: str | None = None
    flags: Collection[str] = ()
    epoch_fractions: bool = True


_INTEGERS = {"smallint": 16, "integer": 32, "bigint": 64}
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_TRUE, _FALSE = {"true", "t", "yes", "y", "1"}, {"false", "f", "no", "n", "0"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?")
_EPOCH = datetime(1970, 1, 1)


def converted(value: object, column: Column, conversion: Conversion) -> str | None:
    """The value as PostgreSQL's COPY takes it. Raises ValueRefused."""
    result = None if value is None else _converted_text(_text(value), column, conversion)
    if result is None and column.not_null:
        raise ValueRefused(1213, "Missing data for not-null field")
    return result


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    assert isinstance(value, dict)
    return "{" + ",".join(f"{_json(key)}:{_json(item)}" for key, item in value.items()) + "}"


def _json(value: object) -> str:
    """The value's JSON, its numbers as they were written."""
    if value is None:
        return "null"
    if isinstance(value, str) and not isinstance(value, Number):
        return json.dumps(value, ensure_ascii=False)
    return _text(value)


def _converted_text(text: str, column: Column, conversion: Conversion) -> str | None:
    if column.type in ("character varying", "character"):
        return _characters(text, column, conversion)
    # "For numeric columns, empty strings are always NULL" (copy-usage_notes-copy-from-json).
    if text == "":
        return None
    if column.type in _INTEGERS:
        return _integer(text, column)
    if column.type in ("real", "double precision"):
        return _float(text)
    if column.type == "numeric":
        return _decimal(text, column, conversion)
    if column.type == "boolean":
        if text.lower() not in _TRUE | _FALSE:
            raise ValueRefused(1210, "Invalid boolean value")
        return "true" if text.lower() in _TRUE else "false"
    if column.type == "date":
        return _date(text)
    if column.type == "timestamp without time zone":
        return _timestamp(text, conversion)
    raise ValueRefused(9005, f"the stand-in does not load {column.type}")


def _characters(text: str, column: Column, conversion: Conversion) -> str | None:
    flags = conversion.flags
    if text.startswith("\0"):
        raise ValueRefused(1218, "Invalid null byte - field longer than 1 byte")
    # A later one silently ends the value (estuary/connectors, pull 839).
    text = text.split("\0", 1)[0]
    if "trim_blanks" in flags and column.type == "character varying":
        text = text.rstrip(" ")
    if ("empty_as_null" in flags and text == "") or ("blanks_as_null" in flags and text and text.isspace()):
        return None
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise ValueRefused(1220, "String contains invalid or unsupported UTF8 codepoints") from error
    if column.type == "character" and not text.isascii():
        raise ValueRefused(1220, "String contains invalid or unsupported UTF8 codepoints: CHAR is single-byte")
    if len(encoded) > column.length:
        if "truncate_columns" in flags or not encoded[column.length :].strip(b" "):
            return encoded[: column.length].decode("utf-8", "ignore")
        raise ValueRefused(1204, "String length exceeds DDL length")
    return text


def _integer(text: str, column: Column) -> str:
    if not _WHOLE.fullmatch(text):
        wrong = re.match(r"[+-]?\d*", text)
        position = wrong.end() if wrong else 0
        character = text[position : position + 1]
        raise ValueRefused(1207, f"Invalid digit, Value '{character}', Pos {position}, Type: {column.type.title()}")
    number = int(text.split(".")[0])
    bits = _INTEGERS[column.type]
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise ValueRefused(1204, f"Overflow, {text} is out of range for {column.type}")
    return str(number)


def _float(text: str) -> str:
    if not _DECIMAL.fullmatch(text):
        raise ValueRefused(1208, "Invalid float value")
    if float(text) in (float("inf"), float("-inf")):
        raise ValueRefused(1204, "Overflow")
    return text


def _decimal(text: str, column: Column, conversion: Conversion) -> str:
    if not _DECIMAL.fullmatch(text):
        raise ValueRefused(1209, "Invalid decimal value")
    # COPY cuts the digits that are too many, where INSERT rounds.
    rounding = ROUND_HALF_UP if "round_decimals" in conversion.flags else ROUND_DOWN
    number = Decimal(text)
    # The exponent first: 1e999999999 would take all memory to write out.
    if number and number.adjusted() >= column.length - column.scale:
        raise ValueRefused(1204, f"Numeric overflow, {text} is out of range")
    number = number.quantize(Decimal(1).scaleb(-column.scale), rounding, Context(prec=100))
    if number and number.adjusted() >= column.length - column.scale:
        raise ValueRefused(1204, f"Numeric overflow, {text} is out of range")
    return str(number) if number else "0"


def _date(text: str) -> str:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ValueRefused(1205, "Invalid Date Format - length must be 10 or more")


def _timestamp(text: str, conversion: Conversion) -> str:
    refused = ValueRefused(1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]")
    try:
        if conversion.time_format in ("epochsecs", "epochmillisecs"):
            if not _WHOLE.fullmatch(text) or ("." in text and not conversion.epoch_fractions):
                raise refused
            number = int(text.split(".")[0])
            milliseconds = number * 1000 if conversion.time_format == "epochsecs" else number
            return str(_EPOCH + timedelta(milliseconds=milliseconds))
        if _TIMESTAMP.fullmatch(text) and ("T" not in text or conversion.time_format == "auto"):
            return str(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise refused from error
    raise refused
