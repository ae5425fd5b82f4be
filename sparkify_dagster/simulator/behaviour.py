"""Behaviour of listeners: eventsim's Markov chain of pages, with the transition rates of the real month."""

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

LOGGED_IN: Final = "Logged In"
LOGGED_OUT: Final = "Logged Out"
FREE: Final = "free"
PAID: Final = "paid"
NEXT_SONG: Final = "NextSong"

_REDIRECTING: Final = frozenset({"Login", "Logout", "Save Settings", "Submit Downgrade", "Submit Upgrade"})

Rates = dict[str, float]

# Page -> next page -> probability; the remainder to 1 is the probability that the session ends.
_FREE_PAGES: Final[dict[str, Rates]] = {
    NEXT_SONG: {
        NEXT_SONG: 0.5,
        "Home": 0.02,
        "Logout": 0.02,
        "Upgrade": 0.01,
        "Help": 0.005,
        "Settings": 0.005,
        "About": 0.002,
        "Error": 0.001,
    },
    "Home": {
        NEXT_SONG: 0.6,
        "Settings": 0.02,
        "Home": 0.015,
        "Upgrade": 0.01,
        "Logout": 0.01,
        "About": 0.002,
        "Help": 0.002,
        "Error": 0.001,
    },
    "Upgrade": {"Submit Upgrade": 0.3, NEXT_SONG: 0.25, "Home": 0.1, "Upgrade": 0.05, "Help": 0.05},
    "Settings": {NEXT_SONG: 0.3, "Save Settings": 0.2, "Home": 0.1, "Settings": 0.1, "Help": 0.05, "Upgrade": 0.01},
    "Help": {NEXT_SONG: 0.3, "Home": 0.2, "Help": 0.1, "Settings": 0.05, "Logout": 0.01},
    "About": {NEXT_SONG: 0.3, "Home": 0.2, "About": 0.05, "Logout": 0.01},
    "Error": {NEXT_SONG: 0.3, "Home": 0.4, "Error": 0.05},
    "Save Settings": {"Home": 1.0},
}
_PAID_PAGES: Final[dict[str, Rates]] = {
    NEXT_SONG: {
        NEXT_SONG: 0.925,
        "Home": 0.02,
        "Downgrade": 0.009,
        "Logout": 0.007,
        "Help": 0.006,
        "Settings": 0.006,
        "About": 0.003,
        "Error": 0.001,
    },
    "Home": {
        NEXT_SONG: 0.85,
        "Settings": 0.03,
        "Home": 0.015,
        "Logout": 0.015,
        "Downgrade": 0.01,
        "About": 0.005,
        "Help": 0.005,
        "Error": 0.001,
    },
    "Downgrade": {NEXT_SONG: 0.6, "Home": 0.2, "Downgrade": 0.05, "Help": 0.02, "Submit Downgrade": 0.01},
    "Settings": {NEXT_SONG: 0.6, "Save Settings": 0.12, "Home": 0.08, "Settings": 0.08, "Help": 0.03, "Logout": 0.01},
    "Help": {NEXT_SONG: 0.75, "Home": 0.1, "Help": 0.08, "Settings": 0.02},
    "About": {NEXT_SONG: 0.4, "Home": 0.3, "About": 0.05},
    "Error": {NEXT_SONG: 0.4, "Home": 0.4, "Error": 0.05},
    "Save Settings": {"Home": 1.0},
}
_LOGGED_OUT_PAGES: Final[dict[str, Rates]] = {
    "Home": {"Login": 0.3, "Home": 0.15, "About": 0.08, "Help": 0.02, "Error": 0.001},
    "About": {"Login": 0.2, "Home": 0.3, "About": 0.03},
    "Help": {"Login": 0.25, "Home": 0.2, "Help": 0.05},
    "Error": {"Login": 0.1, "Home": 0.5, "Error": 0.05},
}
_PAGES: Final = {
    (LOGGED_IN, FREE): _FREE_PAGES,
    (LOGGED_IN, PAID): _PAID_PAGES,
    (LOGGED_OUT, FREE): _LOGGED_OUT_PAGES,
    (LOGGED_OUT, PAID): _LOGGED_OUT_PAGES,
}
_FIRST_PAGES: Final[dict[tuple[str, str], Rates]] = {
    (LOGGED_IN, FREE): {NEXT_SONG: 1500, "Home": 1000, "Help": 10, "About": 5, "Error": 1},
    (LOGGED_IN, PAID): {NEXT_SONG: 1750, "Home": 1000, "Help": 5, "About": 5, "Error": 1},
    (LOGGED_OUT, FREE): {"Home": 1000, "Login": 500, "About": 10, "Help": 10, "Error": 1},
    (LOGGED_OUT, PAID): {"Home": 1000, "Login": 500, "About": 10, "Help": 10, "Error": 1},
}


@dataclass(frozen=True, slots=True)
class State:
    """A logged page, with the listener's login state and level, and the server's response."""

    page: str
    auth: str
    level: str

    @property
    def method(self) -> str:
        """PUT for pages that change something, songs included, GET for pages that only show something."""
        return "PUT" if self.redirecting or self.page == NEXT_SONG else "GET"

    @property
    def status(self) -> int:
        """The HTTP status."""
        if self.redirecting:
            return 307
        return 404 if self.page == "Error" else 200

    @property
    def redirecting(self) -> bool:
        """Returns whether the next page follows automatically, one second later."""
        return self.page in _REDIRECTING


@dataclass(frozen=True, slots=True)
class Choice:
    """The possible next states, by number, with their cumulative probabilities."""

    cumulative: tuple[float, ...]
    states: tuple[int, ...]

    def at(self, draw: float) -> int | None:
        """Returns the state for a draw from [0, 1); None if the draw is above all probabilities."""
        position = bisect(self.cumulative, draw)
        return self.states[position] if position < len(self.states) else None


# Pages that change the login state or the level always lead to the same page.
_TRANSITIONS: Final = {
    State("Submit Upgrade", LOGGED_IN, FREE): State("Home", LOGGED_IN, PAID),
    State("Submit Downgrade", LOGGED_IN, PAID): State("Home", LOGGED_IN, FREE),
} | {
    source: target
    for level in (FREE, PAID)
    for source, target in (
        (State("Login", LOGGED_OUT, level), State("Home", LOGGED_IN, level)),
        (State("Logout", LOGGED_IN, level), State("Home", LOGGED_OUT, level)),
    )
}

STATES: Final[tuple[State, ...]] = (
    *(State(page, auth, level) for (auth, level), pages in _PAGES.items() for page in pages),
    *_TRANSITIONS,
)
_NUMBERS: Final = {state: number for number, state in enumerate(STATES)}


def _choice(rates: Rates, auth: str, level: str, total: float) -> Choice:
    return Choice(
        tuple(accumulate(rate / total for rate in rates.values())),
        tuple(_NUMBERS[State(page, auth, level)] for page in rates),
    )


def _following(state: State) -> Choice:
    if state in _TRANSITIONS:
        return Choice((1.0,), (_NUMBERS[_TRANSITIONS[state]],))
    return _choice(_PAGES[state.auth, state.level][state.page], state.auth, state.level, total=1.0)


FOLLOWING: Final = tuple(_following(state) for state in STATES)
# A slightly smaller total keeps the rounded sum above every draw, so that a session always has a first page.
FIRST: Final = {
    key: _choice(weights, *key, total=sum(weights.values()) * (1 - 1e-12)) for key, weights in _FIRST_PAGES.items()
}
