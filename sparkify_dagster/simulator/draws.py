"""Random draws that are reproducible across Python versions and hash seeds.

All use ``Random.random()``, the only method whose sequence for a given seed Python guarantees.
"""

import math
import random
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist
from typing import Final, TypeVar

T = TypeVar("T")

# Reciprocals of the plastic ratio and of its square.
_R2: Final = (0.7548776662466927, 0.5698402909980532)


def generator(seed: int, purpose: str) -> random.Random:
    """Returns an independent generator per purpose, so that more draws for one do not change the others."""
    return random.Random(f"{seed}:{purpose}")  # noqa: S311


def pick(rng: random.Random, choices: Sequence[T]) -> T:
    """Returns one of the choices, all equally likely."""
    return choices[int(rng.random() * len(choices))]


def chance(rng: random.Random, probability: float) -> bool:
    """Returns True with the given probability."""
    return rng.random() < probability


def characters(rng: random.Random, alphabet: str, length: int) -> str:
    """Returns a text of the given length from the alphabet."""
    return "".join(pick(rng, alphabet) for _ in range(length))


def exponential(rng: random.Random, mean: float) -> float:
    """Returns an exponentially distributed value, in the unit of its mean."""
    return -mean * math.log(1.0 - rng.random())


def normal(rng: random.Random) -> float:
    """Returns a standard normal value (Box-Muller)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - rng.random()))
    return radius * math.cos(2.0 * math.pi * rng.random())


def log_normal(quantile: float) -> float:
    """Returns a quantile of the log-normal distribution with mean 1 and sigma 1, eventsim's spread between users."""
    return math.exp(NormalDist().inv_cdf(min(max(quantile, 1e-9), 1 - 1e-9)) - 0.5)


def even_pair(seed: int, number: int) -> tuple[float, float]:
    """Returns two values in [0, 1) that fill the square evenly as the number increases (Roberts' R2 sequence)."""
    first, second = _pair(seed)
    return (first + number * _R2[0]) % 1.0, (second + number * _R2[1]) % 1.0


@cache
def _pair(seed: int) -> tuple[float, float]:
    rng = generator(seed, "even pairs")
    return rng.random(), rng.random()
