"""`sparkify ui` starts nothing beside a UI or a daemon of the same folder, or on a port that another server has."""

import fcntl
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkify_dagster.runtime import process_lock
from sparkify_dagster_tests.support.project import HISTORY, Project, wait_until


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.use(tmp_path)
    return project


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_second_ui_of_a_folder_is_one_line_that_names_the_first(project: Project) -> None:
    with (project.folder / ".sparkify" / "ui.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("http://127.0.0.1:3000 (process 77)")
        lock.flush()
        output = project.sparkify("ui", "--port", "3001", expect=1)
    assert output.splitlines() == [
        "sparkify: this folder has a UI already, http://127.0.0.1:3000 (process 77): a second daemon would run each "
        "sensor and schedule twice"
    ]


def test_a_daemon_that_was_started_by_another_command_is_one_line_that_names_it(
    project: Project, taken_port: int
) -> None:
    lock = project.folder / HISTORY / "daemon.lock"
    with project.start("dagster-daemon", "run", DAGSTER_HOME=str(project.folder)) as daemon:
        wait_until(lambda: process_lock.holder(lock) is not None, "the daemon's first heartbeat")
        output = project.sparkify("ui", "--port", str(taken_port), expect=1)
        assert output.splitlines() == [
            f"sparkify: this folder's history has a daemon already, process {daemon.process.pid}: a second daemon "
            "would run each sensor and schedule twice"
        ]
        daemon.kill_group()
    # Its heartbeats are recent, but it has ended.
    assert "daemon" not in project.sparkify("ui", "--port", str(taken_port), expect=1)


def test_a_port_that_is_taken_is_one_line(project: Project, taken_port: int) -> None:
    output = project.sparkify("ui", "--port", str(taken_port), expect=1)
    assert output.splitlines() == [
        f"sparkify: --port {taken_port}: Address already in use; choose another port, such as "
        f"`sparkify ui --port {taken_port + 1}`"
    ]
