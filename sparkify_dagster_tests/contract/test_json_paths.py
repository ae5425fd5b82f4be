"""The JSONPaths file maps its positions to staging_events' first 18 columns."""

import json
from pathlib import Path

import pytest

from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.world import EVENTS, World

DAY = "2018-11-01"


def paths(*keys: str) -> dict[str, list[str]]:
    return {"jsonpaths": [f"$['{key}']" for key in keys]}


@pytest.mark.slow
def test_without_a_json_paths_file_the_usual_keys_are_read(world: World) -> None:
    world.write_log(DAY, event())
    assert world.log_jsonpath is None
    assert world.load(DAY, steps=["staging_events"]).ok
    plain = world.rows(EVENTS)
    world.map_keys(paths(*DEFAULT_KEYS))
    assert world.load(DAY, full=True, steps=["staging_events"]).ok
    assert world.rows(EVENTS) == plain
    assert len(plain) == 1


@pytest.mark.slow
@pytest.mark.parametrize("odd", [False, True])
def test_positions_in_the_json_paths_file_decide_and_not_names(world: World, odd: bool) -> None:
    """artist is read from `song`, song from `artist`, and the user from a key with a blank."""
    keys = ["song" if key == "artist" else "artist" if key == "song" else key for key in DEFAULT_KEYS]
    keys[-1] = "the user"
    line = event(artist="in artist", song="in song", status="200" if odd else 200)
    line["the user"] = line.pop("userId")
    world.map_keys({"jsonpaths": ["$.song", *(f'$["{key}"]' for key in keys[1:])]})
    world.write_log(DAY, line)
    # By the job as well, which reads the file itself.
    loaded = world.load(DAY, steps=["staging_events"]) if odd else world.materialize(DAY, assets=["staging_events"])
    assert loaded.ok
    assert world.rows(EVENTS, "artist", "song", "user_id", "status") == [("in song", "in artist", 8, 200)]


def test_renamed_keys_leave_the_usual_ones_unknown(world: World) -> None:
    world.map_keys(paths("Künstler", *DEFAULT_KEYS[1:]))
    world.write_log(DAY, event(artist="ignored") | {"Künstler": "Björk"})
    world.load(DAY, steps=["staging_events"])
    assert world.column(EVENTS, "artist") == ["Björk"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"[]",
        {"paths": []},
        {"jsonpaths": {}},
        paths(*DEFAULT_KEYS[1:]),
        paths(*DEFAULT_KEYS, "more"),
        {"jsonpaths": ["$", *paths(*DEFAULT_KEYS)["jsonpaths"][1:]]},
        {"jsonpaths": ["$['a']['b']", *paths(*DEFAULT_KEYS)["jsonpaths"][1:]]},
        {"jsonpaths": ["$[0]", *paths(*DEFAULT_KEYS)["jsonpaths"][1:]]},
        {"jsonpaths": [None, *paths(*DEFAULT_KEYS)["jsonpaths"][1:]]},
        paths("auth", *DEFAULT_KEYS[1:]),
    ],
)
def test_a_malformed_json_paths_file_is_rejected(tmp_path: Path, content: object) -> None:
    """By the source, which no warehouse has a part in."""
    world = World(tmp_path)
    world.map_keys(content)
    with pytest.raises(SourceError) as raised:
        world.source.json_paths()
    assert str(raised.value).startswith(str(tmp_path / "log_json_path.json"))


def test_a_rejected_or_missing_json_paths_file_fails_the_load_and_changes_nothing(world: World) -> None:
    world.map_keys(paths("song", *DEFAULT_KEYS[1:13], "artist", *DEFAULT_KEYS[14:]))
    world.write_log(DAY, event())
    world.load(DAY)
    before = world.everything()
    world.write_log(DAY, event(), event(itemInSession=2))
    world.map_keys(paths(*DEFAULT_KEYS, "more"))
    with pytest.raises(SourceError) as raised:
        world.load(DAY)
    assert str(raised.value).startswith(str(world.folder / "log_json_path.json"))
    assert world.everything() == before
    world.delete("log_json_path.json")
    outcome = world.materialize(DAY, assets=["staging_events"])
    assert outcome.failures["staging_events"] == (
        f"{world.folder / 'log_json_path.json'}: there is no such file: correct SPARKIFY_LOG_JSONPATH ([S3] "
        "LOG_JSONPATH in dwh.cfg), or unset it if the log's keys have the usual names"
    )
    assert world.everything() == before


@pytest.mark.slow
def test_a_changed_json_paths_file_is_a_change_of_every_day(world: World) -> None:
    """Convergence holds for the JSONPaths file as well: it is an input like the others."""
    world.write_log(DAY, event())
    world.load(DAY)
    world.map_keys(paths("song", *DEFAULT_KEYS[1:13], "artist", *DEFAULT_KEYS[14:]))
    world.load(DAY)
    assert world.everything() == world.everything_from_scratch(DAY)


def test_the_json_paths_file_may_have_a_byte_order_mark(world: World, tmp_path: Path) -> None:
    world.map_keys(b"\xef\xbb\xbf" + json.dumps(paths(*DEFAULT_KEYS)).encode())
    world.write_log(DAY, event())
    world.load(DAY, steps=["staging_events"])
    assert len(world.rows(EVENTS)) == 1
