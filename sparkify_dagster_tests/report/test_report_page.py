"""The report's page: what it shows of hostile data, of people, of days, of checks, and what it loads."""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import date
from html import unescape
from pathlib import Path

import pytest

from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.report import bundle
from sparkify_dagster.report.assemble import report_page
from sparkify_dagster.report.check_states import CheckState, Outcome
from sparkify_dagster.report.page import LIBRARY
from sparkify_dagster.report.period import Period, report_days
from sparkify_dagster.schema.tables import READ_TABLES
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import World, refresh_queries, thrown_away

SCRIPT = "<script>alert(1)</script>"
CLOSING = "</script><img src=x onerror=alert(2)>"
FIRST, LAST, PLACE, BROWSER = "Quizzelda", "Vornbrackt", "Zzyzxville-Plonk, QX", "Blorbfox/5.0"
CHECKS = [
    CheckState("songplays", "unique_key", "Keys are unique.", Outcome.PASSED, "of 16 rows"),
    CheckState("staging_events", "no_load_errors", "No record is rejected.", Outcome.WARNED, f"3 records {SCRIPT}"),
    CheckState("top_songs", "matches_expected", "As expected.", Outcome.PASSED, "2 rows as expected"),
    CheckState("plays_by_day", "matches_expected", "As expected.", Outcome.FAILED, "1 differs; 16 rows expected"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Sixteen days of one listener, who plays two songs of hostile names."""
    world = World(tmp_path_factory.mktemp("reported"))
    person = {"firstName": FIRST, "lastName": LAST, "location": PLACE, "userAgent": BROWSER}
    for day in range(1, 17):
        at = f"2018-11-{day:02}T10:00"
        hostile = event(time=f"{at}:00", song=SCRIPT, artist=CLOSING, **person)
        world.write_log(f"2018-11-{day:02}", hostile, event(time=f"{at}:09", itemInSession=2, **person))
    world.write_songs("A/A/A/TRAAA.json", song())
    with thrown_away(world):
        world.load("2018-11-01", "2018-11-16")
        refresh_queries(world, *all_queries())
        yield world


@pytest.fixture(scope="module")
def page(world: World) -> str:
    return report_page(world.warehouse, "a test", CHECKS)


def section(page: str, query: str) -> str:
    """The part of the page with a query's result."""
    found = re.search(rf'<article aria-labelledby="{query}">.*?</article>', page, re.DOTALL)
    assert found
    return found[0]


def charts(page: str) -> dict[str, str]:
    """The JSON of each chart."""
    return dict(re.findall(r'<script type="application/json" id="chart-(\w+)">(.*?)</script>', page, re.DOTALL))


def without_library(page: str) -> str:
    return page.replace(LIBRARY.read_text("utf-8"), "")


def test_texts_of_the_data_are_shown_as_texts(page: str) -> None:
    for hostile in (SCRIPT, CLOSING):
        assert hostile not in page
        assert hostile in unescape(section(page, "top_songs"))
        assert hostile in unescape(section(page, "unmatched_songs"))
    drawn = json.loads(charts(page)["top_songs"])
    assert SCRIPT in {row["song"] for row in drawn["data"]["values"]}
    assert f"3 records {SCRIPT}" in unescape(page)


def test_no_person_is_in_the_page(page: str) -> None:
    for person in (FIRST, LAST, BROWSER):
        assert person not in page
    # The query of areas declares that they group people.
    areas = section(page, "plays_by_area")
    assert PLACE in areas
    assert PLACE not in page.replace(areas, "")
    assert "first_name, last_name" in section(page, "most_active_users")


def test_the_page_loads_nothing_and_runs_its_own_scripts_alone(page: str) -> None:
    own = without_library(page)
    assert re.findall(r'(?:(?:src|href|action|data)="|url\()(?!#)[^">)]*', own) == []
    assert "@import" not in own
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    policy = unescape(policy)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-")
    scripts = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        assert b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_the_library_is_in_the_page_once_and_its_size_is_stated(page: str) -> None:
    assert page.count("globalThis.vegaEmbed") == 1
    assert len(charts(page)) > 5
    size = len(page.encode()) / 1e6
    assert size < 2
    assert f"{size:.1f} MB, of which {LIBRARY.stat().st_size / 1e6:.1f} MB are the charting library" in page


def test_the_library_is_that_of_the_installed_vl_convert() -> None:
    with LIBRARY.open(encoding="utf-8") as file:
        first_line = file.readline()
    assert first_line == bundle.heading(), "run `make charting-library`"
    assert LIBRARY.with_suffix(".LICENSE.txt").exists()


def test_the_same_state_gives_the_same_page(world: World, page: str) -> None:
    assert report_page(world.warehouse, "a test", CHECKS) == page


def test_without_days_the_figures_are_those_of_the_last_week_and_queries_cover_all_days(page: str) -> None:
    assert "Headline figures of 2018-11-10 to 2018-11-16. Queries over all days, 2018-11-01 to 2018-11-16." in page
    assert "beside the 7 days before, 2018-11-03 to 2018-11-09" in page
    assert "Data as of 2018-11-16 10:00 UTC" in page
    assert '<p class="value">14</p>' in page
    assert '<p class="value">50.0%</p>' in page
    assert ">2018-11-01</td>" in section(page, "plays_by_day")
    assert "Covers all days; computed on " in section(page, "plays_by_day")


def test_with_days_everything_is_of_these_days(world: World) -> None:
    page = report_page(world.warehouse, "a test", CHECKS, date(2018, 11, 15), date(2018, 11, 15))
    assert "Headline figures of 2018-11-15. Queries over 2018-11-15." in page
    assert "beside the 1 day before, 2018-11-14" in page
    assert '<p class="value">2</p>' in page
    days = section(page, "plays_by_day")
    assert re.findall(r">(2018-11-\d\d)</td>", days) == ["2018-11-15"]
    assert "Covers 2018-11-15." in days
    assert "1 differs; 16 rows expected (over all days)" in days


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (None, 12, (1, 12)),
        (3, None, (3, 16)),
        (3, 12, (3, 12)),
        (20, None, (20, 20)),
    ],
)
def test_an_end_that_is_not_chosen_is_that_of_the_data(
    first: int | None, last: int | None, expected: tuple[int, int]
) -> None:
    def day(number: int | None) -> date | None:
        return date(2018, 11, number) if number else None

    data = Period(date(2018, 11, 1), date(2018, 11, 16))
    chosen = Period(*(date(2018, 11, number) for number in expected))
    days = report_days(data, day(first), day(last))
    assert (days.headline, days.queries) == (chosen, chosen)


def test_queries_say_whether_they_are_as_expected(page: str) -> None:
    assert ">as expected</span>" in section(page, "top_songs")
    assert ">not as expected</span>" in section(page, "plays_by_day")
    assert ">not compared</span>" in section(page, "top_artists")


def test_checks_are_counted_and_the_others_than_passed_come_first(page: str) -> None:
    (checks,) = re.findall(r'<section aria-labelledby="checks">.*?</section>', page, re.DOTALL)
    texts = [text for text in re.findall(r">(\d+ [a-z ]+)<", checks) if not text.endswith("that passed")]
    assert texts == ["1 failed", "1 warning", "2 passed"]
    assert checks.index("no_load_errors") < checks.index("<details>") < checks.index("unique_key")


def test_the_dictionary_says_where_each_column_comes_from(page: str) -> None:
    (dictionary,) = re.findall(r'<section aria-labelledby="dictionary">.*?</section>', page, re.DOTALL)
    for table in READ_TABLES:
        assert f'id="table-{table.fullname}"' in dictionary
        for column in table.columns:
            assert column.comment
            assert f"<code>{column.name}</code>" in dictionary
            assert column.comment in unescape(dictionary)
    assert "← staging_songs.song_id, joined on title, artist_name, duration" in unescape(dictionary)


def test_tables_and_charts_can_be_used_without_seeing_them(page: str) -> None:
    own = without_library(page)
    tables = re.findall(r"<table>(.*?)</table>", own, re.DOTALL)
    assert tables
    for table in tables:
        assert "<caption" in table
        assert '<th scope="col"' in table
    assert re.findall(r"<h(\d)", own)[0] == "1"
    assert own.count('role="img" aria-label="Chart: ') == len(charts(page))
    assert '<html lang="en">' in own


def test_an_empty_warehouse_and_queries_without_a_result_have_a_page(tmp_path: Path) -> None:
    page = report_page(World(tmp_path).warehouse, "a test", [])
    assert "The warehouse holds no play." in page
    assert "There is no result yet: materialize top_songs" in page
    assert "No check has been run." in page
