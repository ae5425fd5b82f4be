from pathlib import Path

import pytest

from sparkify_dagster_tests.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
