"""Folders in which the commands of a benchmark run as after a fresh clone, and the benchmarks' command line."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from machine import describe_machine
from process_cost import Cost, cost_of

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
SPARKIFY = str(Path(sys.executable).with_name("sparkify"))


class Workplace:
    """A folder with its own Dagster history and warehouse, like a fresh clone."""

    def __init__(self, folder: Path, source: Path, start: str = "2018-11-01", end: str = "2018-12-01") -> None:
        self.folder = folder
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("SPARKIFY_", "AWS_"))},
            "SPARKIFY_CONFIG": "",
            "SPARKIFY_LOG_DATA": str(source / "log_data"),
            "SPARKIFY_SONG_DATA": str(source / "song_data"),
            "SPARKIFY_LOG_START": start,
            "SPARKIFY_LOG_END": end,
        }
        self.environment.pop("DAGSTER_HOME", None)
        folder.mkdir()
        shutil.copy(ROOT / "dagster.yaml", folder)

    def seconds(self, *command: str) -> float:
        started = time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return time.perf_counter() - started

    def cost(self, *command: str) -> tuple[Cost, str]:
        """Returns what the command cost, and what it printed."""
        output = self.folder / "output"
        exit_code, cost = cost_of(command, self.folder, self.environment, output)
        printed = output.read_text("utf-8")
        if exit_code:
            raise SystemExit(f"{' '.join(command)} failed:\n{printed}")
        return cost, printed


def fresh(folder: Path, source: Path) -> Workplace:
    shutil.rmtree(folder, ignore_errors=True)
    return Workplace(folder, source)


def run(description: str | None, benchmarks: Mapping[str, Callable[[Path, int], None]]) -> None:
    """The command line of some benchmarks, each of which is given a folder and a number of rounds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=list(benchmarks))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Where to work; kept if given, so that data is simulated once.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sparkify-benchmark-") as temporary:
        folder = (arguments.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        print(describe_machine(), flush=True)
        for what in arguments.what:
            benchmarks[what](folder, arguments.rounds)
