"""Short intervals for Dagster's daemon and for sensors, in processes that have this folder in PYTHONPATH.

The daemon looks for backfills every thirty seconds, by a constant of Dagster's, and the sensors have intervals for
production. A test would spend most of its time waiting for them.
"""

import os
from collections.abc import Callable
from typing import Any

import dagster
from dagster._daemon import controller

INTERVAL_SECONDS = int(os.environ["SHORT_TICKS_SECONDS"])

controller.DEFAULT_DAEMON_INTERVAL_SECONDS = INTERVAL_SECONDS
_sensor = dagster.sensor


def sensor(*args: Any, **kwargs: Any) -> Callable[..., Any]:
    if "minimum_interval_seconds" in kwargs:
        kwargs["minimum_interval_seconds"] = INTERVAL_SECONDS
    return _sensor(*args, **kwargs)


dagster.sensor = sensor
