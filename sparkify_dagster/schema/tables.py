"""The warehouse's tables: types, sizes, keys, comments and Redshift's distribution, each stated once.

All warehouses create their tables from this metadata, and Dagster's column schemas are read from it. All timestamps are
UTC without a zone, kept to the millisecond. Text sizes are UTF-8 bytes, as Redshift counts them. The columns that
users can rely on are in docs/contract.md.

A column's `info` has what SQL cannot express: "form_of" names the column of the same table of which it is another form,
"references" the column of a dimension that it points to (no SQL foreign key: Redshift would trust it unchecked).
"personal": True marks the columns with a listener's name, location or browser (an artist's location is not personal):
they stay in their tables, and never appear in Dagster's history. A query's column inherits the mark from the columns
that its SELECT makes it of (analytics/query.py). A table's `info` has as "layout" the reason for its sort key, or for
having none; that of a query's table has its SELECT as "select".
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
)
from sqlalchemy.types import TIMESTAMP, TypeEngine

from sparkify_dagster.schema.column_types import (
    DIMENSION,
    PERSONAL,
    SMALL,
    STAGING_SCHEMA,
    ByteOrdered,
    degrees,
    seconds,
    short_text,
    text,
)
from sparkify_dagster.schema.column_types import metadata as metadata
from sparkify_dagster.schema.event_columns import (
    COLUMN_NAMES,
    EVENT_COLUMNS,
    RAW_TEXT_CHARACTERS,
    TEXT_BYTES,
    EventColumn,
    Kind,
)
from sparkify_dagster.schema.product_tables import PRODUCT_TABLES as PRODUCT_TABLES
from sparkify_dagster.schema.product_tables import (
    daily_activity,
    events,
    level_days,
    session_days,
    sessions,
    user_levels,
)


def _event_column(column: EventColumn) -> Column[Any]:
    types: dict[Kind, TypeEngine[Any]] = {
        Kind.SHORT_TEXT: short_text(),
        Kind.TEXT: text(),
        Kind.INTEGER: Integer(),
        Kind.BIGINT: BigInteger(),
        Kind.USER_ID: BigInteger(),
        Kind.SECONDS: seconds(),
        Kind.EPOCH_MS: TIMESTAMP(),
    }
    return Column(
        column.name,
        types[column.kind],
        nullable=not column.is_required,
        comment=column.comment,
        info=PERSONAL if column.is_personal else {},
    )


staging_events = Table(
    "staging_events",
    metadata,
    *map(_event_column, EVENT_COLUMNS),
    Column("log_date", Date, nullable=False, comment="UTC date of the event and of its log file: the partition"),
    Column(
        "epoch_ms",
        BigInteger,
        nullable=False,
        comment="ts in milliseconds since 1970, for the event's identity",
        info={"form_of": "ts"},
    ),
    Column(
        "match_song",
        text(),
        comment="song with its encoding repaired, without trailing blanks",
        info={"form_of": "song"},
    ),
    Column(
        "match_artist",
        text(),
        comment="artist with its encoding repaired, without trailing blanks",
        info={"form_of": "artist"},
    ),
    schema=STAGING_SCHEMA,
    comment="One row per event of the app's log, without duplicates",
    redshift_sortkey="log_date",
    info={"layout": "Loads replace a day and transforms read days: sorted by day, both touch that day's blocks alone."},
)

staging_songs = Table(
    "staging_songs",
    metadata,
    Column("num_songs", Integer, comment="Always 1 in the Million Song Dataset's files"),
    Column("artist_id", short_text(), nullable=False, comment="Artist of the song"),
    Column("artist_latitude", degrees(), comment="Degrees north"),
    Column("artist_longitude", degrees(), comment="Degrees east"),
    Column("artist_location", text(), comment="Where the artist comes from"),
    Column("artist_name", text(), comment="Artist's name on this song"),
    Column("song_id", short_text(), nullable=False, comment="Song; may occur in several objects"),
    Column("title", text(), comment="Title of the song"),
    Column("duration", seconds(), comment="Length of the song, in seconds"),
    Column("year", Integer, comment="Year of release; 0 means unknown"),
    Column("source_key", ByteOrdered(TEXT_BYTES), nullable=False, comment="Object's key below the song data prefix"),
    Column("object_number", Integer, nullable=False, comment="Position of the song in its file, from 1"),
    Column("match_title", text(), comment="title without trailing blanks", info={"form_of": "title"}),
    Column("match_artist", text(), comment="artist_name without trailing blanks", info={"form_of": "artist_name"}),
    schema=STAGING_SCHEMA,
    comment="One row per song of a song file, duplicate song_ids included",
    redshift_sortkey="song_id",
    info={"layout": "The copies of a song lie together where the view current_songs chooses among them."},
)

loaded_objects = Table(
    "loaded_objects",
    metadata,
    Column("key", ByteOrdered(TEXT_BYTES), nullable=False, comment="Object's key below its prefix"),
    Column("log_date", Date, comment="Day of a log file; NULL for a song file"),
    Column("etag", String(256), comment="Object's ETag when it was read"),
    Column("bytes", BigInteger, nullable=False, comment="Object's size"),
    Column("lines", BigInteger, nullable=False, comment="Lines of a log file; songs and errors of a song file"),
    Column("staged", BigInteger, nullable=False, comment="Rows in staging"),
    Column("duplicates", BigInteger, nullable=False, comment="Events that an earlier line already had"),
    Column("errors", BigInteger, nullable=False, comment="Lines or songs in load_errors"),
    Column("loaded_at", TIMESTAMP, nullable=False, comment="When the object was loaded, UTC"),
    Column(
        "loader_version",
        String(64),
        nullable=False,
        comment="Version of the loader, and digest of the JSON keys of the log",
    ),
    schema=STAGING_SCHEMA,
    comment="One row per staged object, written in the transaction of its rows",
    info=SMALL,
)

load_errors = Table(
    "load_errors",
    metadata,
    Column("key", ByteOrdered(TEXT_BYTES), nullable=False, comment="Object's key below its prefix"),
    Column("line_number", BigInteger, comment="Line of the file, from 1; NULL if the whole file is unreadable"),
    Column("log_date", Date, comment="Day of a log file; NULL for a song file"),
    Column("column_name", String(64), comment="Column of staging whose value is wrong, if it is known"),
    Column("reason", text(), nullable=False, comment="Reason of the rejection, without values of the data"),
    Column("raw_text", String(4 * RAW_TEXT_CHARACTERS), comment="The text, cut to 1,000 characters", info=PERSONAL),
    Column("loaded_at", TIMESTAMP, nullable=False, comment="When the object was read, UTC"),
    schema=STAGING_SCHEMA,
    comment="One row per rejected record (event or song); of a rejected load the first ones",
    info=SMALL,
)

rejected_loads = Table(
    "rejected_loads",
    metadata,
    Column("log_date", Date, comment="Rejected day; NULL for the songs"),
    Column("errors", BigInteger, nullable=False, comment="Errors found"),
    Column("max_load_errors", BigInteger, nullable=False, comment="Errors allowed"),
    Column("reason", text(), comment="Reason of the rejection"),
    Column("rejected_at", TIMESTAMP, nullable=False, comment="Time of the rejection, UTC"),
    Column(
        "inspected",
        String(64),
        comment="Digest of the files, the limits and the loader; while it is the same, the day is not inspected again",
    ),
    Column("shown_in", String(64), comment="Run that failed so that Dagster shows the day as failed"),
    schema=STAGING_SCHEMA,
    comment="One row per day whose latest load was rejected, and one for the songs; the staged rows stayed",
    info=SMALL,
)

stale_days = Table(
    "stale_days",
    metadata,
    Column("log_date", Date, nullable=False, comment="Day whose events were replaced"),
    Column("table_name", String(64), nullable=False, comment="Table that has not been rebuilt since"),
    schema=STAGING_SCHEMA,
    comment="One row per day and table to be rebuilt, written in the transaction that replaces the day's events",
    info=SMALL,
)

table_versions = Table(
    "table_versions",
    metadata,
    Column("table_name", String(64), nullable=False, comment="Table of the star, of the marts, or staging_songs"),
    Column(
        "version",
        String(64),
        nullable=False,
        comment="Sum of a hash per row, changed by each transaction that writes rows; of staging_songs a random number",
    ),
    Column("sql_version", String(64), comment="Digest of the SELECT that builds the table; NULL of staging_songs"),
    Column("built_from", String(64), comment="Version of staging_songs of which songs or artists was built"),
    schema=STAGING_SCHEMA,
    comment="One row per table that was built: equal versions have equal rows. Written in the transaction of its rows",
    info=SMALL,
)

pending_steps = Table(
    "pending_steps",
    metadata,
    Column("step", String(64), nullable=False, comment="Step of a run that follows when the table changes"),
    Column("table_name", String(64), nullable=False, comment="Table that has new rows"),
    Column("first_day", Date, comment="First day of the new rows; NULL of a table that is not built by days"),
    Column("last_day", Date, comment="Last day of the new rows, included"),
    Column(
        "token", String(64), nullable=False, comment="Random, so that a step removes only the rows that it has seen"
    ),
    schema=STAGING_SCHEMA,
    comment="One row per check, refresh or report that has yet to see new rows. Written in their transaction",
    info=SMALL,
)

# Columns whose values are counted: artist, song and length among plays, all others among signed-in events.
PROFILED_COLUMNS = tuple(name for name in COLUMN_NAMES if name not in ("page", "ts", "user_id"))

day_profiles = Table(
    "day_profiles",
    metadata,
    Column("log_date", Date, nullable=False, comment="Day of the log"),
    Column(
        "run_id", String(64), nullable=False, comment="Run that loaded the day; of a chain of retries the first one"
    ),
    Column("files_before", BigInteger, nullable=False, comment="Staged log files of the day before the load"),
    Column("events_before", BigInteger, nullable=False, comment="Staged events of the day before the load"),
    Column("files", BigInteger, nullable=False, comment="Log files of the day; 0 if they are gone"),
    Column("events", BigInteger, nullable=False, comment="Events of the day"),
    Column("next_songs", BigInteger, nullable=False, comment="Events of page NextSong"),
    Column("songs", BigInteger, nullable=False, comment="Events with a song"),
    Column("signed_in", BigInteger, nullable=False, comment="Events with a user"),
    Column("plays", BigInteger, nullable=False, comment="Events of page NextSong with a user"),
    *(
        Column(f"{name}_values", BigInteger, comment=f"Events with a value of {name} among those that should have one")
        for name in PROFILED_COLUMNS
    ),
    Column("present_fields", String(4096), comment="Columns whose key at least one record has, as JSON"),
    Column("missing_fields", String(4096), comment="Columns whose key no record has though some should, as JSON"),
    Column("unknown_fields", String(65535), comment="Keys that belong to no column, as JSON"),
    Column("new_values", String(65535), comment="Unknown values of columns whose values are known, as JSON"),
    schema=STAGING_SCHEMA,
    comment="One row per day as of its last load, for the checks on drift; written in the transaction of its events",
    info=SMALL,
)

user_days = Table(
    "user_days",
    metadata,
    Column("user_id", BigInteger, nullable=False, comment="User"),
    Column("log_date", Date, nullable=False, comment="Day on which the user was seen"),
    Column("first_name", text(), comment="As of the user's latest event of the day", info=PERSONAL),
    Column("last_name", text(), comment="As of the user's latest event of the day", info=PERSONAL),
    Column("gender", short_text(), comment="As of the user's latest event of the day"),
    Column("level", short_text(), comment="As of the user's latest event of the day"),
    Column("ts", TIMESTAMP, nullable=False, comment="The user's latest event of the day, UTC"),
    Column("session_id", BigInteger, comment="Session of that event"),
    Column("item_in_session", Integer, comment="Position of that event in its session"),
    schema=STAGING_SCHEMA,
    comment="One row per user and day, so that users can be rebuilt without reading every event",
    redshift_sortkey="log_date",
    info={"layout": "A load replaces the rows of its days, as in staging_events."},
)

pending_rematch = Table(
    "pending_rematch",
    metadata,
    Column("log_date", Date, nullable=False, comment="Day whose plays would now match other songs"),
    schema=STAGING_SCHEMA,
    # Redshift's writers lock this table, too (warehouse/redshift/warehouse.py).
    comment="One row per day whose songplays have to be re-matched, since the songs changed",
    info=SMALL,
)

analytics_refreshes = Table(
    "analytics_refreshes",
    metadata,
    Column("query", String(64), nullable=False, comment="Query, and its table in the analytics schema"),
    Column("definition", String(64), nullable=False, comment="Digest of the table's columns"),
    Column(
        "version",
        String(64),
        nullable=False,
        comment="Digest of the query and of the versions of the tables that it has read",
    ),
    Column("refreshed_at", TIMESTAMP, nullable=False, comment="Time of the refresh, UTC"),
    Column(
        "by_day",
        String(64),
        comment="Digest of the query, if changed days can be refreshed alone; NULL if all days have to be",
    ),
    Column("compared_with", String(64), comment="Digest of the expected results with which the rows were compared"),
    schema=STAGING_SCHEMA,
    comment="One row per table of the analytics schema, written in the transaction of its rows",
    info=SMALL,
)

schema_versions = Table(
    "schema_versions",
    metadata,
    Column("version", String(64), nullable=False, comment="Digest of the tables and views"),
    Column("star_schema", String(128), nullable=False, comment="Schema of the star's tables"),
    Column("product_schema", String(128), comment="Schema of the marts; NULL of a version that had none"),
    Column("installed_at", TIMESTAMP, nullable=False, comment="Time of the installation or upgrade, UTC"),
    schema=STAGING_SCHEMA,
    comment="One row: what sparkify has made here. Without it the star's tables are somebody else's",
    info=SMALL,
)

songplays = Table(
    "songplays",
    metadata,
    Column(
        "songplay_id", String(32), nullable=False, comment="MD5 of the event's identity, the same after every reload"
    ),
    Column(
        "start_time",
        TIMESTAMP,
        nullable=False,
        comment="When the song started, UTC, to the millisecond",
        info={"references": "time.start_time"},
    ),
    Column("user_id", BigInteger, nullable=False, comment="Listener", info={"references": "users.user_id"}),
    Column("level", short_text(), comment="free or paid, at the time of the play"),
    Column(
        "song_id",
        short_text(),
        comment="Song; NULL if no song matches",
        info={"references": "songs.song_id"},
    ),
    Column(
        "artist_id",
        short_text(),
        comment="Artist; NULL if no song matches",
        info={"references": "artists.artist_id"},
    ),
    Column("session_id", BigInteger, nullable=False, comment="Session of the app"),
    Column("location", text(), comment="Listener's metropolitan area", info=PERSONAL),
    Column("user_agent", text(), comment="Listener's browser", info=PERSONAL),
    Column("song", text(), comment="Title of the song played, as the app logged it, whether or not it matches"),
    Column("artist", text(), comment="Artist of the song played, as the app logged it"),
    Column("length", seconds(), comment="Length of the song played, in seconds"),
    PrimaryKeyConstraint("songplay_id"),
    comment="One row per play of a song",
    redshift_sortkey="start_time",
    info={
        "layout": "Analysts and loads read periods. A distribution by user would skew on heavy listeners, so it is "
        "left to Redshift."
    },
)

users = Table(
    "users",
    metadata,
    Column("user_id", BigInteger, nullable=False, autoincrement=False, comment="User"),
    Column("first_name", text(), comment="As of the user's latest event", info=PERSONAL),
    Column("last_name", text(), comment="As of the user's latest event", info=PERSONAL),
    Column("gender", short_text(), comment="As of the user's latest event"),
    Column("level", short_text(), comment="free or paid, as of the user's latest event"),
    PrimaryKeyConstraint("user_id"),
    comment="One row per user of the app",
    info=DIMENSION,
)

songs = Table(
    "songs",
    metadata,
    Column("song_id", short_text(), nullable=False, comment="Song"),
    Column("title", text(), comment="Title of the song"),
    Column("artist_id", short_text(), nullable=False, comment="Artist of the song"),
    Column("year", Integer, comment="Year of release; NULL if unknown"),
    Column("duration", seconds(), comment="Length of the song, in seconds"),
    PrimaryKeyConstraint("song_id"),
    comment="One row per song of the song catalogue",
    info=DIMENSION,
)

artists = Table(
    "artists",
    metadata,
    Column("artist_id", short_text(), nullable=False, comment="Artist"),
    Column("name", text(), comment="Name on most of the artist's songs"),
    Column("location", text(), comment="From the artist's latest song that has one"),
    Column("latitude", degrees(), comment="Degrees north, from the artist's latest song that has both"),
    Column("longitude", degrees(), comment="Degrees east, from the artist's latest song that has both"),
    PrimaryKeyConstraint("artist_id"),
    comment="One row per artist of the song catalogue",
    info=DIMENSION,
)

time = Table(
    "time",
    metadata,
    Column("start_time", TIMESTAMP, nullable=False, comment="When a song started, UTC, to the millisecond"),
    Column("hour", SmallInteger, nullable=False, comment="0 to 23"),
    Column("day", SmallInteger, nullable=False, comment="Day of the month"),
    Column("week", SmallInteger, nullable=False, comment="ISO week"),
    Column("month", SmallInteger, nullable=False, comment="1 to 12"),
    Column("year", SmallInteger, nullable=False, comment="Calendar year"),
    Column("weekday", SmallInteger, nullable=False, comment="0 = Sunday to 6 = Saturday"),
    PrimaryKeyConstraint("start_time"),
    comment="One row per distinct start_time of songplays",
    redshift_sortkey="start_time",
    info={"layout": "Read and replaced by periods, as songplays is."},
)

# DuckDB and Redshift skip blocks by their min and max values; PostgreSQL needs an index to find a day.
for _name, _columns in {
    "staging_events_days": (staging_events.c.log_date,),
    "loaded_objects_days": (loaded_objects.c.log_date,),
    "load_errors_days": (load_errors.c.log_date,),
    "user_days_days": (user_days.c.log_date,),
    "user_days_users": (user_days.c.user_id,),
    "songplays_days": (songplays.c.start_time,),
    "events_days": (events.c.ts,),
    "daily_activity_days": (daily_activity.c.day,),
    "level_days_days": (level_days.c.log_date,),
    "level_days_users": (level_days.c.user_id,),
    "session_days_days": (session_days.c.log_date,),
    "session_days_sessions": (session_days.c.session_id, session_days.c.user_id),
}.items():
    Index(_name, *_columns).ddl_if(dialect="postgresql")

STAR_TABLES = (songplays, users, songs, artists, time)
# The column by whose UTC day a load of days, or a reader of some days, finds the rows of a table.
DAY_COLUMNS: Mapping[Table, Column[Any]] = {
    staging_events: staging_events.c.log_date,
    songplays: songplays.c.start_time,
    time: time.c.start_time,
    events: events.c.ts,
    user_levels: user_levels.c.valid_from,
    sessions: sessions.c.started_at,
    daily_activity: daily_activity.c.day,
}
# The rows per day from which the tables of whole users and sessions are built. They also know the keys of these tables
# that have events on a day.
DAY_TABLES: Mapping[Table, Table] = {users: user_days, user_levels: level_days, sessions: session_days}
# All that a reader may use, and those that a load of days rebuilds.
READ_TABLES = (*STAR_TABLES, *PRODUCT_TABLES)
DAILY_TABLES = (songplays, users, time, *PRODUCT_TABLES)
# Tables of which each row is made of the events of one day.
BUILT_BY_DAY = frozenset(str(table.name) for table in DAILY_TABLES if table not in DAY_TABLES)
SONG_COLUMNS = tuple(column.name for column in staging_songs.columns)[:10]


def is_personal(column: Column[Any]) -> bool:
    """Returns whether the column holds a listener's name, location or browser."""
    return bool(column.info.get("personal"))


def key_columns(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key.columns)


def type_name(column: Column[Any]) -> str:
    """Returns the column's type as in Redshift's DDL."""
    if isinstance(column.type, Numeric):
        return f"DECIMAL({column.type.precision},{column.type.scale})"
    return str(column.type)
