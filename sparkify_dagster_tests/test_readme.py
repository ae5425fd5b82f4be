"""The README's parts that are made from the code, and the query that it adds."""

import re
import shutil
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.analytics.query import read_query
from sparkify_dagster.config.keys import settings_table
from sparkify_dagster.schema.er_diagram import star_schema_diagram
from sparkify_dagster_tests.sql.test_sql_subset import refusals
from sparkify_dagster_tests.support.project import ROOT, Project

README = ROOT / "README.md"
GENERATED = {
    "star schema": f"```mermaid\n{star_schema_diagram()}\n```",
    "settings": settings_table(),
}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_part_is_up_to_date(name: str) -> None:
    _, _, rest = README.read_text("utf-8").partition(f"<!-- {name} -->")
    block, _, _ = rest.partition(f"<!-- /{name} -->")
    assert block.strip() == GENERATED[name].strip(), (
        "run `python -m sparkify_dagster_tests.test_readme` to write it anew"
    )


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The query that the README adds, in a file of its name."""
    before, _, rest = README.read_text("utf-8").partition("```sql\n")
    (name,) = re.findall(r"`([a-z_]+\.sql)`", before.rpartition("A query is added by a file alone")[2])
    file = tmp_path / str(name)
    file.write_text(rest.partition("```")[0], "utf-8")
    return file


def test_the_example_is_a_query_in_the_subset_of_all_warehouses(example: Path) -> None:
    assert read_query(example).chart is not None
    assert list(refusals(example.read_text("utf-8"))) == []


@pytest.mark.slow
def test_a_query_is_added_by_a_file_alone(example: Path, tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.simulate()
    shutil.copytree(ROOT / "sparkify_dagster", tmp_path / "sparkify_dagster")
    shutil.copy(example, tmp_path / "sparkify_dagster" / "analytics" / "queries")
    # Before the package that is installed.
    project.environment["PYTHONPATH"] = str(tmp_path)
    output = project.sparkify("etl")
    assert "13 of 13 queries as expected; 1 without an expected result" in output
    assert "\ngender_gap " in output
    answer = project.sparkify("query", "gender_gap", "--format", "csv")
    assert [line.partition(",")[0] for line in answer.splitlines()] == ["gender", "F", "M"]
    assert project.world.column("analytics.gender_gap", "gender") == ["F", "M"]
    with project.instance() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("gender_gap"))
    assert event is not None
    assert event.asset_materialization is not None
    assert {"preview", "chart"} <= event.asset_materialization.metadata.keys()


def write() -> None:
    text = README.read_text("utf-8")
    for name, generated in GENERATED.items():
        before, start, rest = text.partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        text = f"{before}{start}\n\n{generated.strip()}\n\n{end}{after}"
    README.write_text(text, "utf-8")


if __name__ == "__main__":
    write()
