"""The UI shows the same of the tables on every warehouse: previews, the last four weeks, completeness.

Of listeners it shows neither name nor location nor browser.
"""

from typing import Any

import dagster as dg
import pytest

from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.outcome import Outcome, asset_key
from sparkify_dagster_tests.support.world import World

THURSDAYS = ("2018-11-01", "2018-11-08", "2018-11-15", "2018-11-22")
LAST = "2018-11-29"


def preview(outcome: Outcome, asset: str) -> list[dict[str, Any]]:
    events = outcome.result.get_asset_materialization_events()
    shown = [event.materialization.metadata for event in events if event.asset_key == asset_key(asset)]
    (table,) = (metadata["preview"] for metadata in shown if "preview" in metadata)
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


@pytest.mark.slow
def test_the_metadata_of_a_runs_tables(world: World) -> None:
    for day in THURSDAYS:
        world.write_log(day, *(event(page="Home", itemInSession=number, time=day) for number in range(110)))
    world.write_log(
        LAST,
        event(time=f"{LAST}T10:00:00.796"),
        event(
            time=f"{LAST}T11:00:00", itemInSession=2, song="Nobody's song, which is a long one", userId="10", level=""
        ),
        event(time=f"{LAST}T12:00:00", page="Home", itemInSession=3, userId="", song=None, artist=None, length=None),
    )
    world.write_songs("A/A/A/TRAAA.json", song(), song(song_id="SOAAA", title="Another", year=0))
    world.load(THURSDAYS[0], THURSDAYS[-1])
    outcome = world.materialize(LAST)

    # The latest first, of the day alone.
    assert [
        (row["start_time"], row["song_id"], row["level"], row["song"]) for row in preview(outcome, "songplays")
    ] == [
        (f"{LAST} 11:00:00.000", "NULL", "", "Nobody's song, which is a long …"),
        (f"{LAST} 10:00:00.796", "SOCIWDW12A8C13D406", "free", "You Gotta Be"),
    ]
    assert [row["start_time"] for row in preview(outcome, "time")] == [f"{LAST} 11:00:00.000", f"{LAST} 10:00:00.796"]
    events = preview(outcome, "staging_events")
    assert [(row["page"], row["user_id"], row["length"], row["log_date"]) for row in events] == [
        ("Home", "NULL", "NULL", LAST),
        ("NextSong", 10, "246.30812", LAST),
        ("NextSong", 8, "246.30812", LAST),
    ]
    assert "match_song" not in events[0]
    assert [row["user_id"] for row in preview(outcome, "users")] == [8, 10]
    assert [(row["song_id"], row["year"]) for row in preview(outcome, "songs")] == [
        ("SOAAA", "NULL"),
        ("SOCIWDW12A8C13D406", 1994),
    ]
    assert [row["song_id"] for row in preview(outcome, "staging_songs")] == ["SOAAA", "SOCIWDW12A8C13D406"]
    assert [(row["name"], row["location"]) for row in preview(outcome, "artists")] == [("Des'ree", "Memphis, TN")]

    assert outcome.metadata("songplays")["last_four_weeks"].endswith(f"To {LAST}: 2 plays, 50.0% matched.")
    assert outcome.metadata("staging_events")["last_four_weeks"].endswith(f"To {LAST}: 333 events.")

    missing = outcome.evaluations["staging_events", "no_missing_days"]
    assert missing.metadata["missing_days"].value == 24
    unusual = outcome.evaluations["staging_events", "volume_anomaly"]
    assert unusual.metadata["unusual_days"].value == 1
    assert not missing.passed
    assert not unusual.passed


@pytest.mark.slow
def test_no_metadata_of_a_runs_tables_names_a_listener(world: World) -> None:
    world.marts = True
    world.write_log("2018-11-01", event(), event(itemInSession=2, page="Home", song=None, artist=None, length=None))
    world.write_songs("A/A/A/TRAAA.json", song())
    expected = "user_id,first_name,last_name,level,plays,sessions,days,hours\n8,Kay,Summers,free,2,1,1,0.07\n"
    world.write("expected/most_active_users.csv", expected.encode())
    outcome = world.materialize("2018-11-01", queries=True)
    assert outcome.failures == {}
    assert set(preview(outcome, "staging_events")[0]).isdisjoint({"first_name", "last_name", "location", "user_agent"})
    assert preview(outcome, "users") == [{"user_id": 8, "gender": "F", "level": "free"}]
    assert set(preview(outcome, "songplays")[0]).isdisjoint({"location", "user_agent"})
    # A query shows people by their ids, and what the header says to group them.
    (listener,) = preview(outcome, "most_active_users")
    assert list(listener) == ["user_id", "level", "plays", "sessions", "days", "hours"]
    assert [row["location"] for row in preview(outcome, "plays_by_area")] == ["Phoenix-Mesa-Scottsdale, AZ"]
    # Where it differs from what is expected, the row says in which column.
    differences = outcome.evaluations["most_active_users", "matches_expected"].metadata["first_differences"]
    assert isinstance(differences, dg.TableMetadataValue)
    (record,) = differences.records
    assert record.data == {
        "row": "differs",
        "user_id": "8",
        "level": "free",
        "plays": "expected 2, found 1",
        "sessions": "1",
        "days": "1",
        "hours": "0.07",
        "not_shown": "first_name differs",
    }
    # The tables keep all of it.
    assert world.rows("analytics.most_active_users", "first_name", "last_name") == [("Kaylee", "Summers")]
    shown = [str(event.event_specific_data) for event in outcome.result.all_events]
    shown = [text for text in shown if "plays_by_area" not in text]
    assert [text for text in shown for name in ("Kay", "Summers", "Phoenix", "Mozilla") if name in text] == []
