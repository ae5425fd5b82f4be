"""A hash per row of a table, as each warehouse computes it best. Hashes of different warehouses differ."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Table, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


class _RowHash(ColumnElement[int]):
    """The hash of a row of `table`, which has to be in the FROM clause under its own name."""

    inherit_cache = False
    type = BigInteger()

    def __init__(self, table: Table) -> None:
        self.table = table


@compiles(_RowHash, "duckdb")
def _duckdb(element: _RowHash, compiler: SQLCompiler, **_: Any) -> str:
    return f"hash({', '.join(column.name for column in element.table.columns)})"


@compiles(_RowHash, "postgresql")
def _postgresql(element: _RowHash, compiler: SQLCompiler, **_: Any) -> str:
    # The quoted name of a table stands for the whole row.
    return f'hash_record_extended("{element.table.name}", 0)'


@compiles(_RowHash, "redshift")
def _redshift(element: _RowHash, compiler: SQLCompiler, **_: Any) -> str:
    # CHR(31) separates the values, CHR(30) stands for NULL; a BIGINT holds at most 15 hexadecimal digits.
    values = " || CHR(31) || ".join(
        f"COALESCE(CAST({column.name} AS VARCHAR), CHR(30))" for column in element.table.columns
    )
    return f"CAST(STRTOL(LEFT(MD5({values}), 15), 16) AS DECIMAL(38, 0))"


def sum_of_hashes(connection: Connection, table: Table, rows: ColumnElement[bool]) -> int:
    """Returns the sum of a hash per row that fulfils the condition; duplicates do not cancel each other."""
    total = select(func.coalesce(func.sum(_RowHash(table)), 0)).select_from(table).where(rows)
    return int(connection.execute(total).scalar_one())
