"""Creates, upgrades and drops the tables and views."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from sqlalchemy import Column, Connection, Date, Table, cast, column, insert, literal, select, table, text
from sqlalchemy.schema import CreateSchema, CreateTable, DropTable

from sparkify_dagster.schema import sql_files
from sparkify_dagster.schema.sql_files import VIEWS
from sparkify_dagster.schema.tables import (
    ANALYTICS_SCHEMA,
    STAGING_SCHEMA,
    analytics_refreshes,
    loaded_objects,
    metadata,
    pending_rematch,
    songplays,
    staging_events,
    stale_days,
    time,
    user_days,
    users,
)


def columns_in(connection: Connection, schema: str) -> Mapping[str, Set[str]]:
    """The tables and views of a schema, and their columns."""
    # Not the dialects' reflection: that of SQLAlchemy 2.1 asks for arrays, which Redshift does not promise.
    known = table(
        "columns", column("table_schema"), column("table_name"), column("column_name"), schema="information_schema"
    ).c
    found: dict[str, set[str]] = {}
    for name, column_name in connection.execute(
        select(known.table_name, known.column_name).where(known.table_schema == schema)
    ):
        found.setdefault(name, set()).add(column_name)
    return found


def create_tables(connection: Connection) -> None:
    """Creates what is missing: schemas, tables, columns, views. Running it again changes nothing."""
    connection.execute(CreateSchema(STAGING_SCHEMA, if_not_exists=True))
    connection.execute(CreateSchema(ANALYTICS_SCHEMA, if_not_exists=True))
    existing = {
        None: columns_in(connection, str(connection.dialect.default_schema_name)),
        STAGING_SCHEMA: columns_in(connection, STAGING_SCHEMA),
    }
    for wanted in metadata.sorted_tables:
        held = existing[wanted.schema].get(wanted.name)
        if held is None:
            wanted.create(connection, checkfirst=False)
            if wanted is stale_days and songplays.name in existing[None]:
                _note_stale_days(connection)
        elif missing := [column for column in wanted.columns if column.name not in held]:
            _add_columns(connection, wanted, missing)
    for view in VIEWS:
        connection.execute(text(f"CREATE OR REPLACE VIEW {STAGING_SCHEMA}.{view} AS {sql_files.select_sql(view)}"))


def _add_columns(connection: Connection, wanted: Table, missing: Sequence[Column[Any]]) -> None:
    """To a table that an earlier version made. They are empty until the days are built again, which is asked for."""
    compiler = connection.dialect.ddl_compiler(connection.dialect, CreateTable(wanted))
    for added in missing:
        definition = compiler.get_column_specification(added)
        connection.execute(text(f"ALTER TABLE {wanted.fullname} ADD COLUMN {definition}"))
    if wanted is songplays:
        pending, staged = pending_rematch.c.log_date, staging_events.c.log_date
        days = select(staged).distinct().where(staged.not_in(select(pending)))
        connection.execute(insert(pending_rematch).from_select([pending.name], days))


def _note_stale_days(connection: Connection) -> None:
    """Notes the days of the star that staging no longer holds, in a warehouse of an earlier version.

    A load that was killed after it emptied such a day left nothing else that would say so.
    """
    held = select(loaded_objects.c.log_date).where(loaded_objects.c.log_date.is_not(None))
    for rebuilt, day in (
        (songplays, cast(songplays.c.start_time, Date)),
        (time, cast(time.c.start_time, Date)),
        (users, user_days.c.log_date),
    ):
        stale = select(day, literal(rebuilt.name)).where(day.not_in(held)).distinct()
        connection.execute(insert(stale_days).from_select(["log_date", "table_name"], stale))


def drop_tables(connection: Connection) -> None:
    """Drops the tables and views with all they hold; what else lives in their schemas stays."""
    answered = columns_in(connection, STAGING_SCHEMA).get(analytics_refreshes.name)
    for query in connection.execute(select(analytics_refreshes.c.query)).scalars() if answered else ():
        connection.execute(text(f"DROP TABLE IF EXISTS {ANALYTICS_SCHEMA}.{query}"))
    for view in reversed(VIEWS):
        connection.execute(text(f"DROP VIEW IF EXISTS {STAGING_SCHEMA}.{view}"))
    for dropped in reversed(metadata.sorted_tables):
        connection.execute(DropTable(dropped, if_exists=True))
