"""Undoes eventsim's double encoding: UTF-8 that was read as Latin-1, twice."""

from collections.abc import Iterable


def repair(text: str) -> str:
    """Returns the repaired text without trailing blanks. These are removed last: some belong to a broken character."""
    while not text.isascii():
        try:
            decoded = text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            break
        text = decoded
    return text.rstrip(" ")


def repairs(texts: Iterable[str]) -> dict[str, str]:
    """Maps each text that the repair changes, without its trailing blanks, to the repaired text."""
    found = {}
    for text in texts:
        broken = text.rstrip(" ")
        repaired = repair(text)
        if repaired != broken:
            found[broken] = repaired
    return found
