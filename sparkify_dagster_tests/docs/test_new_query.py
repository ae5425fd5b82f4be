"""The query that docs/how-to/new-query.md adds: it is what the page says, and a file alone adds it."""

import re
import shutil
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.analytics.query import read_query
from sparkify_dagster_tests.sql.test_sql_subset import refusals
from sparkify_dagster_tests.support.project import ROOT, Project

PAGE = ROOT / "docs" / "how-to" / "new-query.md"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The query that the page adds, in a file of its name."""
    before, _, rest = PAGE.read_text("utf-8").partition("```sql\n")
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
    shutil.copy(example, tmp_path / "sparkify_dagster" / "sql" / "analytics")
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
