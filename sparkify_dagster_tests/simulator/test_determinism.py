"""Determinism: the same arguments give the same bytes; a larger argument leaves the rest unchanged."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from sparkify_dagster_tests.support.simulated_files import Written, write

_DIGEST = """
import datetime, hashlib
from obstore.store import MemoryStore
from sparkify_dagster.simulator import simulate
store = MemoryStore()
simulate(store, users=20, days=10, start=datetime.date(2018, 11, 1), songs=50, seed=3)
digest = hashlib.sha256()
for key in sorted(entry["path"] for chunk in store.list() for entry in chunk):
    digest.update(key.encode() + bytes(store.get(key).bytes()))
print(digest.hexdigest())
"""


def _digest(hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "TZ": "Pacific/Auckland" if hash_seed == "1" else "UTC"}
    command = [sys.executable, "-c", _DIGEST]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def _events_by_user(written: Written) -> dict[str, list[dict[str, Any]]]:
    """Returns each user's logged-in events without session ids, which count all users' sessions."""
    by_user: dict[str, list[dict[str, Any]]] = {}
    for event in written.events():
        if event["userId"]:
            by_user.setdefault(event["userId"], []).append({**event, "sessionId": None})
    return by_user


def test_the_same_arguments_give_the_same_bytes(month: Written) -> None:
    again = write()

    assert again == month


def test_hash_seed_and_time_zone_do_not_matter() -> None:
    assert _digest("1") == _digest("2")


def test_a_different_seed_gives_different_logs_and_songs(month: Written) -> None:
    other = write(seed=2)

    assert not set(other.songs()) & set(month.songs())
    assert all(other.logs()[key] != content for key, content in month.logs().items() if key in other.logs())


def test_more_days_do_not_change_the_first_days() -> None:
    short = write(users=50, days=5)
    long = write(users=50, days=9)

    assert len(long.logs()) > len(short.logs())
    first_files = {key: content for key, content in short.files.items() if key not in short.expected()}
    assert {key: long.files[key] for key in first_files} == first_files


def test_more_users_do_not_change_the_others() -> None:
    few, many = _events_by_user(write(users=20)), _events_by_user(write(users=40))

    assert {int(user) < 1_000_000 for user in few} == {True, False}
    assert {user: many[user] for user in few} == few


def test_the_number_of_users_is_limited_by_their_ids() -> None:
    with pytest.raises(ValueError, match="users must be at most 1000000, not 1000001"):
        write(users=1_000_001)


def test_a_larger_catalogue_contains_the_smaller() -> None:
    small, large = write(users=1, songs=60), write(users=1, songs=90)

    assert small.counts.songs == len(small.songs()) == 60
    assert small.songs().items() < large.songs().items()
    assert len({json.loads(content)["song_id"] for content in large.songs().values()}) == 90
