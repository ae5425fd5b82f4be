"""What a failing check holds up, and what it leaves alone."""

from pathlib import Path

from sqlalchemy import Connection, text

from sparkify_dagster.inspected import InspectedSongs
from sparkify_dagster_tests.checks.conftest import DAYS
from sparkify_dagster_tests.world import EVENTS, World, event, song


def run(world: World, first_day: str, last_day: str) -> tuple[set[str], set[tuple[str, str]]]:
    """The assets that were materialized and the failed checks of a run."""
    outcome = world.materialize(first_day, last_day)
    materialized = {
        key.to_user_string()
        for event in outcome.result.all_events
        if (key := event.asset_key) and event.is_step_materialization
    }
    return materialized, outcome.failed_checks


def lose_an_event(connection: Connection, loaded: object) -> None:
    if not isinstance(loaded, InspectedSongs):
        connection.execute(text("DELETE FROM staging.staging_events WHERE page = 'Home'"))


def lose_a_song(connection: Connection, loaded: object) -> None:
    if isinstance(loaded, InspectedSongs):
        connection.execute(text("DELETE FROM staging.staging_songs WHERE song_id = 'SOOTHER'"))


def test_events_that_do_not_reconcile_never_reach_the_star(world: World) -> None:
    with world.hooked(lose_an_event):
        materialized, failed = run(world, *DAYS)
    assert failed == {("staging_events", "reconciliation")}
    # The catalogue has nothing to do with it.
    assert materialized == {"staging_events", "staging_songs", "songs", "artists"}
    assert world.column("songplays", "songplay_id") == []
    assert world.column("songs", "song_id") == ["SOCIWDW12A8C13D406", "SOOTHER"]


def test_songs_that_do_not_reconcile_never_reach_the_star(world: World) -> None:
    with world.hooked(lose_a_song):
        materialized, failed = run(world, *DAYS)
    assert failed == {("staging_songs", "reconciliation")}
    assert materialized == {"staging_songs", "staging_events", "users"}
    assert world.column("songs", "song_id") == []


def test_a_refused_day_blocks_no_other_day(tmp_path: Path) -> None:
    world = World(tmp_path, max_load_errors=1)
    world.write_songs("A/A/A/TRAAA.json", song())
    world.write_log("2018-11-01", event())
    world.write_log("2018-11-02", event(time="2018-11-02T10:00:00"), "not JSON", "not JSON either")
    world.write_log("2018-11-03", event(time="2018-11-03T10:00:00"))
    materialized, failed = run(world, *DAYS)
    assert {"songplays", "users", "time"} <= materialized
    assert failed == {("staging_events", "no_refused_days")}
    assert [day.isoformat() for day in world.column(EVENTS, "log_date")] == ["2018-11-01", "2018-11-03"]
    assert [start.date().isoformat() for start in world.column("songplays", "start_time")] == [
        "2018-11-01",
        "2018-11-03",
    ]
