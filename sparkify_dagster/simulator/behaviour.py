"""Behaviour of listeners: eventsim's Markov chain of pages."""

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from sparkify_dagster.simulator.page_rates import (
    CANCELLATION_CONFIRMATION,
    CANCELLED,
    FIRST_PAGES,
    FREE,
    GUEST,
    LOGGED_IN,
    LOGGED_OUT,
    NEXT_SONG,
    PAGES,
    PAID,
    SUBMIT_REGISTRATION,
    Rates,
)

_REDIRECTING: Final = frozenset(
    {
        "Add Friend",
        "Cancel",
        "Login",
        "Logout",
        "Save Settings",
        "Submit Downgrade",
        SUBMIT_REGISTRATION,
        "Submit Upgrade",
        "Thumbs Down",
        "Thumbs Up",
    }
)
_CHANGING: Final = _REDIRECTING | {NEXT_SONG, "Add to Playlist"}


@dataclass(frozen=True, slots=True)
class State:
    """A logged page, with the listener's login state and level, and the server's response."""

    page: str
    auth: str
    level: str

    @property
    def method(self) -> str:
        """PUT for pages that change something, songs included, GET for pages that only show something."""
        return "PUT" if self.page in _CHANGING else "GET"

    @property
    def status(self) -> int:
        """The HTTP status."""
        if self.redirecting:
            return 307
        return 404 if self.page == "Error" else 200

    @property
    def redirecting(self) -> bool:
        """Returns whether the server redirects; such a page comes one second after the one before."""
        return self.page in _REDIRECTING

    @property
    def signed_in(self) -> bool:
        """Returns whether the app knows the user: also on the page that confirms a cancellation."""
        return self.auth in (LOGGED_IN, CANCELLED)


@dataclass(frozen=True, slots=True)
class Choice:
    """The possible next states, by number, with their cumulative probabilities."""

    cumulative: tuple[float, ...]
    states: tuple[int | None, ...]
    """The last one, for draws above all probabilities, is None: the session ends."""

    def at(self, draw: float) -> int | None:
        """Returns the state for a draw from [0, 1)."""
        return self.states[bisect(self.cumulative, draw)]


# Pages that change the login state or the level always lead to the same page.
_TRANSITIONS: Final = {
    State("Submit Upgrade", LOGGED_IN, FREE): State("Home", LOGGED_IN, PAID),
    State("Submit Downgrade", LOGGED_IN, PAID): State("Home", LOGGED_IN, FREE),
    State(SUBMIT_REGISTRATION, GUEST, FREE): State("Home", LOGGED_IN, FREE),
} | {
    source: target
    for level in (FREE, PAID)
    for source, target in (
        (State("Login", LOGGED_OUT, level), State("Home", LOGGED_IN, level)),
        (State("Logout", LOGGED_IN, level), State("Home", LOGGED_OUT, level)),
        (State("Cancel", LOGGED_IN, level), State(CANCELLATION_CONFIRMATION, CANCELLED, level)),
    )
}

STATES: Final[tuple[State, ...]] = (
    *(State(page, auth, level) for (auth, level), pages in PAGES.items() for page in pages),
    *_TRANSITIONS,
)
_NUMBERS: Final = {state: number for number, state in enumerate(STATES)}


def _choice(rates: Rates, auth: str, level: str, total: float) -> Choice:
    return Choice(
        tuple(accumulate(rate / total for rate in rates.values())),
        (*(_NUMBERS[State(page, auth, level)] for page in rates), None),
    )


def _following(state: State) -> Choice:
    if state in _TRANSITIONS:
        return Choice((1.0,), (_NUMBERS[_TRANSITIONS[state]], None))
    return _choice(PAGES[state.auth, state.level][state.page], state.auth, state.level, total=1.0)


FOLLOWING: Final = tuple(_following(state) for state in STATES)
# A slightly smaller total keeps the rounded sum above every draw, so that a session always has a first page.
FIRST: Final = {
    key: _choice(weights, *key, total=sum(weights.values()) * (1 - 1e-12)) for key, weights in FIRST_PAGES.items()
}
