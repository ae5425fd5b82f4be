"""The UI and its daemon, as `make ui` starts them in a project's folder."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

from sparkify_dagster_tests.project import ROOT, Project, wait_until

PACKAGE = "sparkify_dagster"
# It starts six processes, each of which imports Dagster: some ten seconds where nothing else runs.
START_SECONDS = 300


@contextmanager
def served(project: Project, **environment: str) -> Iterator[str]:
    """The URL of the UI, which is there for the block."""
    # `dg dev` looks for the package in the project's folder, wherever it is installed.
    (project.folder / PACKAGE).symlink_to(ROOT / PACKAGE)
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with project.start("sparkify", "ui", "--port", str(port), **environment) as started:
        wait_until(lambda: started.process.poll() is not None or _answers(url), "the UI", seconds=START_SECONDS)
        assert started.process.poll() is None, started.output
        yield url


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/server_info", timeout=5):
            return True
    except (URLError, TimeoutError, ConnectionError):
        return False


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port
