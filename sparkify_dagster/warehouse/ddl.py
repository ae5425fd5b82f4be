"""Creates, upgrades and drops the tables and views."""

import hashlib
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Column, Connection, Date, Table, cast, column, delete, func, insert, literal, select, table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateSchema, CreateTable, DropTable

from sparkify_dagster.schema import sql_files
from sparkify_dagster.schema.column_types import ANALYTICS_SCHEMA, PRODUCT_SCHEMA, STAGING_SCHEMA
from sparkify_dagster.schema.sql_files import VIEWS
from sparkify_dagster.schema.tables import (
    DAILY_TABLES,
    DAY_TABLES,
    PRODUCT_TABLES,
    STAR_TABLES,
    analytics_refreshes,
    day_profiles,
    load_errors,
    loaded_objects,
    metadata,
    pending_rematch,
    rejected_loads,
    schema_versions,
    songplays,
    staging_events,
    staging_songs,
    stale_days,
    time,
    user_days,
    users,
)
from sparkify_dagster.warehouse import table_versions
from sparkify_dagster.warehouse.database_errors import WarehouseError

# Names of version 0.1.0, and what they are called now.
_RENAMED_TABLES: Final = {"refused_loads": rejected_loads, "answered_questions": analytics_refreshes}
_RENAMED_COLUMNS: Final[Mapping[Table, Mapping[str, str]]] = {
    loaded_objects: {"read_by": "loader_version"},
    rejected_loads: {"refused_at": "rejected_at"},
    analytics_refreshes: {"question": "query", "answered_at": "refreshed_at"},
}
# What loads write: if one of them is lost, all files are read again.
_LOADED_TABLES: Final = (staging_events, staging_songs, loaded_objects, load_errors, rejected_loads, day_profiles)
_DROPPED_VIEWS: Final = ("catalogue",)
_DEPENDENT_OBJECTS = "2BP01"


class ForeignTablesError(WarehouseError):
    """Tables of our names exist that sparkify did not make; the message names them and the way out."""


def columns_in(connection: Connection, schema: str) -> Mapping[str, Set[str]]:
    """Returns the columns of the tables and views of a schema, by table."""
    # Not the dialects' reflection: that of SQLAlchemy 2.1 uses arrays, which Redshift does not promise.
    known = table(
        "columns",
        *map(column, ("table_catalog", "table_schema", "table_name", "column_name")),
        schema="information_schema",
    ).c
    # DuckDB shows those of all attached files.
    here = known.table_catalog == func.current_database()
    found: dict[str, set[str]] = {}
    for name, column_name in connection.execute(
        select(known.table_name, known.column_name).where(here, known.table_schema == schema)
    ):
        found.setdefault(name, set()).add(column_name)
    return found


def is_current(connection: Connection) -> bool:
    """Returns whether create_tables of this version has run here, so that it has nothing to do."""
    if schema_versions.name not in columns_in(connection, STAGING_SCHEMA):
        return False
    installed = connection.execute(select(schema_versions.c.version, schema_versions.c.star_schema)).all()
    return installed == [(_version(connection), _star_schema(connection))]


def _version(connection: Connection) -> str:
    """Returns a digest of the tables and views as they are created here."""
    tables = [str(CreateTable(wanted).compile(dialect=connection.dialect)) for wanted in metadata.sorted_tables]
    return hashlib.sha256("\n".join([*tables, *map(sql_files.select_sql, VIEWS)]).encode()).hexdigest()


def replace_lost_tables(connection: Connection) -> Sequence[str]:
    """Creates tables that somebody has dropped, empty, and forgets what the bookkeeping says of their rows.

    So the next load reads or builds everything again. Returns the names of these tables. Raises ForeignTablesError.
    """
    schemas = {table.schema: table.schema or _star_schema(connection) for table in metadata.sorted_tables}
    existing = {schema: columns_in(connection, name) for schema, name in schemas.items()}
    lost = [table for table in metadata.sorted_tables if table.name not in existing[table.schema]]
    if not lost:
        return ()
    create_tables(connection)
    if any(table in _LOADED_TABLES for table in lost):
        for loaded in _LOADED_TABLES:
            connection.execute(delete(loaded))
        _note_stale_days(connection)
    for rebuilt, day_table in DAY_TABLES.items():
        if day_table in lost:
            # Nothing says any more which of its rows have lost their events.
            connection.execute(delete(rebuilt))
    table_versions.forget(connection)
    return [table.fullname for table in lost]


def create_tables(connection: Connection) -> None:
    """Creates what is missing (schemas, tables, columns, views) and upgrades what an earlier version made.

    It is idempotent. Raises ForeignTablesError before it has changed anything.
    """
    staged = columns_in(connection, STAGING_SCHEMA)
    star = columns_in(connection, _star_schema(connection))
    product = columns_in(connection, PRODUCT_SCHEMA)
    _refuse_foreign_tables(connection, star, staged, product)
    for schema in (STAGING_SCHEMA, PRODUCT_SCHEMA, ANALYTICS_SCHEMA):
        connection.execute(CreateSchema(schema, if_not_exists=True))
    existing = {None: star, STAGING_SCHEMA: _renamed(connection, staged), PRODUCT_SCHEMA: product}
    if connection.dialect.name == "redshift":
        _drop_declared_keys(connection)
    created = []
    for wanted in metadata.sorted_tables:
        columns = existing[wanted.schema].get(wanted.name)
        if columns is None:
            wanted.create(connection, checkfirst=False)
            created.append(wanted)
            if wanted is stale_days and songplays.name in existing[None]:
                _note_stale_days(connection)
        elif missing := [column for column in wanted.columns if column.name not in columns]:
            _add_columns(connection, wanted, missing)
    if loaded_objects.name in existing[STAGING_SCHEMA]:
        _note_days_to_build(connection, [table for table in DAILY_TABLES if table in created])
    # Redshift replaces a view only by one with the same columns.
    for view in (*reversed(VIEWS), *_DROPPED_VIEWS):
        if view in existing[STAGING_SCHEMA]:
            connection.execute(text(f"DROP VIEW {STAGING_SCHEMA}.{view}"))
    for view in VIEWS:
        connection.execute(text(f"CREATE VIEW {STAGING_SCHEMA}.{view} AS {sql_files.select_sql(view)}"))
    connection.execute(delete(schema_versions))
    connection.execute(
        insert(schema_versions).values(
            version=_version(connection),
            star_schema=_star_schema(connection),
            product_schema=PRODUCT_SCHEMA,
            installed_at=datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        )
    )


def _star_schema(connection: Connection) -> str:
    return str(connection.dialect.default_schema_name)


def _refuse_foreign_tables(
    connection: Connection,
    star: Mapping[str, Set[str]],
    staged: Mapping[str, Set[str]],
    product: Mapping[str, Set[str]],
) -> None:
    """Raises ForeignTablesError unless the tables of the star and the marts are sparkify's own.

    Those of a version that kept no note of it are known by its bookkeeping and by their comments.
    """
    if not _has_marts(connection, staged) and (marts := [t.fullname for t in PRODUCT_TABLES if t.name in product]):
        raise ForeignTablesError(
            f"sparkify did not make these tables: {', '.join(marts)}. Nothing was changed. The marts need the schema "
            f"{PRODUCT_SCHEMA}: rename these tables, or move them to another schema"
        )
    installed = set(connection.scalars(select(schema_versions.c.star_schema))) if schema_versions.name in staged else ()
    if _star_schema(connection) in installed:
        return
    if installed:
        (known,) = installed
        raise ForeignTablesError(
            f"the star of this database is in the schema {known}, and this user's is {_star_schema(connection)}. "
            f"Nothing was changed. Say which one to use: SPARKIFY_STAR_SCHEMA={known}"
        )
    own = commented_tables(connection) if loaded_objects.name in staged else set()
    if foreign := [wanted.name for wanted in STAR_TABLES if wanted.name in star and wanted.name not in own]:
        raise ForeignTablesError(
            f"the schema {_star_schema(connection)} has tables that sparkify did not make: {', '.join(foreign)}. "
            "Nothing was changed. Give sparkify a schema of its own: SPARKIFY_STAR_SCHEMA=sparkify"
        )


def _has_marts(connection: Connection, staged: Mapping[str, Set[str]]) -> bool:
    """Returns whether sparkify has made the marts here."""
    noted = schema_versions.c.product_schema
    return noted.name in staged.get(schema_versions.name, ()) and connection.scalar(select(noted)) == PRODUCT_SCHEMA


def commented_tables(connection: Connection) -> Set[str]:
    """Returns the star's tables that have comments on their columns."""
    if connection.dialect.name == "duckdb":
        comments = (
            "SELECT DISTINCT table_name FROM duckdb_columns()"
            " WHERE comment IS NOT NULL AND database_name = current_database() AND schema_name = :star"
        )
    else:
        comments = (
            "SELECT DISTINCT c.relname FROM pg_catalog.pg_description AS d"
            " INNER JOIN pg_catalog.pg_class AS c ON d.objoid = c.oid"
            " INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid"
            " WHERE d.objsubid > 0 AND n.nspname = :star"
        )
    return set(connection.scalars(text(comments), {"star": _star_schema(connection)}))


def _renamed(connection: Connection, existing: Mapping[str, Set[str]]) -> Mapping[str, Set[str]]:
    """Gives tables and columns of an earlier version their present names, and returns all columns by table."""
    found = dict(existing)
    for old_name, wanted in _RENAMED_TABLES.items():
        if old_name in found and wanted.name not in found:
            connection.execute(text(f"ALTER TABLE {STAGING_SCHEMA}.{old_name} RENAME TO {wanted.name}"))
            found[wanted.name] = found.pop(old_name)
    for wanted, columns in _RENAMED_COLUMNS.items():
        for old_name, name in columns.items():
            if old_name in found.get(wanted.name, ()):
                connection.execute(text(f"ALTER TABLE {wanted.fullname} RENAME COLUMN {old_name} TO {name}"))
                found[wanted.name] = found[wanted.name] - {old_name} | {name}
    return found


def _drop_declared_keys(connection: Connection) -> None:
    """Drops the keys that version 0.1.0 declared on Redshift, which its planner trusts and nothing enforces."""
    known = table(
        "table_constraints",
        *map(column, ("table_schema", "table_name", "constraint_name", "constraint_type")),
        schema="information_schema",
    ).c
    keys = select(known.table_schema, known.table_name, known.constraint_name).where(
        known.constraint_type == "PRIMARY KEY"
    )
    star_schema = _star_schema(connection)
    ours = {(wanted.schema or star_schema, wanted.name): wanted for wanted in metadata.sorted_tables}
    quote = connection.dialect.identifier_preparer.quote
    for schema, name, constraint in connection.execute(keys).all():
        if (schema, name) in ours:
            connection.execute(text(f"ALTER TABLE {ours[schema, name].fullname} DROP CONSTRAINT {quote(constraint)}"))


def _add_columns(connection: Connection, wanted: Table, missing: Sequence[Column[Any]]) -> None:
    """Adds columns to a table of an earlier version. They are empty until the days are rebuilt, which this requests.

    So none is NOT NULL, which Redshift would refuse without a default.
    """
    compiler = connection.dialect.ddl_compiler(connection.dialect, CreateTable(wanted))
    for added in missing:
        definition = compiler.get_column_specification(added).removesuffix(" NOT NULL")
        connection.execute(text(f"ALTER TABLE {wanted.fullname} ADD COLUMN {definition}"))
    if wanted is songplays:
        pending, staged = pending_rematch.c.log_date, staging_events.c.log_date
        days = select(staged).distinct().where(staged.not_in(select(pending)))
        connection.execute(insert(pending_rematch).from_select([pending.name], days))


def _note_stale_days(connection: Connection) -> None:
    """Notes the days of the star that are no longer staged, in a warehouse of an earlier version.

    A load that was killed after it had emptied such a day left no other trace.
    """
    staged = select(loaded_objects.c.log_date).where(loaded_objects.c.log_date.is_not(None))
    for rebuilt, day in (
        (songplays, cast(songplays.c.start_time, Date)),
        (time, cast(time.c.start_time, Date)),
        (users, user_days.c.log_date),
    ):
        stale = select(day, literal(rebuilt.name)).where(day.not_in(staged)).distinct()
        connection.execute(insert(stale_days).from_select(["log_date", "table_name"], stale))


def _note_days_to_build(connection: Connection, created: Sequence[Table]) -> None:
    """Notes the staged days as stale in new tables of an existing warehouse, so that the next load builds them."""
    days = select(loaded_objects.c.log_date).where(loaded_objects.c.log_date.is_not(None)).distinct().subquery()
    for rebuilt in created:
        stale = select(days.c.log_date, literal(rebuilt.name))
        connection.execute(insert(stale_days).from_select(["log_date", "table_name"], stale))


def drop_tables(connection: Connection) -> None:
    """Drops the tables and views with all their rows; anything else in their schemas stays.

    Raises ForeignTablesError, or WarehouseError with what depends on a table.
    """
    staged = columns_in(connection, STAGING_SCHEMA)
    star, product = (columns_in(connection, schema) for schema in (_star_schema(connection), PRODUCT_SCHEMA))
    _refuse_foreign_tables(connection, star, staged, product)
    try:
        _drop_all(connection)
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != _DEPENDENT_OBJECTS:
            raise
        diagnosis = getattr(error.orig, "diag", None)
        depending = (getattr(diagnosis, "message_detail", None) or str(error.orig)).strip().splitlines()
        raise WarehouseError(
            f"{'; '.join(depending)}: drop it first, or create it WITH NO SCHEMA BINDING on Redshift"
        ) from None


def _drop_all(connection: Connection) -> None:
    has_results = analytics_refreshes.name in columns_in(connection, STAGING_SCHEMA)
    for query in connection.execute(select(analytics_refreshes.c.query)).scalars() if has_results else ():
        connection.execute(text(f"DROP TABLE IF EXISTS {ANALYTICS_SCHEMA}.{query}"))
    for view in reversed(VIEWS):
        connection.execute(text(f"DROP VIEW IF EXISTS {STAGING_SCHEMA}.{view}"))
    for dropped in reversed(metadata.sorted_tables):
        connection.execute(DropTable(dropped, if_exists=True))
