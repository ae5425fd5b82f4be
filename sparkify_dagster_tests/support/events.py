"""Events and songs as their files hold them, and the bytes of such files.

lines(event(page="Home"), event(time="2018-11-01T11:00:00"), "not JSON")
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

Item: TypeAlias = "Mapping[str, Any] | str | bytes"


def millis(time: str) -> int:
    """Epoch milliseconds of a UTC time such as 2018-11-01T21:01:46.796 or a date."""
    return round(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() * 1000)


def utc(time: str) -> datetime:
    return datetime.fromisoformat(time)


def event(**changes: Any) -> dict[str, Any]:
    """A plain event of 2018-11-01, a play. `time` is short for its ts."""
    time = changes.pop("time", "2018-11-01T10:00:00.796")
    return {
        "artist": "Des'ree",
        "auth": "Logged In",
        "firstName": "Kaylee",
        "gender": "F",
        "itemInSession": 1,
        "lastName": "Summers",
        "length": 246.30812,
        "level": "free",
        "location": "Phoenix-Mesa-Scottsdale, AZ",
        "method": "PUT",
        "page": "NextSong",
        "registration": 1540344794796.0,
        "sessionId": 139,
        "song": "You Gotta Be",
        "status": 200,
        "ts": millis(time),
        "userAgent": '"Mozilla/5.0 (Windows NT 6.1; WOW64)"',
        "userId": "8",
    } | changes


def song(**changes: Any) -> dict[str, Any]:
    """A song file's object; it is the song that `event()` plays."""
    return {
        "num_songs": 1,
        "artist_id": "ARMJAGH1187FB546F3",
        "artist_latitude": 35.14968,
        "artist_longitude": -90.04892,
        "artist_location": "Memphis, TN",
        "artist_name": "Des'ree",
        "song_id": "SOCIWDW12A8C13D406",
        "title": "You Gotta Be",
        "duration": 246.30812,
        "year": 1994,
    } | changes


def lines(*items: Item) -> bytes:
    return b"".join(text_of(item) + b"\n" for item in items)


def text_of(item: Item) -> bytes:
    """Bytes and text as they are, anything else as one line of JSON."""
    if isinstance(item, bytes):
        return item
    return (item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)).encode()
