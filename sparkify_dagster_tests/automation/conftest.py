import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from sparkify_dagster.automation import rejected_days, run_requests
from sparkify_dagster_tests.support.run_history import new_history
from sparkify_dagster_tests.support.world import World, thrown_away


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with new_history(tmp_path / "history") as instance:
        yield instance


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with thrown_away(World(tmp_path)) as world:
        yield world


class Clock:
    """The clock of the sensors, which tests can advance."""

    seconds_ahead = 0.0

    def time(self) -> float:
        return time.time() + self.seconds_ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (run_requests, rejected_days):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=clock.time))
    return clock
