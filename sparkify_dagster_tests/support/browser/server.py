"""The UI and its daemon, as `sparkify ui` starts them in a project's folder."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from sparkify_dagster_tests.support.project import Project, Started, wait_until
from sparkify_dagster_tests.support.servers.ports import free_ports

# It starts six processes, each of which imports Dagster: some ten seconds where nothing else runs.
START_SECONDS = 300
# For tests that wait for the daemon or for a sensor.
SHORT_TICKS = {"PYTHONPATH": str(Path(__file__).with_name("short_ticks")), "SHORT_TICKS_SECONDS": "1"}


@dataclass(frozen=True)
class Served:
    started: Started
    url: str

    @property
    def processes(self) -> list[int]:
        """The processes that live of all that were started."""
        found = []
        for process in (int(path.name) for path in Path("/proc").glob("[0-9]*")):
            with suppress(ProcessLookupError):
                if os.getsid(process) == self.started.process.pid:
                    found.append(process)
        return found


@contextmanager
def served(project: Project, **environment: str) -> Iterator[Served]:
    """The UI, which is there for the block, started by a script with `&`: SIGINT is ignored there."""
    (port,) = free_ports(1)
    with project.start_in_background("sparkify", "ui", "--port", str(port), **environment) as started:
        served = Served(started, wait_for_ui(started, port))
        try:
            yield served
        finally:
            # They would end by themselves, but write to the project's folder until then.
            for process in served.processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


def wait_for_ui(started: Started, port: int) -> str:
    """Returns the URL of a UI that has been started, once it answers."""
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: started.process.poll() is not None or _answers(url), "the UI", seconds=START_SECONDS)
    assert started.process.poll() is None, started.output
    return url


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/server_info", timeout=5):
            return True
    except (URLError, TimeoutError, ConnectionError):
        return False
