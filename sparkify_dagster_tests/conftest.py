import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

from sparkify_dagster.warehouse import duckdb_instance

# Reads its settings before they are taken from the environment below.
from sparkify_dagster_tests.redshift_stand_in.real_cluster import CLUSTER

__all__ = ["CLUSTER"]

# Definitions read the settings when they are imported; tests decide on theirs and see nobody else's.
for name in list(os.environ):
    if name.startswith(("SPARKIFY_", "AWS_")) or name == "DAGSTER_HOME":
        del os.environ[name]
os.environ["SPARKIFY_CONFIG"] = ""
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
# Each of hundreds of processes would compile the package.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A script's `&` has Ctrl-C ignored, and Dagster then ignores SIGTERM too; what tests start would inherit both.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A folder for what is computed once for all processes of pytest-xdist, which inherit it.
if "TESTS_COMPUTED_ONCE" not in os.environ:
    os.environ["TESTS_COMPUTED_ONCE"] = tempfile.mkdtemp(prefix="sparkify-tests-")
    atexit.register(shutil.rmtree, os.environ["TESTS_COMPUTED_ONCE"], ignore_errors=True)

# For files of some lines, waking other threads costs a fifth of a load's processor time. Commands that tests start
# as a shell starts them keep DuckDB's own number.
duckdb_instance.SESSION += "; SET threads = 1"

# The libraries are half a million objects, which the garbage collector would look at for each few thousand new ones.
gc.set_threshold(100_000, 50, 100)

# A build tries the same examples each time; whoever runs the tests by hand looks for new ones.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

pytest_plugins = [
    "sparkify_dagster_tests.support.servers.s3",
    "sparkify_dagster_tests.support.servers.aws_api",
    "sparkify_dagster_tests.support.servers.postgres",
    "sparkify_dagster_tests.redshift_stand_in.fixtures",
    "sparkify_dagster_tests.support.wheel",
    "sparkify_dagster_tests.support.browser.fixtures",
]

# The markers of tests that need one of these fixtures, or a warehouse of that name as a parameter.
NEEDS = {
    "postgres": {"postgres", "server"},
    "redshift": {"redshift", "server"},
    "redshift_servers": {"redshift", "server"},
    "cluster": {"redshift", "server"},
    "warehouses": {"postgres", "redshift", "server"},
    "s3": {"server"},
    "aws": {"server"},
    "browser": {"browser"},
}
WAREHOUSE_FIXTURES = ("new_warehouse", "six_days")


def pytest_xdist_auto_num_workers() -> int:
    """Returns one worker more per two processors, since a fifth of the time goes by in waiting for processes."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_collection_finish() -> None:
    """Hides what all tests have imported from the garbage collector, which pytest calls at the end."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Marks tests by what they need, and puts those that take longest first: the last ones should be short."""
    for item in items:
        parameters = getattr(item, "callspec", None)
        chosen = {parameters.params.get(name) for name in WAREHOUSE_FIXTURES} if parameters else set()
        for name in {*getattr(item, "fixturenames", ()), *filter(None, chosen)}:
            for marker in NEEDS.get(name, ()):
                item.add_marker(marker)
    # Here pytest selects by the markers, and groups tests by their fixtures.
    yield
    items.sort(key=lambda item: (item.get_closest_marker("browser") is None, item.get_closest_marker("slow") is None))
