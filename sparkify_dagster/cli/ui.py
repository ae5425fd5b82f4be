"""`sparkify ui`: Dagster's webserver and daemon on this machine, one of each per folder."""

import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from sparkify_dagster.cli.etl import STATE_FOLDER, fail_dead_runs
from sparkify_dagster.runtime import interrupts
from sparkify_dagster.runtime.errors import SparkifyError

_HOST = "127.0.0.1"


class UiError(SparkifyError):
    """The UI cannot be served."""


def serve(port: int) -> NoReturn:
    """Becomes the process of `dg dev`. Raises UiError if the folder has a UI already, or the port a server."""
    fail_dead_runs()
    _lock_folder(port)
    _require_free(port)
    interrupts.take_by_default()
    dg = Path(sys.executable).with_name("dg")
    # The same home and environment that a person would have activated and exported.
    environment = {"VIRTUAL_ENV": sys.prefix, "DAGSTER_HOME": str(Path.cwd()), **os.environ}
    environment["PATH"] = os.pathsep.join([str(dg.parent), environment.get("PATH", "")])
    # With the file named, dg looks for no project of its own, which only a clone is.
    command = [str(dg), "dev", "--workspace", "workspace.yaml", "--host", _HOST, "--port", str(port)]
    os.execve(dg, command, environment)  # noqa: S606


def _lock_folder(port: int) -> None:
    """Takes the folder's lock, which lasts as long as this process. Raises UiError if another process has it."""
    # Not a FileLock, which ends when this process becomes another program.
    lock = os.open(STATE_FOLDER / "ui.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        address = os.read(lock, 100).decode()
        raise UiError(
            f"this folder has a UI already, {address}: a second daemon would run each sensor and schedule twice"
        ) from None
    os.truncate(lock, 0)
    os.write(lock, f"http://{_HOST}:{port} (process {os.getpid()})".encode())
    os.set_inheritable(lock, True)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        # As the webserver does, which may be started again at once.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise UiError(
                f"--port {port}: {error.strerror}; choose another port, such as `sparkify ui --port {port + 1}`"
            ) from error
