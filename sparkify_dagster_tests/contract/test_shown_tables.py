"""What the UI shows of the tables is the same on every warehouse: previews, the last four weeks, completeness."""

from typing import Any

import dagster as dg

from sparkify_dagster_tests.world import Outcome, World, event, song

THURSDAYS = ("2018-11-01", "2018-11-08", "2018-11-15", "2018-11-22")
LAST = "2018-11-29"


def preview(outcome: Outcome, asset: str) -> list[dict[str, Any]]:
    table = outcome.metadata(asset)["preview"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def test_what_a_run_tells_of_its_tables(world: World) -> None:
    for day in THURSDAYS:
        world.write_log(day, *(event(page="Home", itemInSession=number, time=day) for number in range(110)))
    agent = '"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_4)"'
    world.write_log(
        LAST,
        event(time=f"{LAST}T10:00:00.796", userAgent=agent),
        event(time=f"{LAST}T11:00:00", itemInSession=2, song="Nobody's", userId="10", location=""),
        event(time=f"{LAST}T12:00:00", page="Home", itemInSession=3, userId="", song=None, artist=None, length=None),
    )
    world.write_songs("A/A/A/TRAAA.json", song(), song(song_id="SOAAA", title="Another", year=0))
    world.load(THURSDAYS[0], THURSDAYS[-1])
    outcome = world.materialize(LAST)

    # The latest first, of the day alone.
    assert [(row["start_time"], row["song_id"], row["location"]) for row in preview(outcome, "songplays")] == [
        (f"{LAST} 11:00:00.000", "NULL", ""),
        (f"{LAST} 10:00:00.796", "SOCIWDW12A8C13D406", "Phoenix-Mesa-Scottsdale, AZ"),
    ]
    assert preview(outcome, "songplays")[1]["user_agent"] == '"Mozilla/5.0 (Macintosh; Intel …'
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
    assert [row["name"] for row in preview(outcome, "artists")] == ["Des'ree"]

    assert outcome.metadata("songplays")["last_four_weeks"].endswith(f"To {LAST}: 2 plays, 50.0% matched.")
    assert outcome.metadata("staging_events")["last_four_weeks"].endswith(f"To {LAST}: 333 events.")

    missing = outcome.evaluations["staging_events", "no_missing_days"]
    assert missing.metadata["missing_days"].value == 24
    unusual = outcome.evaluations["staging_events", "usual_volume"]
    assert unusual.metadata["unusual_days"].value == 1
    assert not missing.passed
    assert not unusual.passed
