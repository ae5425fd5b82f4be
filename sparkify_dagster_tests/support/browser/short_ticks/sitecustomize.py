"""Short intervals for Dagster's daemon, in processes that have this folder in PYTHONPATH.

The daemon looks for backfills every thirty seconds, by a constant of Dagster's, and the sensors have intervals for
production. A test would spend most of its time waiting for them.
"""

import os
import sys

# No other process of the UI needs Dagster just to start: those that watch a run's output start without a library.
if "dagster._daemon" in sys.orig_argv:
    from dagster._core.remote_representation.external import RemoteSensor
    from dagster._daemon import controller

    interval = int(os.environ["SHORT_TICKS_SECONDS"])
    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = interval
    RemoteSensor.min_interval_seconds = property(lambda _: interval)  # type: ignore[assignment, method-assign]
