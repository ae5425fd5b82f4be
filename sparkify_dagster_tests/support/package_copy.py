"""A copy of the package that a test may change, for processes that find it before the installed one."""

import shutil
from collections.abc import Collection
from pathlib import Path

from sparkify_dagster_tests.support.project import ROOT


def copy_package(folder: Path, *, queries: Collection[str]) -> Path:
    """Copies the package into the folder, with those of its queries that are named, and returns the copy.

    Each query of a run costs a twentieth of a second of a processor: it is run, drawn, checked and recorded.
    """

    def others(location: str, names: list[str]) -> set[str]:
        if not location.endswith("/sql/analytics"):
            return set()
        missing = set(queries) - {Path(name).stem for name in names}
        assert not missing, f"the package has no such queries: {missing}"
        return {name for name in names if Path(name).stem not in queries}

    return Path(shutil.copytree(ROOT / "sparkify_dagster", folder / "sparkify_dagster", ignore=others))
