"""Versions of the tables, so that a few rows of bookkeeping show which tables have changed.

A version is the sum of a hash per row. A transaction subtracts the hashes of the rows that it replaces and adds those
of the new ones, so no table is read as a whole. Functions work inside the caller's transaction.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Table, delete, insert, select, true, update

from sparkify_dagster.schema.code_versions import code_version
from sparkify_dagster.schema.tables import READ_TABLES, analytics_refreshes, staging_songs, table_versions
from sparkify_dagster.warehouse.row_hash import select_sum_of_hashes, sum_of_hashes

_MODULUS: Final = 1 << 128


@dataclass(frozen=True)
class TableVersion:
    """The version of a table's rows, of the SELECT that built them, and of the songs that they were built from."""

    rows: str
    sql: str | None = None
    built_from: str | None = None


def read_versions(connection: Connection) -> Mapping[str, TableVersion]:
    """Returns the version of each table that was built, by its name."""
    return {name: TableVersion(*version) for name, *version in connection.execute(_stored())}


@contextmanager
def rewriting(
    connection: Connection, table: Table, rows: ColumnElement[bool] | None, built_from: str | None = None
) -> Iterator[TableVersion | None]:
    """Brings the table's version up to date after the block, which replaces the rows that fulfil the condition.

    Without a condition it replaces all rows. Yields the version before; None if the table was never built.
    """
    name = str(table.name)
    replaced = [] if rows is None else [select_sum_of_hashes(table, rows).scalar_subquery().label("replaced")]
    stored = connection.execute(_stored(*replaced).where(table_versions.c.table_name == name)).one_or_none()
    before = None if stored is None else TableVersion(stored.version, stored.sql_version, stored.built_from)
    yield before
    if stored is None or rows is None:
        # Without a version it may have rows of a version of sparkify that kept none.
        version = sum_of_hashes(connection, table, true())
    else:
        version = int(stored.version) - int(stored.replaced) + sum_of_hashes(connection, table, rows)
    _write(connection, name, TableVersion(str(version % _MODULUS), code_version(name), built_from), before)


def forget(connection: Connection) -> None:
    """Forgets all versions, so that everything is stale until it is built again, and each query for all days."""
    connection.execute(delete(table_versions))
    connection.execute(update(analytics_refreshes).values(by_day=None))


def renew(connection: Connection, table: Table) -> None:
    """Gives the table, whose rows are not hashed, a version that it never had."""
    name = str(table.name)
    _write(connection, name, TableVersion(str(secrets.randbits(128))), read_versions(connection).get(name))


def version_of_songs(connection: Connection) -> str | None:
    """Returns the version of staging_songs; None if no songs were ever loaded."""
    version = read_versions(connection).get(str(staging_songs.name))
    return version.rows if version else None


def changed_by_hand(connection: Connection) -> list[str]:
    """Returns the tables whose rows are not those that loads have written. It reads every row of the tables."""
    versions = read_versions(connection)
    return [
        table.fullname
        for table in READ_TABLES
        if table.name in versions
        and sum_of_hashes(connection, table, true()) % _MODULUS != int(versions[table.name].rows)
    ]


def _stored(*more: ColumnElement[Any]) -> Select[Any]:
    columns = table_versions.c
    return select(columns.table_name, columns.version, columns.sql_version, columns.built_from, *more)


def _write(connection: Connection, name: str, version: TableVersion, before: TableVersion | None) -> None:
    values = {"version": version.rows, "sql_version": version.sql, "built_from": version.built_from}
    if before is None:
        connection.execute(insert(table_versions).values(table_name=name, **values))
    elif before != version:
        connection.execute(update(table_versions).where(table_versions.c.table_name == name).values(values))
