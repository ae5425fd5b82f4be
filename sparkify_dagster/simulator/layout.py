"""Layout of the real buckets: object keys, and the exact JSON of the files."""

import datetime
import json
from typing import Final

from sparkify_dagster.days import log_file_key
from sparkify_dagster.schema.event_columns import DEFAULT_KEYS
from sparkify_dagster.simulator.catalogue import Song

JSONPATHS_KEY: Final = "log_json_path.json"


def log_key(day: datetime.date) -> str:
    """Returns the key of a day's log file."""
    return f"log_data/{log_file_key(day)}"


def song_key(track_id: str) -> str:
    """Returns the key of a track's song file, in folders named after its third to fifth letter."""
    return f"song_data/{track_id[2]}/{track_id[3]}/{track_id[4]}/{track_id}.json"


def jsonpaths_file() -> bytes:
    """Returns the JSONPaths file of the log lines."""
    return json.dumps({"jsonpaths": [f"$['{key}']" for key in DEFAULT_KEYS]}, indent=4).encode()


def song_file(song: Song) -> bytes:
    """Returns a song file: one object, without a trailing newline."""
    return json.dumps(
        {
            "num_songs": 1,
            "artist_id": song.artist.artist_id,
            "artist_latitude": song.artist.latitude,
            "artist_longitude": song.artist.longitude,
            "artist_location": song.artist.location,
            "artist_name": song.artist_name,
            "song_id": song.song_id,
            "title": song.title,
            "duration": song.duration,
            "year": song.year,
        }
    ).encode()


def log_json(value: str | float | None) -> str:
    """Returns a value as JSON in the log's style: ASCII, with "/" escaped."""
    return json.dumps(value).replace("/", "\\/")


def log_text(text: str) -> str:
    """Returns a song's text as it is in the log: eventsim reads its UTF-8 song list as Latin-1, twice."""
    for _ in range(2):
        text = text.encode("utf-8").decode("latin-1")
    return text
