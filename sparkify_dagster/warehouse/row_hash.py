"""A hash per row of a table, as each warehouse computes it best. Hashes of different warehouses differ."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, Table, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _RowHash(FunctionElement[int]):
    """The hash of a row, of whose table all columns are given; the table stands in FROM under its own name."""

    inherit_cache = True
    type = BigInteger()


@compiles(_RowHash, "duckdb")
def _duckdb(element: _RowHash, compiler: SQLCompiler, **_: Any) -> str:
    return f"hash({', '.join(column.name for column in element.clauses)})"


@compiles(_RowHash, "postgresql")
def _postgresql(element: _RowHash, compiler: SQLCompiler, **_: Any) -> str:
    # The quoted name of a table stands for the whole row.
    (table,) = {column.table.name for column in element.clauses}
    return f'hash_record_extended("{table}", 0)'


@compiles(_RowHash, "redshift")
def _redshift(element: _RowHash, compiler: SQLCompiler, **_: Any) -> str:
    # CHR(31) separates the values, CHR(30) stands for NULL; a BIGINT holds at most 15 hexadecimal digits.
    values = " || CHR(31) || ".join(f"COALESCE(CAST({column.name} AS VARCHAR), CHR(30))" for column in element.clauses)
    return f"CAST(STRTOL(LEFT(MD5({values}), 15), 16) AS DECIMAL(38, 0))"


def select_sum_of_hashes(table: Table, rows: ColumnElement[bool]) -> Select[Any]:
    """Returns the SELECT of the sum of a hash per row that fulfils the condition.

    It is 0 without such a row. Duplicates do not cancel each other.
    """
    return select(func.coalesce(func.sum(_RowHash(*table.columns)), 0)).select_from(table).where(rows)


def sum_of_hashes(connection: Connection, table: Table, rows: ColumnElement[bool]) -> int:
    """Returns the sum of a hash per row that fulfils the condition."""
    return int(connection.execute(select_sum_of_hashes(table, rows)).scalar_one())
