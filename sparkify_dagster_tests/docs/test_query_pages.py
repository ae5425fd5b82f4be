"""The queries that docs/how-to/new-query.md and team-queries.md add: files alone add them, as the pages say."""

import json
import re
import shutil
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.analytics.query import read_query
from sparkify_dagster_tests.sql.test_sql_subset import refusals
from sparkify_dagster_tests.support.package_copy import copy_package
from sparkify_dagster_tests.support.project import ROOT, Project

PAGE = ROOT / "docs" / "how-to" / "new-query.md"
TEAM_PAGE = ROOT / "docs" / "how-to" / "team-queries.md"


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


def blocks(language: str) -> list[str]:
    """Returns the code of that language on the page of teams."""
    return re.findall(f"```{language}\n(.*?)```", TEAM_PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.slow
def test_queries_are_added_by_files_alone(example: Path, tmp_path: Path) -> None:
    """One in the project's folder, and those of a team, by the commands of its page."""
    project = Project(tmp_path)
    project.simulate()
    package = copy_package(tmp_path, queries=["plays_by_day", "top_songs"])
    # Before the package that is installed.
    project.environment["PYTHONPATH"] = str(tmp_path)
    shutil.copy(example, package / "sql" / "analytics")
    commands = [line.removeprefix(".venv/bin/") for block in blocks("sh") for line in block.splitlines()]
    scaffolded, loaded, queried = (project.run(*command.split(), COLUMNS="200") for command in commands)

    assert "Creating defs at " in scaffolded
    assert [(package / "defs" / "marketing" / "defs.yaml").read_text("utf-8")] == blocks("yaml")
    assert "2 of 2 queries as expected; 2 without an expected result" in loaded
    assert "\ngender_gap " in loaded
    assert "\nmarketing_example " in loaded
    assert [line.split()[0] for line in queried.splitlines()] == ["level", "free", "paid"]
    assert project.world.column("analytics.gender_gap", "gender") == ["F", "M"]
    assert project.world.column("analytics.marketing_example", "level") == ["free", "paid"]
    with project.instance() as instance:
        (run,) = instance.get_runs()
        for name in ("gender_gap", "marketing_example"):
            event = instance.get_latest_materialization_event(dg.AssetKey(name))
            assert event is not None
            assert event.asset_materialization is not None
            assert {"at_a_glance", "preview", "chart"} <= event.asset_materialization.metadata.keys()
    assert run.is_success

    # What is not of queries is in the graph too.
    project.run("dg", "scaffold", "defs", "dagster.asset", "my_mart.py")
    output = project.run("dg", "list", "defs", "--json")
    # Warnings of Dagster's own may stand before.
    listed = json.loads(output[output.index("\n{") :] if not output.startswith("{") else output)
    assets = {asset["asset_key"]: asset for asset in listed["assets"]}
    assert {"my_mart", "songplays", "gender_gap"} <= assets.keys()
    of_team = assets["marketing_example"]
    assert (of_team["group_name"], of_team["owners"]) == ("marketing", [{"team": "marketing"}])
    assert of_team["dependency_keys"] == ["songplays"]
    checks = {(check["asset_key"], check["name"]) for check in listed["asset_checks"]}
    assert ("marketing_example", "matches_expected") in checks
