"""Loads what changed in the source into staging: inspects, lets the warehouse read, refuses too many errors."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from logging import Logger

import dagster as dg
from sqlalchemy import Engine

from sparkify_dagster.inspected import InspectedDay, InspectedSongs, LoadError, StoredObject
from sparkify_dagster.limits import Limits
from sparkify_dagster.sources.events import EventInspector
from sparkify_dagster.sources.object_store import ObjectStore, SourceError, changed_since
from sparkify_dagster.sources.resource import Listing
from sparkify_dagster.sources.songs import inspect_songs
from sparkify_dagster.warehouse import staging
from sparkify_dagster.warehouse.base import ReadMismatch, Warehouse, WarehouseError

# A file that is written to all the time cannot be loaded; one that changed just now can, a moment later.
ATTEMPTS_AT_A_CHANGING_DAY = 3


@contextmanager
def clear_failures() -> Iterator[None]:
    """What the source or the warehouse cannot do becomes a failure whose first line is the cause and the remedy."""
    try:
        yield
    except (SourceError, WarehouseError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error


@dataclass(frozen=True)
class LoadedDay:
    """How the load of one day ended. Seconds are those of the warehouse, without the inspection beside it."""

    inspected: InspectedDay
    refused: bool
    seconds: float


def load_days(
    engine: Engine,
    warehouse: Warehouse,
    inspector: EventInspector,
    objects: Mapping[date, Sequence[StoredObject]],
    limits: Limits,
    log: Logger,
) -> Iterator[LoadedDay]:
    """Replaces each day by its files, a transaction a day, while the next day is being inspected."""
    for inspected in _inspect_ahead(inspector, objects):
        started = time.perf_counter()
        day = inspected
        for attempt in range(1, ATTEMPTS_AT_A_CHANGING_DAY + 1):
            if day.error_count > limits.max_load_errors:
                break
            try:
                with engine.begin() as connection:
                    staging.replace_day(connection, warehouse, day)
                    _check_unchanged(day)
                break
            except ReadMismatch as mismatch:
                log.info("%s; it is read from a cleaned copy", mismatch)
                day = inspector.inspect(day.day, objects[day.day], rewrite=True)
            except _Changed as changed:
                if attempt == ATTEMPTS_AT_A_CHANGING_DAY:
                    raise
                log.info("%s; it is inspected again", changed)
                day = inspector.inspect(day.day, objects[day.day])
        else:
            raise WarehouseError(f"{day.day}: the warehouse reads the cleaned copy otherwise than it was written")
        refused = day.error_count > limits.max_load_errors
        if refused:
            with engine.begin() as connection:
                staging.refuse_day(connection, day, limits.max_load_errors)
        yield LoadedDay(day, refused, time.perf_counter() - started)


@dataclass
class SongLoad:
    """How the load of the song files ended."""

    new: int = 0
    changed: int = 0
    removed: int = 0
    staged: int = 0
    errors_found: int = 0
    errors_standing: int = 0
    refused: bool = False
    first_errors: list[LoadError] = field(default_factory=list)


def load_songs(
    engine: Engine, warehouse: Warehouse, store: ObjectStore, listing: Listing, limits: Limits, *, full: bool
) -> SongLoad:
    """Brings staging_songs up to the listing: reads what is new or changed, drops what is gone, all or nothing."""
    with engine.begin() as connection:
        held = staging.held_songs(connection)
    present = {stored.key: stored.etag for stored in listing.files}
    current = set() if full else {key for key, song in held.items() if song.is_current(present.get(key))}
    to_read = [key for key in present if key not in current]
    load = SongLoad(
        new=sum(key not in held for key in to_read),
        changed=sum(key in held for key in to_read),
        removed=sum(key not in present for key in held),
        errors_standing=sum(held[key].errors for key in current),
    )
    if len(current) == len(held) and not to_read and load.errors_standing <= limits.max_load_errors:
        return load
    try:
        with engine.begin() as connection:
            batches = _counted(inspect_songs(store, to_read, keep_errors=limits.kept_errors), load, limits)
            staging.replace_songs(connection, warehouse, sorted(held.keys() - current), batches)
            if load.errors_standing > limits.max_load_errors:
                raise _TooManyErrors
    except _TooManyErrors:
        load.refused = True
        with engine.begin() as connection:
            staging.refuse_songs(connection, load.first_errors, load.errors_standing, limits.max_load_errors)
    return load


class _Changed(SourceError):
    """A file was written to between its inspection and the end of its load."""


class _TooManyErrors(Exception):
    pass


def _counted(batches: Iterable[InspectedSongs], load: SongLoad, limits: Limits) -> Iterator[InspectedSongs]:
    for batch in batches:
        errors = sum(file.errors for file in batch.files)
        load.staged += batch.staged
        load.errors_found += errors
        load.errors_standing += errors
        load.first_errors += batch.errors[: limits.kept_errors - len(load.first_errors)]
        yield batch


def _check_unchanged(day: InspectedDay) -> None:
    for file in day.files:
        if changed_since(file):
            raise _Changed(f"{file.source.key} changed while it was being loaded")


def _inspect_ahead(inspector: EventInspector, objects: Mapping[date, Sequence[StoredObject]]) -> Iterator[InspectedDay]:
    """Inspects one day ahead of the day that is being loaded, so that both cores work."""
    with ThreadPoolExecutor(1, thread_name_prefix="inspection") as inspection:
        days = iter(objects.items())
        ahead = None
        for day, files in days:
            following = inspection.submit(inspector.inspect, day, files)
            if ahead is not None:
                yield ahead.result()
            ahead = following
        if ahead is not None:
            yield ahead.result()
