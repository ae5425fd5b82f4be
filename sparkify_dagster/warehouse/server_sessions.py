"""Sessions of a server that outlive the connections to a warehouse: a login takes longer than most transactions."""

from dataclasses import dataclass
from threading import Lock

from sqlalchemy import Engine


@dataclass(eq=False)
class Session:
    """An engine of one connection, and the purpose that it serves at present."""

    engine: Engine
    purpose: str


class KeptSessions:
    """Sessions that nobody uses at the moment: at most one that writes and one that only reads."""

    def __init__(self) -> None:
        self._idle: dict[bool, Session] = {}
        self._is_closed = False
        self._lock = Lock()

    def take(self, *, read_only: bool) -> Session | None:
        with self._lock:
            return self._idle.pop(read_only, None)

    def give_back(self, session: Session, *, read_only: bool) -> None:
        """Keeps the session, or ends it where another one is kept already."""
        with self._lock:
            if not self._is_closed and self._idle.setdefault(read_only, session) is session:
                return
        session.engine.dispose()

    def close(self) -> None:
        """Ends the sessions, and those that are given back later."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, {}
        for session in idle.values():
            session.engine.dispose()
