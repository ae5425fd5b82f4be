"""The marts of all pages (schema product), and the small tables per day from which two of them are rebuilt.

No column holds a name, a place or a browser. Levels and pages are without trailing blanks.
"""

from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Column, Date, Integer, Numeric, PrimaryKeyConstraint, String, Table
from sqlalchemy.types import TIMESTAMP

from sparkify_dagster.schema.column_types import PRODUCT_SCHEMA, SMALL, STAGING_SCHEMA, metadata, short_text

_READ_BY_DAY = {"layout": "Read and replaced by days."}
_REPLACED_BY_DAY = {"layout": "A load replaces the rows of its days, as in staging_events."}


def _count(name: str, comment: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, comment=comment)


def _level(name: str, comment: str) -> Column[str]:
    return Column(name, short_text(), comment=comment)


def _seconds_played() -> Column[Decimal]:
    return Column(
        "seconds_played",
        Numeric(18, 5),
        nullable=False,
        comment="Length of the songs played, in seconds; 0 without any",
    )


def _user(**options: Any) -> Column[int]:
    return Column("user_id", BigInteger, nullable=False, autoincrement=False, comment="User", **options)


events = Table(
    "events",
    metadata,
    Column(
        "event_id", String(32), nullable=False, comment="MD5 of the event's identity; for a play that of its songplay"
    ),
    Column("ts", TIMESTAMP, nullable=False, comment="Time of the event, UTC, to the millisecond"),
    Column(
        "user_id",
        BigInteger,
        comment="User; NULL while nobody is signed in",
        info={"references": "users.user_id"},
    ),
    Column("session_id", BigInteger, comment="Session of the app"),
    Column("item_in_session", Integer, comment="Position of the event in its session, from 0"),
    Column("page", short_text(), nullable=False, comment="Page of the app, such as NextSong, Home or Upgrade"),
    Column("auth", short_text(), comment="State of the login, such as Logged In"),
    Column("method", short_text(), comment="HTTP method"),
    Column("status", Integer, comment="HTTP status"),
    _level("level", "free or paid, at the time of the event"),
    PrimaryKeyConstraint("event_id"),
    schema=PRODUCT_SCHEMA,
    comment="One row per event of the app's log, of every page",
    redshift_sortkey="ts",
    info={"layout": "Read and replaced by periods, as songplays is."},
)

user_levels = Table(
    "user_levels",
    metadata,
    _user(info={"references": "users.user_id"}),
    Column("version", Integer, nullable=False, autoincrement=False, comment="1 for the user's first level"),
    Column("valid_from", TIMESTAMP, nullable=False, comment="Time of the first event with the level, UTC"),
    Column(
        "valid_to",
        TIMESTAMP,
        comment="valid_from of the next level; NULL for the current one. Equal to valid_from if both began in one "
        "millisecond",
    ),
    _level("level", "free or paid"),
    Column("page", short_text(), nullable=False, comment="Page on which the level is first seen"),
    PrimaryKeyConstraint("user_id", "version"),
    schema=PRODUCT_SCHEMA,
    comment="One row per period in which a user had a level",
    info=SMALL,
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", BigInteger, nullable=False, autoincrement=False, comment="Session of the app"),
    _user(info={"references": "users.user_id"}),
    Column("started_at", TIMESTAMP, nullable=False, comment="Time of the user's first event in the session, UTC"),
    Column("ended_at", TIMESTAMP, nullable=False, comment="Time of the user's last event in the session, UTC"),
    Column("first_page", short_text(), nullable=False, comment="Page of the first event"),
    Column("last_page", short_text(), nullable=False, comment="Page of the last event"),
    _count("events", "Events"),
    _count("plays", "Events of page NextSong"),
    _seconds_played(),
    _count("errors", "Events with an HTTP status of 400 or above"),
    _level("level_at_start", "Level of the first event"),
    _level("level_at_end", "Level of the last event"),
    _count("upgrades", "Events of page Submit Upgrade"),
    _count("downgrades", "Events of page Submit Downgrade"),
    PrimaryKeyConstraint("session_id", "user_id"),
    schema=PRODUCT_SCHEMA,
    comment="One row per session and user, also over midnight",
    redshift_sortkey="started_at",
    info={"layout": "Analysts read periods."},
)

daily_activity = Table(
    "daily_activity",
    metadata,
    _user(info={"references": "users.user_id"}),
    Column("day", Date, nullable=False, comment="UTC day with at least one event of the user"),
    _level("level_at_end", "Level of the user's last event of the day"),
    _count("sessions", "Distinct sessions"),
    _count("events", "Events"),
    _count("plays", "Events of page NextSong"),
    _seconds_played(),
    _count("songs", "Distinct songs played: title and artist"),
    _count("artists", "Distinct artists played"),
    _count("errors", "Events with an HTTP status of 400 or above"),
    _count("upgrades_seen", "Events of page Upgrade"),
    _count("upgrades", "Events of page Submit Upgrade"),
    _count("downgrades_seen", "Events of page Downgrade"),
    _count("downgrades", "Events of page Submit Downgrade"),
    _count("adverts", "Events of page Roll Advert"),
    _count("thumbs_up", "Events of page Thumbs Up"),
    _count("thumbs_down", "Events of page Thumbs Down"),
    _count("playlist_adds", "Events of page Add to Playlist"),
    _count("friend_adds", "Events of page Add Friend"),
    _count("help", "Events of page Help"),
    _count("cancelled", "Events of page Cancellation Confirmation"),
    PrimaryKeyConstraint("user_id", "day"),
    schema=PRODUCT_SCHEMA,
    comment="One row per user and UTC day with an event",
    redshift_sortkey="day",
    info=_READ_BY_DAY,
)

level_days = Table(
    "level_days",
    metadata,
    _user(),
    Column("log_date", Date, nullable=False, comment="Day"),
    Column("ts", TIMESTAMP, nullable=False, comment="Time of the event with which the level begins, UTC"),
    Column("session_id", BigInteger, comment="Session of that event"),
    Column("item_in_session", Integer, comment="Position of that event in its session"),
    _level("level", "free or paid"),
    Column("page", short_text(), nullable=False, comment="Page of that event"),
    schema=STAGING_SCHEMA,
    comment="One row per user, day and change of level within the day, so that user_levels can be rebuilt",
    redshift_sortkey="log_date",
    info=_REPLACED_BY_DAY,
)

session_days = Table(
    "session_days",
    metadata,
    Column("session_id", BigInteger, nullable=False, autoincrement=False, comment="Session of the app"),
    _user(),
    Column("log_date", Date, nullable=False, comment="Day"),
    *(
        Column(column.name, column.type, nullable=column.nullable, comment=f"{column.comment}, on this day")
        for column in list(sessions.columns)[2:]
    ),
    schema=STAGING_SCHEMA,
    comment="One row per session, user and day, so that sessions can be rebuilt without reading every event",
    redshift_sortkey="log_date",
    info=_REPLACED_BY_DAY,
)

PRODUCT_TABLES = (events, user_levels, sessions, daily_activity)
