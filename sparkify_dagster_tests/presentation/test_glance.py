"""Results at a glance: what each chart shows in characters, and that the asset's page shows it whole."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

import pytest
from rich.cells import cell_len

from sparkify_dagster.analytics.charts import parse_chart
from sparkify_dagster.presentation.glance import (
    MAX_ACROSS,
    MAX_BARS,
    MAX_DOWN,
    MAX_POINTS,
    NO_ROWS,
    TOO_LONG,
    at_a_glance,
)
from sparkify_dagster.presentation.sparkline import MAX_CHARACTERS

BY_SONG = "bar of plays by song"
BY_DAY = "line of plays by day"
BY_HOUR = "heat map of plays by hour and day"
FIRST = date(2018, 11, 1)

Row = Mapping[str, object]


def lines(chart: str, *rows: Row) -> list[str]:
    text = at_a_glance(parse_chart(chart), rows).value or ""
    assert 0 < len(text) <= MAX_CHARACTERS
    return text.splitlines()


def song(name: object, plays: object) -> Row:
    return {"song": name, "plays": plays}


def bars(*rows: Row) -> list[str]:
    return lines(BY_SONG, *rows)[2:]


@pytest.mark.parametrize("chart", [BY_SONG, BY_DAY, BY_HOUR])
def test_an_empty_result_says_so(chart: str) -> None:
    assert lines(chart) == [NO_ROWS]


# Bars


def test_bars_are_a_table_in_the_order_of_the_rows() -> None:
    assert lines(BY_SONG, song("A", 1_600), song("B", 840), song("C", 1)) == [
        "|song|plays||",
        "|---|--:|---|",
        "|A|1,600|████████|",
        "|B|840|████▎|",
        "|C|1|▏|",
    ]


def test_bars_of_negative_zero_and_missing_numbers() -> None:
    assert bars(song("A", Decimal("-0.50")), song("B", 0), song("C", None), song(None, Decimal("1.00"))) == [
        "|A|-0\\.50|▒▒▒▒|",
        "|B|0||",
        "|C|NULL||",
        "|NULL|1\\.00|████████|",
    ]
    assert bars(song("A", 0), song("B", None)) == ["|A|0||", "|B|NULL||"]


def test_several_columns_of_bars_have_one_scale() -> None:
    assert lines("bar of plays, minutes by song", {"song": "A", "plays": 2, "minutes": 4})[2:] == [
        "|A|2|████|4|████████|"
    ]


def test_a_name_is_shown_as_it_is_and_cannot_break_out_of_its_cell() -> None:
    (line,) = bars(song("![x](http://e.x)|<b>`", 1))
    assert line == r"|\!\[x\]\(http\:\/\/e\.x…|1|████████|"


@pytest.mark.parametrize(
    "name", ["Long name of a song, and on", "日本語のとても長い曲の名前です", "e\u0301" * 40, "👩" * 30]
)
def test_a_long_name_is_cut_to_a_width_on_the_screen(name: str) -> None:
    (line,) = bars(song(name, 1))
    shown = line.split("|")[1]
    assert shown.endswith("…")
    assert name.startswith(shown.removesuffix("…"))
    assert 14 <= cell_len(shown) <= 16


def test_more_bars_than_fit_are_counted() -> None:
    found = lines(BY_SONG, *(song("*" * 30, number) for number in range(40, 0, -1)))
    assert found[-1] == f"the first {len(found) - 4} of 40 rows"
    assert 8 < len(found) - 4 <= MAX_BARS


# Lines


def day(number: int, plays: object) -> Row:
    return {"day": FIRST + timedelta(days=number), "plays": plays}


def test_a_line_is_sorted_by_its_axis_with_gaps_and_its_range() -> None:
    rows = [day(3, 8), day(0, 1), day(1, None), day(2, -6), {"day": None, "plays": 100}]
    assert lines(BY_DAY, *rows) == ["```", "plays, -6 to 8", "▅ ▁█", "2018-11-01 to 2018-11-04", "```"]


def test_each_line_has_its_own_scale() -> None:
    rows = [{"day": FIRST, "plays": 10, "share": Decimal("0.1")}, {"day": FIRST + timedelta(1), "plays": 0, "share": 1}]
    assert lines("line of plays, share by day", *rows)[1:5] == ["plays, 0 to 10", "█▁", "share, 0.1 to 1", "▁█"]


def test_a_line_without_a_number_or_without_a_change() -> None:
    assert lines(BY_DAY, day(0, None))[1:-1] == ["plays: no number", "2018-11-01 to 2018-11-01"]
    assert lines(BY_DAY, {"day": None, "plays": 1})[1:-1] == ["plays: no number"]
    assert lines(BY_DAY, day(0, 5), day(1, 5))[1:-1] == ["plays, 5 to 5", "██", "2018-11-01 to 2018-11-02"]


def test_a_line_of_many_points_shows_the_last_ones() -> None:
    found = lines(BY_DAY, *(day(number, number) for number in range(1_000)))
    assert len(found[2]) == MAX_POINTS
    assert found[1] == "plays, 970 to 999"
    assert found[3] == f"the last {MAX_POINTS} of 1,000, 2021-06-28 to 2021-07-27"


# Heat maps


def cell(hour: object, day: object, plays: object) -> Row:
    return {"hour": hour, "day": day, "plays": plays}


def test_a_heat_map_has_a_line_per_row_and_a_shade_per_cell() -> None:
    rows = [cell(10, "Monday", 7), cell(2, "Monday", 0), cell(10, "Tuesday", -1), cell(3, "Tuesday", None)]
    assert lines(BY_HOUR, *rows) == [
        "```",
        "Monday  ░ █",
        "Tuesday   ░",
        "hour 2 to 10",
        "░ -1 to █ 7",
        "```",
    ]


def test_a_heat_map_keeps_its_columns_below_each_other_whatever_the_names() -> None:
    names = ["日本語のとても長い", "`Wednesday and Thursday`", "x\ny", None, ""]
    found = lines(BY_HOUR, *(cell(hour, name, hour) for name in names for hour in (1, 2)))
    assert {cell_len(line) for line in found[1:6]} == {13}
    assert "`" not in "".join(found[1:-1])


def test_a_heat_map_that_is_too_large_shows_the_last_ones() -> None:
    rows = [cell(hour, f"日{day:02}" * 9, hour) for day in range(50) for hour in range(100)]
    found = lines(BY_HOUR, *rows)
    assert found[1].startswith("日36")
    assert len(found) == 2 + MAX_DOWN + 4
    assert found[-3:-1] == [f"hour: the last {MAX_ACROSS} of 100", f"day: the last {MAX_DOWN} of 50"]


def test_a_heat_map_without_a_number_says_so() -> None:
    assert lines(BY_HOUR, cell(1, "Monday", None)) == ["```", "plays: no number", "```"]


def test_rows_that_are_too_long_are_not_shown() -> None:
    assert lines(BY_HOUR, cell(1, "Monday", 10**900)) == [TOO_LONG]
    assert lines(BY_SONG, song("A", 10**900)) == [TOO_LONG]
