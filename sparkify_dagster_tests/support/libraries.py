"""Imports the libraries that the package uses, and forgets the package: for the process that commands are forked from.

The package's modules are imported by each command, since some of them read its settings.
"""

import sys

import sparkify_dagster.cli.etl
import sparkify_dagster.cli.main
import sparkify_dagster.definitions  # noqa: F401

for name in [name for name in sys.modules if name.partition(".")[0] == "sparkify_dagster"]:
    del sys.modules[name]
