"""Writes the documentation's generated parts from the code: `make reference`.

A page holds a generated part between `<!-- NAME -->` and `<!-- /NAME -->`; the text around it is written by hand. A
test fails while a committed part differs from what the code says.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import dagster as dg
from sqlalchemy import Table

from docs.er_diagram import star_schema_diagram
from sparkify_dagster.analytics.comparison import MATCHES_EXPECTED
from sparkify_dagster.analytics.query import Query, all_queries
from sparkify_dagster.checks.analytics_checks import check_queries
from sparkify_dagster.checks.product_checks import check_product
from sparkify_dagster.checks.runbook import RUNBOOK
from sparkify_dagster.checks.staging_checks import check_staging_events, check_staging_songs
from sparkify_dagster.checks.star_checks import check_dimensions, check_songplays
from sparkify_dagster.cli.main import main as sparkify
from sparkify_dagster.config.keys import settings_table
from sparkify_dagster.schema.column_types import STAGING_SCHEMA
from sparkify_dagster.schema.sql_files import FOLDER as SQL
from sparkify_dagster.schema.tables import (
    PRODUCT_TABLES,
    STAR_TABLES,
    is_personal,
    key_columns,
    metadata,
    staging_events,
    staging_songs,
    type_name,
)

DOCS: Final = Path(__file__).parent
HELP_WIDTH: Final = 100
_STAGING: Final = (staging_events, staging_songs)
_CHECKS: Final = (
    check_staging_events,
    check_staging_songs,
    check_songplays,
    check_dimensions,
    check_product,
    check_queries,
)


def settings() -> str:
    return settings_table()


def star_tables() -> str:
    return "\n".join(_table(table) for table in STAR_TABLES)


def product_tables() -> str:
    return "\n".join(_table(table) for table in PRODUCT_TABLES)


def staging_tables() -> str:
    return "\n".join(_table(table) for table in _STAGING)


def bookkeeping_tables() -> str:
    others = [table for table in metadata.sorted_tables if table.schema == STAGING_SCHEMA and table not in _STAGING]
    return "\n".join(_table(table) for table in sorted(others, key=lambda table: table.name))


def checks() -> str:
    """A row per check, in the order of the tables."""
    rows = []
    for asset, spec in _described_checks():
        entry = RUNBOOK[spec.name]
        when = f"{entry.colour.value}, blocks what is downstream" if spec.blocking else entry.colour.value
        link = f"[`{spec.name}`](../how-to/runbook.md#{_anchor(spec.name)})"
        rows.append((link, asset, spec.description or "", when))
    return _markdown_table(("Check", "Asset", "What must hold", "Colour of a failure"), rows)


def runbook() -> str:
    """A section per check name: what it checks, what a failure means, and how to fix it."""
    sections = []
    for name, entry in RUNBOOK.items():
        described = [(asset, spec) for asset, spec in _described_checks() if spec.name == name]
        lines = [f"### {name}", "", f"**{entry.colour.value.capitalize()}**"]
        if any(spec.blocking for _, spec in described):
            lines[-1] += ", and nothing downstream is built"
        lines[-1] += f". Of {', '.join(asset for asset, _ in described)}."
        lines.append("")
        for description, assets in _grouped(described).items():
            of = f" ({', '.join(assets)})" if len(_grouped(described)) > 1 else ""
            lines.append(f"> {description}{of}\n>")
        lines[-1] = lines[-1].removesuffix("\n>")
        lines += ["", entry.means, "", *(f"{number}. {step}" for number, step in enumerate(entry.fixes, 1)), ""]
        sections.append("\n".join(lines))
    return "\n".join(sections)


def queries() -> str:
    return "\n".join(_query(query) for query in all_queries().values())


def commands() -> str:
    """The help of each command, as a terminal shows it."""
    root = click.Context(sparkify, info_name="sparkify", terminal_width=HELP_WIDTH, **sparkify.context_settings)
    contexts = [root, *(click.Context(command, root, name) for name, command in sorted(sparkify.commands.items()))]
    return "\n".join(f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n" for context in contexts)


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "settings": settings,
    "star tables": star_tables,
    "product tables": product_tables,
    "staging tables": staging_tables,
    "bookkeeping tables": bookkeeping_tables,
    "checks": checks,
    "runbook": runbook,
    "queries": queries,
    "commands": commands,
}
FILES: Final[Mapping[Path, Callable[[], str]]] = {DOCS / "images" / "star_schema.svg": star_schema_diagram}


def pages() -> Iterator[tuple[Path, str]]:
    """Each page with a generated part, and the part's name."""
    for path in sorted(DOCS.rglob("*.md")):
        for name in re.findall(r"^<!-- /(.+) -->$", path.read_text("utf-8"), re.MULTILINE):
            yield path, name


def committed(path: Path, name: str) -> str:
    """A generated part as its page has it."""
    _, _, rest = path.read_text("utf-8").partition(f"<!-- {name} -->\n")
    return rest.partition(f"<!-- /{name} -->")[0].strip()


def write() -> None:
    for path, name in pages():
        text = path.read_text("utf-8")
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        path.write_text(f"{before}{start}\n{PARTS[name]().strip()}\n\n{end}{after}", "utf-8")
    for path, content in FILES.items():
        path.write_text(content(), "utf-8")


def _described_checks() -> Iterator[tuple[str, dg.AssetCheckSpec]]:
    """Each check with the asset that a reader knows it by: the queries' check is one, whatever queries there are."""
    specs = [spec for definition in _CHECKS for spec in definition.check_specs]
    seen = False
    for spec in specs:
        if spec.name != MATCHES_EXPECTED:
            yield spec.asset_key.path[-1], spec
        elif not seen:
            seen = True
            yield "each query", spec


def _grouped(described: Sequence[tuple[str, dg.AssetCheckSpec]]) -> dict[str, list[str]]:
    """The assets by the description of their check."""
    grouped: dict[str, list[str]] = {}
    for asset, spec in described:
        grouped.setdefault(spec.description or "", []).append(asset)
    return grouped


def _table(table: Table) -> str:
    sort_key = table.kwargs.get("redshift_sortkey")
    dist_key = table.kwargs.get("redshift_distkey") or table.kwargs.get("redshift_diststyle")
    facts = [("Key", ", ".join(f"`{name}`" for name in key_columns(table)) or "none declared")]
    facts.append(("Redshift's sort key", f"`{sort_key}`" if sort_key else "AUTO"))
    facts.append(("Redshift's distribution", f"`{dist_key}`" if dist_key else "AUTO"))
    if table.indexes:
        indexed = sorted(", ".join(f"`{column.name}`" for column in index.columns) for index in table.indexes)
        facts.append(("PostgreSQL's indexes", "; ".join(indexed)))
    columns = [
        (
            f"`{column.name}`",
            type_name(column),
            "yes" if column.nullable else "no",
            f"{column.comment or ''}{' (personal)' if is_personal(column) else ''}",
        )
        for column in table.columns
    ]
    return "\n".join(
        [
            f"### {table.fullname}",
            "",
            f"{table.comment}.",
            "",
            *(f"- {name}: {value}" for name, value in facts),
            f"- Why so: {table.info['layout']}",
            "",
            _markdown_table(("Column", "Type", "NULL", "Meaning"), columns),
        ]
    )


def _query(query: Query) -> str:
    columns = [
        (
            f"`{column.name}`",
            type_name(column),
            f"{column.comment or ''}{' (personal)' if is_personal(column) else ''}",
        )
        for column in query.table.columns
    ]
    sql = "\n".join(line for line in query.select.splitlines() if not line.startswith("--")).strip()
    chart = [f"Chart: {query.chart.type.value} of {query.chart}.", ""] if query.chart else []
    return "\n".join(
        [
            f"## {query.name}",
            "",
            f"{query.title} Asked by: {query.asked_by}",
            "",
            *([query.notes, ""] if query.notes else []),
            _markdown_table(("Column", "Type", "Meaning"), columns),
            *chart,
            f"`sparkify_dagster/{query.path.relative_to(SQL.parent).as_posix()}`:",
            "",
            "```sql",
            sql,
            "```",
            "",
        ]
    )


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(headings), line(["---"] * len(headings)), *map(line, rows), ""])


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


if __name__ == "__main__":
    write()
