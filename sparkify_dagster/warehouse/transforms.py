"""Runs the star's SQL (sql/star): one file with one SELECT per table, verbatim on every warehouse.

The rules are those of docs/contract.md (The star). Each function replaces what it builds inside the caller's
transaction, so that readers see the old rows or the new ones.
"""

from datetime import date, datetime, time, timedelta

from sqlalchemy import Connection, Table, delete, text

from sparkify_dagster.schema import sql_files, tables


def replace_songplays(connection: Connection, first_day: date, last_day: date) -> None:
    """Rebuilds the plays of the days (both included) and matches them with the current songs."""
    start, end = day_bounds(first_day, last_day)
    table = tables.songplays
    connection.execute(delete(table).where(table.c.start_time >= start, table.c.start_time < end))
    _insert(connection, table, first_day=first_day, last_day=last_day)
    pending = tables.pending_rematch
    connection.execute(delete(pending).where(pending.c.log_date.between(first_day, last_day)))
    _note_rebuilt(connection, table, first_day, last_day)


def replace_time(connection: Connection, first_day: date, last_day: date) -> None:
    """Rebuilds the start times of the days (both included)."""
    start, end = day_bounds(first_day, last_day)
    table = tables.time
    connection.execute(delete(table).where(table.c.start_time >= start, table.c.start_time < end))
    _insert(connection, table, first_day=start, end_day=end)
    _note_rebuilt(connection, table, first_day, last_day)


def replace_users(connection: Connection, first_day: date, last_day: date) -> None:
    """Rebuilds the users seen on the days (both included), now or when users was last built from these days."""
    days = tables.user_days
    # The users of the replaced days are in user_days, which changes only here, in the transaction that changes users.
    connection.execute(text("CREATE TEMPORARY TABLE touched_users (user_id BIGINT)"))
    connection.execute(
        text(
            "INSERT INTO touched_users"
            " SELECT d.user_id FROM staging.user_days AS d WHERE d.log_date BETWEEN :first_day AND :last_day"
            " UNION SELECT e.user_id FROM staging.staging_events AS e"
            " WHERE e.user_id IS NOT NULL AND e.log_date BETWEEN :first_day AND :last_day"
        ),
        {"first_day": first_day, "last_day": last_day},
    )
    connection.execute(delete(days).where(days.c.log_date.between(first_day, last_day)))
    _insert(connection, days, first_day=first_day, last_day=last_day)
    connection.execute(text("DELETE FROM users WHERE user_id IN (SELECT t.user_id FROM touched_users AS t)"))
    _insert(connection, tables.users)
    connection.execute(text("DROP TABLE touched_users"))
    _note_rebuilt(connection, tables.users, first_day, last_day)


def replace_song_dimension(connection: Connection, table: Table) -> None:
    """Rebuilds songs or artists from all staged songs."""
    connection.execute(delete(table))
    _insert(connection, table)


def _note_rebuilt(connection: Connection, table: Table, first_day: date, last_day: date) -> None:
    stale = tables.stale_days.c
    days = stale.log_date.between(first_day, last_day)
    connection.execute(delete(tables.stale_days).where(stale.table_name == table.name, days))


def _insert(connection: Connection, table: Table, **parameters: date) -> None:
    columns = ", ".join(column.name for column in table.columns)
    connection.execute(
        text(f"INSERT INTO {table.fullname} ({columns})\n{sql_files.select_sql(table.name)}"), parameters
    )


def day_bounds(first_day: date, last_day: date) -> tuple[datetime, datetime]:
    """Returns the UTC bounds of the days: start included, end excluded."""
    return datetime.combine(first_day, time()), datetime.combine(last_day + timedelta(days=1), time())
