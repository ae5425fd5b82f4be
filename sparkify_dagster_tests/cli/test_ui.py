"""`sparkify ui` starts nothing beside a UI of the same folder, or on a port that another server has."""

import fcntl
import socket
from pathlib import Path

import pytest

from sparkify_dagster_tests.support.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.use(tmp_path)
    return project


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


def test_a_port_that_is_taken_is_one_line(project: Project) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        output = project.sparkify("ui", "--port", str(port), expect=1)
    assert output.splitlines() == [
        f"sparkify: --port {port}: Address already in use; choose another port, such as `sparkify ui --port {port + 1}`"
    ]
