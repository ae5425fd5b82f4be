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
        self.world = World(folder, log_jsonpath=str(folder / "log_json_path.json"), marts=True)
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
    if value is None or field == "":
        return value is None and field == ""
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
    ("active_users", "a.day > d.day - 7", "a.day >= d.day - 7"),
    ("active_users", "d.day - 30 < a.day", "d.day - 29 < a.day"),
    ("active_users", "d.day - 30 < a.day AND d.day >= a.day", "d.day - 30 < a.day"),
    ("active_users", "COUNT(DISTINCT a.user_id)", "COUNT(a.user_id)"),
    ("adverts_per_free_hour", "AND e.level = 'free'", ""),
    ("adverts_per_free_hour", "LEFT JOIN songplays", "INNER JOIN songplays"),
    ("adverts_per_free_hour", "= 'Roll Advert'", "= 'Advert'"),
    ("days_to_upgrade", "HAVING MAX(CASE WHEN o.position = 1 AND o.level = 'free' THEN 1 ELSE 0 END) = 1", ""),
    ("days_to_upgrade", "MIN(CASE WHEN o.level = 'paid'", "MAX(CASE WHEN o.level = 'paid'"),
    ("days_to_upgrade", "MIN(CASE WHEN o.level = 'free'", "MAX(CASE WHEN o.level = 'free'"),
    ("engagement_days", "e.period_end - 28", "e.period_end - 27"),
    ("engagement_days", "a.day > e.period_end", "a.day >= e.period_end"),
    ("engagement_days", "/ t.users", "/ 25"),
    ("errors_and_help", ">= 400", ">= 300"),
    ("errors_and_help", "= 'Help'", "= 'About'"),
    ("errors_and_help", "WHERE e.ts", "WHERE e.user_id IS NOT NULL AND e.ts"),
    ("growth_accounting", "v.week_before < v.week - 7", "v.week_before <= v.week - 7"),
    ("growth_accounting", "v.week_before = v.week - 7", "v.week_before >= v.week - 14"),
    ("growth_accounting", "v.week_after IS NULL OR ", ""),
    ("growth_accounting", "v.week_after > v.week + 7", "v.week_after > v.week"),
    ("growth_accounting", "v.week + 7 AS week", "v.week AS week"),
    ("lapsed_listeners", "e.period_end - 14", "e.period_end - 24"),
    ("lapsed_listeners", "WHERE a.plays > 0", "WHERE a.day >= :first_day"),
    ("lapsed_listeners", "MAX(a.day) AS last_day", "MIN(a.day) AS last_day"),
    ("leaving", "a.downgrades > 0", "a.downgrades_seen > 0"),
    ("leaving", "a.cancelled > 0", "a.downgrades > 0"),
    ("leaving", "w.downgraded + w.cancelled > 0", "w.cancelled > 0"),
    ("leaving", "DATE_TRUNC('week', a.day)", "DATE_TRUNC('month', a.day)"),
    ("level_changes", "l.user_id = b.user_id AND ", ""),
    ("level_changes", "l.version = b.version + 1", "l.version = b.version"),
    ("level_changes", "l.valid_from AS changed_at", "b.valid_from AS changed_at"),
    ("level_changes", "l.version = b.version + 1", "l.version = b.version + 1 AND l.level > b.level"),
    ("match_rate_by_day", "WHERE", "WHERE p.song_id IS NOT NULL AND"),
    ("match_rate_by_day", "FROM songplays AS p", "FROM songplays AS p INNER JOIN songs AS s ON p.song = s.title"),
    ("most_active_users", "a.plays > 0", "a.events > 0"),
    ("most_active_users", "s.plays > 0", "s.events > 0"),
    ("most_active_users", "SUM(a.seconds_played)", "SUM(FLOOR(a.seconds_played / 600) * 600)"),
    ("most_active_users", "LIMIT 20", "LIMIT 21"),
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
    ("plays_by_hour_and_level", "e.page = 'NextSong'", "e.page <> 'Home'"),
    ("plays_by_hour_and_level", "COUNT(DISTINCT e.user_id)", "COUNT(DISTINCT e.session_id)"),
    ("plays_by_hour_and_level", "EXTRACT(HOUR", "1 + EXTRACT(HOUR"),
    ("sessions_by_level", "s.level_at_start", "s.level_at_end"),
    ("sessions_by_level", "s.plays > 0", "s.events > 0"),
    ("sessions_by_level", "SUM(s.seconds_played)", "SUM(FLOOR(s.seconds_played / 60) * 60)"),
    ("sessions_by_level", "MAX(s.seconds_played)", "MIN(s.seconds_played)"),
    ("unmatched_songs", "p.song_id IS NULL", "p.song NOT IN (SELECT s.title FROM songs AS s)"),
    ("unmatched_songs", "COUNT(DISTINCT p.user_id)", "COUNT(p.user_id)"),
    ("top_artists", "COALESCE(a.name, p.artist)", "p.artist"),
    ("top_artists", "LEFT JOIN", "INNER JOIN"),
    ("top_artists", "COUNT(DISTINCT n.song)", "COUNT(n.song)"),
    ("top_songs", "WHERE", "WHERE p.song_id IS NOT NULL AND"),
    ("top_songs", "LIMIT 20", "LIMIT 21"),
    ("top_songs", "song ASC", "song DESC"),
    ("upgrade_funnel", "= 'Upgrade'", "= 'Submit Upgrade'"),
    ("upgrade_funnel", "f.saw + f.submitted = 2", "f.saw = 1"),
    ("upgrade_funnel", "f.saw + f.submitted + f.is_paid = 3", "f.saw = 1"),
    ("upgrade_funnel", "HAVING MAX(CASE WHEN o.level = 'free' THEN 1 ELSE 0 END) = 1", ""),
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
