"""Charts of commands that are forked: one that any of them has drawn is drawn by none again.

A run draws twenty charts, a third of the processor time of `sparkify etl`: the JavaScript engine of each process takes
half a second to start. Most commands draw those of the same simulated plays. What a command draws is unchanged, since a
specification holds its data; tests of the charts themselves draw in their own process, each time.
"""

from collections.abc import Callable
from functools import wraps

from sparkify_dagster_tests.support.computed_once import computed_once

Draw = Callable[[str], str]


def draw_once(draw: Draw) -> Draw:
    """Returns a function that draws each specification once for all processes of the tests."""

    @wraps(draw)
    def drawn(specification: str) -> str:
        return computed_once(b"chart " + specification.encode(), lambda: draw(specification))

    return drawn
