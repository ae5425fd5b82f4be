"""Undoes eventsim's double encoding: UTF-8 that was read as Latin-1, twice."""

from collections.abc import Iterable


def repair(text: str) -> str:
    """The text that was meant, without blanks at its end. Blanks go last: some belong to a broken character."""
    while not text.isascii():
        try:
            decoded = text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            break
        text = decoded
    return text.rstrip(" ")


def repairs(texts: Iterable[str]) -> dict[str, str]:
    """Maps each text that the repair changes, without blanks at its end, to the repaired text."""
    found = {}
    for text in texts:
        broken = text.rstrip(" ")
        repaired = repair(text)
        if repaired != broken:
            found[broken] = repaired
    return found
