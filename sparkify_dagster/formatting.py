"""Text and console output for people: plural nouns, visible control characters, output that survives closed pipes."""

import os
import re
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Control characters (a terminal obeys ESC), line separators, marks that change the direction of text, lone surrogates.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def console() -> "Console":
    """Returns a console for a terminal or a pipe: lines are not wrapped, text is printed as it is.

    Printing never raises: markup is off by default, control characters are shown as text, and output that can no longer
    be written is dropped.
    """
    from rich.console import Console
    from rich.text import Text

    class PlainConsole(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(text, keep="\n"), **options)

    output = cast(IO[str], _Output(sys.stdout)) if sys.stdout else None
    return PlainConsole(file=output, highlight=False, soft_wrap=True, markup=False, emoji=False)


def replace_unwritable_characters() -> None:
    """Makes standard output and error replace characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def visible(text: str, keep: str = "") -> str:
    r"""Returns the text with its control characters, except those to keep, as escapes: ESC as `\x1b`."""
    return _INVISIBLE.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


def cell(text: str, style: str = "") -> "Text":
    """Returns text from the data for a table: without markup, and with its control characters visible."""
    from rich.text import Text

    return Text(visible(text), style)


def pluralize(number: int, noun: str) -> str:
    """Returns the number with its noun: "1 day", "2,000 days", "3 queries"."""
    if number != 1:
        noun = re.sub("([^aeiou])y$", r"\1ie", noun) + "s"
    return f"{number:,} {noun}"


class _Output:
    """A stream that writes to the null device once its reader is gone."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._discard_output()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._discard_output()

    def _discard_output(self) -> None:
        # The stream still buffers what it could not write, and the interpreter flushes it on exit.
        with suppress(OSError):
            null_device = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null_device, self._stream.fileno())
            os.close(null_device)
