"""A process that inspects log files beside this one, since threads do not decode JSON side by side.

It is a new interpreter, and no fork: this process may have DuckDB, S3 clients and threads. It imports this module and
not the program's main module, which multiprocessing's own processes do, and which may be all of Dagster.
"""

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable, Sequence
from datetime import date
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from sparkify_dagster.batches import InspectedDay, StoredObject
from sparkify_dagster.sources.events import DayInspector, InspectionRules, LogFile, read_log_file
from sparkify_dagster.sources.object_store import LocalFolder, SourceError


class InspectionProcess:
    """A process that inspects one day at a time, and ends with this object's process, however that ends.

    It reads the files of `folder` itself; without one it is given the files' content.
    """

    def __init__(self, rules: InspectionRules, folder: Path | None) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (this interpreter, and a program of this module)
                [sys.executable, "-c", _program(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Ctrl-C goes to the group of the terminal: what it ends, this process decides.
                process_group=0,
            )
        self._connection.send((rules, folder))

    @property
    def pid(self) -> int:
        return self._process.pid

    def inspect(self, day: date, files: Sequence[StoredObject] | Sequence[LogFile]) -> InspectedDay:
        """Inspects a day. Raises SourceError, also if the process was killed."""
        try:
            self._connection.send((day, files))
            inspected = self._connection.recv()
        except (EOFError, OSError) as error:
            raise SourceError(
                f"{day} was not inspected: the process that inspects ended with status {self._process.wait()} (-9: "
                "killed, perhaps for want of memory); run again with more memory, or on one core (taskset -c 0), which "
                "inspects one day at a time"
            ) from error
        if isinstance(inspected, Exception):
            raise inspected
        return inspected  # type: ignore[no-any-return]

    def kill(self) -> None:
        """Ends the process, whatever it does: it holds nothing that anybody needs. `inspect` then raises."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends the process, if it has not ended, when no thread is in `inspect` any more."""
        self.kill()
        self._connection.close()


def _program(descriptor: int) -> str:
    return f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import _serve; _serve({descriptor})"


def _serve(descriptor: int) -> None:
    """Inspects days that come from a connection until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection: Connection[Any, Any] = Connection(descriptor)
    received: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, received), daemon=True).start()
    rules, folder = received.get()
    inspector = DayInspector(rules)
    while True:
        day, files = received.get()
        try:
            connection.send(inspector.inspect(day, _read(folder, files)))
        except Exception as error:
            error.add_note(traceback.format_exc())
            connection.send(error)


def _receive(connection: "Connection[Any, Any]", received: SimpleQueue[Any]) -> None:
    """Reads all the time, so that the end of the other process is noticed while this one inspects."""
    try:
        while True:
            received.put(connection.recv())
    finally:
        os._exit(1)


def _read(folder: Path | None, files: Sequence[StoredObject] | Sequence[LogFile]) -> Iterable[LogFile]:
    for file in files:
        if isinstance(file, LogFile):
            yield file
        elif folder:
            yield read_log_file(LocalFolder(folder), file.key)
