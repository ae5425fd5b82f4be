"""Expected results as a person writes them, and what `sparkify query --format csv` writes."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sparkify_dagster.analytics.expected import ExpectedError, ExpectedResults
from sparkify_dagster.analytics.formats import to_csv, to_json
from sparkify_dagster.analytics.query import Query, read_query
from sparkify_dagster_tests.support.servers.s3 import S3Server

SQL = """-- Which?
--
-- Asked by: The tests.
--
-- Columns:
--   name   VARCHAR(64)   Name
--   at     TIMESTAMP     When
--   day    DATE          Day
--   plays  BIGINT        Plays
--   share  DECIMAL(7,2)  Share
SELECT
    s.level AS name,
    s.start_time AS at,
    s.start_time AS day,
    s.user_id AS plays,
    s.user_id AS share
FROM songplays AS s
"""
ROWS = [
    ('B"j, ö', datetime(2018, 11, 1, 10, 0, 0, 796000), date(2018, 11, 1), 3, Decimal("0.50")),
    (None, None, None, None, None),
]
CSV = 'name,at,day,plays,share\n"B""j, ö",2018-11-01 10:00:00.796,2018-11-01,3,0.50\n,,,,\n'


@pytest.fixture
def which(tmp_path: Path) -> Query:
    (tmp_path / "which.sql").write_text(SQL)
    return read_query(tmp_path / "which.sql")


def expected(folder: Path, content: bytes) -> ExpectedResults:
    (folder / "which.csv").write_bytes(content)
    return ExpectedResults(location=str(folder))


def test_an_answer_written_as_csv_is_read_as_it_was(which: Query, tmp_path: Path) -> None:
    assert to_csv(which, ROWS) == CSV
    assert expected(tmp_path, CSV.encode()).of(which) == ROWS


@pytest.mark.parametrize(
    "content",
    [CSV.encode("utf-8-sig"), CSV.replace("\n", "\r\n").encode(), CSV.rstrip("\n").encode(), f"{CSV}\n".encode()],
)
def test_what_spreadsheets_do_to_a_file_does_no_harm(which: Query, tmp_path: Path, content: bytes) -> None:
    assert expected(tmp_path, content).of(which) == ROWS


def test_no_file_means_that_nothing_is_expected(which: Query, tmp_path: Path) -> None:
    assert ExpectedResults(location=str(tmp_path)).of(which) is None
    assert ExpectedResults(location=str(tmp_path / "nowhere")).of(which) is None


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (
            "day,plays",
            "plays,day",
            "line 1: the columns are name, at, plays, day, share; the query's are name, at, d",
        ),
        ("name,at,day,plays,share\n", "", 'line 1: the columns are B"j, ö, '),
        (",3,", ",three,", "line 2: plays is 'three', which is no BIGINT"),
        ("0.50", "NaN", "line 2: share is 'NaN', which is no NUMERIC(7, 2)"),
        ("2018-11-01,", "1.11.2018,", "line 2: day is '1.11.2018', which is no DATE"),
        (",3,", ",", "line 2: has 4 fields instead of 5"),
        (",3,", ',"3,', "line 3: is not CSV: "),
        ("ö", "\udcff", "is not UTF-8 text: save it as such"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(
    which: Query, tmp_path: Path, right: str, wrong: str, told: str
) -> None:
    assert right in CSV
    with pytest.raises(ExpectedError) as caught:
        expected(tmp_path, CSV.replace(right, wrong).encode(errors="surrogateescape")).of(which)
    assert str(caught.value).startswith(f"{tmp_path}/which.csv")
    assert told in str(caught.value)


def test_expected_results_may_lie_in_s3(which: Query, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.login(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    s3.put("expected-results", {"november/which.csv": CSV.encode()})
    assert ExpectedResults(location="s3://expected-results/november").of(which) == ROWS
    assert ExpectedResults(location="s3://expected-results/december").of(which) is None


def test_json_is_for_programs(which: Query) -> None:
    assert to_json(which, ROWS) == (
        '[{"name": "B\\"j, ö", "at": "2018-11-01 10:00:00.796", "day": "2018-11-01", "plays": 3, "share": 0.5},\n'
        ' {"name": null, "at": null, "day": null, "plays": null, "share": null}]\n'
    )
    assert to_json(which, []) == "[]\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (CSV.replace(",3,", ",Kaylee,"), "which.csv, line 2: plays is a text, which is no BIGINT"),
        ("Kaylee,share\n", "which.csv, line 1: the columns are share; the query's are name, at, day, plays, share"),
        ("Kaylee\n", "which.csv, line 1: the columns are others; the query's are name"),
    ],
)
def test_a_file_of_people_is_not_quoted_since_the_check_would_show_it(tmp_path: Path, content: str, told: str) -> None:
    sql = SQL.replace("s.level AS name", "s.location AS name")
    (tmp_path / "which.sql").write_text(sql)
    with pytest.raises(ExpectedError) as caught:
        expected(tmp_path, content.encode()).of(read_query(tmp_path / "which.sql"))
    assert told in str(caught.value)
    assert caught.value.__cause__ is None
