"""`dg scaffold defs`: what a dg user adds is in the graph, beside the definitions of the package."""

import json
import shutil
from pathlib import Path

import pytest

from sparkify_dagster_tests.support.project import ROOT, Project


@pytest.mark.slow
def test_a_scaffolded_asset_is_in_the_graph(tmp_path: Path) -> None:
    project = Project(tmp_path)
    package = shutil.copytree(
        ROOT / "sparkify_dagster", tmp_path / "sparkify_dagster", ignore=shutil.ignore_patterns("__pycache__")
    )
    # Before the package that is installed.
    project.environment["PYTHONPATH"] = str(tmp_path)
    project.run("dg", "scaffold", "defs", "dagster.asset", "my_mart.py")
    assert (package / "defs" / "my_mart.py").is_file()
    output = project.run("dg", "list", "defs", "--json")
    # Warnings of Dagster's own may stand before.
    listed = json.loads(output[output.index("\n{") :] if not output.startswith("{") else output)
    assert {"my_mart", "songplays", "top_songs"} <= {asset["asset_key"] for asset in listed["assets"]}
