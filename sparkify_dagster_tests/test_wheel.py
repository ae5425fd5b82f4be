"""The wheel: what it holds, and that it serves without a clone; test_ui.py starts the UI of it."""

import re
import zipfile
from pathlib import Path

import pytest

from sparkify_dagster_tests.support.project import ROOT
from sparkify_dagster_tests.support.wheel import EmptyFolder

pytestmark = pytest.mark.slow
TEMPLATES = {"dagster.yaml", "workspace.yaml", "dwh.cfg.example"}


@pytest.fixture
def empty(scripts: Path, tmp_path: Path) -> EmptyFolder:
    return EmptyFolder(tmp_path, scripts=scripts)


def test_the_wheel_holds_the_whole_package_and_the_templates_of_init(wheel: Path) -> None:
    files = {
        path for path in (ROOT / "sparkify_dagster").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    package = {path.relative_to(ROOT).as_posix() for path in files}
    templates = {f"sparkify_dagster/cli/templates/{name}" for name in TEMPLATES}
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == package | templates
    assert {"sparkify_dagster/py.typed", "sparkify_dagster/sql/star/songplays.sql"} <= package


def test_every_command_works_in_an_empty_folder(empty: EmptyFolder, scripts: Path) -> None:
    package = empty.installed("python", "-c", "import sparkify_dagster; print(sparkify_dagster.__file__)")
    assert Path(package).is_relative_to(scripts.parent)
    empty.installed("sparkify", "init")
    empty.sparkify("simulate", "--out", "source", "--days", "2", "--users", "10", "--songs", "20")
    dwh_cfg = empty.folder / "dwh.cfg"
    dwh_cfg.write_text(re.sub(r"(?m)^#(\w+)='s3://udacity-dend/(.*)'$", r"\1='source/\2'", dwh_cfg.read_text()))
    empty.environment["SPARKIFY_LOG_END"] = "2018-11-03"

    empty.sparkify("create-tables")
    assert "Loading 2018-11-01 to 2018-11-02" in empty.sparkify("etl")
    assert len(empty.sparkify("query", "top_songs", "--format", "csv").splitlines()) > 1
    empty.sparkify("verify", "--expected", "source/expected")
    assert "has no roles" in empty.sparkify("grant", "--role", "analysts", expect=1)
    assert empty.sparkify("load-errors") == "No load errors\n"
    assert "Validation successful" in empty.installed("dagster", "definitions", "validate")
