"""Profiles of the staged log days: counts of values, keys found and new values, for the checks on drift.

They are computed in the transaction that replaces a day's events, so that checks read a few numbers per day and never
the events. Functions work inside the caller's transaction.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, select

from sparkify_dagster.batches import InspectedDay, LogFields
from sparkify_dagster.schema.event_columns import NEXT_SONG, Population, columns_due
from sparkify_dagster.schema.tables import PROFILED_COLUMNS, day_profiles, is_personal, loaded_objects
from sparkify_dagster.schema.tables import staging_events as events
from sparkify_dagster.warehouse.base import Warehouse

_PLAY_COLUMNS: Final = columns_due(Population.PLAYS)
# The values of all 29 configurations that eventsim comes with.
KNOWN_VALUES: Final[Mapping[str, frozenset[str]]] = {
    "page": frozenset(
        {
            *("NextSong", "Home", "Login", "Logout", "Register", "Submit Registration", "Help", "About", "Error"),
            *("Settings", "Save Settings", "Upgrade", "Submit Upgrade", "Downgrade", "Submit Downgrade"),
            *("Cancel", "Cancellation Confirmation", "Roll Advert", "Thumbs Up", "Thumbs Down"),
            *("Add to Playlist", "Add Friend"),
        }
    ),
    "level": frozenset({"free", "paid"}),
    "gender": frozenset({"F", "M"}),
    "auth": frozenset({"Logged In", "Logged Out", "Guest", "Cancelled"}),
    "method": frozenset({"GET", "PUT"}),
}
MAX_NEW_VALUES: Final = 20
# Replaces a value that is also some listener's name, place or browser: profiles are shown in Dagster.
WITHHELD: Final = "(withheld: personal data)"
_PERSONAL: Final = tuple(filter(is_personal, events.columns))


@dataclass(frozen=True)
class DayCounts:
    """The numbers of a day's staged log files and events."""

    files: int = 0
    events: int = 0


@dataclass(frozen=True)
class DayBefore:
    """The staged files of a day before its replacement: their versions, and their numbers."""

    etags: Mapping[str, str] = field(default_factory=dict)
    counts: DayCounts = DayCounts()


@dataclass(frozen=True)
class DayProfile:
    """A day as of its last load. If its files are gone, only `run_id` and `before` have a meaning."""

    day: date
    run_id: str
    before: DayCounts
    staged: DayCounts
    next_songs: int
    songs: int
    signed_in: int
    plays: int
    values: Mapping[str, int]
    """By column, how many events have a value: of artist, song and length plays, of all others signed-in events."""
    present_fields: frozenset[str] | None
    """None if the records were not inspected."""
    missing_fields: Mapping[str, str] = field(default_factory=dict)
    unknown_fields: Sequence[str] = ()
    new_values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def due(self, column: str) -> int:
        """Returns how many events should have a value of the column."""
        return self.plays if column in _PLAY_COLUMNS else self.signed_in


def staged_before(connection: Connection, days: Sequence[date]) -> Mapping[date, DayBefore]:
    """Returns what is staged of the days, for those that have any. It is called before they are replaced."""
    objects = loaded_objects.c
    rows = connection.execute(
        select(objects.log_date, objects.key, objects.etag, objects.staged).where(objects.log_date.in_(days))
    )
    files: dict[date, list[tuple[str, str, int]]] = {}
    for day, *file in rows:
        files.setdefault(day, []).append(tuple(file))
    return {
        day: DayBefore(
            {key: etag for key, etag, _ in of_day}, DayCounts(len(of_day), sum(staged for *_, staged in of_day))
        )
        for day, of_day in files.items()
    }


def replace_profiles(
    connection: Connection,
    warehouse: Warehouse,
    days: Sequence[InspectedDay],
    before: Mapping[date, DayBefore],
    run_id: str,
) -> None:
    """Profiles the days that a run has just loaded. A day without files left keeps a row that says so."""
    numbers = [day.day for day in days]
    connection.execute(delete(day_profiles).where(day_profiles.c.log_date.in_(numbers)))
    with_events = [day.day for day in days if day.staged]
    counts = _counts(connection, with_events) if with_events else {}
    new_values = _new_values(connection, with_events) if with_events else {}
    rows = []
    for day in days:
        replaced = before.get(day.day, DayBefore()).counts
        if not day.files and not replaced.files:
            continue
        rows.append(
            {
                "log_date": day.day,
                "run_id": run_id,
                "files_before": replaced.files,
                "events_before": replaced.events,
                "files": len(day.files),
                **counts.get(day.day, _NOTHING),
                **_encoded_fields(day.fields),
                "new_values": _encode(new_values.get(day.day, {})),
            }
        )
    warehouse.insert_rows(connection, day_profiles, rows)


def read_profiles(connection: Connection) -> Sequence[DayProfile]:
    """Returns the profiles of all days, in their order."""
    rows = connection.execute(select(day_profiles).order_by(day_profiles.c.log_date))
    return [_profile(dict(row._mapping)) for row in rows]


def _profile(row: Mapping[str, Any]) -> DayProfile:
    present = row["present_fields"]
    return DayProfile(
        day=row["log_date"],
        run_id=row["run_id"],
        before=DayCounts(row["files_before"], row["events_before"]),
        staged=DayCounts(row["files"], row["events"]),
        next_songs=row["next_songs"],
        songs=row["songs"],
        signed_in=row["signed_in"],
        plays=row["plays"],
        values={column: row[f"{column}_values"] or 0 for column in PROFILED_COLUMNS},
        present_fields=None if present is None else frozenset(msgspec.json.decode(present)),
        missing_fields=_decode(row["missing_fields"], dict),
        unknown_fields=_decode(row["unknown_fields"], list),
        new_values=_decode(row["new_values"], dict),
    )


def _counts(connection: Connection, days: Sequence[date]) -> Mapping[date, Mapping[str, int]]:
    signed_in = events.c.user_id.is_not(None)
    is_next_song = func.rtrim(events.c.page, " ") == NEXT_SONG
    is_play = and_(is_next_song, signed_in)
    counted = {
        "events": func.count(),
        "next_songs": _count(is_next_song),
        "songs": func.count(events.c.song),
        "signed_in": func.count(events.c.user_id),
        "plays": _count(is_play),
        **{
            f"{name}_values": _count(is_play if name in _PLAY_COLUMNS else signed_in, events.c[name])
            for name in PROFILED_COLUMNS
        },
    }
    by_day = select(events.c.log_date, *(count.label(name) for name, count in counted.items()))
    rows = connection.execute(by_day.where(events.c.log_date.in_(days)).group_by(events.c.log_date))
    return {row.log_date: {name: row._mapping[name] for name in counted} for row in rows}


_NOTHING: Final = dict.fromkeys(
    ("events", "next_songs", "songs", "signed_in", "plays", *(f"{name}_values" for name in PROFILED_COLUMNS)), 0
)


def _count(condition: ColumnElement[bool], value: ColumnElement[Any] | int = 1) -> ColumnElement[int]:
    return func.count(case((condition, value)))


def _new_values(connection: Connection, days: Sequence[date]) -> Mapping[date, Mapping[str, Sequence[str]]]:
    """Returns the values per day and column that the app is not known to log."""
    combinations = select(events.c.log_date, *(events.c[name] for name in KNOWN_VALUES)).distinct()
    found: dict[date, dict[str, set[str]]] = {}
    for day, *values in connection.execute(combinations.where(events.c.log_date.in_(days))):
        for (name, known), value in zip(KNOWN_VALUES.items(), values, strict=True):
            trimmed = (value or "").rstrip(" ")
            if trimmed and trimmed not in known:
                found.setdefault(day, {}).setdefault(name, set()).add(trimmed)
    if not found:
        return {}
    personal = set(_personal(connection, {value for of in found.values() for new in of.values() for value in new}))
    return {
        day: {
            name: sorted({WITHHELD if value in personal else value for value in new})[:MAX_NEW_VALUES]
            for name, new in of_day.items()
        }
        for day, of_day in found.items()
    }


def _personal(connection: Connection, values: set[str]) -> Iterator[str]:
    """Returns the values that occur as a name, a place or a browser in some event."""
    for column in _PERSONAL:
        trimmed = func.rtrim(column, " ")
        yield from connection.scalars(select(trimmed).where(trimmed.in_(sorted(values))).distinct())


def _encoded_fields(fields: LogFields | None) -> Mapping[str, str | None]:
    if fields is None:
        return dict.fromkeys(("present_fields", "missing_fields", "unknown_fields"))
    return {
        "present_fields": _encode(fields.present),
        "missing_fields": _encode(fields.missing),
        "unknown_fields": _encode(fields.unknown),
    }


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _decode(text: str | None, kind: type[Any]) -> Any:
    return kind() if text is None else msgspec.json.decode(text, type=kind)
