"""Runs the SQL of the star and of the marts (sql/star, sql/product): one SELECT per table, verbatim on every warehouse.

The rules are those of docs/contract.md. Each function replaces what it builds inside the caller's transaction, so that
readers see the old rows or the new ones.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Date,
    MetaData,
    Table,
    and_,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    union,
)

from sparkify_dagster.schema import product_tables, sql_files, tables
from sparkify_dagster.schema.code_versions import code_version
from sparkify_dagster.warehouse import pending_steps, table_versions

ReplaceDays: TypeAlias = Callable[[Connection, date, date], None]

MAX_DAYS_PER_STATEMENT: Final = 31
_MADE_OF_ITS_ROWS: Final = {"songplays": ("time",)}


def replace_songplays(connection: Connection, first_day: date, last_day: date) -> None:
    """Rebuilds the plays of the days (both included) and matches them with the current songs."""
    _replace_days(connection, tables.songplays, first_day, last_day)
    pending = tables.pending_rematch
    connection.execute(delete(pending).where(pending.c.log_date.between(first_day, last_day)))


def replace_time(connection: Connection, first_day: date, last_day: date) -> None:
    """Rebuilds the start times of the days (both included)."""
    start, end = day_bounds(first_day, last_day)
    _replace_days(connection, tables.time, first_day, last_day, {"first_day": start, "end_day": end})


def replace_users(connection: Connection, first_day: date, last_day: date) -> None:
    """Rebuilds the users seen on the days (both included), now or when users was last built from these days."""
    _replace_touched(connection, tables.users, "user_id", first_day, last_day)


def replace_events(connection: Connection, first_day: date, last_day: date) -> None:
    """Rebuilds the events of the days (both included)."""
    _replace_days(connection, product_tables.events, first_day, last_day)


def replace_daily_activity(connection: Connection, first_day: date, last_day: date) -> None:
    """Rebuilds the users' activity on the days (both included)."""
    _replace_days(connection, product_tables.daily_activity, first_day, last_day)


def replace_user_levels(connection: Connection, first_day: date, last_day: date) -> None:
    """Rebuilds all levels of the users seen on the days (both included), now or when they were last built."""
    _replace_touched(connection, product_tables.user_levels, "user_id", first_day, last_day)


def replace_sessions(connection: Connection, first_day: date, last_day: date) -> None:
    """Rebuilds the sessions that have events on the days (both included), now or when they were last built."""
    _replace_touched(connection, product_tables.sessions, "session_id", first_day, last_day)


# In an order in which each is built after what it reads.
DAILY_TRANSFORMS: Final[Mapping[str, ReplaceDays]] = {
    "songplays": replace_songplays,
    "time": replace_time,
    "users": replace_users,
    "events": replace_events,
    "user_levels": replace_user_levels,
    "sessions": replace_sessions,
    "daily_activity": replace_daily_activity,
}


def replace_song_dimension(connection: Connection, table: Table) -> None:
    """Rebuilds songs or artists from all staged songs."""
    songs = table_versions.version_of_songs(connection)
    with table_versions.rewriting(connection, table, None, built_from=songs):
        connection.execute(delete(table))
        _insert(connection, table)
    pending_steps.note(connection, [str(table.name)])


def _replace_touched(connection: Connection, table: Table, key: str, first_day: date, last_day: date) -> None:
    """Rebuilds the rows of a table whose keys have events on the days, from its rows per day.

    The day table changes only here, in the transaction that changes the table: it still knows the keys of the days as
    they were when the table was last built from them.
    """
    day_table = tables.DAY_TABLES[table]
    name = f"touched_{key.removesuffix('_id')}s"
    touched = Table(name, MetaData(), Column(key, BigInteger), prefixes=["TEMPORARY"])
    events = tables.staging_events.c
    before = select(day_table.c[key]).where(day_table.c.log_date.between(first_day, last_day))
    now = select(events[key]).where(events[key].is_not(None), events.log_date.between(first_day, last_day))
    touched.create(connection, checkfirst=False)
    connection.execute(insert(touched).from_select([key], union(before, now)))
    connection.execute(delete(day_table).where(day_table.c.log_date.between(first_day, last_day)))
    _insert(connection, day_table, first_day=first_day, last_day=last_day)
    rows = table.c[key].in_(select(touched.c[key]))
    with _rebuilding(connection, table, rows, first_day, last_day):
        connection.execute(delete(table).where(rows))
        _insert(connection, table)
    touched.drop(connection, checkfirst=False)


def _replace_days(
    connection: Connection,
    table: Table,
    first_day: date,
    last_day: date,
    parameters: Mapping[str, date] | None = None,
) -> None:
    """Rebuilds the rows of the days; without `parameters`, the SELECT has the first and the last day."""
    rows = in_days(table, first_day, last_day)
    with _rebuilding(connection, table, rows, first_day, last_day):
        connection.execute(delete(table).where(rows))
        _insert(connection, table, **(parameters or {"first_day": first_day, "last_day": last_day}))


@contextmanager
def _rebuilding(
    connection: Connection, table: Table, rows: ColumnElement[bool], first_day: date, last_day: date
) -> Iterator[None]:
    """Keeps the bookkeeping of a daily table up to date with the block, which replaces the rows of the days."""
    with table_versions.rewriting(connection, table, rows) as before:
        yield
    name = str(table.name)
    if before is None or before.sql != code_version(name):
        for changed in (name, *_MADE_OF_ITS_ROWS.get(name, ())):
            _note_stale(connection, changed)
    stale = tables.stale_days.c
    days = stale.log_date.between(first_day, last_day)
    connection.execute(delete(tables.stale_days).where(stale.table_name == name, days))
    pending_steps.note(connection, [name], (first_day, last_day))


def _note_stale(connection: Connection, table: str) -> None:
    """Notes all staged days as stale in a table: they were built by another SELECT, if at all."""
    stale, staged = tables.stale_days.c, tables.loaded_objects.c.log_date
    noted = select(stale.log_date).where(stale.table_name == table)
    days = select(staged, literal(table)).where(staged.is_not(None), staged.not_in(noted)).distinct()
    connection.execute(insert(tables.stale_days).from_select(["log_date", "table_name"], days))


def _insert(connection: Connection, table: Table, **parameters: date) -> None:
    columns = ", ".join(column.name for column in table.columns)
    statement = text(f"INSERT INTO {table.fullname} ({columns})\n{sql_files.select_sql(table.name)}")
    for some_days in _by_month(parameters) if parameters else [{}]:
        connection.execute(statement, some_days)


def _by_month(days: Mapping[str, date]) -> Iterator[Mapping[str, date]]:
    """Yields the parameters of a SELECT of days, for some days at a time: nothing of one day depends on another.

    DuckDB takes 3.8 GB for the daily activity of a year of 38,000 events per day at once, and 1.2 GB by month.
    """
    first = days["first_day"]
    end = days["end_day"] if "end_day" in days else days["last_day"] + timedelta(days=1)
    while first < end:
        following = min(first + timedelta(days=MAX_DAYS_PER_STATEMENT), end)
        last = {"end_day": following} if "end_day" in days else {"last_day": following - timedelta(days=1)}
        yield {"first_day": first, **last}
        first = following


def in_days(table: Table, first_day: date, last_day: date) -> ColumnElement[bool]:
    """Returns the condition for the rows of a table of DAY_COLUMNS that belong to the days (both included)."""
    when = tables.DAY_COLUMNS[table]
    if isinstance(when.type, Date):
        return when.between(first_day, last_day)
    start, end = day_bounds(first_day, last_day)
    return and_(when >= start, when < end)


def count_rows_by_day(connection: Connection, table: Table, first_day: date, last_day: date) -> Mapping[date, int]:
    """Returns the rows of a table of DAY_COLUMNS per day, without days that have none."""
    day = cast(tables.DAY_COLUMNS[table], Date)
    counts = select(day, func.count()).where(in_days(table, first_day, last_day)).group_by(day)
    return dict(connection.execute(counts).all())


def day_bounds(first_day: date, last_day: date) -> tuple[datetime, datetime]:
    """Returns the UTC bounds of the days: start included, end excluded."""
    return datetime.combine(first_day, time()), datetime.combine(last_day + timedelta(days=1), time())
