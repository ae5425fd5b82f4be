"""Loads days of the log into staging: compares, inspects ahead, replaces each day, rejects what is too bad."""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from itertools import chain
from logging import Logger

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, InternalError

from sparkify_dagster.batches import InspectedDay, ListedDay, StoredObject
from sparkify_dagster.days import Window, format_days
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.ingest.inspect_ahead import inspect_ahead
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.sources.emptiness import require_log_files
from sparkify_dagster.sources.events import EventInspector
from sparkify_dagster.sources.mojibake import repairs
from sparkify_dagster.sources.source import Listing, Source
from sparkify_dagster.warehouse import staging_tables
from sparkify_dagster.warehouse.base import LandedDays, Warehouse
from sparkify_dagster.warehouse.database_errors import (
    FileChangedError,
    RowCountMismatchError,
    StagedMeanwhileError,
    WarehouseError,
    first_line,
)
from sparkify_dagster.warehouse.day_profiles import DayBefore, staged_before
from sparkify_dagster.warehouse.staging_tables import Rejection, StagedDay

# A file that is written to all the time cannot be loaded; one that changed just now can, a moment later.
MAX_DAY_ATTEMPTS = 3
_TO_REPEAT = (RowCountMismatchError, FileChangedError, StagedMeanwhileError)
# This much of the source, as it is stored, is landed per COPY that comes first: enough for each slice of a large
# cluster, and no more than may have to be inspected because COPY rejects too many records of it.
COPY_FIRST_BYTES = 64 << 30
COPY_FIRST_DAYS = 366


@dataclass(frozen=True)
class LoadedDay:
    """The outcome of the load of one day. `rejection` says why the day was rejected, if it was.

    `inspected` is None if an earlier load has rejected the day and nothing has changed since. It is without
    the content of its files.
    """

    day: date
    inspected: InspectedDay | None
    rejection: str | None = None


def load_log_days(
    engine: Engine,
    warehouse: Warehouse,
    source: Source,
    listing: Listing,
    keys: Sequence[str],
    days: Sequence[date],
    limits: Limits,
    *,
    run_id: str,
    window: Window,
    log: Logger,
    full: bool = False,
    allow_empty: bool = False,
) -> Iterator[LoadedDay]:
    """Loads the given days, a range, and yields each day that it has replaced, or that is rejected.

    A day whose files are staged, or rejected, in their present version is not read again, except with `full`. `keys`
    are the JSON keys of the log's columns, `run_id` names the load in the bookkeeping. Raises SourceError, also if the
    listing looks empty although days of the window are staged, unless `allow_empty`; WarehouseError.
    """
    objects, staged, rejected = _files_to_load(
        engine, warehouse, listing, keys, days, limits, window, full=full, allow_empty=allow_empty
    )
    log.info(_describe_plan(listing, days, objects))
    inspector = EventInspector(
        source.log_store(),
        keys,
        keep_errors=limits.kept_errors,
        max_inflated_bytes=limits.max_inflated_bytes,
        s3_in_place=warehouse.reads_in_place(listing.location),
    )
    loading = _Loading(engine, warehouse, inspector, objects, staged, limits, run_id, log)
    loaded = loading.copy_first() if warehouse.copies_first(listing.location) else loading.inspect(objects)
    return chain(rejected, loaded)


def stale_days(
    connection: Connection, listing: Listing, keys: Sequence[str], limits: Limits, window: Window
) -> list[date]:
    """Returns the days of the window whose files are not staged, or rejected, in their present version."""
    known = staging_tables.loaded_days(connection, date.min, date.max, keys)
    return sorted(
        day
        for day in known.keys() | listing.by_day.keys()
        if day in window and _is_stale(known.get(day, StagedDay()), listing.by_day.get(day, []), keys, limits)
    )


def _is_stale(staged: StagedDay, files: Sequence[StoredObject], keys: Sequence[str], limits: Limits) -> bool:
    is_current = staged.is_current(files, limits.max_load_errors)
    return not is_current and _standing_rejection(staged, files, keys, limits) is None


def _standing_rejection(
    staged: StagedDay, files: Sequence[StoredObject], keys: Sequence[str], limits: Limits
) -> Rejection | None:
    """Returns the day's rejection if a load of these files would come to the same."""
    rejection = staged.rejection
    if rejection is not None and rejection.inspected == _inspection_digest(files, keys, limits):
        return rejection
    return None


def _files_to_load(
    engine: Engine,
    warehouse: Warehouse,
    listing: Listing,
    keys: Sequence[str],
    days: Sequence[date],
    limits: Limits,
    window: Window,
    *,
    full: bool,
    allow_empty: bool,
) -> tuple[Mapping[date, Sequence[StoredObject]], dict[date, Mapping[str, str]], Sequence[LoadedDay]]:
    """Returns the present files of each day that is not staged as they are, and the ETags of its staged files.

    A day may have no files left. Also returns the days that were rejected with these files.
    """
    current, staged_days = warehouse.run_in_transaction(
        engine,
        lambda connection: (
            staging_tables.loaded_days(connection, days[0], days[-1], keys),
            staging_tables.staged_days(connection),
        ),
    )
    require_log_files(listing, window, holds_days=any(day in window for day in staged_days), allow_empty=allow_empty)
    staged = {day: current.get(day, StagedDay()) for day in days}
    present = {day: listing.by_day.get(day, []) for day in days}
    to_load = {day: files for day, files in present.items() if full or _is_stale(staged[day], files, keys, limits)}
    rejected = [
        LoadedDay(day, None, rejection.reason)
        for day in days
        if day not in to_load and (rejection := _standing_rejection(staged[day], present[day], keys, limits))
    ]
    return to_load, {day: staged[day].etags for day in to_load}, rejected


def _inspection_digest(files: Sequence[StoredObject], keys: Sequence[str], limits: Limits) -> str:
    return staging_tables.inspection_digest(files, keys, limits.max_load_errors, limits.max_inflated_bytes)


def _describe_plan(listing: Listing, days: Sequence[date], objects: Mapping[date, Sequence[StoredObject]]) -> str:
    unchanged = len(days) - len(objects)
    plan = f"{pluralize(len(objects), 'day')} to load" if objects else "nothing is new or changed"
    if objects and unchanged:
        plan += f", {unchanged:,} unchanged"
    return (
        f"{listing.location} has {pluralize(len(listing.files), 'log file')}.{describe_ignored(listing)} "
        f"{format_days(days[0], days[-1])}: {plan}."
    )


def describe_ignored(listing: Listing) -> str:
    """Returns a sentence, after a blank, on the objects that are not files of the source; empty if there are none."""
    return f" {pluralize(listing.ignored, 'other object')} ignored." if listing.ignored else ""


@dataclass(frozen=True)
class _Loading:
    """One load of log days."""

    engine: Engine
    warehouse: Warehouse
    inspector: EventInspector
    objects: Mapping[date, Sequence[StoredObject]]
    staged: dict[date, Mapping[str, str]]
    """The ETags of each day's staged files when its files were chosen for this load."""
    limits: Limits
    run_id: str
    log: Logger

    def copy_first(self) -> Iterator[LoadedDay]:
        """Has the warehouse read many days at once, and inspects those of which it is not certain."""
        for batch in _batches_of(self.objects):
            copied, uncertain = self._copy([self.inspector.list_day(day, self.objects[day]) for day in batch])
            yield from (LoadedDay(day.day, day) for day in copied)
            yield from self.inspect({day: self.objects[day] for day in batch if day in uncertain})

    def inspect(self, objects: Mapping[date, Sequence[StoredObject]]) -> Iterator[LoadedDay]:
        """Replaces each day by its files, several days per transaction, while the next days are being inspected."""
        # A load that fails or is interrupted ends the inspection too, which the process would wait for at its end.
        with closing(inspect_ahead(self.inspector, objects)) as batches:
            # A variable would hold the content of a batch while the next one is inspected.
            yield from chain.from_iterable(map(self._load_batch, batches))

    def _load_batch(self, inspected: Sequence[InspectedDay]) -> Iterator[LoadedDay]:
        rejections = {day.day: day.rejection(self.limits.max_load_errors) for day in inspected}
        accepted = [day for day in inspected if rejections[day.day] is None]
        try:
            self._replace(accepted)
        except _TO_REPEAT as error:
            self.log.info("%s; the days are loaded one by one", error)
            if isinstance(error, StagedMeanwhileError):
                # What was inspected may be older than what the other run has staged.
                accepted = [self.inspector.inspect(day.day, self.objects[day.day]) for day in accepted]
            for day in accepted:
                yield self._load_day(day)
        else:
            yield from (LoadedDay(day.day, day.without_content()) for day in accepted)
        for day in inspected:
            if (reason := rejections[day.day]) is not None:
                yield self._reject(day, reason)

    def _copy(self, days: Sequence[ListedDay]) -> tuple[Sequence[InspectedDay], Container[date]]:
        """Replaces the days of which the warehouse is certain, and returns the others beside them."""

        def replace(connection: Connection) -> LandedDays:
            before = staged_before(connection, [day.day for day in days])
            # What COPY reads here is newer than whatever another run has staged in the meantime.
            landed = land(connection)
            staging_tables.replace_landed_days(connection, self.warehouse, landed, before, self.run_id)
            return landed

        try:
            with self.warehouse.inputs() as inputs:
                land = inputs.listed(days, repairs)
                landed = self.warehouse.run_in_transaction(self.engine, replace)
        except (WarehouseError, InternalError, DataError) as error:
            # COPY reports a file that it cannot read, and its role alike, as an internal error. If the reason is not in
            # the files, the load of the inspected days fails for it, too.
            if isinstance(error, DBAPIError) and self.warehouse.is_transient(error):
                raise
            self.log.info("%s; %s are inspected", first_line(error), pluralize(len(days), "day"))
            return [], {day.day for day in days}
        for day, reason in landed.uncertain.items():
            self.log.info("%s: %s; the day is inspected", day, reason)
        return landed.certain, landed.uncertain

    def _load_day(self, day: InspectedDay, attempt: int = 1, *, rewrite: bool = False) -> LoadedDay:
        """Loads a day whose batch did not load: from a normalised copy, or as its files are by now.

        Raises WarehouseError if it cannot be loaded in MAX_DAY_ATTEMPTS.
        """
        if (reason := day.rejection(self.limits.max_load_errors)) is not None:
            return self._reject(day, reason)
        try:
            self._replace([day])
            return LoadedDay(day.day, day.without_content())
        except _TO_REPEAT as error:
            if attempt == MAX_DAY_ATTEMPTS:
                raise WarehouseError(
                    f"{day.day} could not be loaded in {attempt} attempts: {error}", error.rejected
                ) from error
            self.log.info("%s; it is inspected again", error)
            rewrite = rewrite or isinstance(error, RowCountMismatchError)
        inspected = self.inspector.inspect(day.day, self.objects[day.day], rewrite=rewrite)
        return self._load_day(inspected, attempt + 1, rewrite=rewrite)

    def _replace(self, days: Sequence[InspectedDay]) -> None:
        """Raises RowCountMismatchError, FileChangedError, StagedMeanwhileError."""
        if not days:
            return
        with self.warehouse.inputs() as inputs:
            to_load = staging_tables.prepare_days(inputs, days)

            def replace(connection: Connection) -> None:
                before = staged_before(connection, [day.day for day in days])
                for day in days:
                    self._require_staged_as_known(day, before.get(day.day, DayBefore()).etags)
                staging_tables.replace_days(connection, self.warehouse, to_load, before, self.run_id)
                if changed := self.inspector.changed_files(days):
                    raise FileChangedError(f"{changed[0]} changed while it was being loaded")

            self.warehouse.run_in_transaction(self.engine, replace)

    def _require_staged_as_known(self, day: InspectedDay, etags: Mapping[str, str]) -> None:
        """Raises StagedMeanwhileError if another run has staged other versions, which may be newer than these."""
        inspected = {file.source.key: file.source.etag for file in day.files}
        if etags not in (self.staged[day.day], inspected):
            self.staged[day.day] = etags
            raise StagedMeanwhileError(f"{day.day} was loaded by another run in the meantime")

    def _reject(self, day: InspectedDay, reason: str) -> LoadedDay:
        digest = _inspection_digest([file.source for file in day.files], day.event_keys, self.limits)
        with self.warehouse.inputs() as inputs:
            reject = staging_tables.prepare_rejection(inputs, day, self.limits.max_load_errors, reason, digest)
            self.warehouse.run_in_transaction(self.engine, reject)
        return LoadedDay(day.day, day.without_content(), reason)


def _batches_of(objects: Mapping[date, Sequence[StoredObject]]) -> Iterator[Sequence[date]]:
    """Yields the days in batches of COPY_FIRST_BYTES, or COPY_FIRST_DAYS."""
    batch: list[date] = []
    size = 0
    for day, files in objects.items():
        batch.append(day)
        size += sum(file.size for file in files)
        if size >= COPY_FIRST_BYTES or len(batch) == COPY_FIRST_DAYS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
