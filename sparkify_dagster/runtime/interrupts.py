"""Records Ctrl-C and SIGTERM, whichever handler is in place: Dagster installs its own while a step runs."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

# The interpreter itself writes the number of each signal to this pipe, whichever handler is in place.
_pipe: list[int] = []
_signals: list[int] = []


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
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        signal.set_wakeup_fd(before)
        for end in _pipe:
            os.close(end)
        _pipe.clear()
        _signals.clear()


def received() -> signal.Signals | None:
    """Returns the first signal that the process received, or None if there was none."""
    if _pipe:
        with suppress(BlockingIOError):
            _signals.extend(os.read(_pipe[0], 4096))
    return next((signal.Signals(number) for number in _signals if number in (signal.SIGINT, signal.SIGTERM)), None)


def take_by_default() -> None:
    """Makes Ctrl-C end the program that this process becomes, also where a script has started it in the background.

    Dagster's programs treat SIGTERM like SIGINT, and would ignore both.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
