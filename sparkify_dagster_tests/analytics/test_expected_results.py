"""Expected results, as people and `sparkify query --format csv` write them."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sparkify_dagster.analytics.expected import ExpectedResults, ExpectedResultsError
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


def test_a_result_written_as_csv_is_read_back_unchanged(which: Query, tmp_path: Path) -> None:
    assert to_csv(which, ROWS) == CSV
    assert expected(tmp_path, CSV.encode()).read(which) == ROWS


@pytest.mark.parametrize(
    "content",
    [CSV.encode("utf-8-sig"), CSV.replace("\n", "\r\n").encode(), CSV.rstrip("\n").encode(), f"{CSV}\n".encode()],
)
def test_byte_order_marks_and_line_ends_of_spreadsheets_are_accepted(
    which: Query, tmp_path: Path, content: bytes
) -> None:
    assert expected(tmp_path, content).read(which) == ROWS


def test_a_missing_file_is_no_expected_result(which: Query, tmp_path: Path) -> None:
    assert ExpectedResults(location=str(tmp_path)).read(which) is None
    assert ExpectedResults(location=str(tmp_path / "nowhere")).read(which) is None


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            "day,plays",
            "plays,day",
            "line 1: expected the columns name, at, day, plays, share, found name, at, plays, day, share",
        ),
        ("name,at,day,plays,share\n", "", 'line 1: expected the columns name, at, day, plays, share, found B"j, ö, '),
        (",3,", ",three,", "line 2: 'three' is not a valid BIGINT for plays"),
        ("0.50", "NaN", "line 2: 'NaN' is not a valid NUMERIC(7, 2) for share"),
        ("2018-11-01,", "1.11.2018,", "line 2: '1.11.2018' is not a valid DATE for day"),
        (",3,", ",", "line 2: expected 5 fields, found 4"),
        (",3,", ',"3,', "line 3: not valid CSV: "),
        ("ö", "\udcff", "not valid UTF-8: save the file as UTF-8"),
    ],
)
def test_an_invalid_file_is_reported_with_its_line(
    which: Query, tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert right in CSV
    with pytest.raises(ExpectedResultsError) as caught:
        expected(tmp_path, CSV.replace(right, wrong).encode(errors="surrogateescape")).read(which)
    assert str(caught.value).startswith(f"{tmp_path}/which.csv")
    assert message in str(caught.value)


def test_expected_results_may_be_in_s3(which: Query, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.login(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    s3.put("expected-results", {"november/which.csv": CSV.encode()})
    assert ExpectedResults(location="s3://expected-results/november").read(which) == ROWS
    assert ExpectedResults(location="s3://expected-results/december").read(which) is None


def test_json_has_one_object_per_row(which: Query) -> None:
    assert to_json(which, ROWS) == (
        '[{"name": "B\\"j, ö", "at": "2018-11-01 10:00:00.796", "day": "2018-11-01", "plays": 3, "share": 0.5},\n'
        ' {"name": null, "at": null, "day": null, "plays": null, "share": null}]\n'
    )
    assert to_json(which, []) == "[]\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CSV.replace(",3,", ",Kaylee,"), "which.csv, line 2: the text is not a valid BIGINT for plays"),
        ("Kaylee,share\n", "which.csv, line 1: expected the columns name, at, day, plays, share, found share"),
        ("Kaylee\n", "which.csv, line 1: expected the columns name, at, day, plays, share, found others"),
    ],
)
def test_errors_of_a_query_with_personal_columns_quote_no_values(tmp_path: Path, content: str, message: str) -> None:
    sql = SQL.replace("s.level AS name", "s.location AS name")
    (tmp_path / "which.sql").write_text(sql)
    with pytest.raises(ExpectedResultsError) as caught:
        expected(tmp_path, content.encode()).read(read_query(tmp_path / "which.sql"))
    assert message in str(caught.value)
    assert caught.value.__cause__ is None
