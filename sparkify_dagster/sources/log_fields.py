"""Tracks which keys the records of a log day have, so that fields that the app renamed or dropped are noticed.

The app leaves out keys without a value, so a key counts as missing only if a record should have it.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sparkify_dagster.batches import LogFields
from sparkify_dagster.schema.event_columns import NEXT_SONG, Population, columns_due

_ALWAYS_DUE = columns_due(Population.ALL)
USER_COLUMNS = columns_due(Population.SIGNED_IN)
PLAY_COLUMNS = columns_due(Population.PLAYS)
SIGNED_OUT = ("Logged Out", "Guest")
MAX_UNKNOWN_FIELDS = 50
_MAX_NAME_CHARACTERS = 64

# Values of absent keys in a decoded event: msgspec.Raw allows no union with UnsetType.
ABSENT = msgspec.UNSET
ABSENT_RAW = msgspec.Raw(b"null")


@dataclass
class FieldTracker:
    """The columns whose keys were found, those that were due, and the keys that belong to no column."""

    found: set[str] = field(default_factory=set)
    due: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def add_record(self, document: Mapping[str, object], row: Mapping[str, Any], key_of: Mapping[str, str]) -> None:
        """Adds a record, as its JSON object and as its typed values by column."""
        due = set(_ALWAYS_DUE)
        if row["user_id"] is not None:
            due.update(USER_COLUMNS)
            if row["page"].rstrip(" ") == NEXT_SONG:
                due.update(PLAY_COLUMNS)
        if row["auth"] not in SIGNED_OUT:
            due.add("user_id")
        self.due |= due
        self.found.update(column for column in due | {"user_id"} if key_of[column] in document)
        self.unknown.update(document.keys() - set(key_of.values()))

    def add_canonical(self, events: Sequence[Any], unknown: Set[str]) -> None:
        """Adds decoded events, which have all keys that are not optional."""
        self.unknown |= unknown
        for columns, population in (
            (_ALWAYS_DUE, events),
            (USER_COLUMNS, [event for event in events if event.user_id] if self._is_open(USER_COLUMNS) else ()),
            (PLAY_COLUMNS, [event for event in events if _is_play(event)] if self._is_open(PLAY_COLUMNS) else ()),
        ):
            if population:
                self.due.update(columns)
                for column in self.due.intersection(columns) - self.found:
                    if any(_has(event, column) for event in population):
                        self.found.add(column)
        if events:
            self.found.add("user_id")
        if "user_id" not in self.due and any(event.auth not in SIGNED_OUT for event in events):
            self.due.add("user_id")

    def merge(self, other: "FieldTracker") -> None:
        self.found |= other.found
        self.due |= other.due
        self.unknown |= other.unknown

    def fields(self, key_of: Mapping[str, str]) -> LogFields:
        return LogFields(
            present=tuple(column for column in key_of if column in self.found),
            missing={column: key for column, key in key_of.items() if column in self.due - self.found},
            unknown=tuple(sorted(set(map(_storable, self.unknown))))[:MAX_UNKNOWN_FIELDS],
        )

    def _is_open(self, columns: Iterable[str]) -> bool:
        """Returns whether some of the columns have not been found yet."""
        return not self.found.issuperset(columns)


def _is_play(event: Any) -> bool:
    return bool(event.page == NEXT_SONG and event.user_id)


def _has(event: Any, column: str) -> bool:
    value = getattr(event, column)
    return value is not ABSENT and value is not ABSENT_RAW


def _storable(name: str) -> str:
    """Returns a key's name in a form that every warehouse can store."""
    shown = name.encode(errors="replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return shown[:_MAX_NAME_CHARACTERS]
