"""The input of COPY: canonical objects in place, and what is written for it to the staging location, before BEGIN."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Table

from sparkify_dagster.batches import InspectedDay, InspectedFile, InspectedSongs, ListedDay
from sparkify_dagster.schema.tables import staging_songs
from sparkify_dagster.warehouse.base import Inputs, Insert, LandedDays, Rows, Warehouse
from sparkify_dagster.warehouse.database_errors import FileChangedError, RowCountMismatchError
from sparkify_dagster.warehouse.redshift.copy import Copy, CopyFolder, compressed, list_loaded_files
from sparkify_dagster.warehouse.redshift.copy_first import MAX_COPY_ERRORS, CopyFirst
from sparkify_dagster.warehouse.redshift.landing import (
    insert_from_landing,
    insert_landed_events,
    landing_events,
    landing_repairs,
    landing_songs,
    repair_rows,
)

# Beyond this number of rows COPY is faster.
ROWS_BY_INSERT = 500
# gzip compresses this much JSON to about a megabyte, the minimum object size that AWS recommends.
BUNDLE_BYTES = 4 << 20
# One COPY reads either compressed objects or others.
_KINDS = (("gzip", True), ("uncompressed", False))


class CopyInputs(Inputs):
    """The inputs of one transaction, in one folder of the staging location."""

    def __init__(self, warehouse: Warehouse, folder: CopyFolder, role: str | None) -> None:
        self._warehouse = warehouse
        self._folder = folder
        self._role = role
        self._copies: Counter[str] = Counter()

    def events(self, days: Sequence[InspectedDay]) -> Insert:
        files = [file for day in days for file in day.files if file.staged]
        copies = self._event_copies(files, days[0].event_keys) if files else []
        repaired = {broken: repaired for day in days for broken, repaired in day.repairs.items()}
        insert_repairs = self.rows(landing_repairs, repair_rows(repaired))

        def read(connection: Connection) -> int:
            landing_events.create(connection, checkfirst=False)
            for copy, in_place in copies:
                copy.run(connection)
                _require_inspected_versions(connection, in_place)
            return insert_landed_events(connection, insert_repairs)

        return lambda connection: self._warehouse.insert_events(connection, days, read)

    def listed(
        self, days: Sequence[ListedDay], repairs: Callable[[Set[str]], Mapping[str, str]]
    ) -> Callable[[Connection], LandedDays]:
        paths = self._folder.put("jsonpaths.json", json_paths(days[0].event_keys))
        groups = [[day for day in days if day.day.toordinal() % 2 == parity] for parity in (0, 1)]
        return CopyFirst(
            [(group, self._copies_of_listed(group, name, paths)) for name, group in zip("ab", groups, strict=True)],
            repairs,
        ).land

    def songs(self, songs: InspectedSongs) -> Insert:
        copy = self._copy_of_lines(landing_songs, songs.rows) if songs.rows else None

        def read(connection: Connection) -> int:
            landing_songs.create(connection, checkfirst=False)
            if copy is not None:
                copy.run(connection)
            inserted = insert_from_landing(connection, staging_songs)
            landing_songs.drop(connection, checkfirst=False)
            return inserted

        return lambda connection: self._warehouse.insert_songs(connection, songs, read)

    def rows(self, table: Table, rows: Rows) -> Insert:
        if len(rows) <= ROWS_BY_INSERT:
            return lambda connection: self._warehouse.insert_rows(connection, table, rows)
        # COPY expects a blank between the day and the hour of a time.
        shown = [{k: str(v) if isinstance(v, datetime) else v for k, v in row.items()} for row in rows]
        return self._copy_of_lines(table, msgspec.json.Encoder().encode_lines(shown).rstrip(b"\n")).run

    def _copies_of_listed(self, days: Sequence[ListedDay], name: str, paths: str) -> Sequence[Copy]:
        uris = [uri for day in days for file, uri in zip(day.files, day.uris, strict=True) if file.size]
        return [
            self._copy(landing_events, f"{name}-{kind}.manifest", of_kind, paths, is_gzip, MAX_COPY_ERRORS)
            for kind, is_gzip in _KINDS
            if (of_kind := [uri for uri in uris if uri.endswith(".gz") == is_gzip])
        ]

    def _event_copies(
        self, files: Sequence[InspectedFile], keys: Sequence[str]
    ) -> Sequence[tuple[Copy, Sequence[InspectedFile]]]:
        """Returns each COPY with the files that it reads in place. Files not read in place are copied."""
        copies = {
            f"{number:04}-{file.source.key.rpartition('/')[2].removesuffix('.gz')}.gz": _gzipped(file)
            for number, file in enumerate(files, start=1)
            if file.uri is None
        }
        copied = self._folder.put_all(copies)
        paths = self._folder.put("jsonpaths.json", json_paths(keys))
        of_kinds = []
        for kind, is_gzip in _KINDS:
            in_place = [file for file in files if file.uri is not None and file.uri.endswith(".gz") == is_gzip]
            uris = [*_uris(in_place), *(copied if is_gzip else ())]
            if uris:
                of_kinds.append((self._copy(landing_events, f"{kind}.manifest", uris, paths, is_gzip), in_place))
        return of_kinds

    def _copy_of_lines(self, table: Table, lines: bytes) -> Copy:
        """Returns a COPY of lines of JSON whose keys are the table's columns."""
        self._copies[table.name] += 1
        name = f"{table.name}-{self._copies[table.name]}"
        bundles = {f"{name}-{number}.json.gz": compressed(part) for number, part in enumerate(parts(lines), start=1)}
        return self._copy(table, f"{name}.manifest", self._folder.put_all(bundles), "auto", is_gzip=True)

    def _copy(
        self, table: Table, name: str, urls: Sequence[str], json_option: str, is_gzip: bool, max_errors: int = 0
    ) -> Copy:
        # With JSONPaths COPY maps by position, with 'auto' by name.
        columns = [column.name for column in table.columns]
        manifest = self._folder.put_manifest(name, urls)
        return Copy(table, columns, manifest, urls, json_option, self._role, self._folder.region, is_gzip, max_errors)


def json_paths(keys: Sequence[str]) -> bytes:
    return msgspec.json.encode({"jsonpaths": [f"$['{key}']" for key in keys]})


def parts(lines: bytes) -> Iterator[bytes]:
    """Yields the lines in parts of a few megabytes, cut at line ends."""
    start = 0
    while start < len(lines):
        end = lines.find(b"\n", start + BUNDLE_BYTES)
        end = len(lines) if end < 0 else end
        yield lines[start:end]
        start = end + 1


def _require_inspected_versions(connection: Connection, files: Sequence[InspectedFile]) -> None:
    """Raises FileChangedError if COPY read another version of a file than the inspection."""
    if not files:
        return
    loaded = list_loaded_files(connection, [file.uri or "" for file in files])
    for file in files:
        version = loaded.get(file.uri or "")
        if version is None:
            raise RowCountMismatchError(f"the cluster does not list yet which version of {file.source.key} COPY read")
        if not version.is_version_of(file.source):
            raise FileChangedError(f"{file.source.key} changed while it was being loaded")


def _uris(files: Sequence[InspectedFile]) -> Sequence[str]:
    return [file.uri for file in files if file.uri is not None]


def _gzipped(file: InspectedFile) -> bytes:
    if file.local_path is None:
        return compressed(file.content)
    content = file.local_path.read_bytes()
    return content if file.local_path.suffix == ".gz" else compressed(content)
