"""Imports the libraries and the package: for the process that commands are forked from.

The layers above the analytics, which read settings when they are imported, are imported by each command.
"""

import contextlib
import gc
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import dagster as dg
import vl_convert

import sparkify_dagster
import sparkify_dagster.cli.etl
import sparkify_dagster.cli.main
import sparkify_dagster.definitions
from sparkify_dagster.warehouse import duckdb_instance
from sparkify_dagster_tests.support.drawn_charts import draw_once

# No other layer imports these; import-linter holds that.
_READ_SETTINGS = {"assets", "automation", "checks", "cli", "definitions", "defs", "partitions", "presentation"}


@dg.asset
def nothing() -> None: ...


@dg.asset_check(asset=nothing)
def passes() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


# Dagster imports as many modules again when it opens a history and runs something.
with tempfile.TemporaryDirectory() as folder:
    shutil.copy(Path(__file__).parents[2] / "dagster.yaml", folder)
    with contextlib.chdir(folder), dg.DagsterInstance.from_config(folder) as instance:
        run_config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        dg.materialize([nothing, passes], instance=instance, run_config=run_config)
assert threading.active_count() == 1, "a thread would be missing in what is forked"

# Waking other threads for files of some lines costs a tenth of a command's processor time (conftest.py).
duckdb_instance.SESSION += "; SET threads = 1"

drawn = draw_once(vl_convert.vegalite_to_svg)
vl_convert.vegalite_to_svg = drawn  # type: ignore[assignment]

for module in [name for name in sys.modules if name.startswith("sparkify_dagster.")]:
    layer = module.split(".")[1]
    if layer in _READ_SETTINGS:
        del sys.modules[module]
        vars(sparkify_dagster).pop(layer, None)

# The garbage collector of a command then looks at the command's own objects alone.
gc.collect()
gc.freeze()
