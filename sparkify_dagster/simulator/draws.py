"""Random draws that give the same values under every Python version and hash seed.

Everything here rests on ``Random.random()``, the one method whose sequence for a given seed Python promises to keep.
"""

import math
import random
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, TypeVar

T = TypeVar("T")

# Reciprocals of the plastic ratio and of its square.
_R2: Final = (0.7548776662466927, 0.5698402909980532)


def generator(seed: int, purpose: str) -> random.Random:
    """A stream of its own for each purpose, so that more draws for one leave the others as they are."""
    return random.Random(f"{seed}:{purpose}")  # noqa: S311


def pick(rng: random.Random, choices: Sequence[T]) -> T:
    """One of the choices, all equally likely."""
    return choices[int(rng.random() * len(choices))]


def chance(rng: random.Random, probability: float) -> bool:
    """True with the given probability."""
    return rng.random() < probability


def characters(rng: random.Random, alphabet: str, length: int) -> str:
    """Text of the given length from the alphabet."""
    return "".join(pick(rng, alphabet) for _ in range(length))


def exponential(rng: random.Random, mean: float) -> float:
    """An exponentially distributed value, in the unit of its mean."""
    return -mean * math.log(1.0 - rng.random())


def normal(rng: random.Random) -> float:
    """A standard normal value (Box-Muller)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - rng.random()))
    return radius * math.cos(2.0 * math.pi * rng.random())


def log_normal(quantile: float) -> float:
    """The value at a quantile of the log-normal distribution of mean 1 and sigma 1: eventsim's spread between users."""
    return math.exp(NormalDist().inv_cdf(min(max(quantile, 1e-9), 1 - 1e-9)) - 0.5)


def even_pair(seed: int, number: int) -> tuple[float, float]:
    """Two values in [0, 1) that fill the square evenly as the number goes up (Roberts' R2 sequence)."""
    rng = generator(seed, "even pairs")
    return (rng.random() + number * _R2[0]) % 1.0, (rng.random() + number * _R2[1]) % 1.0
