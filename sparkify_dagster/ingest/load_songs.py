"""Loads song files into staging: reads what is new or changed, removes what is gone, all or nothing."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from sparkify_dagster.batches import InspectedSongs, LoadError
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.sources.emptiness import require_song_files
from sparkify_dagster.sources.object_store import ObjectStore
from sparkify_dagster.sources.songs import inspect_songs
from sparkify_dagster.sources.source import Listing
from sparkify_dagster.warehouse import staging_tables
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.staging_tables import StagedSongFile


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
    """Brings staging_songs up to date with the listing, in one transaction.

    With more errors than the limit, all song files taken together, nothing is loaded and the errors are recorded. With
    `full` files that are staged and unchanged are read again. Raises SourceError if the listing has no song file
    although some are staged, unless `allow_empty`.
    """
    loading = _Loading(warehouse, store, listing, limits, full=full, allow_empty=allow_empty)
    try:
        return warehouse.run_in_transaction(engine, loading.replace)
    except _RejectedError as error:
        load = error.load
    load.rejected = True
    warehouse.run_in_transaction(
        engine,
        lambda connection: staging_tables.reject_songs(
            connection, warehouse, load.first_errors, load.errors_standing, limits.max_load_errors
        ),
    )
    return load


class _RejectedError(Exception):
    """Rolls the transaction of a load back, and never leaves this module."""

    def __init__(self, load: SongLoad) -> None:
        super().__init__()
        self.load = load


@dataclass(frozen=True)
class _Loading:
    """One load of song files, whose transaction may be repeated."""

    warehouse: Warehouse
    store: ObjectStore
    listing: Listing
    limits: Limits
    full: bool
    allow_empty: bool

    def replace(self, connection: Connection) -> SongLoad:
        """Replaces what has changed. Raises _RejectedError, so that nothing of it is kept."""
        # The staged files are read in the transaction that replaces them: another run may be loading songs too.
        staged = staging_tables.staged_song_files(connection)
        require_song_files(self.listing, holds_songs=bool(staged), allow_empty=self.allow_empty)
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
        staging_tables.replace_songs(
            connection, self.warehouse, sorted(staged.keys() - current), self._inspect(to_read, staged, load)
        )
        if load.errors_standing > self.limits.max_load_errors:
            raise _RejectedError(load)
        return load

    def _inspect(
        self, keys: list[str], staged: Mapping[str, StagedSongFile], load: SongLoad
    ) -> Iterator[InspectedSongs]:
        """Yields the files in batches and adds their numbers to the load."""
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
            yield batch
