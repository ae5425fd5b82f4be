"""Words for what people read, and where they read them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """For a terminal or a pipe: lines as long as they are, numbers in no colour of their own."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def count(number: int, noun: str) -> str:
    """ "1 day", "2,000 days"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
