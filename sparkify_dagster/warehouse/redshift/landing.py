"""What COPY brings: temporary tables of the JSON's own types, and the typed rows that are made of them.

Nothing rests on how COPY converts a time or a decimal, which it cuts where INSERT rounds.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Double, MetaData, String, Table, text

from sparkify_dagster.batches import TEXT_BYTES
from sparkify_dagster.schema.sql_files import landing_select
from sparkify_dagster.schema.tables import EVENT_COLUMNS, SONG_COLUMNS, staging_events, staging_songs
from sparkify_dagster.warehouse.base import WarehouseError

DAY_MS = 86_400_000

# Numbers come as the JSON has them: epochs as integers or as 1541016707796.0, decimals as doubles.
_LANDING_TYPES: dict[str, Any] = {
    "ts": BigInteger,
    **dict.fromkeys(("registration", "length", "duration", "artist_latitude", "artist_longitude"), Double),
}


def _landing_table(name: str, table: Table, columns: Sequence[str]) -> Table:
    types = {column: _LANDING_TYPES.get(column, table.c[column].type) for column in columns}
    return Table(name, MetaData(), *(Column(c, t) for c, t in types.items()), prefixes=["TEMPORARY"])


landing_events = _landing_table("landing_events", staging_events, EVENT_COLUMNS)
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
    """Songs and artists that arrived and are not ASCII."""
    return set(connection.scalars(text(_TEXTS_TO_REPAIR)))


def check_trusted(connection: Connection, day: date) -> None:
    """Raises WarehouseError for rows that COPY accepts and the contract (docs/contract.md) does not."""
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    found = connection.execute(text(_UNTRUSTWORTHY), {"start_ms": start, "end_ms": start + DAY_MS}).one()
    problems = {
        "events of other days": found.other_days or 0,
        "events without a page, or plays without session or item": found.incomplete or 0,
        "events that come twice": connection.scalar(text(_DOUBLED)) or 0,
    }
    told = ", ".join(f"{count:,} {problem}" for problem, count in problems.items() if count)
    if told:
        raise WarehouseError(
            f"{day}: the files are not to be trusted: {told}; load the day with SPARKIFY_TRUSTED_LOGS=false"
        )


def insert_from_landing(connection: Connection, table: Table) -> int:
    """Makes typed rows of what COPY brought; tells how many."""
    columns = ", ".join(column.name for column in table.columns)
    statement = f"INSERT INTO {table.fullname} ({columns})\n{landing_select(table.name)}"
    return connection.execute(text(statement)).rowcount
