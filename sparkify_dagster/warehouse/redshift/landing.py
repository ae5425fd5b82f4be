"""Landing tables for COPY, with the JSON's own types, and the INSERT ... SELECT that casts them into staging.

Nothing relies on how COPY converts a time or a decimal, which it truncates where INSERT rounds.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Double, MetaData, String, Table, text

from sparkify_dagster.formatting import pluralize
from sparkify_dagster.schema.event_columns import COLUMN_NAMES, DAY_MS, EVENT_COLUMNS, TEXT_BYTES, Kind
from sparkify_dagster.schema.sql_files import landing_select
from sparkify_dagster.schema.tables import SONG_COLUMNS, staging_events, staging_songs
from sparkify_dagster.warehouse.database_errors import WarehouseError

# Numbers land as the JSON has them: epochs as integers or as 1541016707796.0, decimals as doubles.
_LANDING_TYPES: dict[str, Any] = {
    **{column.name: Double for column in EVENT_COLUMNS if column.kind in (Kind.SECONDS, Kind.EPOCH_MS)},
    "ts": BigInteger,
    **dict.fromkeys(("duration", "artist_latitude", "artist_longitude"), Double),
}
_EVENT_CASTS = {
    # ROUND by way of an integer is the nearest decimal, however a cast of a double would round.
    Kind.SECONDS: "CAST(ROUND(e.{0} * 100000) AS BIGINT) * CAST(0.00001 AS DECIMAL(6, 5)) AS {0}",
    # DATEADD takes an INTEGER, too small for milliseconds since 1970.
    Kind.EPOCH_MS: "DATEADD(MS, CAST(MOD(CAST(e.{0} AS BIGINT), 1000) AS INTEGER),"
    " TIMESTAMP 'epoch' + (CAST(e.{0} AS BIGINT) / 1000) * INTERVAL '1 second') AS {0}",
}


def _landing_table(name: str, table: Table, columns: Sequence[str]) -> Table:
    types = {column: _LANDING_TYPES.get(column, table.c[column].type) for column in columns}
    return Table(name, MetaData(), *(Column(c, t) for c, t in types.items()), prefixes=["TEMPORARY"])


landing_events = _landing_table("landing_events", staging_events, COLUMN_NAMES)
landing_songs = _landing_table("landing_songs", staging_songs, (*SONG_COLUMNS, "source_key", "object_number"))
landing_repairs = Table(
    "landing_repairs",
    MetaData(),
    Column("broken", String(TEXT_BYTES)),
    Column("repaired", String(TEXT_BYTES)),
    prefixes=["TEMPORARY"],
)


_TEXTS_TO_REPAIR = """
SELECT i.song FROM landing_events AS i WHERE OCTET_LENGTH(i.song) <> CHAR_LENGTH(i.song)
UNION
SELECT i.artist FROM landing_events AS i WHERE OCTET_LENGTH(i.artist) <> CHAR_LENGTH(i.artist)
"""
_UNTRUSTWORTHY = """
SELECT
    SUM(CASE WHEN i.ts >= :start_ms AND i.ts < :end_ms THEN 0 ELSE 1 END) AS other_days,
    SUM(
        CASE
            WHEN i.page IS NULL OR RTRIM(i.page, ' ') = '' THEN 1
            WHEN RTRIM(i.page, ' ') = 'NextSong' AND (i.session_id IS NULL OR i.item_in_session IS NULL) THEN 1
            ELSE 0
        END
    ) AS incomplete
FROM landing_events AS i
"""
_DOUBLED = """
SELECT COUNT(*)
FROM (
    SELECT i.ts
    FROM landing_events AS i
    GROUP BY i.user_id, i.session_id, i.item_in_session, i.ts
    HAVING COUNT(*) > 1
) AS d
"""


def texts_to_repair(connection: Connection) -> set[str]:
    """Returns the landed songs and artists that are not ASCII."""
    return set(connection.scalars(text(_TEXTS_TO_REPAIR)))


def check_trusted(connection: Connection, day: date) -> None:
    """Raises WarehouseError for landed rows that the contract (docs/contract.md) rejects though COPY does not."""
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    found = connection.execute(text(_UNTRUSTWORTHY), {"start_ms": start, "end_ms": start + DAY_MS}).one()
    duplicates = connection.scalar(text(_DOUBLED)) or 0
    problems = [
        f"{pluralize(number, noun)}{which}"
        for number, noun, which in (
            (found.other_days or 0, "event", " of other days"),
            (found.incomplete or 0, "event", " without a page, session or item"),
            (duplicates, "duplicate event", ""),
        )
        if number
    ]
    if problems:
        raise WarehouseError(
            f"{day}: SPARKIFY_TRUSTED_LOGS is set but the files contain {', '.join(problems)}; load the day with "
            "SPARKIFY_TRUSTED_LOGS=false"
        )


def insert_from_landing(connection: Connection, table: Table) -> int:
    """Casts the landed rows into a staging table and returns their number."""
    columns = ", ".join(column.name for column in table.columns)
    statement = f"INSERT INTO {table.fullname} ({columns})\n{landing_select(table.name)}".replace(
        ":event_columns", _event_columns()
    )
    return connection.execute(text(statement)).rowcount


def _event_columns() -> str:
    return ", ".join(_EVENT_CASTS.get(column.kind, "e.{}").format(column.name) for column in EVENT_COLUMNS)
