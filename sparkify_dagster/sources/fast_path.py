"""Recognises canonical log lines: those that the reader of every warehouse takes as docs/contract.md says.

The decoder is narrower than the contract. A line that it does not take may still be right; the exact path in events.py
decides. Speed is why this path exists: it decodes many lines per call and looks at distinct values only.
"""

import re
from collections.abc import Container, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from sparkify_dagster.schema.event_columns import (
    DAY_MS,
    EPOCH_MS_RANGE,
    EVENT_COLUMNS,
    MAX_EXACT_JSON_INTEGER,
    SHORT_TEXT_BYTES,
    TEXT_BYTES,
    Kind,
)
from sparkify_dagster.sources.log_fields import ABSENT, ABSENT_RAW, FieldTracker
from sparkify_dagster.sources.records import MAX_NESTING

# COPY rejects a JSON object of more than 4 MB, DuckDB one of more than 16 MB; neither is tried with large ones.
CANONICAL_LINE_BYTES: Final = 1 << 20
# Decoded in chunks that stay in the processor's cache: a third faster than a whole file.
DECODE_CHUNK_BYTES: Final = 128 << 10

# user_id as text, "" if there is none; then session, item and epoch milliseconds.
Identity: TypeAlias = tuple[str, int | None, int | None, int]
_identity = attrgetter("user_id", "session_id", "item_in_session", "ts")

_INTEGER = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_BIGINT = Annotated[int, msgspec.Meta(ge=-MAX_EXACT_JSON_INTEGER, le=MAX_EXACT_JSON_INTEGER)]
# A character has at most four bytes.
_SHORT_TEXT = Annotated[str, msgspec.Meta(max_length=SHORT_TEXT_BYTES // 4)]
_TEXT = Annotated[str, msgspec.Meta(max_length=TEXT_BYTES // 4)]
# A column's type and, if its key may be absent, its default.
_OPTIONAL: Final[Mapping[Kind, tuple[Any, ...]]] = {
    Kind.SHORT_TEXT: (_SHORT_TEXT | None | msgspec.UnsetType, ABSENT),
    Kind.TEXT: (_TEXT | None | msgspec.UnsetType, ABSENT),
    Kind.INTEGER: (_INTEGER | None | msgspec.UnsetType, ABSENT),
    Kind.BIGINT: (_BIGINT | None | msgspec.UnsetType, ABSENT),
    Kind.SECONDS: (msgspec.Raw, ABSENT_RAW),
    Kind.EPOCH_MS: (msgspec.Raw, ABSENT_RAW),
}
# The event's identity and its page: leading zeros, a null user and numbers instead of text go the exact way.
_REQUIRED: Final[Mapping[str, tuple[Any, ...]]] = {
    "item_in_session": (_INTEGER,),
    "page": (Annotated[str, msgspec.Meta(min_length=1, max_length=SHORT_TEXT_BYTES)],),
    "session_id": (_BIGINT,),
    "ts": (int,),
    "user_id": (str,),
}
_TYPES: Final = {column.name: _REQUIRED.get(column.name) or _OPTIONAL[column.kind] for column in EVENT_COLUMNS}
_CANONICAL_USER = re.compile(r"(?:0|[1-9][0-9]{0,17})?")
_CANONICAL_SECONDS = re.compile(rb"null|[0-9]{1,5}(?:\.[0-9]{1,5})?")
_CANONICAL_EPOCH_MS = re.compile(rb"null|[0-9]{1,14}(?:\.0)?")

# NUL, and the halves of a character beyond U+FFFF: no page says that COPY puts them together.
_UNCERTAIN_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_END_OF_KEY: Final = b'":'
_SPACED_END_OF_KEY = re.compile(rb'"[ \t]*:')


def _getters(kind: Kind) -> tuple["attrgetter[Any]", ...]:
    names = [column.name for column in EVENT_COLUMNS if column.kind is kind]
    return tuple(attrgetter(name) for name in names if name not in _REQUIRED)


# The columns whose keys may be absent, and their values then.
_OPTIONAL_VALUES: Final = {
    name: (attrgetter(name), definition[1]) for name, definition in _TYPES.items() if len(definition) > 1
}
_SECONDS_VALUES: Final = _getters(Kind.SECONDS)
_EPOCH_MS_VALUES: Final = _getters(Kind.EPOCH_MS)


class KeyTwiceError(Exception):
    """A record may have one of its keys twice."""


class CanonicalDecoder:
    """Decodes the canonical events of a day and rejects nearly all others; CanonicalLines.are_canonical does the rest.

    `key_of` gives the JSON key of each column. `optional` has the columns whose keys some records are known not to
    have; it grows with what is decoded, and days may share it.
    """

    def __init__(self, day: date, key_of: Mapping[str, str], optional: set[str] | None = None) -> None:
        start_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000
        within_day = Annotated[int, msgspec.Meta(ge=start_ms, lt=start_ms + DAY_MS)]
        self._types = _TYPES | {"ts": (within_day,)}
        self._key_of = key_of
        self._column_of = {key: column for column, key in key_of.items()}
        self._optional = set() if optional is None else optional
        self._known = self._decoder(self._optional, forbid_unknown_fields=True)
        self._objects = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def decode(self, lines: bytes) -> tuple[list[Any], Set[str]]:
        """Returns the events, and those of their keys that belong to no column.

        Raises msgspec.MsgspecError, RecursionError, or KeyTwiceError for a record that has one of its keys twice: no
        page says which of its values COPY takes.
        """
        events, unknown_keys, keys = self._decode(lines)
        # A text with `":` in it has too many as well; the exact path decides.
        if keys != lines.count(_END_OF_KEY) and keys != len(_SPACED_END_OF_KEY.findall(lines)):
            raise KeyTwiceError
        return events, unknown_keys

    def _decode(self, lines: bytes) -> tuple[list[Any], Set[str], int]:
        """Returns the events, their unknown keys, and the number of keys of all records, one given twice as one."""
        try:
            events = self._known.decode_lines(lines)
        except msgspec.ValidationError:
            return self._decode_any(lines)
        # Only of the optional columns, since to look at each value would cost a fifth of all.
        absent = sum(
            sum([value_of(event) is default for event in events])
            for value_of, default in map(_OPTIONAL_VALUES.__getitem__, self._optional)
        )
        return events, frozenset(), len(events) * len(EVENT_COLUMNS) - absent

    @cached_property
    def _any(self) -> "msgspec.json.Decoder[Any]":
        # Few days need it, and a decoder takes as long as some hundred lines.
        return self._decoder(_OPTIONAL_VALUES, forbid_unknown_fields=False)

    def _decode_any(self, lines: bytes) -> tuple[list[Any], Set[str], int]:
        """Does the same for records with other keys, or without some of ours."""
        events = self._any.decode_lines(lines)
        if lines.count(b"{") + lines.count(b"[") >= len(events) + MAX_NESTING:
            raise RecursionError
        records = self._objects.decode_lines(lines)
        unknown_keys = frozenset().union(*records) - self._column_of.keys()
        missing = {self._column_of[key] for record in records for key in self._column_of.keys() - record.keys()}
        if not missing <= self._optional:
            self._optional |= missing
            self._known = self._decoder(self._optional, forbid_unknown_fields=True)
        nested = (
            len(_SPACED_END_OF_KEY.findall(value))
            for record in (records if unknown_keys else ())
            for key, value in record.items()
            if key in unknown_keys
        )
        return events, unknown_keys, sum(map(len, records)) + sum(nested)

    def _decoder(self, optional: Container[str], *, forbid_unknown_fields: bool) -> "msgspec.json.Decoder[Any]":
        fields = [(name, *(type_ if name in optional else type_[:1])) for name, type_ in self._types.items()]
        return msgspec.json.Decoder(
            msgspec.defstruct(
                "CanonicalEvent",
                fields,
                rename=dict(self._key_of),
                kw_only=True,
                gc=False,
                forbid_unknown_fields=forbid_unknown_fields,
            )
        )


@dataclass
class CanonicalLines:
    """The distinct values of decoded lines: few, so that each is looked at once."""

    has_non_ascii: bool
    lines: int = 0
    identities: set[Identity] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    seconds: set[bytes] = field(default_factory=set)
    epochs: set[bytes] = field(default_factory=set)
    pages: set[str] = field(default_factory=set)
    texts: set[object] = field(default_factory=set)
    fields: FieldTracker = field(default_factory=FieldTracker)

    def add(self, events: Sequence[Any], unknown_keys: Set[str]) -> None:
        self.lines += len(events)
        self.identities.update(map(_identity, events))
        self.users.update([event.user_id for event in events])
        for values, getters in ((self.seconds, _SECONDS_VALUES), (self.epochs, _EPOCH_MS_VALUES)):
            for value_of in getters:
                values.update(b"\n".join(map(value_of, events)).split(b"\n"))
        self.pages.update([event.page for event in events])
        if self.has_non_ascii:
            self.texts.update([event.artist for event in events])
            self.texts.update([event.song for event in events])
        self.fields.add_canonical(events, unknown_keys)

    @property
    def has_no_duplicates(self) -> bool:
        return len(self.identities) == self.lines

    def are_canonical(self) -> bool:
        """Returns whether the readers of all warehouses take the values alike."""
        return (
            all(map(_CANONICAL_USER.fullmatch, self.users))
            and all(map(_CANONICAL_SECONDS.fullmatch, self.seconds))
            and all(map(_CANONICAL_EPOCH_MS.fullmatch, self.epochs))
            and all(value == b"null" or float(value) <= EPOCH_MS_RANGE[1] for value in self.epochs)
            and all(len(page.encode()) <= SHORT_TEXT_BYTES for page in self.pages)
            # A page of nothing but blanks is missing.
            and not any(page.endswith(" ") for page in self.pages)
        )


def read_canonical(content: bytes, decoder: CanonicalDecoder) -> CanonicalLines | None:
    """Returns what the lines hold, or None if any of them is not canonical."""
    has_escapes = b"\\u" in content
    if has_escapes and _UNCERTAIN_ESCAPE.search(content):
        return None
    canonical = CanonicalLines(has_non_ascii=has_escapes or not content.isascii())
    for chunk in _chunks(content):
        if not _is_canonical_text(chunk):
            return None
        try:
            events, unknown_keys = decoder.decode(chunk)
        except (msgspec.MsgspecError, RecursionError, KeyTwiceError):
            return None
        if len(events) != chunk.count(b"\n") + 1:
            return None
        canonical.add(events, unknown_keys)
    return canonical if canonical.are_canonical() else None


def _is_canonical_text(chunk: bytes) -> bool:
    """Returns whether each event of the chunk, if it holds events, is exactly one line of UTF-8."""
    lines = chunk.count(b"\n") + 1
    return chunk.count(b"}\n{") == lines - 1 and b"\r" not in chunk and _is_utf8(chunk) and _has_short_lines(chunk)


def _has_short_lines(content: bytes) -> bool:
    """Returns whether no line exceeds CANONICAL_LINE_BYTES. It may also be False from half that length on."""
    window = CANONICAL_LINE_BYTES // 2
    return all(content.find(b"\n", start, start + window) >= 0 for start in range(0, len(content) - window, window))


def _chunks(content: bytes) -> Iterator[bytes]:
    """Yields the content in chunks of whole lines, so that a large file is never held decoded as a whole."""
    start = 0
    last = len(content) - content.endswith(b"\n")
    while start < last:
        end = last
        if start + DECODE_CHUNK_BYTES < last:
            end = content.rfind(b"\n", start, start + DECODE_CHUNK_BYTES)
            if end < 0:
                end = content.find(b"\n", start, last)
            if end < 0:
                end = last
        yield content[start:end]
        start = end + 1


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
