"""Draws the star schema with Mermaid; `python -m sparkify_dagster.schema.er_diagram` prints the README's block."""

from typing import Any

from sqlalchemy import Column

from sparkify_dagster.schema.tables import STAR_TABLES, key_columns, type_name


def star_schema_diagram() -> str:
    """Returns a Mermaid erDiagram of the facts and dimensions."""
    lines = ["erDiagram"]
    for table in STAR_TABLES:
        for column in table.columns:
            dimension = _referenced_table(column)
            if dimension is not None:
                # Plays without a matching song are kept, so these references may be NULL.
                at_the_dimension = "|o" if column.nullable else "||"
                lines.append(f"    {dimension} {at_the_dimension}--o{{ {table.name} : {column.name}")
    for table in STAR_TABLES:
        lines.append(f"    {table.name} {{")
        for column in table.columns:
            marks = [
                *(["PK"] if column.name in key_columns(table) else []),
                *(["FK"] if _referenced_table(column) else []),
            ]
            lines.append(f"        {' '.join([_mermaid_type(column), column.name, ', '.join(marks)]).rstrip()}")
        lines.append("    }")
    return "\n".join(lines)


def _referenced_table(column: Column[Any]) -> str | None:
    reference: str | None = column.info.get("references")
    return reference.partition(".")[0] if reference else None


def _mermaid_type(column: Column[Any]) -> str:
    # Mermaid rejects a comma in a type.
    return type_name(column).partition("(")[0] if "," in type_name(column) else type_name(column)


if __name__ == "__main__":
    print(f"```mermaid\n{star_schema_diagram()}\n```")
