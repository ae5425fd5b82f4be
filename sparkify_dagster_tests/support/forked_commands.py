"""Processes for commands of the package that start at once, since they are forked from one that has the libraries.

Importing Dagster, the other libraries and most of the package takes two to six seconds of a processor. The modules that
read settings when they are imported are imported by each command, under the command's own environment.
"""

import atexit
import io
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

# The interpreter reads these when it starts; of the path it would run a sitecustomize.py too.
_OF_THE_INTERPRETER = ("PYTHON", "LC_", "LANG")


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Returns whether a command may share an interpreter that was started without the environment's changes."""
    changed = {name for name, value in environment.items() if os.environ.get(name) != value}
    return not any(name.startswith(_OF_THE_INTERPRETER) for name in changed - {"PYTHONPATH"}) and not any(
        Path(folder, "sitecustomize.py").exists() for folder in _python_path(environment)
    )


def _python_path(environment: Mapping[str, str]) -> list[str]:
    return [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder]


@dataclass(frozen=True)
class ForkedProcess:
    """A forked process with the part of Popen's interface that tests use."""

    _process: ForkServerProcess

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired(str(self._process.name), timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        # It may end between the two.
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start_forked(
    program: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path
) -> ForkedProcess:
    """Starts Python code with the arguments in sys.argv, in a session of its own."""
    process = _server().Process(target=_run, args=(program, arguments, folder, dict(environment), output))
    process.start()
    return ForkedProcess(process)


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sparkify_dagster_tests.support.libraries"])
    return context


def _run(program: str, arguments: Sequence[str], folder: Path, environment: dict[str, str], output: Path) -> None:
    """Makes the forked process what a new one would be, and runs the program in it."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = list(arguments)
    if path := _python_path(environment):
        sys.path[:0] = path
        # There may be another version of the package.
        for name in [name for name in sys.modules if name.partition(".")[0] == "sparkify_dagster"]:
            del sys.modules[name]
    with output.open("ab") as stream, open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), "utf-8")
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)
    try:
        exec(compile(program, "<command>", "exec"), {"__name__": "__main__"})
    finally:
        # Which multiprocessing leaves out.
        atexit._run_exitfuncs()
