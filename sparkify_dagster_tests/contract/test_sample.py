"""The real sample, wherever it lies beside the repository: known counts, in any order, from a folder or from S3."""

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster.analytics.comparison import compare
from sparkify_dagster.analytics.expected import ExpectedResults
from sparkify_dagster.analytics.query import read_query
from sparkify_dagster.analytics.refresh import run_query
from sparkify_dagster_tests.redshift_stand_in.fixtures import log_in
from sparkify_dagster_tests.support.servers.s3 import S3Server
from sparkify_dagster_tests.support.simulated_files import repaired
from sparkify_dagster_tests.support.world import EVENTS, NewWarehouse, World, refresh_queries

SAMPLE = Path(__file__).parents[2] / ".." / "shared" / "data" / "sample"
KNOWN_ANSWERS = Path(__file__).with_name("known_answers")
FIRST_DAY, LAST_DAY = "2018-11-01", "2018-11-14"

pytestmark = pytest.mark.skipif(not SAMPLE.is_dir(), reason="the real sample is not here")


def sample(folder: Path, new_warehouse: NewWarehouse, **changes: str) -> World:
    location = str(SAMPLE.resolve())
    where = {
        "log_data": f"{location}/log_data",
        "song_data": f"{location}/song_data",
        "log_jsonpath": f"{location}/log_json_path.json",
    }
    return World(folder, new_warehouse=new_warehouse, marts=True, **(where | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, new_warehouse: NewWarehouse) -> World:
    world = sample(tmp_path_factory.mktemp("sample"), new_warehouse)
    with pytest.MonkeyPatch.context() as monkeypatch:
        log_in(new_warehouse, monkeypatch)
        outcome = world.materialize(FIRST_DAY, LAST_DAY)
    assert outcome.ok
    assert all(outcome.checks.values())
    assert outcome.observed("song_data")["ignored_objects"] == 11
    return world


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory, new_warehouse: NewWarehouse) -> World:
    """The whole month as it was published, of which the sample may be the first days."""
    if len(list(SAMPLE.glob("log_data/**/2018-11-*-events.json"))) < 30:
        pytest.skip("the public month is not all here")
    world = sample(tmp_path_factory.mktemp("month"), new_warehouse)
    with pytest.MonkeyPatch.context() as monkeypatch:
        log_in(new_warehouse, monkeypatch)
        world.load(FIRST_DAY, "2018-11-30")
    return world


def test_the_counts_are_those_that_are_known(world: World) -> None:
    assert len(world.rows(EVENTS)) == 3_041
    assert {table: len(rows) for table, rows in world.star().items()} == {
        "songplays": 2_562,
        "users": 86,
        "songs": 71,
        "artists": 69,
        "time": 2_561,
        "product.events": 3_041,
        "product.user_levels": 92,
        "product.sessions": 420,
        "product.daily_activity": 315,
    }
    assert world.errors() == []


@pytest.mark.slow
def test_the_days_one_by_one_in_reverse_order_are_the_same(
    world: World, tmp_path: Path, new_warehouse: NewWarehouse
) -> None:
    other = sample(tmp_path, new_warehouse)
    for number in range(14, 0, -1):
        other.load(f"2018-11-{number:02}")
    assert other.everything() == world.everything()


def events_of_sample() -> list[dict[str, Any]]:
    files = sorted(SAMPLE.glob("log_data/**/*.json"))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def test_the_questions_of_the_original_courses_other_project_have_their_answers(world: World) -> None:
    """The course asks them of Apache Cassandra; a listener is named by id here. They are of the whole month."""
    in_session = "SELECT p.artist, p.song, p.length FROM product.events AS e INNER JOIN songplays AS p"
    on_id = "ON e.event_id = p.songplay_id"
    assert world.query(f"{in_session} {on_id} WHERE e.session_id = 338 AND e.item_in_session = 4") == [
        ("Faithless", "Music Matters (Mark Knight Dub)", Decimal("495.30730"))
    ]
    of_user = f"{in_session} {on_id} WHERE e.user_id = 10 AND e.session_id = 182 ORDER BY e.item_in_session"
    assert [song for _, song, _ in world.query(of_user)] == [
        "Keep On Keepin' On",
        "Greece 2000",
        "Kilometer",
        "Catch You Baby (Steve Pitron & Max Sanna Radio Edit)",
    ]
    title = "All Hands Against His Own"
    listeners = world.query(f"SELECT DISTINCT p.user_id FROM songplays AS p WHERE p.song = '{title}' ORDER BY 1")
    heard = {int(event["userId"]) for event in events_of_sample() if event["song"] == title}
    assert {user for (user,) in listeners} == heard
    assert heard <= {29, 80, 95}
    assert heard


def test_the_answers_are_what_the_lines_say(world: World) -> None:
    """Reckoned from the files' lines, without staging, star or SQL."""
    events = events_of_sample()
    plays = [event for event in events if event["page"] == "NextSong"]
    times = [datetime.fromtimestamp(play["ts"] / 1_000, UTC) for play in plays]
    songs = Counter((repaired(play["song"]), repaired(play["artist"])) for play in plays)
    listeners = Counter(int(play["userId"]) for play in plays)
    by_hour = Counter((time.isoweekday() % 7, time.hour) for time in times)
    levels = Counter(play["level"] for play in plays)
    refresh_queries(world, "top_songs", "most_active_users", "plays_by_hour", "plays_by_area", "sessions_by_level")

    top = sorted(songs.items(), key=lambda item: (-item[1], item[0]))[:20]
    assert set(world.rows("analytics.top_songs", "song", "artist", "plays")) == {(*song, count) for song, count in top}
    most = sorted(listeners.items(), key=lambda item: (-item[1], item[0]))[:20]
    assert set(world.rows("analytics.most_active_users", "user_id", "plays")) == set(most)
    assert set(world.rows("analytics.plays_by_hour", "weekday", "hour", "plays")) == {
        (*time, count) for time, count in by_hour.items()
    }
    areas = Counter(play["location"] for play in plays)
    assert set(world.rows("analytics.plays_by_area", "location", "plays")) == set(areas.items())
    # Six sessions have plays at both levels. They belong to that of the first event.
    events.sort(key=lambda event: (-event["ts"], -event["itemInSession"]))
    levels_at_start = {event["sessionId"]: event["level"] for event in events if event["userId"]}
    sessions = Counter(levels_at_start[session] for session in {play["sessionId"] for play in plays})
    assert set(world.rows("analytics.sessions_by_level", "level", "sessions")) == set(sessions.items())
    assert sum(levels.values()) == sum(world.column("analytics.sessions_by_level", "plays"))


@pytest.mark.parametrize("name", sorted(path.stem for path in KNOWN_ANSWERS.glob("*.sql")))
def test_the_public_month_is_as_it_is_known(name: str, month: World) -> None:
    query = read_query(KNOWN_ANSWERS / f"{name}.sql")
    expected = ExpectedResults(location=str(KNOWN_ANSWERS)).read(query)
    assert expected is not None
    with month.warehouse.connect("a test") as engine, engine.begin() as connection:
        found = run_query(month.warehouse, connection, query)
    comparison = compare(query, expected, found)
    assert comparison.matches_expected, comparison.side_by_side(5)


def test_the_sample_in_s3_gives_the_same_rows_as_in_a_folder(
    world: World, tmp_path: Path, new_warehouse: NewWarehouse, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put(
        "udacity-dend",
        {path.relative_to(SAMPLE).as_posix(): path.read_bytes() for path in SAMPLE.rglob("*") if path.is_file()},
    )
    s3.login(monkeypatch)
    other = sample(
        tmp_path,
        new_warehouse,
        log_data="s3://udacity-dend/log_data",
        song_data="s3://udacity-dend/song_data",
        log_jsonpath="s3://udacity-dend/log_json_path.json",
        aws_endpoint_url=s3.url,
    )
    assert other.load(FIRST_DAY, LAST_DAY).ok
    assert other.source.list_song_files().ignored == 11
    assert other.star() == world.star()
    assert other.rows(EVENTS) == world.rows(EVENTS)


@pytest.mark.slow
def test_loading_it_again_changes_nothing(world: World) -> None:
    before = world.everything()
    assert world.load(FIRST_DAY, LAST_DAY, full=True).ok
    assert world.everything() == before


@pytest.mark.slow
def test_every_warehouse_holds_the_same_rows_of_the_sample(world: World, tmp_path: Path) -> None:
    other = sample(tmp_path, None)
    other.load(FIRST_DAY, LAST_DAY)
    assert other.everything() == world.everything()
