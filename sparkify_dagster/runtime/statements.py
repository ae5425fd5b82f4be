"""The database connections of this process, so that an interrupt can end the statements that it waits for.

A driver that waits in C code for the answer of a server sees no signal until the answer comes. DuckDB sees it, and then
waits in the rollback until the statement's threads have ended.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

# How often cancel_running() is repeated: another statement may just have begun.
REPEAT_SECONDS = 0.25

Connection = TypeVar("Connection")
_cancel: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def register(connection: Connection, cancel: Callable[[Connection], None]) -> None:
    """Registers a driver's connection, and what another thread may call to cancel its statement."""
    _cancel[connection] = cancel


def cancel_running() -> None:
    """Cancels what the connections execute; another thread may do so."""
    # Another one may be registered meanwhile, at which Python would raise; it is the next call's.
    connections: list[tuple[Any, Callable[[Any], None]]] = []
    with suppress(RuntimeError):
        connections.extend(_cancel.items())
    for connection, cancel in connections:
        # It may be closed, and its server may be gone.
        with suppress(Exception):
            cancel(connection)
