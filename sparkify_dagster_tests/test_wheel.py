"""The wheel: what it holds, and that it serves without a clone, installed into a virtual environment of its own."""

import os
import re
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from sparkify_dagster_tests.support.browser.server import wait_for_ui
from sparkify_dagster_tests.support.project import ROOT, Project, wait_until
from sparkify_dagster_tests.support.servers.s3 import free_ports

pytestmark = pytest.mark.slow
# Scripts of Dagster's that people use beside `sparkify`; `sparkify ui` runs dg.
DAGSTER_COMMANDS = ("dagster", "dg")
STOP_SECONDS = 10
TEMPLATES = {"dagster.yaml", "workspace.yaml", "dwh.cfg.example"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a virtual environment with the wheel, which borrows the dependencies and not the clone."""
    environment = tmp_path_factory.mktemp("installed")
    venv.create(environment)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True)
    # Of a folder that a .pth file names, Python reads no .pth files: the clone's editable install stays out.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    for name in DAGSTER_COMMANDS:
        _, body = Path(sys.executable).with_name(name).read_text().split("\n", 1)
        (python.with_name(name)).write_text(f"#!{python}\n{body}")
        python.with_name(name).chmod(0o755)
    return python.parent


class EmptyFolder(Project):
    """A folder in which nobody has put anything."""

    def __post_init__(self) -> None:
        pass

    def sparkify(self, *arguments: str, expect: int = 0, **environment: str) -> str:
        """Forks the command as elsewhere, and lets it find the wheel before the clone."""
        (packages,) = self.scripts.parent.glob("lib/python*/site-packages")
        return super().sparkify(*arguments, expect=expect, PYTHONPATH=str(packages), **environment)

    def installed(self, command: str, *arguments: str) -> str:
        with self.start_installed(command, *arguments) as started:
            return started.wait()


@pytest.fixture
def empty(scripts: Path, tmp_path: Path) -> EmptyFolder:
    return EmptyFolder(tmp_path, scripts=scripts)


def test_the_wheel_holds_the_whole_package_and_the_templates_of_init(wheel: Path) -> None:
    files = {path for path in (ROOT / "sparkify_dagster").rglob("*") if path.is_file() and path.suffix != ".pyc"}
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


def test_the_ui_starts_in_an_empty_folder_and_leaves_no_process(empty: EmptyFolder) -> None:
    """Started by a script with `&` and ended by SIGTERM, as where nobody has a terminal."""
    empty.sparkify("init")
    (port,) = free_ports(1)
    with empty.start_in_background("sparkify", "ui", "--port", str(port)) as started:
        url = wait_for_ui(started, port)
        with urlopen(f"{url}/graphql?query=%7BrepositoriesOrError%7B__typename%7D%7D") as answer:
            assert "RepositoryConnection" in answer.read().decode()
        assert len(processes_of_session(started.process.pid)) > 3
        started.process.send_signal(signal.SIGTERM)
        started.process.wait(STOP_SECONDS)
        wait_until(lambda: not processes_of_session(started.process.pid), "the end of all", seconds=STOP_SECONDS)


def processes_of_session(leader: int) -> list[int]:
    found = []
    for process in (int(path.name) for path in Path("/proc").glob("[0-9]*")):
        with suppress(ProcessLookupError):
            if os.getsid(process) == leader:
                found.append(process)
    return found
