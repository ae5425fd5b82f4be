"""Landing tables for COPY, with the JSON's own types, and the INSERT ... SELECT that casts them into staging.

Nothing relies on how COPY converts a time or a decimal, which it truncates where INSERT rounds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Double, MetaData, String, Table, text

from sparkify_dagster.schema.event_columns import COLUMN_NAMES, EVENT_COLUMNS, TEXT_BYTES, Kind
from sparkify_dagster.schema.sql_files import landing_select
from sparkify_dagster.schema.tables import SONG_COLUMNS, staging_events, staging_songs
from sparkify_dagster.warehouse.base import Insert, Rows

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
    return _temporary_table(name, *(Column(c, t) for c, t in types.items()))


def _temporary_table(name: str, *columns: Column[Any]) -> Table:
    # AUTO begins as a copy of all rows on each node.
    return Table(name, MetaData(), *columns, prefixes=["TEMPORARY"], redshift_diststyle="EVEN")


landing_events = _landing_table("landing_events", staging_events, COLUMN_NAMES)
landing_songs = _landing_table("landing_songs", staging_songs, (*SONG_COLUMNS, "source_key", "object_number"))
landing_repairs = _temporary_table(
    "landing_repairs", Column("broken", String(TEXT_BYTES)), Column("repaired", String(TEXT_BYTES))
)


def repair_rows(repairs: Mapping[str, str]) -> Rows:
    return [{"broken": broken, "repaired": repaired} for broken, repaired in repairs.items()]


def insert_landed_events(connection: Connection, insert_repairs: Insert) -> int:
    """Casts the landed events into staging_events, drops the landing tables and returns the number of rows."""
    landing_repairs.create(connection, checkfirst=False)
    insert_repairs(connection)
    inserted = insert_from_landing(connection, staging_events)
    for table in (landing_events, landing_repairs):
        table.drop(connection, checkfirst=False)
    return inserted


def insert_from_landing(connection: Connection, table: Table) -> int:
    """Casts the landed rows into a staging table and returns their number."""
    columns = ", ".join(column.name for column in table.columns)
    statement = f"INSERT INTO {table.fullname} ({columns})\n{landing_select(table.name)}".replace(
        ":event_columns", _event_columns()
    )
    return connection.execute(text(statement)).rowcount


def _event_columns() -> str:
    return ", ".join(_EVENT_CASTS.get(column.kind, "e.{}").format(column.name) for column in EVENT_COLUMNS)
