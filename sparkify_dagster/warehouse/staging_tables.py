"""Replaces days and song files in staging, together with the bookkeeping on what was loaded or rejected.

Prepared inserts run inside the caller's transaction, as the other functions do, so rows and bookkeeping change
together.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from sqlalchemy import Column, Connection, MetaData, Table, delete, exists, func, insert, select, text, union, update

from sparkify_dagster.batches import (
    InspectedDay,
    InspectedFile,
    InspectedSongs,
    LoadError,
    StoredObject,
)
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.schema.column_types import ByteOrdered
from sparkify_dagster.schema.event_columns import TEXT_BYTES
from sparkify_dagster.schema.tables import (
    DAILY_TABLES,
    load_errors,
    loaded_objects,
    pending_rematch,
    rejected_loads,
    staging_events,
    staging_songs,
    stale_days,
)
from sparkify_dagster.warehouse import pending_steps, table_versions
from sparkify_dagster.warehouse.base import Inputs, Insert, LandedDays, Rows, Warehouse, utc_now
from sparkify_dagster.warehouse.day_profiles import DayBefore, replace_profiles

# Incremented whenever the same object would give other rows, so that the next run loads everything again.
LOADER_VERSION = 2


@dataclass(frozen=True)
class Rejection:
    """A day whose latest load was rejected. `shown_in` is the run that failed so that Dagster shows the day as failed.

    `inspected` is the digest of what was inspected, None if an earlier version has rejected the day.
    """

    day: date
    reason: str
    errors: int
    max_load_errors: int
    inspected: str | None
    shown_in: str | None


@dataclass(frozen=True)
class StagedDay:
    """The objects whose events of a day are staged, by key with their ETags, and the errors found in them."""

    etags: Mapping[str, str] = field(default_factory=dict)
    errors: int = 0
    outdated: bool = False
    rejection: Rejection | None = None

    def is_current(self, objects: Sequence[StoredObject], max_load_errors: int) -> bool:
        """Returns whether a load of these objects would change nothing."""
        return (
            not self.outdated
            and self.errors <= max_load_errors
            and self.etags == {stored.key: stored.etag for stored in objects}
        )


def reading_rules(event_keys: Sequence[str] = ()) -> str:
    """Returns a name for the rules by which objects are read, which for logs include the JSONPaths file's keys."""
    keys = hashlib.sha256(json.dumps(event_keys).encode()).hexdigest()[:16]
    return f"{LOADER_VERSION}-{keys}" if event_keys else f"{LOADER_VERSION}"


def inspection_digest(
    objects: Sequence[StoredObject], event_keys: Sequence[str], max_load_errors: int, max_inflated_bytes: int
) -> str:
    """Returns a digest of all that decides whether a load is rejected: its files, how they are read, and the limits."""
    files = sorted((stored.key, stored.etag, stored.size) for stored in objects)
    content = json.dumps([files, reading_rules(event_keys), max_load_errors, max_inflated_bytes])
    return hashlib.sha256(content.encode()).hexdigest()


def loaded_days(
    connection: Connection, first_day: date, last_day: date, event_keys: Sequence[str]
) -> Mapping[date, StagedDay]:
    """Returns the staged days of a range. A day that was rejected since, or read by other rules, counts as outdated."""
    rows = connection.execute(
        select(
            loaded_objects.c.log_date,
            loaded_objects.c.key,
            loaded_objects.c.etag,
            loaded_objects.c.errors,
            loaded_objects.c.loader_version,
        ).where(loaded_objects.c.log_date.between(first_day, last_day))
    )
    by_day: dict[date, list[tuple[str, str, int, str]]] = defaultdict(list)
    for day, *values in rows:
        by_day[day].append(tuple(values))
    rejected = {rejection.day: rejection for rejection in rejections(connection, first_day, last_day)}
    rules = reading_rules(event_keys)
    return {
        day: StagedDay(
            etags={key: etag for key, etag, _, _ in by_day[day]},
            errors=sum(errors for _, _, errors, _ in by_day[day]),
            outdated=day in rejected or any(loader_version != rules for *_, loader_version in by_day[day]),
            rejection=rejected.get(day),
        )
        for day in by_day.keys() | rejected.keys()
    }


def rejections(
    connection: Connection, first_day: date | None = None, last_day: date | None = None
) -> Sequence[Rejection]:
    """Returns the rejected days of a range, or all, in order."""
    table = rejected_loads.c
    found = select(
        table.log_date, table.reason, table.errors, table.max_load_errors, table.inspected, table.shown_in
    ).where(table.log_date.is_not(None))
    if first_day is not None and last_day is not None:
        found = found.where(table.log_date.between(first_day, last_day))
    return [
        Rejection(day, reason or "", int(errors), int(max_load_errors), inspected, shown_in)
        for day, reason, errors, max_load_errors, inspected, shown_in in connection.execute(
            found.order_by(table.log_date)
        )
    ]


@dataclass(frozen=True)
class SongRejection:
    """The rejection of the latest load of songs, with the digest of what was inspected."""

    errors: int
    reason: str
    inspected: str | None


def rejection_of_songs(connection: Connection) -> SongRejection | None:
    """Returns the rejection of the latest load of songs; None if it was not rejected."""
    table = rejected_loads.c
    row = connection.execute(
        select(table.errors, table.reason, table.inspected).where(table.log_date.is_(None))
    ).one_or_none()
    return SongRejection(int(row.errors), row.reason or "", row.inspected) if row else None


def note_shown(connection: Connection, days: Sequence[date], run_id: str) -> None:
    """Notes the run that shows the days as failed in Dagster."""
    connection.execute(update(rejected_loads).where(rejected_loads.c.log_date.in_(days)).values(shown_in=run_id))


def first_load_errors(connection: Connection, days: Sequence[date], limit: int) -> Sequence[LoadError]:
    """Returns recorded load errors of the days, without the text of the records, which may contain names."""
    table = load_errors.c
    rows = connection.execute(
        select(table.key, table.line_number, table.column_name, table.reason)
        .where(table.log_date.in_(days))
        .order_by(table.log_date, table.key, table.line_number)
        .limit(limit)
    )
    return [LoadError(*row, raw_text=None) for row in rows]


@dataclass(frozen=True)
class StagedSongFile:
    """A song file whose songs are staged. None as ETag means that it has to be read again."""

    etag: str | None
    errors: int
    staged: int

    def is_current(self, etag: str | None) -> bool:
        return etag is not None and self.etag == etag


def staged_song_files(connection: Connection) -> Mapping[str, StagedSongFile]:
    """Returns the staged song files by key. Those whose errors a rejected load overwrote count as changed."""
    errors_overwritten = set()
    if connection.scalar(select(exists().where(rejected_loads.c.log_date.is_(None)))):
        errors_overwritten = set(connection.scalars(select(load_errors.c.key).where(load_errors.c.log_date.is_(None))))
    rows = connection.execute(
        select(
            loaded_objects.c.key,
            loaded_objects.c.etag,
            loaded_objects.c.errors,
            loaded_objects.c.staged,
            loaded_objects.c.loader_version,
        ).where(loaded_objects.c.log_date.is_(None))
    )
    staged = {
        key: StagedSongFile(
            etag if loader_version == reading_rules() and key not in errors_overwritten else None, errors, songs
        )
        for key, etag, errors, songs, loader_version in rows
    }
    # The errors of a file that was rejected and is gone by now have to go as well.
    return staged | {key: StagedSongFile(None, 0, 0) for key in errors_overwritten - staged.keys()}


def events_by_day(
    connection: Connection, first_day: date | None = None, last_day: date | None = None
) -> Mapping[date, int]:
    """Returns the staged events per day from the bookkeeping, without reading the events."""
    day = loaded_objects.c.log_date
    counts = select(day, func.sum(loaded_objects.c.staged)).where(day.is_not(None)).group_by(day)
    if first_day is not None:
        counts = counts.where(day >= first_day)
    if last_day is not None:
        counts = counts.where(day <= last_day)
    return {day: int(events) for day, events in connection.execute(counts)}


def staged_days(connection: Connection) -> Sequence[date]:
    """Returns the days that have a staged file."""
    return connection.scalars(
        select(loaded_objects.c.log_date).where(loaded_objects.c.log_date.is_not(None)).distinct()
    ).all()


def known_days(connection: Connection) -> Set[date]:
    """Returns every day that the warehouse knows of: staged, rejected, or still to be rebuilt in the star."""
    tables = (loaded_objects, rejected_loads, load_errors, stale_days, pending_rematch)
    days = connection.scalars(union(*(select(table.c.log_date) for table in tables)))
    return {day for day in days if day is not None}


@dataclass(frozen=True)
class DaysToLoad:
    """Inspected days, and what inserts them and their bookkeeping."""

    days: Sequence[InspectedDay]
    insert: Insert


def prepare_days(inputs: Inputs, days: Sequence[InspectedDay]) -> DaysToLoad:
    """Brings the days to where the warehouse reads them, before the transaction. Raises WarehouseError."""
    return DaysToLoad(days, _in_order(inputs.events(days), _record_days(inputs.rows, days)))


def _record_days(rows: Callable[[Table, Rows], Insert], days: Sequence[InspectedDay]) -> Insert:
    """Returns what writes the bookkeeping of loaded days down; `rows` makes an Insert of rows."""
    files = [(day.day, file) for day in days for file in day.files]
    stale = [{"log_date": day.day, "table_name": str(table.name)} for day in days for table in DAILY_TABLES]
    return _in_order(
        rows(loaded_objects, _file_rows(files, reading_rules(days[0].event_keys))),
        rows(load_errors, _error_rows([(day.day, error) for day in days for error in day.errors])),
        rows(stale_days, stale),
    )


def replace_days(
    connection: Connection,
    warehouse: Warehouse,
    to_load: DaysToLoad,
    before: Mapping[date, DayBefore],
    run_id: str,
) -> None:
    """Replaces each of the days by its files; `before` is what was staged of them.

    Raises RowCountMismatchError, FileChangedError.
    """
    _empty_days(connection, [day.day for day in to_load.days])
    to_load.insert(connection)
    replace_profiles(connection, warehouse, to_load.days, before, run_id)
    _note_loaded(connection, to_load.days)


def replace_landed_days(
    connection: Connection,
    warehouse: Warehouse,
    landed: LandedDays,
    before: Mapping[date, DayBefore],
    run_id: str,
) -> None:
    """Replaces the days of which the warehouse is certain by what it has read; the others stay as they are."""
    _empty_days(connection, [day.day for day in landed.certain])
    landed.insert(connection)
    if landed.certain:
        record = _record_days(
            lambda table, rows: partial(warehouse.insert_rows, table=table, rows=rows), landed.certain
        )
        record(connection)
        replace_profiles(connection, warehouse, landed.certain, before, run_id)
        _note_loaded(connection, landed.certain)


def _note_loaded(connection: Connection, days: Sequence[InspectedDay]) -> None:
    numbers = [day.day for day in days]
    pending_steps.note(connection, [str(staging_events.name)], (min(numbers), max(numbers)))


def _empty_days(connection: Connection, days: Sequence[date]) -> None:
    """Removes the days' rows and bookkeeping, to be replaced in the same transaction."""
    for table in (staging_events, loaded_objects, load_errors, rejected_loads, stale_days):
        connection.execute(delete(table).where(table.c.log_date.in_(days)))


def prepare_rejection(inputs: Inputs, day: InspectedDay, max_load_errors: int, reason: str, inspected: str) -> Insert:
    """Returns what records why a day was rejected, with its first errors. Its staged events stay."""
    record_errors = inputs.rows(load_errors, _error_rows([(day.day, error) for error in day.errors]))

    def reject(connection: Connection) -> None:
        before = rejections(connection, day.day, day.day)
        for table in (load_errors, rejected_loads):
            connection.execute(delete(table).where(table.c.log_date == day.day))
        record_errors(connection)
        shown_in = before[0].shown_in if before and before[0].inspected == inspected else None
        _record_rejection(
            connection, day.day, day.error_count, max_load_errors, reason, inspected=inspected, shown_in=shown_in
        )

    return reject


def prepare_songs(inputs: Inputs, gone: Sequence[str], batches: Iterable[InspectedSongs]) -> Insert:
    """Returns what removes the songs of objects that changed or are gone, and adds those of the batches.

    Days whose plays would now match a different song are noted in pending_rematch.
    """
    delete_songs = _song_deletion(inputs, gone)
    inserts = [
        _in_order(
            inputs.songs(batch),
            inputs.rows(loaded_objects, _file_rows([(None, file) for file in batch.files], reading_rules())),
            inputs.rows(load_errors, _error_rows([(None, error) for error in batch.errors])),
        )
        for batch in batches
    ]

    def replace(connection: Connection) -> None:
        connection.execute(text("CREATE TEMPORARY TABLE matches_before AS SELECT * FROM staging.song_matches"))
        delete_songs(connection)
        connection.execute(delete(rejected_loads).where(rejected_loads.c.log_date.is_(None)))
        _in_order(*inserts)(connection)
        _note_days_to_rematch(connection)
        connection.execute(text("DROP TABLE matches_before"))
        table_versions.renew(connection, staging_songs)
        pending_steps.note(connection, [str(staging_songs.name)])

    return replace


def prepare_rejection_of_songs(
    inputs: Inputs, errors: Sequence[LoadError], error_count: int, max_load_errors: int, inspected: str
) -> Insert:
    """Returns what records why a load of songs was rejected, with its first errors. The staged songs stay."""
    record_errors = inputs.rows(load_errors, _error_rows([(None, error) for error in errors]))
    temporary_keys = _temporary_keys(inputs, sorted({error.key for error in errors}))
    reason = f"{pluralize(error_count, 'load error')}, the limit is {max_load_errors:,}"

    def reject(connection: Connection) -> None:
        with temporary_keys(connection) as keys:
            connection.execute(
                delete(load_errors).where(load_errors.c.log_date.is_(None), load_errors.c.key.in_(select(keys.c.key)))
            )
        record_errors(connection)
        connection.execute(delete(rejected_loads).where(rejected_loads.c.log_date.is_(None)))
        _record_rejection(connection, None, error_count, max_load_errors, reason, inspected=inspected)

    return reject


def pending_days(connection: Connection) -> list[date]:
    """Returns the days whose plays would now match a different song."""
    return list(connection.scalars(select(pending_rematch.c.log_date).order_by(pending_rematch.c.log_date)))


def _in_order(*inserts: Insert) -> Insert:
    def insert_all(connection: Connection) -> None:
        for insert_some in inserts:
            insert_some(connection)

    return insert_all


def _song_deletion(inputs: Inputs, gone: Sequence[str]) -> Insert:
    if not gone:
        return _in_order()
    temporary_keys = _temporary_keys(inputs, gone)

    def delete_songs(connection: Connection) -> None:
        with temporary_keys(connection) as keys:
            connection.execute(delete(staging_songs).where(staging_songs.c.source_key.in_(select(keys.c.key))))
            for table in (loaded_objects, load_errors):
                connection.execute(delete(table).where(table.c.log_date.is_(None), table.c.key.in_(select(keys.c.key))))

    return delete_songs


def _temporary_keys(inputs: Inputs, keys: Sequence[str]) -> Callable[[Connection], AbstractContextManager[Table]]:
    """Returns what creates a temporary table of the keys, which may be too many for one statement."""
    table = Table(
        "chosen_keys", MetaData(), Column("key", ByteOrdered(TEXT_BYTES), nullable=False), prefixes=["TEMPORARY"]
    )
    insert_keys = inputs.rows(table, [{"key": key} for key in keys])

    @contextmanager
    def created(connection: Connection) -> Iterator[Table]:
        table.create(connection, checkfirst=False)
        insert_keys(connection)
        yield table
        table.drop(connection, checkfirst=False)

    return created


def _note_days_to_rematch(connection: Connection) -> None:
    connection.execute(
        text(
            "INSERT INTO staging.pending_rematch (log_date)"
            " SELECT DISTINCT e.log_date FROM staging.staging_events AS e"
            " INNER JOIN ("
            "  SELECT d.match_title, d.match_artist, d.duration FROM ("
            "   (SELECT * FROM matches_before EXCEPT SELECT * FROM staging.song_matches)"
            "   UNION (SELECT * FROM staging.song_matches EXCEPT SELECT * FROM matches_before)"
            "  ) AS d"
            " ) AS changed"
            " ON e.match_song = changed.match_title AND e.match_artist = changed.match_artist"
            " AND e.length = changed.duration"
            " WHERE RTRIM(e.page, ' ') = 'NextSong' AND e.user_id IS NOT NULL"
            " AND e.log_date NOT IN (SELECT p.log_date FROM staging.pending_rematch AS p)"
        )
    )


def _file_rows(files: Sequence[tuple[date | None, InspectedFile]], rules: str) -> Rows:
    now = utc_now()
    return [
        {
            "key": file.source.key,
            "log_date": day,
            "etag": file.source.etag,
            "bytes": file.source.size,
            "lines": file.lines,
            "staged": file.staged,
            "duplicates": file.duplicates,
            "errors": file.errors,
            "loaded_at": now,
            "loader_version": rules,
        }
        for day, file in files
    ]


def _error_rows(errors: Sequence[tuple[date | None, LoadError]]) -> Rows:
    now = utc_now()
    return [
        {
            "key": error.key,
            "line_number": error.line_number,
            "log_date": day,
            "column_name": error.column_name,
            "reason": error.reason,
            "raw_text": error.raw_text,
            "loaded_at": now,
        }
        for day, error in errors
    ]


def _record_rejection(
    connection: Connection,
    day: date | None,
    errors: int,
    max_load_errors: int,
    reason: str,
    *,
    inspected: str | None = None,
    shown_in: str | None = None,
) -> None:
    # The key in it may be as long as the column.
    shown = reason.encode()[:TEXT_BYTES].decode(errors="ignore")
    row = {"log_date": day, "errors": errors, "max_load_errors": max_load_errors, "reason": shown}
    connection.execute(
        insert(rejected_loads).values(**row, rejected_at=utc_now(), inspected=inspected, shown_in=shown_in)
    )
