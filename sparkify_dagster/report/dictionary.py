"""The dictionary: the tables from staging to the star and their columns, with where these come from."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Table

from sparkify_dagster.presentation.columns import describe_origins
from sparkify_dagster.schema.tables import READ_TABLES, is_personal, staging_events, staging_songs, type_name

TABLES: Sequence[Table] = (*READ_TABLES, staging_events, staging_songs)


@dataclass(frozen=True)
class DescribedColumn:
    """A column as a reader of the report needs it."""

    name: str
    type: str
    meaning: str
    origin: str
    is_personal: bool


@dataclass(frozen=True)
class DescribedTable:
    """A table with its columns."""

    name: str
    meaning: str
    columns: Sequence[DescribedColumn]


def dictionary() -> Sequence[DescribedTable]:
    """Returns the described tables, the star first."""
    return [DescribedTable(table.fullname, table.comment or "", described_columns(table)) for table in TABLES]


def described_columns(table: Table) -> Sequence[DescribedColumn]:
    """Returns the columns of a table, also of that of a query."""
    origins = describe_origins(table)
    return [
        DescribedColumn(column.name, type_name(column), column.comment or "", origins[column.name], is_personal(column))
        for column in table.columns
    ]
