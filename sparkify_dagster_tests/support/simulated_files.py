"""Reads what a simulation wrote, and undoes eventsim's double encoding."""

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from obstore.store import MemoryStore

from sparkify_dagster.simulator import SimulatedCounts, simulate

START = datetime.date(2018, 11, 1)


@dataclass(frozen=True)
class Written:
    counts: SimulatedCounts
    files: dict[str, bytes]

    def logs(self) -> dict[str, bytes]:
        return {key: content for key, content in self.files.items() if key.startswith("log_data/")}

    def songs(self) -> dict[str, bytes]:
        return {key: content for key, content in self.files.items() if key.startswith("song_data/")}

    def expected(self) -> dict[str, bytes]:
        return {key: content for key, content in self.files.items() if key.startswith("expected/")}

    def lines(self) -> Iterator[bytes]:
        for content in self.logs().values():
            yield from content.split(b"\n")

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


def write(users: int = 100, days: int = 30, songs: int = 400, seed: int = 1) -> Written:
    store = MemoryStore()
    counts = simulate(store, users=users, days=days, start=START, songs=songs, seed=seed)
    keys = sorted(entry["path"] for chunk in store.list() for entry in chunk)
    return Written(counts, {key: bytes(store.get(key).bytes()) for key in keys})


def repaired(text: str) -> str:
    while not text.isascii():
        try:
            text = text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            break
    return text.rstrip(" ")
