"""Keeps staging: which objects it holds, and the replacing of days and song files with all that is counted about them.

Every function works inside the caller's transaction: rows and what is counted about them change together.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, text

from sparkify_dagster.inspected import InspectedDay, InspectedFile, InspectedSongs, LoadError, StoredObject
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.tables import (
    load_errors,
    loaded_objects,
    pending_rematch,
    refused_loads,
    staging_events,
)

# Counts up whenever the same object would be staged otherwise, so that the next run loads everything again.
LOADER_VERSION = 1


@dataclass(frozen=True)
class Loaded:
    """What staging holds of a day, or of the songs: object keys with their ETags, and the errors found in them."""

    etags: Mapping[str, str] = field(default_factory=dict)
    errors: int = 0
    outdated: bool = False

    def holds(self, objects: Sequence[StoredObject], max_load_errors: int) -> bool:
        return (
            not self.outdated
            and self.errors <= max_load_errors
            and self.etags == {stored.key: stored.etag for stored in objects}
        )


def loaded_days(connection: Connection, first_day: date, last_day: date) -> Mapping[date, Loaded]:
    """What staging holds of each day; a day that was refused since counts as outdated."""
    rows = connection.execute(
        select(
            loaded_objects.c.log_date,
            loaded_objects.c.key,
            loaded_objects.c.etag,
            loaded_objects.c.errors,
            loaded_objects.c.loader_version,
        ).where(loaded_objects.c.log_date.between(first_day, last_day))
    )
    by_day: dict[date, list[tuple[str, str, int, int]]] = defaultdict(list)
    for day, *values in rows:
        by_day[day].append(tuple(values))
    refused = set(
        connection.scalars(
            select(refused_loads.c.log_date).where(refused_loads.c.log_date.between(first_day, last_day))
        )
    )
    return {day: _loaded(by_day[day], outdated=day in refused) for day in by_day.keys() | refused}


@dataclass(frozen=True)
class HeldSong:
    """A song file that staging holds. None as ETag means that it has to be read again."""

    etag: str | None
    errors: int

    def is_current(self, etag: str | None) -> bool:
        return etag is not None and self.etag == etag


def held_songs(connection: Connection) -> Mapping[str, HeldSong]:
    """The song files of staging. Those that a refused load overwrote the errors of count as changed."""
    errors_overwritten = set()
    if connection.scalar(select(exists().where(refused_loads.c.log_date.is_(None)))):
        errors_overwritten = set(connection.scalars(select(load_errors.c.key).where(load_errors.c.log_date.is_(None))))
    rows = connection.execute(
        select(
            loaded_objects.c.key, loaded_objects.c.etag, loaded_objects.c.errors, loaded_objects.c.loader_version
        ).where(loaded_objects.c.log_date.is_(None))
    )
    held = {
        key: HeldSong(etag if version == LOADER_VERSION and key not in errors_overwritten else None, errors)
        for key, etag, errors, version in rows
    }
    # The errors of a file that was refused and is gone by now have to go as well.
    return held | {key: HeldSong(None, 0) for key in errors_overwritten - held.keys()}


def held_days(connection: Connection) -> Sequence[date]:
    """The days of which staging holds a file."""
    return connection.scalars(
        select(loaded_objects.c.log_date).where(loaded_objects.c.log_date.is_not(None)).distinct()
    ).all()


def replace_day(connection: Connection, warehouse: Warehouse, day: InspectedDay) -> None:
    """The day holds just these files from now on. Raises ReadMismatch."""
    connection.execute(delete(staging_events).where(staging_events.c.log_date == day.day))
    warehouse.insert_events(connection, day)
    connection.execute(delete(loaded_objects).where(loaded_objects.c.log_date == day.day))
    _forget_errors(connection, day.day)
    _record_files(connection, day.files, day.day)
    _record_errors(connection, day.errors, day.day)


def refuse_day(connection: Connection, day: InspectedDay, max_load_errors: int) -> None:
    """The day keeps what it holds; the first errors of what it was to hold are recorded."""
    _forget_errors(connection, day.day)
    _record_errors(connection, day.errors, day.day)
    _record_refusal(connection, day.day, day.error_count, max_load_errors)


def replace_songs(
    connection: Connection, warehouse: Warehouse, gone: Sequence[str], batches: Iterable[InspectedSongs]
) -> None:
    """Removes the rows of the objects that changed or went, and adds those of the batches.

    Days whose plays match otherwise from then on are noted in pending_rematch.
    """
    connection.execute(text("CREATE TEMPORARY TABLE matches_before AS SELECT * FROM staging.song_matches"))
    if gone:
        _delete_songs(connection, gone)
    connection.execute(delete(refused_loads).where(refused_loads.c.log_date.is_(None)))
    for batch in batches:
        warehouse.insert_songs(connection, batch)
        _record_files(connection, batch.files, None)
        _record_errors(connection, batch.errors, None)
    _note_days_to_rematch(connection)
    connection.execute(text("DROP TABLE matches_before"))


def refuse_songs(connection: Connection, errors: Sequence[LoadError], count: int, max_load_errors: int) -> None:
    """Staging keeps the songs it holds; the first errors of what it was to hold are recorded beside theirs."""
    keys = sorted({error.key for error in errors})
    if keys:
        connection.execute(
            delete(load_errors).where(load_errors.c.log_date.is_(None), load_errors.c.key == bindparam("gone")),
            [{"gone": key} for key in keys],
        )
    _record_errors(connection, errors, None)
    connection.execute(delete(refused_loads).where(refused_loads.c.log_date.is_(None)))
    _record_refusal(connection, None, count, max_load_errors)


def pending_days(connection: Connection) -> list[date]:
    """Days whose plays were matched with an older catalogue and would now match otherwise."""
    return list(connection.scalars(select(pending_rematch.c.log_date).order_by(pending_rematch.c.log_date)))


def _loaded(objects: Sequence[tuple[str, str, int, int]], *, outdated: bool) -> Loaded:
    return Loaded(
        etags={key: etag for key, etag, _, _ in objects},
        errors=sum(errors for _, _, errors, _ in objects),
        outdated=outdated or any(version != LOADER_VERSION for _, _, _, version in objects),
    )


def _delete_songs(connection: Connection, keys: Sequence[str]) -> None:
    gone = [{"gone": key} for key in keys]
    connection.execute(text("CREATE TEMPORARY TABLE gone_keys (key VARCHAR(1024))"))
    connection.execute(text("INSERT INTO gone_keys (key) VALUES (:gone)"), gone)
    for table, key in (("staging_songs", "source_key"), ("loaded_objects", "key"), ("load_errors", "key")):
        of_songs = "" if table == "staging_songs" else " AND log_date IS NULL"
        connection.execute(
            text(f"DELETE FROM staging.{table} WHERE {key} IN (SELECT g.key FROM gone_keys AS g){of_songs}")  # noqa: S608
        )
    connection.execute(text("DROP TABLE gone_keys"))


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
            " WHERE e.page = 'NextSong' AND e.user_id IS NOT NULL"
            " AND e.log_date NOT IN (SELECT p.log_date FROM staging.pending_rematch AS p)"
        )
    )


def _forget_errors(connection: Connection, day: date) -> None:
    connection.execute(delete(load_errors).where(load_errors.c.log_date == day))
    connection.execute(delete(refused_loads).where(refused_loads.c.log_date == day))


def _record_files(connection: Connection, files: Iterable[InspectedFile], day: date | None) -> None:
    now = _now()
    rows = [
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
            "loader_version": LOADER_VERSION,
        }
        for file in files
    ]
    if rows:
        connection.execute(insert(loaded_objects), rows)


def _record_errors(connection: Connection, errors: Iterable[LoadError], day: date | None) -> None:
    now = _now()
    rows = [
        {
            "key": error.key,
            "line_number": error.line_number,
            "log_date": day,
            "column_name": error.column_name,
            "reason": error.reason,
            "raw_text": error.raw_text,
            "loaded_at": now,
        }
        for error in errors
    ]
    if rows:
        connection.execute(insert(load_errors), rows)


def _record_refusal(connection: Connection, day: date | None, errors: int, max_load_errors: int) -> None:
    connection.execute(
        insert(refused_loads).values(log_date=day, errors=errors, max_load_errors=max_load_errors, refused_at=_now())
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
