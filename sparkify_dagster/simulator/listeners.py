"""Simulated listeners: constant attributes, and habits."""

# A literal list would put each word on a line of its own.
# ruff: noqa: SIM905

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sparkify_dagster.simulator.draws import chance, even_pair, exponential, generator, log_normal, pick
from sparkify_dagster.simulator.page_rates import FREE, GUEST, LOGGED_IN, LOGGED_OUT, PAID

# eventsim never assigns the first id that it is configured with.
FIRST_USER_ID: Final = 2
MAX_LISTENERS: Final = 1_000_000

_MEAN_PAGE_SECONDS: Final = 90.0
_MEAN_SECONDS_BETWEEN_SESSIONS: Final = 7 * 86_400.0
_MEAN_SECONDS_SINCE_REGISTRATION: Final = 3.65 * 86_400
# Per listener. About as many come as leave, so that a long simulation neither dies out nor grows.
_MEAN_SECONDS_BETWEEN_NEWCOMERS: Final = 500 * 86_400.0
_PAID_SHARE: Final = 2 / 12
_LOGGED_OUT_SHARE: Final = 1 / 11

_FEMALE_NAMES: Final = (
    "Amelia Ava Bella Carla Chloe Clara Daisy Dora Eleanor Elena Ella Emma Fiona Freya Grace Hanna Ida Iris Isla Jada "
    "Julia Kate Kira Layla Lena Lily Maia Maya Mia Nina Nora Olivia Paula Quinn Rosa Ruby Sara Tessa Vera Zoe"
).split()
_MALE_NAMES: Final = (
    "Aaron Adam Aiden Alan Ben Caleb Carl Connor Dan Diego Dylan Eli Ethan Felix Gabriel George Henry Hugo Ian Isaac "
    "Jack James Joel Kevin Leo Liam Lucas Marco Max Noah Omar Oscar Owen Paul Ryan Sam Theo Tom Victor Walter"
).split()
_LAST_NAMES: Final = (
    "Adams Allen Baker Barnes Bell Bennett Brooks Brown Butler Carter Clark Coleman Collins Cook Cooper Cox Cruz Davis "
    "Diaz Evans Fisher Foster Garcia Gomez Gray Green Hall Harris Hayes Hill Howard Hughes Jackson Jenkins Johnson "
    "Jones Kelly King Lee Lewis Lopez Martin Mason Miller Mitchell Moore Morgan Murphy Myers Nelson Ortiz Parker Perez "
    "Price Reed Reyes Rivera Robinson Rogers Ross Russell Sanders Scott Smith Stewart Taylor Thomas Torres Turner "
    "Walker Ward Watson White Williams Wilson Wood Wright Young"
).split()

# The most populous areas are repeated, as a coarse weight.
_LOCATIONS: Final = (
    *("New York-Newark-Jersey City, NY-NJ-PA",) * 6,
    *("Los Angeles-Long Beach-Anaheim, CA",) * 4,
    *("Chicago-Naperville-Elgin, IL-IN-WI",) * 3,
    *("Dallas-Fort Worth-Arlington, TX",) * 2,
    *("Houston-The Woodlands-Sugar Land, TX",) * 2,
    *("Atlanta-Sandy Springs-Roswell, GA",) * 2,
    *("San Francisco-Oakland-Hayward, CA",) * 2,
    "Boston-Cambridge-Newton, MA-NH",
    "Phoenix-Mesa-Scottsdale, AZ",
    "Detroit-Warren-Dearborn, MI",
    "Seattle-Tacoma-Bellevue, WA",
    "Minneapolis-St. Paul-Bloomington, MN-WI",
    "San Diego-Carlsbad, CA",
    "Tampa-St. Petersburg-Clearwater, FL",
    "St. Louis, MO-IL",
    "Baltimore-Columbia-Towson, MD",
    "Denver-Aurora-Lakewood, CO",
    "Portland-Vancouver-Hillsboro, OR-WA",
    "Sacramento--Roseville--Arden-Arcade, CA",
    "Cincinnati, OH-KY-IN",
    "Kansas City, MO-KS",
    "Cedar Rapids, IA",
    "Lansing-East Lansing, MI",
    "Eugene, OR",
    "Myrtle Beach-Conway-North Myrtle Beach, SC-NC",
    "Burlington-South Burlington, VT",
)

_MAC: Final = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_4)"
_WINDOWS: Final = "Mozilla/5.0 (Windows NT 6.1; WOW64)"
_IPHONE: Final = "Mozilla/5.0 (iPhone; CPU iPhone OS 7_1_2 like Mac OS X)"
_KHTML: Final = "(KHTML, like Gecko)"
# eventsim reads its list from a CSV file without unquoting: user agents with a comma keep their quotes.
_USER_AGENTS: Final = (
    f'"{_MAC} AppleWebKit/537.36 {_KHTML} Chrome/36.0.1985.143 Safari/537.36"',
    f'"{_MAC} AppleWebKit/537.36 {_KHTML} Chrome/37.0.2062.94 Safari/537.36"',
    f'"{_MAC} AppleWebKit/537.78.2 {_KHTML} Version/7.0.6 Safari/537.78.2"',
    f'"{_WINDOWS} AppleWebKit/537.36 {_KHTML} Chrome/36.0.1985.125 Safari/537.36"',
    f'"{_WINDOWS} AppleWebKit/537.36 {_KHTML} Chrome/36.0.1985.143 Safari/537.36"',
    f'"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 {_KHTML} Chrome/37.0.2062.94 Safari/537.36"',
    f'"{_IPHONE} AppleWebKit/537.51.2 {_KHTML} Version/7.0 Mobile/11D257 Safari/9537.53"',
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.9; rv:31.0) Gecko/20100101 Firefox/31.0",
    "Mozilla/5.0 (Windows NT 6.1; WOW64; rv:31.0) Gecko/20100101 Firefox/31.0",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:31.0) Gecko/20100101 Firefox/31.0",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; WOW64; Trident/6.0)",
)


@dataclass(frozen=True, slots=True)
class Listener:
    """A user. Durations are in seconds, points in time in epoch seconds (UTC)."""

    user_id: int
    first_name: str
    last_name: str
    gender: str
    location: str
    user_agent: str
    arrived: int
    """The time after which the user has the first session."""
    registered: int | None
    """None for a newcomer who has not registered."""
    level: str
    """The user's level before the first event."""
    auth: str
    """The user's login state before the first event."""
    page_seconds: float
    """Mean time on a page without a song (eventsim's alpha)."""
    pause_seconds: float
    """Mean time between sessions (eventsim's beta)."""


def listener(seed: int, number: int, start: int) -> Listener:
    """Returns the listener with the given number (from 0) at the start (epoch seconds, UTC), independent of others."""
    rng = generator(seed, f"listener {number}")
    # Few users pay and few listen daily, but these make up most of the volume. With independent draws, the volume of a
    # hundred users would vary threefold with the seed; spread evenly, it hardly depends on the seed.
    payment, frequency = even_pair(seed, number)
    return _listener(
        rng,
        user_id=FIRST_USER_ID + number,
        arrived=start,
        registered=start - 1 - int(exponential(rng, _MEAN_SECONDS_SINCE_REGISTRATION)),
        level=PAID if payment < _PAID_SHARE else FREE,
        auth=LOGGED_OUT if chance(rng, _LOGGED_OUT_SHARE) else LOGGED_IN,
        frequency=frequency,
    )


def newcomers(seed: int, listeners: int, start: int, end: int) -> list[Listener]:
    """Returns those who come between the two times as guests, in the order of the ids that they get by registering.

    Each listener attracts some, with ids of their own: neither more listeners nor a later end changes the others.
    """
    found = [newcomer for number in range(listeners) for newcomer in _newcomers(seed, number, start, end)]
    return sorted(found, key=lambda newcomer: newcomer.user_id)


def _newcomers(seed: int, number: int, start: int, end: int) -> Iterator[Listener]:
    rng = generator(seed, f"newcomers {number}")
    user_id = FIRST_USER_ID + number
    time = start + exponential(rng, _MEAN_SECONDS_BETWEEN_NEWCOMERS)
    while time < end:
        user_id += MAX_LISTENERS
        yield _listener(
            rng,
            user_id=user_id,
            arrived=int(time),
            registered=None,
            level=FREE,
            auth=GUEST,
            frequency=rng.random(),
        )
        time += exponential(rng, _MEAN_SECONDS_BETWEEN_NEWCOMERS)


def _listener(
    rng: random.Random,
    *,
    user_id: int,
    arrived: int,
    registered: int | None,
    level: str,
    auth: str,
    frequency: float,
) -> Listener:
    gender = pick(rng, "FM")
    return Listener(
        user_id=user_id,
        gender=gender,
        first_name=pick(rng, _FEMALE_NAMES if gender == "F" else _MALE_NAMES),
        last_name=pick(rng, _LAST_NAMES),
        location=pick(rng, _LOCATIONS),
        user_agent=pick(rng, _USER_AGENTS),
        arrived=arrived,
        registered=registered,
        level=level,
        auth=auth,
        page_seconds=_MEAN_PAGE_SECONDS * log_normal(rng.random()),
        pause_seconds=_MEAN_SECONDS_BETWEEN_SESSIONS * log_normal(frequency),
    )
