"""Parts of all tables: the MetaData, the types, the schemas' names, and the marks in a column's `info`.

Text sizes are UTF-8 bytes, as Redshift counts them. All timestamps are UTC without a zone, kept to the millisecond.
"""

from decimal import Decimal

from sqlalchemy import MetaData, Numeric, PrimaryKeyConstraint, String, TypeDecorator
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import DDLCompiler
from sqlalchemy.types import TypeEngine

from sparkify_dagster.schema.event_columns import SHORT_TEXT_BYTES, TEXT_BYTES

STAGING_SCHEMA = "staging"
PRODUCT_SCHEMA = "product"
ANALYTICS_SCHEMA = "analytics"

PERSONAL = {"personal": True}
SMALL = {"layout": "Too small for a sort key to matter."}
DIMENSION = {
    "layout": "Small beside songplays, and joined to it by its key. Left to itself, Redshift keeps a copy of a small "
    "table on each node, so that the join moves no rows."
}

metadata = MetaData()


class ByteOrdered(TypeDecorator[str]):
    """VARCHAR that sorts by UTF-8 bytes on every warehouse, as docs/contract.md requires for keys and ids."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self._length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.VARCHAR(self._length, collation="C"))
        return self.impl_instance


def short_text() -> ByteOrdered:
    return ByteOrdered(SHORT_TEXT_BYTES)


def text() -> ByteOrdered:
    return ByteOrdered(TEXT_BYTES)


def seconds() -> Numeric[Decimal]:
    """Returns an exact type, so that an event's length and a song's duration can be compared for equality."""
    return Numeric(10, 5)


def degrees() -> Numeric[Decimal]:
    return Numeric(9, 6)


@compiles(PrimaryKeyConstraint, "duckdb")
@compiles(PrimaryKeyConstraint, "redshift")
def _omit_key(element: PrimaryKeyConstraint, compiler: DDLCompiler, **_: object) -> None:
    """Omits the key; checks guard keys on all warehouses.

    DuckDB rejects one that the same transaction has deleted. Redshift does not enforce it and plans as if it held: a
    count of distinct keys counts the duplicates too
    (https://docs.aws.amazon.com/redshift/latest/dg/t_Defining_constraints.html).
    """
