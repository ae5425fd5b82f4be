"""The columns of a log event, each stated once: name in staging, key in the JSON, kind, meaning.

The loader, the tables, the checks on drift and the simulator derive from it what they need. A new column of the log
needs an entry here; to have it in the star, add it to sql/star/songplays.sql and to schema/tables.py.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

# In UTF-8, as Redshift counts VARCHAR.
SHORT_TEXT_BYTES: Final = 64
TEXT_BYTES: Final = 1_024
# The raw text of a load error is cut to this length.
RAW_TEXT_CHARACTERS: Final = 1_000
DAY_MS: Final = 86_400_000
# 0001-01-01 and 9999-12-31T23:59:59.999 UTC, in milliseconds since 1970.
EPOCH_MS_RANGE: Final = (-62_135_596_800_000, 253_402_300_799_999)
# No page says that COPY reads larger JSON numbers exactly; in quotes, as in a normalised copy, it does.
MAX_EXACT_JSON_INTEGER: Final = 2**53
# The page of a play.
NEXT_SONG: Final = "NextSong"


class Kind(Enum):
    """The type of a column, in the JSON and in staging."""

    SHORT_TEXT = auto()
    TEXT = auto()
    INTEGER = auto()
    BIGINT = auto()
    USER_ID = auto()
    """An integer that the app writes as text, empty if nobody is signed in."""
    SECONDS = auto()
    """A number with at most five decimals."""
    EPOCH_MS = auto()
    """Milliseconds since 1970, UTC; a TIMESTAMP in staging."""


class Population(Enum):
    """The events that should have the column's key. The app leaves out keys without a value."""

    ALL = auto()
    SIGNED_IN = auto()
    """Events with a user."""
    PLAYS = auto()
    """Events of page NextSong with a user."""
    NOT_SIGNED_OUT = auto()
    """Events whose auth is neither Logged Out nor Guest."""


@dataclass(frozen=True)
class EventColumn:
    """A column of staging_events that comes from the log."""

    name: str
    key: str
    kind: Kind
    comment: str
    due: Population = Population.ALL
    is_required: bool = False
    """An event without a value is rejected."""
    is_essential: bool = False
    """A day on which no event has the key is an ERROR, even if no other day has it."""
    is_personal: bool = False


EVENT_COLUMNS: Final = (
    EventColumn(
        "artist",
        "artist",
        Kind.TEXT,
        "Artist of the song played, as the app logged it",
        due=Population.PLAYS,
        is_essential=True,
    ),
    EventColumn("auth", "auth", Kind.SHORT_TEXT, "Logged In, Logged Out, Guest or Cancelled"),
    EventColumn("first_name", "firstName", Kind.TEXT, "User's first name", due=Population.SIGNED_IN, is_personal=True),
    EventColumn("gender", "gender", Kind.SHORT_TEXT, "F or M", due=Population.SIGNED_IN),
    EventColumn(
        "item_in_session",
        "itemInSession",
        Kind.INTEGER,
        "Position of the event in its session, from 0",
        is_essential=True,
    ),
    EventColumn("last_name", "lastName", Kind.TEXT, "User's last name", due=Population.SIGNED_IN, is_personal=True),
    EventColumn(
        "length",
        "length",
        Kind.SECONDS,
        "Length of the song played, in seconds",
        due=Population.PLAYS,
        is_essential=True,
    ),
    EventColumn("level", "level", Kind.SHORT_TEXT, "free or paid, at the time of the event", is_essential=True),
    EventColumn(
        "location", "location", Kind.TEXT, "User's metropolitan area", due=Population.SIGNED_IN, is_personal=True
    ),
    EventColumn("method", "method", Kind.SHORT_TEXT, "HTTP method"),
    EventColumn("page", "page", Kind.SHORT_TEXT, "Page of the app; NextSong is a play", is_required=True),
    EventColumn(
        "registration", "registration", Kind.EPOCH_MS, "When the user registered, UTC", due=Population.SIGNED_IN
    ),
    EventColumn("session_id", "sessionId", Kind.BIGINT, "Session of the app", is_essential=True),
    EventColumn(
        "song",
        "song",
        Kind.TEXT,
        "Title of the song played, as the app logged it",
        due=Population.PLAYS,
        is_essential=True,
    ),
    EventColumn("status", "status", Kind.INTEGER, "HTTP status"),
    EventColumn("ts", "ts", Kind.EPOCH_MS, "When the event happened, UTC, to the millisecond", is_required=True),
    EventColumn("user_agent", "userAgent", Kind.TEXT, "Browser", due=Population.SIGNED_IN, is_personal=True),
    EventColumn(
        "user_id",
        "userId",
        Kind.USER_ID,
        "User; NULL when logged out",
        due=Population.NOT_SIGNED_OUT,
        is_essential=True,
    ),
)
COLUMN_NAMES: Final = tuple(column.name for column in EVENT_COLUMNS)
DEFAULT_KEYS: Final = tuple(column.key for column in EVENT_COLUMNS)


def columns_due(population: Population) -> tuple[str, ...]:
    """Returns the names of the columns that a population of events should have."""
    return tuple(column.name for column in EVENT_COLUMNS if column.due is population)
