"""The defs.yaml of a team: what it may say, and the one line for what it may not."""

from pathlib import Path

import pytest

from sparkify_dagster.analytics.query_folders import (
    COMPONENT,
    QueryFolder,
    QueryFolderError,
    has_other_definitions,
    query_folders,
)
from sparkify_dagster.components import Queries
from sparkify_dagster.schema import sql_files

DEFS_YAML = """type: sparkify_dagster.components.Queries
attributes:
  folder: sql
  group: marketing
  owners: ["team:marketing", "ann@example.com"]
"""


@pytest.fixture
def defs(tmp_path: Path) -> Path:
    """A folder of definitions, in which a team has a folder."""
    (tmp_path / "defs" / "marketing" / "sql").mkdir(parents=True)
    (tmp_path / "defs" / "__init__.py").touch()
    return tmp_path / "defs"


def write(defs: Path, text: str) -> None:
    (defs / "marketing" / "defs.yaml").write_text(text, "utf-8")


def test_the_component_has_the_name_that_files_give() -> None:
    assert f"{Queries.__module__}.{Queries.__name__}" == COMPONENT


def test_without_teams_there_is_the_projects_folder_alone(defs: Path) -> None:
    assert query_folders(defs) == [QueryFolder(sql_files.QUERIES, "analytics", ("team:analytics",))]
    assert not has_other_definitions(defs)


def test_a_team_has_a_folder_a_group_and_owners(defs: Path) -> None:
    write(defs, f"{DEFS_YAML}---\n{DEFS_YAML.replace('sql', '.')}")
    owners = ("team:marketing", "ann@example.com")
    assert query_folders(defs)[1:] == [
        QueryFolder(defs / "marketing" / "sql", "marketing", owners),
        QueryFolder(defs / "marketing", "marketing", owners),
    ]
    # So that Dagster need not load the folder, which takes long.
    assert not has_other_definitions(defs)


@pytest.mark.parametrize(("file", "text"), [("my_mart.py", ""), ("defs.yaml", "type: dagster.DefsFolderComponent\n")])
def test_definitions_of_other_kinds_are_left_to_dagster(defs: Path, file: str, text: str) -> None:
    (defs / "marketing" / file).write_text(text, "utf-8")
    assert len(query_folders(defs)) == 1
    assert has_other_definitions(defs)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("  folder: sql", "  folder: other", "attributes.folder: there is no folder "),
        ("  group: marketing\n", "", "attributes.group: Field required; write folder, group and owners such as team:"),
        ("group: marketing", "group: of us", "attributes.group: String should match pattern"),
        ("group: marketing", "group: star", "attributes.group: star has other tables: choose another"),
        ('"team:marketing"', "marketing", "attributes.owners.0: String should match pattern"),
        ("  folder", "  folders", "attributes.folders: Extra inputs are not permitted"),
        ("attributes:", "attribute:", "unknown key attribute: only type and attributes are allowed"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(defs: Path, right: str, wrong: str, message: str) -> None:
    assert right in DEFS_YAML
    write(defs, DEFS_YAML.replace(right, wrong))
    with pytest.raises(QueryFolderError) as caught:
        query_folders(defs)
    assert str(caught.value).startswith(f"defs/marketing/defs.yaml: {message}")
    assert "\n" not in str(caught.value)


def test_what_is_no_yaml_is_one_line_with_file_and_line(defs: Path) -> None:
    write(defs, f"{DEFS_YAML}  }}\n")
    with pytest.raises(QueryFolderError, match=r"^defs/marketing/defs.yaml, line 6: not valid YAML"):
        query_folders(defs)
