"""COPY first: a batch of days is landed uninspected, and SQL decides of which days an inspection would add nothing.

COPY maps and converts; what it takes and the contract (docs/contract.md) does not is looked for among the landed rows.
A day with any of it goes the usual way. What cannot be seen in the rows is listed in docs/contract.md.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection, insert, text

from sparkify_dagster.batches import InspectedDay, InspectedFile, ListedDay
from sparkify_dagster.formatting import pluralize
from sparkify_dagster.schema.event_columns import (
    DAY_MS,
    EPOCH_MS_RANGE,
    EVENT_COLUMNS,
    MAX_EXACT_JSON_INTEGER,
    NEXT_SONG,
    SHORT_TEXT_BYTES,
    TEXT_BYTES,
    Kind,
)
from sparkify_dagster.warehouse.base import LandedDays
from sparkify_dagster.warehouse.database_errors import RowCountMismatchError
from sparkify_dagster.warehouse.redshift.copy import (
    Copy,
    LoadedFile,
    files_with_rejected_records,
    list_loaded_files,
)
from sparkify_dagster.warehouse.redshift.landing import (
    insert_landed_events,
    landing_events,
    landing_repairs,
    repair_rows,
)

# The most that MAXERROR takes; with more rejected records COPY fails.
MAX_COPY_ERRORS: Final = 100_000
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class CopyFirst:
    """Groups of listed days, each with what copies it. No group has two days in a row.

    Which file a row came from is not known. So an event of the day before or after its file's is seen by this alone,
    that it is of no day of its group; otherwise days could exchange as many events with each other.
    """

    groups: Sequence[tuple[Sequence[ListedDay], Sequence[Copy]]]
    repairs: Callable[[Set[str]], Mapping[str, str]]

    def land(self, connection: Connection) -> LandedDays:
        """Raises RowCountMismatchError above MAX_COPY_ERRORS, WarehouseError if COPY cannot read at all."""
        landing_events.create(connection, checkfirst=False)
        loaded: dict[str, LoadedFile] = {}
        rejected: set[str] = set()
        certain: list[ListedDay] = []
        uncertain: dict[date, str] = {}
        for days, copies in self.groups:
            for copy in copies:
                copy.run(connection)
                loaded |= list_loaded_files(connection, copy.urls)
                rejected |= files_with_rejected_records(connection, copy.urls)
            rows = _rows_by_day(connection)
            # Of the days of groups before, too: this group may have added an event to one of them.
            for day in (*certain, *days):
                reasons = _reasons(day, loaded, rejected, rows.get(_day_number(day.day), _NO_ROWS))
                if (reason := next(reasons, None)) is not None:
                    uncertain[day.day] = reason
            certain = [day for day in (*certain, *days) if day.day not in uncertain]
            _keep_days(connection, [day.day for day in certain])
        inspected = [_as_inspected(day, loaded) for day in sorted(certain, key=lambda day: day.day)]
        repaired = self.repairs(set(connection.scalars(text(_TEXTS_TO_REPAIR))))
        return LandedDays(inspected, uncertain, lambda within: _insert(within, inspected, repaired))


@dataclass(frozen=True)
class _DayRows:
    """The landed rows of a day, and those among them that COPY may have taken for something else."""

    events: int = 0
    doubtful: int = 0
    duplicates: int = 0


_NO_ROWS: Final = _DayRows()


def _reasons(day: ListedDay, loaded: Mapping[str, LoadedFile], rejected: Set[str], rows: _DayRows) -> Iterator[str]:
    """Yields why the day has to be inspected."""
    if not any(file.size for file in day.files):
        yield "there is nothing to copy"
    if day.day <= _EPOCH:
        yield "days before 1970 are not counted in SQL"
    lines = 0
    for file, uri in zip(day.files, day.uris, strict=True):
        if not file.size:
            continue
        if uri in rejected:
            yield f"COPY rejected records of {file.key}"
        version = loaded.get(uri)
        if version is None:
            yield f"the cluster does not list {file.key} alone"
        elif not version.is_version_of(file):
            yield f"{file.key} has changed since it was listed"
        else:
            lines += version.lines
    if lines != rows.events:
        yield f"{pluralize(lines, 'line')} gave {pluralize(rows.events, 'event')} of the day"
    if rows.doubtful:
        yield f"{pluralize(rows.doubtful, 'event')} with values that are missing, or not surely those of the file"
    if rows.duplicates:
        yield f"{pluralize(rows.duplicates, 'event')} delivered more than once"


def _as_inspected(day: ListedDay, loaded: Mapping[str, LoadedFile]) -> InspectedDay:
    files = (
        InspectedFile(file, lines=loaded[uri].lines if file.size else 0, uri=uri)
        for file, uri in zip(day.files, day.uris, strict=True)
    )
    return InspectedDay(day.day, tuple(files), (), {}, day.event_keys)


def _rows_by_day(connection: Connection) -> Mapping[int, _DayRows]:
    """Returns the landed rows by the number of the day since 1970 in which they happened."""
    doubled: dict[int, int] = dict(map(tuple, connection.execute(text(_DOUBLED))))
    return {
        number: _DayRows(events, doubtful or 0, doubled.get(number, 0))
        for number, events, doubtful in connection.execute(text(_CHECKED))
        if number is not None
    }


def _keep_days(connection: Connection, days: Sequence[date]) -> None:
    """Removes the landed rows of all other days."""
    numbers = ", ".join(str(_day_number(day)) for day in days)
    others = f"ts IS NULL OR ts / {DAY_MS} NOT IN ({numbers})" if numbers else "1 = 1"
    connection.execute(text(f"DELETE FROM landing_events WHERE {others}"))  # noqa: S608 (numbers)


def _insert(connection: Connection, days: Sequence[InspectedDay], repaired: Mapping[str, str]) -> None:
    def insert_repairs(within: Connection) -> None:
        if repaired:
            within.execute(insert(landing_repairs), repair_rows(repaired))

    inserted = insert_landed_events(connection, insert_repairs)
    if inserted != (lines := sum(day.lines for day in days)):
        raise RowCountMismatchError(f"{lines:,} lines were copied, {inserted:,} rows inserted")


def _day_number(day: date) -> int:
    return (day - _EPOCH) // timedelta(days=1)


# COPY writes true, false, an array and an object into a text column as their JSON, and cuts blanks that are too many.
_DOUBTFUL_TEXT: Final = """CASE
            WHEN e.{name} IN ('true', 'false') OR OCTET_LENGTH(e.{name}) >= {bytes} THEN 1
            WHEN LEFT(e.{name}, 1) IN ('{{', '[') THEN CASE WHEN CAN_JSON_PARSE(e.{name}) THEN 1 ELSE 0 END
            ELSE 0
        END"""
# Beyond 2 to the power of 53 no page says that COPY reads a JSON number exactly.
_DOUBTFUL_INTEGER: Final = f"CASE WHEN ABS(e.{{name}}) > {MAX_EXACT_JSON_INTEGER} THEN 1 ELSE 0 END"
# Out of range, or with more decimals than the column has, whose rounding a DOUBLE leaves open.
_DOUBTFUL_SECONDS: Final = """CASE
            WHEN NOT (
                ABS(e.{name}) <= 99999.99999 AND ABS(e.{name} * 100000 - ROUND(e.{name} * 100000)) < 0.0001
            ) THEN 1
            ELSE 0
        END"""
_DOUBTFUL_EPOCH: Final = f"""CASE
            WHEN NOT (
                e.{{name}} >= {EPOCH_MS_RANGE[0]} AND e.{{name}} <= {EPOCH_MS_RANGE[1]}
                AND e.{{name}} = FLOOR(e.{{name}})
            ) THEN 1
            ELSE 0
        END"""
_DOUBTFUL: Final[Mapping[Kind, str]] = {
    Kind.SHORT_TEXT: _DOUBTFUL_TEXT,
    Kind.TEXT: _DOUBTFUL_TEXT,
    Kind.BIGINT: _DOUBTFUL_INTEGER,
    Kind.USER_ID: _DOUBTFUL_INTEGER,
    Kind.SECONDS: _DOUBTFUL_SECONDS,
    Kind.EPOCH_MS: _DOUBTFUL_EPOCH,
}
_MISSING: Final = f"""CASE
            WHEN e.page IS NULL OR RTRIM(e.page, ' ') = '' THEN 1
            WHEN RTRIM(e.page, ' ') = '{NEXT_SONG}' AND (e.session_id IS NULL OR e.item_in_session IS NULL) THEN 1
            ELSE 0
        END"""
# The day that ts belongs to is how the rows are counted.
_DOUBTS: Final = [
    _MISSING,
    *(
        _DOUBTFUL[column.kind].format(
            name=column.name, bytes=SHORT_TEXT_BYTES if column.kind is Kind.SHORT_TEXT else TEXT_BYTES
        )
        for column in EVENT_COLUMNS
        if column.kind in _DOUBTFUL and column.name != "ts"
    ),
]
_CHECKED: Final = f"""
SELECT
    e.ts / {DAY_MS} AS day_number,
    COUNT(*) AS events,
    SUM(
        CASE WHEN {" + ".join(_DOUBTS)} > 0 THEN 1 ELSE 0 END
    ) AS doubtful
FROM landing_events AS e
GROUP BY e.ts / {DAY_MS}
"""  # noqa: S608 (names of our own)
_DOUBLED: Final = f"""
SELECT d.ts / {DAY_MS} AS day_number, COUNT(*) AS events
FROM (
    SELECT e.ts
    FROM landing_events AS e
    GROUP BY e.user_id, e.session_id, e.item_in_session, e.ts
    HAVING COUNT(*) > 1
) AS d
GROUP BY d.ts / {DAY_MS}
"""  # noqa: S608 (a number)
_TEXTS_TO_REPAIR: Final = """
SELECT e.song FROM landing_events AS e WHERE OCTET_LENGTH(e.song) <> CHAR_LENGTH(e.song)
UNION
SELECT e.artist FROM landing_events AS e WHERE OCTET_LENGTH(e.artist) <> CHAR_LENGTH(e.artist)
"""
