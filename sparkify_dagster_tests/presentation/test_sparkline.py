"""Sparklines of the last four weeks: bar heights, gaps and size."""

import re
from datetime import date, timedelta
from urllib.parse import unquote
from xml.etree import ElementTree

from sparkify_dagster.presentation.sparkline import DAYS, MAX_CHARACTERS, first_day_shown, sparkline

LAST = date(2018, 11, 30)
SHOWN = [first_day_shown(LAST) + timedelta(days=number) for number in range(DAYS)]
PATH = "{http://www.w3.org/2000/svg}path"


def paths(markdown: str) -> list[str]:
    """Returns the sparkline's paths, the bars first."""
    sparkline = re.search(r"\(data:image/svg\+xml,([^ ()]+)\)", markdown)
    assert sparkline is not None
    return [path.get("d") or "" for path in ElementTree.fromstring(unquote(sparkline[1])).iter(PATH)]


def heights(markdown: str) -> list[int]:
    """Returns the height of each day's bar, 0 without one."""
    return [-int(height or 0) for height in re.findall(r"m12,\d+(?:v(-\d+))?", paths(markdown)[0])]


def test_sparkline_covers_the_four_weeks_up_to_the_last_day() -> None:
    assert (SHOWN[0], SHOWN[-1], len(SHOWN)) == (date(2018, 11, 3), LAST, 28)


def test_bar_heights_are_proportional_to_the_counts() -> None:
    bars = heights(sparkline([], LAST, {SHOWN[0]: 100, SHOWN[2]: 50, SHOWN[-1]: 25}).value or "")
    assert bars == [48, 0, 24, *[0] * 24, 12]


def test_a_day_with_a_single_row_has_a_visible_bar() -> None:
    assert heights(sparkline([], LAST, {SHOWN[0]: 100_000, LAST: 1}).value or "")[-1] == 1


def test_days_without_rows_have_no_bar() -> None:
    assert heights(sparkline([], LAST, {}).value or "") == [0] * DAYS


def test_the_line_follows_the_rates_with_gaps() -> None:
    rates = {SHOWN[0]: 1.0, SHOWN[1]: 0.5, SHOWN[3]: 0.0}
    _, line = paths(sparkline([], LAST, {SHOWN[0]: 1}, rates).value or "")
    assert line == "M3,1h3l12,23M39,47h3"


def test_captions_are_lines_below_the_image() -> None:
    markdown = sparkline(["One.", "Two."], LAST, {LAST: 1}).value or ""
    assert markdown.endswith(")\n\nOne.\\\nTwo.")


def test_the_longest_sparkline_is_short_enough_for_the_page() -> None:
    counts = dict.fromkeys(SHOWN, 10**9)
    longest_line = {day: float(number % 2) for number, day in enumerate(SHOWN)}
    many_gaps = dict.fromkeys(SHOWN[::2], 0.5)
    captions = ["x" * 50] * 3
    for rates in (longest_line, many_gaps):
        assert len(sparkline(captions, LAST, counts, rates).value or "") <= MAX_CHARACTERS
