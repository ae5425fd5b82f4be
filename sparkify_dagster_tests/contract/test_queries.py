"""Analytics queries: the same results on every warehouse, recomputed only when something changed."""

import re
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.query import Query, all_queries, read_query
from sparkify_dagster.config.aws import AwsAccess
from sparkify_dagster.simulator import simulate
from sparkify_dagster.sources.object_store import writable_store
from sparkify_dagster.warehouse import table_versions
from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.ddl import columns_in, create_tables
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import World

HEADER = """-- How many plays are there?
--
-- Asked by: The tests.
--
-- Columns:
--   level  VARCHAR(64)  Level
--   plays  BIGINT       Plays
"""
PLAYS_BY_LEVEL = f"""{HEADER}SELECT
    p.level,
    COUNT(*) AS plays
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY p.level
ORDER BY level
"""
ARTISTS = """-- Who is in the catalogue?
--
-- Asked by: The tests.
--
-- Columns:
--   name  VARCHAR(1024)  Artist
SELECT a.name
FROM artists AS a
"""
PLAYS_BY_DAY = """-- How many plays are there per day?
--
-- Asked by: The tests.
--
-- Columns:
--   day    DATE    Day
--   plays  BIGINT  Plays
--
-- By day: day
SELECT
    CAST(p.start_time AS DATE) AS day,
    COUNT(*) AS plays
FROM songplays AS p
WHERE p.start_time >= :first_day AND p.start_time < :end_day
GROUP BY CAST(p.start_time AS DATE)
ORDER BY day
"""
# DuckDB accepts a text longer than its column; no warehouse accepts a number out of range.
TOO_LARGE = PLAYS_BY_LEVEL.replace("BIGINT   ", "SMALLINT ").replace("COUNT(*)", "SUM(40000)")


def query(folder: Path, sql: str = PLAYS_BY_LEVEL, name: str = "plays_by_level") -> Query:
    file = folder / f"{name}.sql"
    file.write_text(sql, "utf-8")
    return read_query(file)


# What is read by a query of songplays alone.
PLAYS = ("staging_events", "songplays")


def recomputed(world: World, *queries: Query) -> list[str]:
    """Refreshes the queries' tables. Returns the names of those that were recomputed."""
    with world.warehouse.connect("a test") as engine:
        results, failed = refresh.refresh(world.warehouse, engine, queries)
    assert not failed
    return [result.query.name for result in results if result.recomputed]


@pytest.mark.slow
def test_a_simulated_world_matches_its_expected_results(world: World, tmp_path: Path) -> None:
    world.marts = True
    simulate(writable_store(str(tmp_path), AwsAccess()), users=30, days=12, start=date(2018, 11, 1), songs=60, seed=3)
    outcome = world.materialize("2018-11-01", "2018-11-12", queries=True)
    assert outcome.ok
    compared = {
        asset: check.passed for (asset, name), check in outcome.evaluations.items() if name == "matches_expected"
    }
    assert compared == dict.fromkeys(all_queries(), True)


def test_a_result_is_a_table_read_in_the_order_of_the_query(world: World, tmp_path: Path) -> None:
    plays = [
        event(itemInSession=n, level=level, time=f"2018-11-01T10:0{n}:00")
        for n, level in enumerate(["paid", "free", "paid"])
    ]
    world.write_log("2018-11-01", *plays)
    world.load(steps=PLAYS)
    by_level = query(tmp_path)
    assert recomputed(world, by_level) == ["plays_by_level"]
    assert world.rows("analytics.plays_by_level") == [("free", 1), ("paid", 2)]
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        assert refresh.stored_result(connection, by_level) == [("free", 1), ("paid", 2)]


def test_a_query_can_run_for_some_days(world: World, tmp_path: Path) -> None:
    for day in ("2018-11-01", "2018-11-02", "2018-11-03"):
        world.write_log(day, event(time=f"{day}T00:00:00"), event(time=f"{day}T23:59:59.999", itemInSession=2))
    world.load("2018-11-01", "2018-11-03", steps=PLAYS)
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        for days, plays in {("01", "03"): 6, ("02", "02"): 2, ("02", "03"): 4}.items():
            first, last = (date.fromisoformat(f"2018-11-{day}") for day in days)
            assert refresh.run_query(world.warehouse, connection, query(tmp_path), first, last) == [("free", plays)]


@pytest.mark.slow
def test_a_query_whose_tables_did_not_change_is_not_recomputed(world: World, tmp_path: Path) -> None:
    world.write_log("2018-11-01", event())
    world.load()
    by_level = query(tmp_path)
    artists = query(tmp_path, ARTISTS, "artist_names")
    assert recomputed(world, by_level, artists) == ["plays_by_level", "artist_names"]
    assert recomputed(world, by_level, artists) == []

    world.load()
    assert recomputed(world, by_level, artists) == [], "the same day, loaded again"

    world.write_songs("A/A/A/TRAAA.json", song(title="Another song"))
    world.load()
    assert recomputed(world, by_level, artists) == ["artist_names"], "no play matches the new song"

    world.write_log("2018-11-02", event(time="2018-11-02T10:00:00"))
    world.load("2018-11-01", "2018-11-02")
    assert recomputed(world, by_level, artists) == ["plays_by_level"]


def test_a_result_that_somebody_has_dropped_is_recomputed(world: World, tmp_path: Path) -> None:
    world.write_log("2018-11-01", event(), event(itemInSession=2))
    world.load(steps=PLAYS)
    by_level = query(tmp_path)
    recomputed(world, by_level)
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        connection.execute(text("DROP TABLE analytics.plays_by_level"))
    assert recomputed(world, by_level) == ["plays_by_level"]
    assert recomputed(world, by_level) == []


def test_a_changed_query_is_recomputed(world: World, tmp_path: Path) -> None:
    world.write_log("2018-11-01", event(), event(itemInSession=2, level="paid"))
    world.load(steps=PLAYS)
    recomputed(world, query(tmp_path))
    paid = PLAYS_BY_LEVEL.replace("WHERE", "WHERE p.level = 'paid' AND")
    assert recomputed(world, query(tmp_path, paid)) == ["plays_by_level"]
    assert world.rows("analytics.plays_by_level") == [("paid", 1)]

    renamed = (
        PLAYS_BY_LEVEL.replace("--   level  VARCHAR(64)", "--   of     VARCHAR(64)")
        .replace("p.level,", "p.level AS of,")
        .replace("ORDER BY level", "ORDER BY of")
    )
    assert recomputed(world, query(tmp_path, renamed)) == ["plays_by_level"]
    assert world.query("SELECT of FROM analytics.plays_by_level ORDER BY of") == [("free",), ("paid",)]


def plays_on(world: World, day: int, plays: int) -> None:
    """Writes a log of so many plays, and loads it."""
    time = f"2018-11-{day:02}"
    world.write_log(time, *(event(time=f"{time}T10:00:00", itemInSession=number) for number in range(plays)))
    world.load(time, steps=PLAYS)


def forge_results(world: World) -> None:
    """Gives all days of the result other counts: those of days that a refresh does not compute stay."""
    world.execute("UPDATE analytics.plays_by_day SET plays = 1000 + plays")


def counts_by_day(world: World) -> dict[int, int]:
    return {day.day: plays for day, plays in world.rows("analytics.plays_by_day")}


def test_of_a_query_by_day_only_the_changed_days_are_recomputed(world: World, tmp_path: Path) -> None:
    by_day, other = query(tmp_path, PLAYS_BY_DAY, "plays_by_day"), query(tmp_path, PLAYS_BY_DAY, "other")
    for day in (1, 2, 3):
        plays_on(world, day, day)
    recomputed(world, by_day, other)
    forge_results(world)
    plays_on(world, 3, 5)
    plays_on(world, 4, 4)
    assert recomputed(world, other) == ["other"]
    assert counts_by_day(world) == {1: 1001, 2: 1002, 3: 1003}
    # The refresh of the other query has not taken these days away from this one.
    assert recomputed(world, by_day, other) == ["plays_by_day"]
    assert counts_by_day(world) == {1: 1001, 2: 1002, 3: 5, 4: 4}
    assert world.query("SELECT day, plays FROM analytics.other ORDER BY day")[1:] == [
        (date(2018, 11, 2), 2),
        (date(2018, 11, 3), 5),
        (date(2018, 11, 4), 4),
    ]
    world.delete("log_data/2018/11/2018-11-03-events.json")
    world.load("2018-11-03", steps=PLAYS)
    recomputed(world, by_day, other)
    assert counts_by_day(world) == {1: 1001, 2: 1002, 4: 4}
    # All of them, once nobody knows which have changed.
    world.warehouse.run("a test", table_versions.forget)
    plays_on(world, 4, 3)
    recomputed(world, by_day, other)
    assert counts_by_day(world) == {1: 1, 2: 2, 4: 3}


def test_an_edited_query_by_day_is_computed_for_all_days(world: World, tmp_path: Path) -> None:
    for day in (1, 2):
        plays_on(world, day, day)
    recomputed(world, query(tmp_path, PLAYS_BY_DAY, "plays_by_day"))
    plays_on(world, 2, 3)
    doubled = query(tmp_path, PLAYS_BY_DAY.replace("COUNT(*) AS", "2 * COUNT(*) AS"), "plays_by_day")
    recomputed(world, doubled)
    assert counts_by_day(world) == {1: 2, 2: 6}


def test_a_query_that_is_not_by_day_although_its_header_says_so_fails(world: World, tmp_path: Path) -> None:
    by_week = PLAYS_BY_DAY.replace("CAST(p.start_time AS DATE)", "CAST(DATE_TRUNC('week', p.start_time) AS DATE)")
    plays_on(world, 6, 1)
    wrong = query(tmp_path, by_week, "plays_by_day")
    recomputed(world, wrong)
    plays_on(world, 7, 1)
    with world.warehouse.connect("a test") as engine:
        _, (failed,) = refresh.refresh(world.warehouse, engine, [wrong])
    assert str(failed) == (
        "query plays_by_day (plays_by_day.sql) failed: By day: day: some rows of 2018-11-07 have another day there: "
        "remove this line from the header"
    )
    assert counts_by_day(world) == {5: 1}


@pytest.mark.slow
def test_the_queries_by_day_of_any_days_are_those_of_all(world: World, tmp_path: Path) -> None:
    world.marts = True
    simulate(writable_store(str(tmp_path), AwsAccess()), users=20, days=9, start=date(2018, 11, 1), songs=40, seed=3)
    by_day = [each for each in all_queries().values() if each.by_day]
    assert len(by_day) >= 3
    for days in (("2018-11-01", "2018-11-04"), ("2018-11-06", "2018-11-07"), ("2018-11-03", "2018-11-09")):
        world.load(*days)
        for day in world.pending():
            world.match_again(day)
        assert recomputed(world, *by_day) == [each.name for each in by_day]
        for each in by_day:
            stored = world.query(f"SELECT * FROM analytics.{each.name} ORDER BY day")
            with world.warehouse.connect("a test") as engine, engine.begin() as connection:
                assert stored == refresh.run_query(world.warehouse, connection, each), each.name


def test_the_table_of_a_deleted_query_is_dropped(world: World, tmp_path: Path) -> None:
    world.write_log("2018-11-01", event())
    world.load(steps=PLAYS)
    recomputed(world, query(tmp_path), query(tmp_path, name="another"))
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        assert refresh.drop_orphaned_tables(connection, {"another": query(tmp_path)}) == ["plays_by_level"]
        assert columns_in(connection, "analytics").keys() == {"another"}
        assert refresh.drop_orphaned_tables(connection, {"another": query(tmp_path)}) == []


def test_a_query_that_fails_keeps_its_result_and_the_others_are_refreshed(world: World, tmp_path: Path) -> None:
    world.write_log("2018-11-01", event())
    world.load(steps=PLAYS)
    recomputed(world, query(tmp_path))
    with world.warehouse.connect("a test") as engine:
        results, failed = refresh.refresh(
            world.warehouse, engine, [query(tmp_path, TOO_LARGE), query(tmp_path, name="another")]
        )
    assert [result.query.name for result in results] == ["another"]
    assert [str(error).partition(":")[0] for error in failed] == ["query plays_by_level (plays_by_level.sql) failed"]
    assert world.rows("analytics.plays_by_level") == [("free", 1)]


def test_a_warehouse_of_an_earlier_version_is_migrated_and_rebuilt(world: World) -> None:
    world.write_log("2018-11-01", event())
    world.write_log("2018-11-02", event(time="2018-11-02T10:00:00"))
    world.load("2018-11-01", "2018-11-02")
    before = world.rows("songplays", "songplay_id", "song", "artist", "length")
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        for column in ("song", "artist", "length"):
            connection.execute(text(f"ALTER TABLE songplays DROP COLUMN {column}"))
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        create_tables(connection)
        create_tables(connection)
    assert world.pending() == ["2018-11-01", "2018-11-02"]
    for day in world.pending():
        world.match_again(day)
    assert world.rows("songplays", "songplay_id", "song", "artist", "length") == before


def all_messages(error: BaseException) -> str:
    """Returns the messages of an error and its causes, which Dagster stores."""
    messages = [str(error)]
    while (cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        error = cause
        messages.append(str(error))
    return "\n".join(messages)


def test_the_error_of_a_query_names_the_cause_and_quotes_no_personal_values(world: World, tmp_path: Path) -> None:
    world.write_log("2018-11-01", event(firstName="Quiz'zel\"da\nVornbrackt"))
    world.load()
    names = PLAYS_BY_LEVEL.replace("COUNT(*) AS plays", "SUM(CAST(u.first_name AS BIGINT)) AS plays")
    names = names.replace("FROM songplays AS p", "FROM songplays AS p\nINNER JOIN users AS u ON p.user_id = u.user_id")
    with world.warehouse.connect("a test") as engine:
        _, (failed,) = refresh.refresh(world.warehouse, engine, [query(tmp_path, names)])
    assert str(failed).startswith("query plays_by_level (plays_by_level.sql) failed: ")
    assert re.search("convert|invalid input|invalid digit", str(failed), re.IGNORECASE)
    assert not re.search("Quiz|zel|Vornbrackt", all_messages(failed))


def test_the_error_of_a_statement_quotes_no_personal_values(world: World) -> None:
    world.write_log("2018-11-01", event())
    world.load()
    with (
        pytest.raises(WarehouseError) as caught,
        world.warehouse.connect("a test") as engine,
        engine.begin() as connection,
    ):
        connection.execute(text("SELECT CAST(u.first_name AS BIGINT) FROM users AS u"))
    assert str(caught.value).startswith(f"{world.warehouse.database}: ")
    assert "Kaylee" not in all_messages(caught.value)
