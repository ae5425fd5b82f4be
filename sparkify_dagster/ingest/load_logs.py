"""Loads what changed in the source into staging: inspects, lets the warehouse read, refuses too many errors."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from logging import Logger
from threading import Event

from sqlalchemy import Connection, Engine

from sparkify_dagster.batches import InspectedDay, InspectedSongs, LoadError, StoredObject
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.sources.emptiness import require_song_files
from sparkify_dagster.sources.events import EventInspector
from sparkify_dagster.sources.mojibake import repairs
from sparkify_dagster.sources.object_store import ObjectStore, SourceError
from sparkify_dagster.sources.songs import inspect_songs
from sparkify_dagster.sources.source import Listing
from sparkify_dagster.warehouse import load_log
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.database_errors import RowCountMismatchError, WarehouseError
from sparkify_dagster.warehouse.load_log import StagedSongFile

# A file that is written to all the time cannot be loaded; one that changed just now can, a moment later.
MAX_DAY_ATTEMPTS = 3
# So much of the source, decompressed, is loaded in one transaction, while as much again is being inspected: a warehouse
# takes a few large loads faster than many small ones. What comes from S3 is held in memory in the meantime.
BATCH_BYTES = 256 << 20


@dataclass(frozen=True)
class LoadedDay:
    """How the load of one day ended. `rejection` says why nothing of it was kept, where that is so."""

    inspected: InspectedDay
    rejection: str | None = None


def load_days(
    engine: Engine,
    warehouse: Warehouse,
    inspector: EventInspector,
    objects: Mapping[date, Sequence[StoredObject]],
    limits: Limits,
    log: Logger,
    run_id: str,
) -> Iterator[LoadedDay]:
    """Replaces each day by its files, some days in a transaction, while the next days are being inspected."""
    for inspected in _inspect_ahead(inspector, objects):
        rejections = {day.day: day.rejection(limits.max_load_errors) for day in inspected}
        accepted = [day for day in inspected if rejections[day.day] is None]
        try:
            _replace_days(engine, warehouse, inspector, accepted, run_id)
        except (RowCountMismatchError, _SourceChangedError) as error:
            log.info("%s; the days are loaded one by one", error)
            for day in accepted:
                yield _load_day(engine, warehouse, inspector, day, objects[day.day], limits, log, run_id)
        else:
            yield from map(LoadedDay, accepted)
        for day in inspected:
            if (reason := rejections[day.day]) is not None:
                yield _reject_day(engine, warehouse, day, limits, reason)


def load_trusted_days(
    engine: Engine,
    warehouse: Warehouse,
    inspector: EventInspector,
    objects: Mapping[date, Sequence[StoredObject]],
    log: Logger,
    run_id: str,
) -> Iterator[LoadedDay]:
    """Replaces each day by what the warehouse itself reads of its files. One line that it refuses fails the load."""
    for day, files in objects.items():

        def replace(connection: Connection, day: date = day, files: Sequence[StoredObject] = files) -> InspectedDay:
            counted = load_log.replace_trusted_day(
                connection, warehouse, inspector.skip_inspection(day, files), repairs, run_id
            )
            _require_unchanged(inspector, [counted])
            return counted

        for attempt in range(1, MAX_DAY_ATTEMPTS + 1):
            try:
                yield LoadedDay(warehouse.run_in_transaction(engine, replace))
                break
            except _SourceChangedError as error:
                if attempt == MAX_DAY_ATTEMPTS:
                    raise
                log.info("%s; it is loaded again", error)


@dataclass
class SongLoad:
    """How the load of the song files ended."""

    new: int = 0
    changed: int = 0
    removed: int = 0
    emptied: int = 0
    """Files that had songs and have none any more, only errors."""
    staged: int = 0
    errors_found: int = 0
    errors_standing: int = 0
    refused: bool = False
    first_errors: list[LoadError] = field(default_factory=list)


def load_songs(
    engine: Engine,
    warehouse: Warehouse,
    store: ObjectStore,
    listing: Listing,
    limits: Limits,
    *,
    full: bool = False,
    allow_empty: bool = False,
) -> SongLoad:
    """Brings staging_songs up to the listing: reads what is new or changed, drops what is gone, all or nothing.

    Raises SourceError where the listing has no song file, though staging holds some, unless that is allowed.
    """

    def replace(connection: Connection) -> SongLoad:
        load = SongLoad()
        # What is held is read in the transaction that replaces it: another run may be loading songs too.
        held = load_log.staged_song_files(connection)
        require_song_files(listing, holds_songs=bool(held), allow_empty=allow_empty)
        present = {stored.key: stored.etag for stored in listing.files}
        current = set() if full else {key for key, song in held.items() if song.is_current(present.get(key))}
        to_read = [key for key in present if key not in current]
        load.new = sum(key not in held for key in to_read)
        load.changed = sum(key in held for key in to_read)
        load.removed = sum(key not in present for key in held)
        load.errors_standing = sum(held[key].errors for key in current)
        if len(current) == len(held) and not to_read and load.errors_standing <= limits.max_load_errors:
            return load
        inspected = inspect_songs(
            store, to_read, keep_errors=limits.kept_errors, max_inflated_bytes=limits.max_inflated_bytes
        )
        batches = _counted(inspected, held, load, limits)
        load_log.replace_songs(connection, warehouse, sorted(held.keys() - current), batches)
        if load.errors_standing > limits.max_load_errors:
            raise _SongsRejectedError(load)
        return load

    def refuse(connection: Connection) -> None:
        load_log.reject_songs(connection, warehouse, load.first_errors, load.errors_standing, limits.max_load_errors)

    try:
        return warehouse.run_in_transaction(engine, replace)
    except _SongsRejectedError as error:
        load = error.load
    load.refused = True
    warehouse.run_in_transaction(engine, refuse)
    return load


class _SourceChangedError(SourceError):
    """A file was written to between its inspection and the end of its load."""


class _SongsRejectedError(Exception):
    def __init__(self, load: SongLoad) -> None:
        super().__init__()
        self.load = load


def _replace_days(
    engine: Engine, warehouse: Warehouse, inspector: EventInspector, days: Sequence[InspectedDay], run_id: str
) -> None:
    def replace(connection: Connection) -> None:
        load_log.replace_days(connection, warehouse, days, run_id)
        _require_unchanged(inspector, days)

    if days:
        warehouse.run_in_transaction(engine, replace)


def _require_unchanged(inspector: EventInspector, days: Sequence[InspectedDay]) -> None:
    if changed := inspector.changed_files(days):
        raise _SourceChangedError(f"{changed[0]} changed while it was being loaded")


def _load_day(
    engine: Engine,
    warehouse: Warehouse,
    inspector: EventInspector,
    day: InspectedDay,
    objects: Sequence[StoredObject],
    limits: Limits,
    log: Logger,
    run_id: str,
) -> LoadedDay:
    """Loads a day that did not load at once: from a cleaned copy, or as its files are by now."""
    rewrite = False
    for attempt in range(1, MAX_DAY_ATTEMPTS + 1):
        if (reason := day.rejection(limits.max_load_errors)) is not None:
            return _reject_day(engine, warehouse, day, limits, reason)
        try:
            _replace_days(engine, warehouse, inspector, [day], run_id)
            return LoadedDay(day)
        except (RowCountMismatchError, _SourceChangedError) as error:
            if attempt == MAX_DAY_ATTEMPTS:
                raise WarehouseError(
                    f"{day.day} could not be loaded in {attempt} attempts: {error}", error.rejected
                ) from error
            rewrite = rewrite or isinstance(error, RowCountMismatchError)
            log.info("%s; it is inspected again", error)
            day = inspector.inspect(day.day, objects, rewrite=rewrite)
    raise AssertionError("the last attempt returns or raises")


def _reject_day(engine: Engine, warehouse: Warehouse, day: InspectedDay, limits: Limits, reason: str) -> LoadedDay:
    warehouse.run_in_transaction(
        engine, lambda connection: load_log.reject_day(connection, warehouse, day, limits.max_load_errors, reason)
    )
    return LoadedDay(day, reason)


def _inspect_ahead(
    inspector: EventInspector, objects: Mapping[date, Sequence[StoredObject]]
) -> Iterator[Sequence[InspectedDay]]:
    """Inspects the next batch of days while the caller loads one. So no more than two batches are held in memory."""
    remaining = iter(objects.items())
    abandoned = Event()

    def inspect_batch() -> Sequence[InspectedDay]:
        batch: list[InspectedDay] = []
        size = 0
        for day, files in remaining:
            batch.append(inspector.inspect(day, files))
            size += batch[-1].inflated_bytes
            if size >= BATCH_BYTES or abandoned.is_set():
                break
        return batch

    with ThreadPoolExecutor(1, thread_name_prefix="inspection") as inspection:
        try:
            inspecting = inspection.submit(inspect_batch)
            while inspected := inspecting.result():
                inspecting = inspection.submit(inspect_batch)
                yield inspected
        finally:
            abandoned.set()


def _counted(
    batches: Iterable[InspectedSongs], held: Mapping[str, StagedSongFile], load: SongLoad, limits: Limits
) -> Iterator[InspectedSongs]:
    for batch in batches:
        load.emptied += sum(
            not file.staged and file.source.key in held and held[file.source.key].staged > 0 for file in batch.files
        )
        errors = sum(file.errors for file in batch.files)
        load.staged += batch.staged
        load.errors_found += errors
        load.errors_standing += errors
        load.first_errors += batch.errors[: limits.kept_errors - len(load.first_errors)]
        yield batch
