"""Simulated song files, and how the plays of the log match them."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore, MemoryStore

from sparkify_dagster.simulator import simulate
from sparkify_dagster.simulator.catalogue import catalogue
from sparkify_dagster.simulator.layout import log_text
from sparkify_dagster_tests.support.simulated_files import START, Written, repaired

KEYS = [
    "num_songs",
    "artist_id",
    "artist_latitude",
    "artist_longitude",
    "artist_location",
    "artist_name",
    "song_id",
    "title",
    "duration",
    "year",
]


def _songs(written: Written) -> list[dict[str, Any]]:
    return [json.loads(content) for content in written.songs().values()]


def test_song_files_are_encoded_like_the_real_ones(month: Written) -> None:
    for key, content in month.songs().items():
        song = json.loads(content)
        track_id = Path(key).stem
        assert re.fullmatch(r"TR[A-Z]{5}128F[0-9A-F]{7}", track_id)
        assert key == f"song_data/{track_id[2]}/{track_id[3]}/{track_id[4]}/{track_id}.json"
        assert list(song) == KEYS
        assert json.dumps(song).encode("ascii") == content
        assert song["num_songs"] == 1
        assert re.fullmatch(r"AR[0-9A-Z]{16}", song["artist_id"])
        assert re.fullmatch(r"SO[0-9A-Z]{16}", song["song_id"])
        assert type(song["duration"]) is float
        assert re.fullmatch(r"\d+\.\d{1,5}", json.dumps(song["duration"]))
        assert type(song["year"]) is int
        assert {type(song[key]) for key in ("artist_location", "artist_name", "title")} == {str}
        assert (song["artist_latitude"] is None) == (song["artist_longitude"] is None)


def test_values_are_missing_about_as_often_as_in_the_real_catalogue(month: Written) -> None:
    songs = _songs(month)

    assert len(songs) == month.counts.songs == 400
    assert 0.4 < sum(song["year"] == 0 for song in songs) / 400 < 0.65
    assert 0.4 < sum(song["artist_latitude"] is None for song in songs) / 400 < 0.7
    assert 0.2 < sum(song["artist_location"] == "" for song in songs) / 400 < 0.6


def test_artists_have_several_songs_and_names(month: Written) -> None:
    names = defaultdict(list)
    for song in _songs(month):
        names[song["artist_id"]].append(song["artist_name"])

    assert len({song["song_id"] for song in _songs(month)}) == 400
    assert max(map(len, names.values())) > 3
    assert any(len(set(own)) > 1 and any("feat" in name for name in own) for own in names.values())


def test_plays_match_their_songs_once_the_double_encoding_is_undone(month: Written) -> None:
    songs = {(s["title"].rstrip(" "), s["artist_name"].rstrip(" "), s["duration"]) for s in _songs(month)}
    plays = [event for event in month.events() if event["page"] == "NextSong"]
    matched = sum((repaired(e["song"]), repaired(e["artist"]), e["length"]) in songs for e in plays)
    as_written = sum((e["song"].rstrip(" "), e["artist"].rstrip(" "), e["length"]) in songs for e in plays)

    assert len(songs) == 400
    assert matched == month.counts.matched_plays
    assert 0.9 <= matched / len(plays) <= 0.96
    assert as_written < matched


def test_the_length_distinguishes_recordings_of_a_song(month: Written) -> None:
    songs = {(song["title"], song["artist_name"]): song["duration"] for song in _songs(month)}

    assert any(songs.get((e["song"], e["artist"]), e["length"]) != e["length"] for e in month.events())


def test_names_are_doubly_encoded_in_the_log_and_correct_in_the_catalogue(month: Written) -> None:
    texts = {event[key] for event in month.events() for key in ("artist", "song") if event[key] is not None}
    foreign = {text for text in texts if not text.isascii()}
    correct = {song[key] for song in _songs(month) for key in ("artist_name", "title")}

    assert foreign
    for text in foreign:
        once = text.encode("latin-1").decode("utf-8")
        assert once.encode("latin-1").decode("utf-8") == repaired(text) != text
    assert {repaired(text) for text in foreign} & correct
    assert not foreign & correct


def test_some_titles_end_with_a_blank_or_contain_quotes_or_slashes(month: Written) -> None:
    titles = {event["song"] for event in month.events()} - {None}

    assert any(title.endswith(" ") for title in titles)
    assert any('"' in title for title in titles)
    assert any("/" in title for title in titles)


def test_every_name_can_be_repaired_from_the_log() -> None:
    songs = catalogue(seed=5, songs=3_000)
    recordings = {(song.title.rstrip(" "), song.artist_name.rstrip(" "), song.duration) for song in songs}

    assert len(recordings) == len(songs)
    assert len({song.song_id for song in songs} | {song.track_id for song in songs}) == 2 * len(songs)
    for song in songs:
        assert repaired(log_text(song.title)) == song.title.rstrip(" ")
        assert repaired(log_text(song.artist_name)) == song.artist_name.rstrip(" ")


def test_jsonpaths_file_lists_the_keys_of_a_line(month: Written) -> None:
    paths = json.loads(month.files["log_json_path.json"])

    assert paths == {"jsonpaths": [f"$['{key}']" for key in json.loads(next(month.lines()))]}


def test_a_local_folder_gets_the_layout_of_the_buckets(tmp_path: Path) -> None:
    destination = tmp_path / "new"
    counts = simulate(LocalStore(destination, mkdir=True), users=5, days=7, start=START, songs=10, seed=1)

    assert (destination / "log_json_path.json").is_file()
    assert len(list(destination.glob("log_data/2018/11/2018-11-0?-events.json"))) == counts.log_files > 0
    assert len(list(destination.glob("song_data/?/?/?/TR*.json"))) == counts.songs == 10


@pytest.mark.parametrize("name", ["users", "days", "songs"])
def test_counts_below_one_are_rejected(name: str) -> None:
    arguments = {"users": 1, "days": 1, "songs": 1} | {name: 0}

    with pytest.raises(ValueError, match=name):
        simulate(MemoryStore(), start=START, seed=1, **arguments)
