"""`sparkify ui`: Dagster's webserver and daemon on this machine, one of each per folder."""

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from sparkify_dagster.cli.etl import STATE_FOLDER, fail_dead_runs, persisted_instance
from sparkify_dagster.runtime import interrupts, process_group, process_lock
from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.runtime.history import RunTable

_HOST = "127.0.0.1"
_WHY_NOT_TWO = "a second daemon would run each sensor and schedule twice"


class UiError(SparkifyError):
    """The UI cannot be served."""


def serve(port: int) -> NoReturn:
    """Becomes the process that runs `dg dev`.

    Raises UiError if the folder has a UI or a daemon already, or the port a server.
    """
    fail_dead_runs()
    _lock_folder(port)
    _require_no_daemon()
    _require_free(port)
    interrupts.take_by_default()
    dg = Path(sys.executable).with_name("dg")
    # The same home and environment that a person would have activated and exported.
    environment = {"VIRTUAL_ENV": sys.prefix, "DAGSTER_HOME": str(Path.cwd()), **os.environ}
    environment["PATH"] = os.pathsep.join([str(dg.parent), environment.get("PATH", "")])
    # With the file named, dg looks for no project of its own, which only a clone is.
    command = [str(dg), "dev", "--workspace", "workspace.yaml", "--host", _HOST, "--port", str(port)]
    # In place of this process, which has imported all of Dagster.
    keeper = [sys.executable, "-m", process_group.__name__]
    os.execve(keeper[0], [*keeper, *command], environment)  # noqa: S606


def _lock_folder(port: int) -> None:
    """Takes the folder's lock, which lasts as long as this process. Raises UiError if another process has it."""
    address = f"http://{_HOST}:{port} (process {os.getpid()})"
    if first := process_lock.take(STATE_FOLDER / "ui.lock", address, inheritable=True):
        raise UiError(f"this folder has a UI already, {first}: {_WHY_NOT_TWO}")


def _require_no_daemon() -> None:
    """Raises UiError if a daemon runs that something else has started."""
    with persisted_instance() as instance:
        runs = instance.run_storage
        # Another kind of storage, such as that of several machines, shows no processes.
        first = process_lock.holder(runs.daemon_lock) if isinstance(runs, RunTable) else None
    if first:
        raise UiError(f"this folder's history has a daemon already, {first}: {_WHY_NOT_TWO}")


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
