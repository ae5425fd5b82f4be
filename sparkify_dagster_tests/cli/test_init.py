"""`sparkify init`: the files of a project's folder."""

import os
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sparkify_dagster.cli.main import main
from sparkify_dagster.config.settings import Settings
from sparkify_dagster_tests.support.project import ROOT

NAMES = ("dagster.yaml", "workspace.yaml", "dwh.cfg")


def init(working_directory: Path, *arguments: str) -> Result:
    with chdir(working_directory):
        return CliRunner().invoke(main, ["init", *arguments])


def test_init_writes_the_files_of_a_clone_and_names_the_next_command(tmp_path: Path) -> None:
    result = init(tmp_path)
    assert result.output == "Wrote dagster.yaml\nWrote workspace.yaml\nWrote dwh.cfg\nNext: sparkify etl\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    for name, source in zip(NAMES, ("dagster.yaml", "workspace.yaml", "dwh.cfg.example"), strict=True):
        assert (tmp_path / name).read_bytes() == (ROOT / source).read_bytes()


def test_init_makes_the_folder_that_it_is_given(tmp_path: Path) -> None:
    result = init(tmp_path, "data platform/sparkify")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "Next: cd 'data platform/sparkify' && sparkify etl"
    assert {path.name for path in (tmp_path / "data platform" / "sparkify").iterdir()} == set(NAMES)


def test_init_sets_nothing(tmp_path: Path) -> None:
    init(tmp_path)
    assert Settings.load({}, tmp_path) == Settings()


def test_only_the_owner_reads_the_file_that_passwords_go_to(tmp_path: Path) -> None:
    init(tmp_path)
    assert (tmp_path / "dwh.cfg").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kept", NAMES)
def test_init_overwrites_no_file(tmp_path: Path, kept: str) -> None:
    (tmp_path / kept).write_text("mine")
    result = init(tmp_path)
    assert result.exit_code == 0
    assert f"Kept {kept}, which exists" in result.output.splitlines()
    assert (tmp_path / kept).read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


def test_init_follows_no_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "dwh.cfg").symlink_to(tmp_path / "elsewhere")
    assert "Kept dwh.cfg, which exists" in init(tmp_path).output
    assert not os.path.lexists(tmp_path / "elsewhere")


def test_a_folder_that_init_cannot_make_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = init(tmp_path, "file/project")
    assert (result.exit_code, result.output) == (1, "sparkify: file/project: cannot be written: Not a directory\n")
