"""Charts of query results: parsed from the header, drawn from the rows, small enough to store with every run."""

import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from sparkify_dagster.analytics.charts import MAX_BARS, ChartSpec, ChartType, draw, parse_chart

SVG = "{http://www.w3.org/2000/svg}"
BY_SONG = parse_chart("bar of plays by song")
BY_DAY = parse_chart("line of plays by day")
BY_HOUR = parse_chart("heat map of plays by hour and day")
FIRST = date(2018, 11, 1)

Row = Mapping[str, object]


def drawing(chart: ChartSpec, rows: Sequence[Row], title: str = "How much?") -> ElementTree.Element:
    kind, encoded = draw(chart, title, rows).split(",", 1)
    assert kind == "data:image/svg+xml;base64"
    return ElementTree.fromstring(b64decode(encoded))


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def paths(root: ElementTree.Element, mark: str) -> list[str]:
    """Returns the path data of all shapes of a mark."""
    groups = [group for group in root.iter(f"{SVG}g") if f"mark-{mark} role-mark" in group.get("class", "")]
    return [path.attrib["d"] for group in groups for path in group.iter(f"{SVG}path")]


def days(count: int) -> list[Row]:
    return [{"day": FIRST + timedelta(days=number), "plays": number * 7 % 31} for number in range(count)]


# Parsing


@pytest.mark.parametrize(
    ("text", "chart"),
    [
        ("bar of plays by song", ChartSpec(ChartType.BAR, ("plays",), ("song",))),
        (
            "bar of plays_per_session, minutes by level",
            ChartSpec(ChartType.BAR, ("plays_per_session", "minutes"), ("level",)),
        ),
        ("line of plays,plays_7_days by day", ChartSpec(ChartType.LINE, ("plays", "plays_7_days"), ("day",))),
        ("heat map of plays by hour and day", ChartSpec(ChartType.HEAT_MAP, ("plays",), ("hour", "day"))),
    ],
)
def test_a_chart_is_parsed_into_its_type_and_columns(text: str, chart: ChartSpec) -> None:
    assert parse_chart(text) == chart


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "must read 'bar of <columns> by <column>'"),
        ("pie of plays by song", "must read 'bar of <columns> by <column>'"),
        ("bar of plays", "must read 'bar of <columns> by <column>'"),
        ("bar of plays listeners by song", "must read 'bar of <columns> by <column>'"),
        ("Bar of plays by song.", "must read 'bar of <columns> by <column>'"),
        ("bar of plays, plays by song", "names plays twice: name each column once"),
        ("line of day by day", "names day twice: name each column once"),
        ("bar of plays by song and artist", "must name one column after 'by'"),
        ("heat map of plays by hour", "must name one column before 'by' and two after it"),
        ("heat map of plays, listeners by hour and day", "must name one column before 'by' and two after it"),
        ("heat map of plays by hour and day and week", "must name one column before 'by' and two after it"),
        ("line of a, b, c, d, e, f, g by day", "names 7 columns before 'by': at most 4 are allowed"),
    ],
)
def test_an_invalid_chart_is_rejected_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(remedy)}"):
        parse_chart(text)


# Drawing


def test_bars_are_labelled_and_in_the_order_of_the_rows() -> None:
    rows = [{"song": song, "plays": plays} for song, plays in {"Undo": 28, "Revelry": 27, "Émile & <Co>": 1}.items()]
    root = drawing(BY_SONG, rows, "Which songs?")
    assert len(paths(root, "rect")) == 3
    named = texts(root)
    assert [name for name in named if name in {row["song"] for row in rows}] == ["Undo", "Revelry", "Émile & <Co>"]
    assert {"Which songs?", "plays by song"} <= set(named)


def test_two_rows_with_the_same_name_are_two_bars() -> None:
    root = drawing(BY_SONG, [{"song": "Intro", "plays": 3}, {"song": "Intro", "plays": 2}])
    assert len(paths(root, "rect")) == 2
    assert texts(root).count("Intro") == 2


def test_a_bar_chart_shows_the_first_rows_and_says_so() -> None:
    root = drawing(BY_SONG, [{"song": f"Song {number}", "plays": 1_000 - number} for number in range(1_000)])
    assert len(paths(root, "rect")) == MAX_BARS
    assert "plays by song, the first 20 of 1,000" in texts(root)


def test_several_value_columns_have_a_legend() -> None:
    rows = [{"level": "free", "plays": 5, "listeners": 2}, {"level": "paid", "plays": Decimal("25.5"), "listeners": 1}]
    root = drawing(parse_chart("bar of plays, listeners by level"), rows)
    assert len(paths(root, "rect")) == 4
    assert {"plays", "listeners"} <= set(texts(root))


def test_a_line_chart_connects_all_days() -> None:
    root = drawing(BY_DAY, days(30))
    assert [path.count("L") for path in paths(root, "line")] == [29]
    assert "2018-11-11" in texts(root)


@pytest.mark.slow
def test_a_chart_does_not_depend_on_the_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    local = draw(BY_DAY, "How much?", days(30))
    program = "from datetime import date, timedelta\n" + (
        "from sparkify_dagster.analytics.charts import draw, parse_chart\n"
        "days = [{'day': date(2018, 11, 1) + timedelta(days=n), 'plays': n * 7 % 31} for n in range(30)]\n"
        "print(draw(parse_chart('line of plays by day'), 'How much?', days))"
    )
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == local


def test_null_is_a_gap_in_a_line() -> None:
    rows = [*days(5), {"day": FIRST + timedelta(days=5), "plays": None}, {"day": FIRST + timedelta(days=6), "plays": 3}]
    [line] = paths(drawing(BY_DAY, rows), "line")
    assert line.count("M") == 2


def test_the_axis_of_a_line_may_be_times_or_numbers() -> None:
    by_time = [{"day": datetime(2018, 11, 1, hour), "plays": hour} for hour in range(24)]
    by_number = [{"day": number, "plays": number} for number in range(24)]
    for rows in (by_time, by_number):
        assert [path.count("L") for path in paths(drawing(BY_DAY, rows), "line")] == [23]


def test_a_heat_map_has_one_cell_per_row_in_the_order_of_the_rows() -> None:
    rows = [{"hour": hour, "day": day, "plays": hour} for day in ("Sun", "Mon", "Tue") for hour in range(24)]
    root = drawing(BY_HOUR, rows[:-1])
    assert len(paths(root, "rect")) == 71
    assert [name for name in texts(root) if name in ("Sun", "Mon", "Tue")] == ["Sun", "Mon", "Tue"]


def test_a_long_title_is_wrapped_and_a_long_label_truncated() -> None:
    title = "Which of the songs missing from the catalogue are played most of all?"
    named = texts(drawing(BY_SONG, [{"song": "No end " * 20, "plays": 1}], title))
    assert title not in named
    assert any(name.endswith("…") for name in named)


def test_any_text_can_be_a_label() -> None:
    songs = ["'; alert(1); '", '"quoted"', "<script>", "日本", "back\\slash", "$1"]
    named = texts(drawing(BY_SONG, [{"song": song, "plays": 1} for song in songs]))
    assert set(songs) <= set(named)


@pytest.mark.parametrize(
    ("chart", "rows", "limit"),
    [
        (BY_SONG, [{"song": f"A song with a long title {n}", "plays": n} for n in range(1_000)], 20_000),
        (BY_DAY, days(30), 20_000),
        (BY_DAY, days(3_650), 20_000),
        (BY_HOUR, [{"hour": n % 24, "day": f"{n // 24}", "plays": n} for n in range(168)], 40_000),
        (BY_HOUR, [{"hour": n % 52, "day": f"{n // 52}", "plays": n} for n in range(52 * 52)], 90_000),
    ],
)
def test_a_chart_is_small_and_deterministic(chart: ChartSpec, rows: Sequence[Row], limit: int) -> None:
    uri = draw(chart, "How much?", rows)
    assert len(uri) < limit
    assert draw(chart, "How much?", rows) == uri


@pytest.mark.slow
def test_the_javascript_engine_is_imported_only_to_draw() -> None:
    program = "import sys, sparkify_dagster.definitions; print('vl_convert' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
