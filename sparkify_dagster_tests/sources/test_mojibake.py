"""Text that was read as Latin-1 comes back; other text stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkify_dagster.sources.mojibake import repair, repairs

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def misread(text: str) -> str:
    return text.encode().decode("latin-1")


def is_repairable(text: str) -> bool:
    """Returns whether the text itself is UTF-8 read as Latin-1, so that its meaning is ambiguous."""
    try:
        return not text.isascii() and text.encode("latin-1").decode() != text
    except UnicodeError:
        return False


@given(TEXT.filter(lambda text: not is_repairable(text)), st.integers(0, 4), st.integers(0, 2))
def test_however_often_it_was_misread_the_text_comes_back(text: str, times: int, blanks: int) -> None:
    broken = text
    for _ in range(times):
        broken = misread(broken)
    assert repair(broken + " " * blanks) == text.rstrip(" ")


@given(TEXT)
def test_what_is_repaired_stays_so_and_never_ends_with_a_blank(text: str) -> None:
    repaired = repair(text)
    assert repair(repaired) == repaired
    assert not repaired.endswith(" ")


@given(st.text(st.characters(max_codepoint=127), max_size=12))
def test_ascii_only_loses_its_blanks(text: str) -> None:
    assert repair(text) == text.rstrip(" ")


@given(st.lists(TEXT | TEXT.map(misread), max_size=5))
def test_the_lookup_finds_by_the_text_without_its_blanks(texts: list[str]) -> None:
    found = repairs(texts)
    for text in texts:
        broken = text.rstrip(" ")
        assert found.get(broken, broken) == repair(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("BjÃ\x83Â¶rk", "Björk"),
        ("BjÃ¶rk", "Björk"),
        ("Björk", "Björk"),
        ("voilÃ\xa0", "voilà"),
        ("voilÃ\xa0  ", "voilà"),
        ("VoilÃ ", "VoilÃ"),  # a blank is no part of any character
        ("日本", "日本"),
        ("\x80", "\x80"),
        ("", ""),
        ("   ", ""),
        ("\u00a0", "\u00a0"),
    ],
)
def test_known_texts(text: str, meant: str) -> None:
    assert repair(text) == meant
