"""Records Ctrl-C and SIGTERM, whichever handler is in place (Dagster installs its own while a step runs), and ends
statements that would keep the process from seeing them."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from sparkify_dagster.runtime import statements

# The interpreter itself writes the number of each signal to this pipe, whichever handler is in place.
_pipe: list[int] = []
_signals: list[int] = []
_reading = threading.Lock()
_terminated = threading.Event()


@contextmanager
def noticed() -> Iterator[None]:
    """Lets SIGTERM end the block as Ctrl-C does, by a KeyboardInterrupt, and records the signals for received()."""
    if threading.current_thread() is not threading.main_thread() or _pipe:
        yield
        return
    _pipe[:] = os.pipe()
    for end in _pipe:
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False)
    # A shell has SIGINT ignored in what a script starts in the background. So it is blocked, and has a handler
    # nevertheless: Dagster gives SIGTERM the handler of SIGINT while it runs something.
    blocked = {signal.SIGINT} if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else set()
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    handlers = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    done = threading.Event()
    canceling = threading.Thread(target=_cancel_statements, args=(done,), name="interrupts", daemon=True)
    canceling.start()
    try:
        yield
    finally:
        done.set()
        canceling.join()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        signal.set_wakeup_fd(before)
        for end in _pipe:
            os.close(end)
        _pipe.clear()
        _signals.clear()
        _terminated.clear()


def received() -> signal.Signals | None:
    """Returns the first signal that the process received, or None if there was none."""
    with _reading:
        if _pipe:
            with suppress(BlockingIOError):
                _signals.extend(os.read(_pipe[0], 4096))
        return next((signal.Signals(number) for number in _signals if number in (signal.SIGINT, signal.SIGTERM)), None)


def describe() -> str:
    """Returns what ended the process, for a person to read; empty if nothing did."""
    if received() is None:
        return ""
    return "terminated in the UI" if _terminated.is_set() else "interrupted"


def terminate() -> None:
    """Interrupts the main thread as SIGTERM does, from another thread."""
    if received() is None:
        _terminated.set()
    # Sent to the thread itself, for whose system calls it would go on otherwise.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def take_by_default() -> None:
    """Makes Ctrl-C end the program that this process becomes, also where a script has started it in the background.

    Dagster's programs treat SIGTERM like SIGINT, and would ignore both.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _cancel_statements(done: threading.Event) -> None:
    while not done.wait(statements.REPEAT_SECONDS):
        if received():
            statements.cancel_running()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
