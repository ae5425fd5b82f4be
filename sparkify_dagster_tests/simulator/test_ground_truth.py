"""Comparison of the simulator's expected results with the SQL queries on the loaded simulated files."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import pytest
from obstore.store import LocalStore
from sqlalchemy import Connection, text

from sparkify_dagster.simulator import simulate
from sparkify_dagster.simulator.ground_truth import EXPECTATIONS
from sparkify_dagster_tests.support.simulated_files import START, write
from sparkify_dagster_tests.support.world import Row, World

QUERIES = {
    path.name.removesuffix(".sql"): path.read_text("utf-8")
    for path in sorted(Path(str(files("sparkify_dagster") / "sql" / "analytics")).glob("*.sql"))
}
# A query may exist that the simulator has no expected result for.
EXPECTED = sorted(EXPECTATIONS)
Key = TypeVar("Key")
COLUMN = re.compile(r"^--   (\w+) +([A-Z]+(?:\([\d,]+\))?) ", re.MULTILINE)


@dataclass(frozen=True)
class Size:
    users: int
    days: int
    songs: int
    seed: int


# Long enough for cohorts, with days without plays, changes of level, and more than 20 of everything.
EVENTFUL = Size(users=25, days=60, songs=400, seed=6)
SIZES = (EVENTFUL, Size(users=60, days=12, songs=150, seed=1), Size(users=10, days=3, songs=20, seed=2))

# Plays with the current level of their listener.
CURRENT_LEVELS = "SELECT s.start_time, s.user_id, u.level FROM songplays AS s INNER JOIN users AS u USING (user_id)"


class Loaded:
    """A simulated world, with its files loaded into a warehouse."""

    def __init__(self, folder: Path, size: Size) -> None:
        simulate(
            LocalStore(folder, mkdir=True),
            users=size.users,
            days=size.days,
            start=START,
            songs=size.songs,
            seed=size.seed,
        )
        self.folder = folder
        self.end_day = START + timedelta(days=size.days)
        self.world = World(folder, log_jsonpath=str(folder / "log_json_path.json"))
        self.world.load(START.isoformat(), (self.end_day - timedelta(days=1)).isoformat())

    def expected(self, query: str) -> list[list[str]]:
        """Returns the expected result: the header, then the rows."""
        with (self.folder / "expected" / f"{query}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    def results(self, queries: Mapping[Key, str]) -> dict[Key, "QueryResult"]:
        with self.world.warehouse.connect("a test") as engine, engine.begin() as connection:
            return {name: self._result(connection, sql) for name, sql in queries.items()}

    def _result(self, connection: Connection, sql: str) -> "QueryResult":
        result = connection.execute(text(sql), {"first_day": START, "end_day": self.end_day})
        return QueryResult(list(result.keys()), [tuple(row) for row in result])


@dataclass(frozen=True)
class QueryResult:
    """The result of a query on a warehouse."""

    columns: list[str]
    rows: list[Row]


@pytest.fixture(scope="module", params=SIZES, ids=str)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return Loaded(tmp_path_factory.mktemp("world"), request.param)


@pytest.fixture(scope="module")
def results(loaded: Loaded) -> dict[str, QueryResult]:
    return loaded.results(QUERIES)


def column_types(query: str) -> dict[str, str]:
    """Returns the columns in a query's header with their types."""
    return dict(COLUMN.findall(QUERIES[query]))


def is_as_expected(value: Any, field: str, type_: str) -> bool:
    """Returns whether a warehouse's value equals the CSV's. Quotients of doubles may be rounded differently."""
    match type_.partition("(")[0]:
        case "DECIMAL":
            unit = Decimal(1).scaleb(-int(type_.rstrip(")").rpartition(",")[2]))
            expected = Decimal(field)
            return expected.as_tuple().exponent == unit.as_tuple().exponent and abs(Decimal(value) - expected) <= unit
        case "DATE":
            return bool(value == date.fromisoformat(field))
        case "TIMESTAMP":
            return bool(value == datetime.fromisoformat(field)) and len(field) == len("2018-11-01 10:00:00.796")
        case "VARCHAR":
            return bool(value == field)
        case _:
            return bool(value == int(field))


def differences(query: str, result: QueryResult, expected: Sequence[Sequence[str]]) -> list[str]:
    """Describes the differences between a result and the expected one, row by row."""
    header, *rows = expected
    types = column_types(query)
    if not result.columns == header == list(types):
        return [f"columns: {result.columns}, expected {header}, documented {list(types)}"]
    found = []
    if len(result.rows) != len(rows):
        found.append(f"{len(result.rows)} rows, expected {len(rows)}")
    for number, (row, fields) in enumerate(zip(result.rows, rows, strict=False)):
        if not all(map(is_as_expected, row, fields, types.values())):
            found.append(f"row {number}: {row}, expected {fields}")
    return found


@pytest.mark.parametrize("query", EXPECTED)
def test_the_sql_returns_the_expected_result(query: str, loaded: Loaded, results: dict[str, QueryResult]) -> None:
    assert differences(query, results[query], loaded.expected(query)) == []


def test_each_expected_result_belongs_to_a_query() -> None:
    written = write(users=10, days=3, songs=20)

    assert set(written.expected()) == {f"expected/{query}.csv" for query in EXPECTED}
    assert set(EXPECTED) <= set(QUERIES)


def test_a_world_without_plays_has_empty_expected_results() -> None:
    written = write(users=1, days=1, songs=1, seed=1)

    assert written.counts.plays == 0
    for query in EXPECTED:
        assert written.files[f"expected/{query}.csv"].decode() == ",".join(column_types(query)) + "\n"


# Plausible mistakes of an analyst: query, correct SQL, wrong SQL.
MISTAKES = (
    ("free_and_paid", "p.start_time) AS DATE)", "p.start_time + INTERVAL '1 day') AS DATE)"),
    ("free_and_paid", "FROM songplays AS p", f"FROM ({CURRENT_LEVELS}) AS p"),
    ("free_and_paid", "COUNT(DISTINCT CASE", "COUNT(CASE"),
    ("level_changes", "PARTITION BY p.user_id", ""),
    ("level_changes", "p.level <> p.level_before", "p.level > p.level_before"),
    ("match_rate_by_day", "WHERE", "WHERE p.song_id IS NOT NULL AND"),
    ("match_rate_by_day", "FROM songplays AS p", "FROM songplays AS p INNER JOIN songs AS s ON p.song = s.title"),
    ("most_active_users", "u.level", "p.level"),
    ("most_active_users", "COUNT(DISTINCT CAST", "COUNT(CAST"),
    ("most_active_users", "SUM(p.length)", "SUM(FLOOR(p.length))"),
    ("new_and_returning_listeners", "d.day > f.first_day", "d.day >= f.first_day"),
    ("new_and_returning_listeners", "COUNT(*) AS listeners", "SUM(COUNT(*)) OVER (ORDER BY d.day) AS listeners"),
    ("plays_by_area", "COUNT(DISTINCT p.user_id)", "COUNT(DISTINCT p.session_id)"),
    ("plays_by_area", "ORDER BY plays DESC", "ORDER BY plays ASC"),
    ("plays_by_day", "d.day - 6", "d.day - 7"),
    ("plays_by_day", "ELSE 7", "ELSE COUNT(*)"),
    ("plays_by_day", "THEN d.day - d.first_day + 1", "THEN 7"),
    ("plays_by_day", "COUNT(DISTINCT p.session_id)", "COUNT(DISTINCT p.user_id)"),
    ("plays_by_hour", "WHEN 0 THEN 'Sun'", "WHEN 0 THEN 'Mon'"),
    ("plays_by_hour", "p.start_time = t.start_time", "p.start_time = t.start_time + INTERVAL '1 hour'"),
    ("plays_by_hour", "ORDER BY t.weekday", "ORDER BY day"),
    ("sessions_by_level", "CASE WHEN p.place = 1 THEN p.level END", "p.level"),
    ("sessions_by_level", "PARTITION BY p.session_id", "PARTITION BY p.session_id, p.level"),
    ("sessions_by_level", "(CAST(s.ended AS DATE) - CAST(s.started AS DATE)) * 1440", "0"),
    ("unmatched_songs", "p.song_id IS NULL", "p.song NOT IN (SELECT s.title FROM songs AS s)"),
    ("unmatched_songs", "COUNT(DISTINCT p.user_id)", "COUNT(p.user_id)"),
    ("top_artists", "COALESCE(a.name, p.artist)", "p.artist"),
    ("top_artists", "LEFT JOIN", "INNER JOIN"),
    ("top_artists", "COUNT(DISTINCT n.song)", "COUNT(n.song)"),
    ("top_songs", "WHERE", "WHERE p.song_id IS NOT NULL AND"),
    ("top_songs", "LIMIT 20", "LIMIT 21"),
    ("top_songs", "song ASC", "song DESC"),
    ("weekly_cohorts", "/ s.listeners", "/ SUM(COUNT(*)) OVER (PARTITION BY w.week)"),
    ("weekly_cohorts", "MIN(w.week)", "MAX(w.week)"),
)


@pytest.mark.slow
def test_expected_results_detect_wrong_queries(tmp_path: Path) -> None:
    wrong = {}
    for query, correct_sql, wrong_sql in MISTAKES:
        assert correct_sql in QUERIES[query], f"{query} no longer contains {correct_sql}"
        wrong[query, wrong_sql] = QUERIES[query].replace(correct_sql, wrong_sql)
    assert {query for query, _ in wrong} == set(EXPECTED)

    loaded = Loaded(tmp_path, EVENTFUL)
    results = loaded.results(wrong)

    expected = {query: loaded.expected(query) for query in EXPECTED}
    undetected = [
        mistake for mistake, result in results.items() if not differences(mistake[0], result, expected[mistake[0]])
    ]
    assert undetected == []
