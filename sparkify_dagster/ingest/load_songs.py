"""Loads song files into staging: reads what is new or changed, removes what is gone, all or nothing."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from sparkify_dagster.batches import InspectedSongs, LoadError, StoredObject
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.sources.emptiness import require_song_files
from sparkify_dagster.sources.object_store import ObjectStore
from sparkify_dagster.sources.songs import inspect_songs
from sparkify_dagster.sources.source import Listing
from sparkify_dagster.warehouse import staging_tables
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.database_errors import StagedMeanwhileError
from sparkify_dagster.warehouse.staging_tables import StagedSongFile

# Another run that loads songs at the same time has loaded them when this one looks again.
MAX_ATTEMPTS = 3


@dataclass
class SongLoad:
    """The outcome of a load of song files, as numbers of files, songs and errors."""

    new: int = 0
    changed: int = 0
    removed: int = 0
    emptied: int = 0
    """Files whose songs were staged, and that have nothing but errors now."""
    staged: int = 0
    errors_found: int = 0
    errors_standing: int = 0
    """Errors of all song files, those of unchanged files included."""
    rejected: bool = False
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
    """Brings staging_songs up to date with the listing, in one transaction that holds statements only.

    With more errors than the limit, all song files taken together, nothing is loaded and the errors are recorded. With
    `full` files that are staged and unchanged are read again. Raises SourceError if the listing has no song file
    although some are staged, unless `allow_empty`.
    """
    loading = _Loading(engine, warehouse, store, listing, limits, full=full, allow_empty=allow_empty)
    return Retrying(
        retry=retry_if_exception_type(StagedMeanwhileError), stop=stop_after_attempt(MAX_ATTEMPTS), reraise=True
    )(loading.load)


def are_songs_stale(connection: Connection, listing: Listing, limits: Limits) -> bool:
    """Returns whether a load of these song files may change anything, or fails. It reads bookkeeping only."""
    if listing.unrecognized and not listing.files:
        return True
    rejection = staging_tables.rejection_of_songs(connection)
    if rejection is not None:
        return rejection.inspected != _inspection_digest(listing, limits)
    staged = staging_tables.staged_song_files(connection)
    return (
        len(staged) != len(listing.files)
        or any(not _is_staged(staged, stored) for stored in listing.files)
        or sum(file.errors for file in staged.values()) > limits.max_load_errors
    )


def _is_staged(staged: Mapping[str, StagedSongFile], stored: StoredObject) -> bool:
    return stored.key in staged and staged[stored.key].is_current(stored.etag)


def _inspection_digest(listing: Listing, limits: Limits) -> str:
    return staging_tables.inspection_digest(listing.files, (), limits.max_load_errors, limits.max_inflated_bytes)


@dataclass(frozen=True)
class _Loading:
    """One load of song files."""

    engine: Engine
    warehouse: Warehouse
    store: ObjectStore
    listing: Listing
    limits: Limits
    full: bool
    allow_empty: bool

    def load(self) -> SongLoad:
        """Replaces what has changed, or records why nothing is kept. Raises StagedMeanwhileError."""
        staged, rejection = self.warehouse.run_in_transaction(
            self.engine,
            lambda connection: (
                staging_tables.staged_song_files(connection),
                staging_tables.rejection_of_songs(connection),
            ),
        )
        require_song_files(self.listing, holds_songs=bool(staged), allow_empty=self.allow_empty)
        if not self.full and rejection and rejection.inspected == _inspection_digest(self.listing, self.limits):
            return SongLoad(errors_standing=rejection.errors, rejected=True)
        present = {stored.key: stored.etag for stored in self.listing.files}
        current = set() if self.full else {key for key, file in staged.items() if file.is_current(present.get(key))}
        to_read = [key for key in present if key not in current]
        load = SongLoad(
            new=sum(key not in staged for key in to_read),
            changed=sum(key in staged for key in to_read),
            removed=sum(key not in present for key in staged),
            errors_standing=sum(staged[key].errors for key in current),
        )
        is_unchanged = len(current) == len(staged) and not to_read
        if is_unchanged and load.errors_standing <= self.limits.max_load_errors:
            return load
        read: dict[str, StagedSongFile] = {}
        with self.warehouse.inputs() as inputs:
            write = staging_tables.prepare_songs(
                inputs, sorted(staged.keys() - current), self._inspect(to_read, staged, load, read)
            )
            load.rejected = load.errors_standing > self.limits.max_load_errors
            if load.rejected:
                write = staging_tables.prepare_rejection_of_songs(
                    inputs,
                    load.first_errors,
                    load.errors_standing,
                    self.limits.max_load_errors,
                    _inspection_digest(self.listing, self.limits),
                )
            loaded = {key: staged[key] for key in current} | read

            def write_once(connection: Connection) -> None:
                now = staging_tables.staged_song_files(connection)
                if now == staged:
                    write(connection)
                # A transaction is repeated, too, if the reply to its commit was lost.
                elif load.rejected or now != loaded:
                    raise StagedMeanwhileError("songs were loaded by other runs again and again: run this one again")

            self.warehouse.run_in_transaction(self.engine, write_once)
        return load

    def _inspect(
        self,
        keys: list[str],
        staged: Mapping[str, StagedSongFile],
        load: SongLoad,
        read: dict[str, StagedSongFile],
    ) -> Iterator[InspectedSongs]:
        """Yields the files in batches, and adds their numbers to the load and the files to those that were read."""
        batches: Iterable[InspectedSongs] = inspect_songs(
            self.store,
            keys,
            keep_errors=self.limits.kept_errors,
            max_inflated_bytes=self.limits.max_inflated_bytes,
        )
        for batch in batches:
            errors = sum(file.errors for file in batch.files)
            load.emptied += sum(
                not file.staged and file.source.key in staged and staged[file.source.key].staged > 0
                for file in batch.files
            )
            load.staged += batch.staged
            load.errors_found += errors
            load.errors_standing += errors
            load.first_errors += batch.errors[: self.limits.kept_errors - len(load.first_errors)]
            read |= {
                file.source.key: StagedSongFile(file.source.etag, file.errors, file.staged) for file in batch.files
            }
            yield batch
