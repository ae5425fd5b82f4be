"""The folder that `sparkify init` makes and a clone is: the one in which commands keep their state."""

import os
from pathlib import Path

from sparkify_dagster.runtime.errors import SparkifyError


class ProjectFolderError(SparkifyError):
    """The working directory is no project's folder."""


def dagster_home() -> Path:
    """Returns the folder of dagster.yaml: DAGSTER_HOME or the working directory. Raises ProjectFolderError."""
    home = Path(os.environ.get("DAGSTER_HOME") or ".").absolute()
    if not (home / "dagster.yaml").exists():
        raise ProjectFolderError(
            f"there is no dagster.yaml in {home}: run this in the project's folder, set DAGSTER_HOME, "
            "or write one with `sparkify init`"
        )
    return home
