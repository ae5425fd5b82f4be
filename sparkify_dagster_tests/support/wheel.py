"""The wheel, installed into a virtual environment of its own that has no clone."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from sparkify_dagster_tests.support.project import ROOT, Project

# Scripts of Dagster's that people use beside `sparkify`; `sparkify ui` runs dg.
_DAGSTER_COMMANDS = ("dagster", "dg")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="session")
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
    for name in _DAGSTER_COMMANDS:
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
