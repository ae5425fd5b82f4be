import os

import hypothesis

# Reads its settings before they are taken from the environment below.
from sparkify_dagster_tests.redshift_stand_in.real_cluster import CLUSTER

__all__ = ["CLUSTER"]

# Definitions read the settings when they are imported; tests decide on theirs and see nobody else's.
for name in list(os.environ):
    if name.startswith(("SPARKIFY_", "AWS_")) or name == "DAGSTER_HOME":
        del os.environ[name]
os.environ["SPARKIFY_CONFIG"] = ""
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"

# A build tries the same examples each time; whoever runs the tests by hand looks for new ones.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

pytest_plugins = [
    "sparkify_dagster_tests.support.servers.s3",
    "sparkify_dagster_tests.support.servers.aws_api",
    "sparkify_dagster_tests.support.servers.postgres",
    "sparkify_dagster_tests.redshift_stand_in.fixtures",
    "sparkify_dagster_tests.support.browser.fixtures",
]
