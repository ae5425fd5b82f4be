"""Comparison of the simulated files with the real sample, if that is available beside the repository."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparkify_dagster_tests.support.simulated_files import Written

SAMPLE = Path(__file__).parents[2] / ".." / "shared" / "data" / "sample"

pytestmark = pytest.mark.skipif(not SAMPLE.is_dir(), reason="the real sample is not available")


@pytest.fixture(scope="module")
def real() -> dict[str, bytes]:
    files = {path.relative_to(SAMPLE).as_posix(): path for path in SAMPLE.rglob("*.json")}
    # Hidden folders contain notebook checkpoints.
    return {key: path.read_bytes() for key, path in files.items() if "/." not in key}


def _lines(files: dict[str, bytes]) -> list[bytes]:
    return [line for key, content in files.items() if key.startswith("log_data/") for line in content.split(b"\n")]


def _events(files: dict[str, bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _lines(files)]


def _songs(files: dict[str, bytes]) -> list[dict[str, Any]]:
    return [json.loads(content) for key, content in files.items() if key.startswith("song_data/")]


def _types(objects: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(key, type(value).__name__) for each in objects for key, value in each.items()}


def _nulls(events: list[dict[str, Any]]) -> set[tuple[bool, str, tuple[str, ...]]]:
    return {
        (e["page"] == "NextSong", e["auth"], tuple(key for key, value in e.items() if value in (None, "")))
        for e in events
        # The real month has no guests and no cancellations.
        if e["auth"] not in ("Guest", "Cancelled")
    }


def _responses(events: list[dict[str, Any]]) -> dict[str, set[tuple[str, str, int]]]:
    responses: dict[str, set[tuple[str, str, int]]] = {}
    for event in events:
        responses.setdefault(event["page"], set()).add((event["auth"], event["method"], event["status"]))
    return responses


def test_log_lines_match_the_real_sample(month: Written, real: dict[str, bytes]) -> None:
    simulated = _events(month.files)
    events = _events(real)

    assert {tuple(event) for event in simulated} == {tuple(event) for event in events}
    assert _types(simulated) == _types(events)
    assert _nulls(simulated) == _nulls(events)
    simulated_responses = _responses(simulated)
    for page, responses in _responses(events).items():
        assert responses <= simulated_responses[page], page


def test_log_encoding_matches_the_real_sample(month: Written, real: dict[str, bytes]) -> None:
    for files in (month.files, real):
        for line in _lines(files):
            assert json.dumps(json.loads(line), separators=(",", ":")).replace("/", "\\/").encode("ascii") == line


def test_song_files_match_the_real_sample(month: Written, real: dict[str, bytes]) -> None:
    simulated, songs = _songs(month.files), _songs(real)

    assert {tuple(song) for song in simulated} == {tuple(song) for song in songs}
    assert _types(simulated) == _types(songs)
    assert {len(song[key]) for song in simulated + songs for key in ("artist_id", "song_id")} == {18}
    for files in (month.files, real):
        for key, content in files.items():
            if key.startswith("song_data/"):
                assert json.dumps(json.loads(content)).encode("ascii") == content


def test_jsonpaths_match_the_real_sample(month: Written, real: dict[str, bytes]) -> None:
    assert json.loads(month.files["log_json_path.json"]) == json.loads(real["log_json_path.json"])


def test_folders_match_the_real_sample(month: Written, real: dict[str, bytes]) -> None:
    assert {key for key in real if key.startswith("log_data/")} <= set(month.files)
    assert {key.count("/") for key in month.songs()} == {key.count("/") for key in real if key.startswith("song_data/")}
