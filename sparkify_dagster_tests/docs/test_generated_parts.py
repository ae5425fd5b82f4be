"""The documentation's generated parts: as the code says, and complete."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs import generate
from sparkify_dagster.analytics.comparison import MATCHES_EXPECTED
from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.checks.runbook import RUNBOOK
from sparkify_dagster.cli.main import main
from sparkify_dagster.config.keys import KEYS
from sparkify_dagster.definitions import defs
from sparkify_dagster.schema.tables import STAR_TABLES, key_columns, metadata
from sparkify_dagster_tests.support.project import ROOT

PARTS = list(generate.pages())
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def headings(text: str) -> list[str]:
    return re.findall(r"^##+ (.+)$", text, re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), PARTS, ids=[name for _, name in PARTS])
def test_a_generated_part_is_up_to_date(path: Path, name: str) -> None:
    assert generate.committed(path, name) == generate.PARTS[name]().strip(), "run `make reference`"


@pytest.mark.parametrize("path", generate.FILES, ids=lambda path: path.name)
def test_a_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == generate.FILES[path](), "run `make reference`"


def test_each_part_is_on_a_page() -> None:
    assert {name for _, name in PARTS} == generate.PARTS.keys()


def test_each_check_of_the_definitions_is_in_the_runbook_and_in_the_reference() -> None:
    keys = defs.resolve_asset_graph().asset_check_keys
    checks = {key.name for key in keys}
    assert checks == RUNBOOK.keys()
    assert checks <= set(headings(page("how-to/runbook.md")))
    reference = page("reference/checks.md")
    for key in keys:
        asset = "each query" if key.name == MATCHES_EXPECTED else key.asset_key.path[-1]
        assert f"#{key.name}) | {asset} |" in reference


def test_the_runbook_names_only_commands_jobs_and_settings_that_exist() -> None:
    text = page("how-to/runbook.md")
    commands = set(re.findall(r"`sparkify ([a-z-]+)", text))
    assert commands <= set(getattr(main, "commands"))  # noqa: B009
    jobs = set(re.findall(r"\*\*Jobs > ([a-z_]+)", text))
    assert jobs
    assert jobs <= {job.name for job in defs.jobs or ()}
    settings = set(re.findall(r"SPARKIFY_[A-Z_]+", text))
    assert settings <= {name for key in KEYS for name in key.env}


def test_each_table_is_in_the_reference_with_the_reason_for_its_layout() -> None:
    sections = re.split(r"^### ", page("reference/tables.md"), flags=re.MULTILINE)[1:]
    by_table = {section.partition("\n")[0]: section for section in sections}
    assert by_table.keys() == {table.fullname for table in metadata.tables.values()}
    for table in metadata.tables.values():
        section = by_table[table.fullname]
        assert table.info["layout"] in section
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [column.name for column in table.columns]
        assert all(f"`{key}`" in section for key in [*key_columns(table), table.kwargs.get("redshift_sortkey")] if key)


def test_each_query_is_in_the_reference() -> None:
    assert headings(page("reference/queries.md")) == list(all_queries())


def test_the_diagram_shows_each_column_of_the_star() -> None:
    text = "{http://www.w3.org/2000/svg}text"
    shown = [element.text for element in ElementTree.parse(DOCS / "images" / "star_schema.svg").iter(text)]
    for table in STAR_TABLES:
        assert table.name in shown
        assert {column.name for column in table.columns} <= set(shown)


def test_the_automation_page_names_each_sensor_and_schedule() -> None:
    named = re.findall(r"^\| `(\w+)` \|", page("how-to/automation.md"), re.MULTILINE)
    assert sorted(named) == sorted(item.name for item in [*(defs.sensors or ()), *(defs.schedules or ())])
