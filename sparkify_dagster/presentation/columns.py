"""Column metadata of a table for Dagster: types, descriptions and lineage, derived from the MetaData and the SQL."""

from collections.abc import Mapping
from typing import Any

from dagster import (
    MarkdownMetadataValue,
    MetadataValue,
    TableColumn,
    TableColumnConstraints,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)
from sqlalchemy import Column, Table

from sparkify_dagster.presentation.lineage_diagram import draw
from sparkify_dagster.schema import tables
from sparkify_dagster.schema.event_columns import COLUMN_NAMES, DEFAULT_KEYS
from sparkify_dagster.schema.lineage import ColumnOrigin, column_origins, origins_in

# Columns that the loader derives from the object, not from the keys of its records.
_FROM_THE_OBJECT = {
    tables.staging_events.c.log_date: ColumnOrigin((), expression="name of the log_data file"),
    tables.staging_songs.c.source_key: ColumnOrigin((), expression="key of the song_data object"),
    tables.staging_songs.c.object_number: ColumnOrigin((), expression="position in the song_data object"),
}


def describe_origins(table: Table) -> Mapping[str, str]:
    """Returns for each column where it comes from, such as "songplays.song_id, as COUNT(*)"."""
    return {name: _describe(origin) for name, origin in _origins(table).items()}


def column_schema(table: Table) -> TableSchema:
    """Returns the table's columns, each with its source in the description; personal columns are tagged."""
    origins = describe_origins(table)
    keys = tables.key_columns(table)
    return TableSchema(
        [
            TableColumn(
                column.name,
                tables.type_name(column),
                f"{column.comment} ← {origins[column.name]}",
                TableColumnConstraints(nullable=bool(column.nullable), unique=keys == (column.name,)),
                tags={"personal": ""} if tables.is_personal(column) else None,
            )
            for column in table.columns
        ]
    )


def column_lineage(table: Table) -> TableColumnLineage:
    """Returns the column lineage for Dagster+ and GraphQL; the open-source UI does not show it."""
    return TableColumnLineage(
        {
            name: [TableColumnDep(asset, column) for asset, column in origin.sources]
            for name, origin in _origins(table).items()
        }
    )


def lineage_diagram(table: Table) -> MarkdownMetadataValue:
    """Returns the column lineage as an image in Markdown, because the UI does not render inline SVG."""
    origins = {name: (origin, _describe_join(origin)) for name, origin in _origins(table).items()}
    return MetadataValue.md(f"![Column lineage of {table.name}]({draw(table.name, origins)})")


def _describe_join(origin: ColumnOrigin) -> str:
    """Returns "joined on title, artist_name": the columns that the join keys were normalized from, not the keys."""
    if not origin.joined_on:
        return ""
    columns = {column.name: column for source, _ in origin.sources for column in _table(source).columns}
    return f"joined on {', '.join(_original_name(columns[key]) if key in columns else key for key in origin.joined_on)}"


def _origins(table: Table) -> Mapping[str, ColumnOrigin]:
    if table is tables.staging_events:
        return _staging_origins(table, "log_data", dict(zip(COLUMN_NAMES, DEFAULT_KEYS, strict=True)))
    if table is tables.staging_songs:
        return _staging_origins(table, "song_data", {name: name for name in tables.SONG_COLUMNS})
    select = table.info.get("select")
    return origins_in(select) if select else column_origins(table.name)


def _staging_origins(table: Table, asset: str, keys: Mapping[str, str]) -> Mapping[str, ColumnOrigin]:
    return {
        column.name: _FROM_THE_OBJECT.get(column) or ColumnOrigin(((asset, keys[_original_name(column)]),))
        for column in table.columns
    }


def _describe(origin: ColumnOrigin) -> str:
    columns: dict[str, list[str]] = {}
    for table, column in origin.sources:
        columns.setdefault(table, []).append(column)
    parts = [f"{table}.{', '.join(names)}" for table, names in columns.items()]
    if origin.expression:
        parts.append(f"as {origin.expression}" if parts else origin.expression)
    if origin.joined_on:
        parts.append(_describe_join(origin))
    return ", ".join(parts)


def _original_name(column: Column[Any]) -> str:
    return str(column.info.get("form_of", column.name))


def _table(name: str) -> Table:
    return next(table for table in tables.metadata.tables.values() if table.name == name)


def definition_metadata(table: Table) -> Mapping[str, Any]:
    """Returns the asset's definition metadata: name, columns and lineage of its table."""
    return {
        "dagster/relation_identifier": table.fullname,
        "dagster/table_name": table.fullname,
        "dagster/column_schema": column_schema(table),
        "dagster/column_lineage": column_lineage(table),
        "column_lineage_diagram": lineage_diagram(table),
    }
