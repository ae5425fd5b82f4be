"""The cores that a process may use, which are not always those of the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparkify_dagster.runtime import cores
from sparkify_dagster.runtime.cores import available_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_that_is_bound_to_a_core_has_one() -> None:
    program = (
        "import os; from sparkify_dagster.runtime.cores import available_cores\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(available_cores())"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "1\n"


@pytest.mark.parametrize(("quota", "most"), [("50000 100000", 1), ("150000 100000", 2), ("max 100000", 1_000)])
def test_a_container_has_the_cores_of_its_quota(
    quota: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(f"{quota}\n")
    without = available_cores()
    monkeypatch.setattr(cores, "_QUOTA", file)
    assert available_cores() == min(most, without)
