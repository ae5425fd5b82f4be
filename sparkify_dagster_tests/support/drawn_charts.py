"""Charts of commands that are forked: one that any of them has drawn is drawn by none again.

A run draws twenty charts, a third of the processor time of `sparkify etl`: the JavaScript engine of each process takes
half a second to start. Most commands draw those of the same simulated plays. What a command draws is unchanged, since a
specification holds its data; tests of the charts themselves draw in their own process, each time.
"""

import os
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from pathlib import Path

Draw = Callable[[str], str]


def draw_once(draw: Draw, folder: Path) -> Draw:
    """Returns a function that draws each specification once for all processes that share the folder."""

    @wraps(draw)
    def drawn(specification: str) -> str:
        file = folder / sha256(specification.encode()).hexdigest()
        if not file.exists():
            svg = draw(specification)
            unfinished = file.with_suffix(f".{os.getpid()}")
            unfinished.write_text(svg, "utf-8")
            unfinished.replace(file)
        return file.read_text("utf-8")

    return drawn
