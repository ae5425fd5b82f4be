"""Text for people: numbers with their nouns, and output that no text and no closed pipe can break."""

import os
import re
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Control characters (a terminal obeys ESC), line separators, marks that reverse the direction of text, halves of pairs.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def console() -> "Console":
    """Returns a console for a terminal or a pipe: lines are not wrapped, text is printed as it is.

    It never raises for what it prints: markup has to be asked for, control characters are shown as text, and what
    cannot be written any more is dropped.
    """
    from rich.console import Console
    from rich.text import Text

    class PlainConsole(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(text, keep="\n"), **options)

    output = cast(IO[str], _Output(sys.stdout)) if sys.stdout else None
    return PlainConsole(file=output, highlight=False, soft_wrap=True, markup=False, emoji=False)


def replace_unwritable_characters() -> None:
    """Has standard output and error replace the characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def visible(text: str, keep: str = "") -> str:
    r"""Returns the text with its control characters, except those to keep, as escapes: ESC as `\x1b`."""
    return _INVISIBLE.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


def cell(text: str, style: str = "") -> "Text":
    """Returns text from the data for a table: without markup, its control characters visible."""
    from rich.text import Text

    return Text(visible(text), style)


def pluralize(number: int, noun: str) -> str:
    """ "1 day", "2,000 days"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class _Output:
    """A stream whose reader may go away: from then on it writes to nowhere."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._go_on_silently()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._go_on_silently()

    def _go_on_silently(self) -> None:
        # The stream still holds what it could not write, and the interpreter flushes it at its end.
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
