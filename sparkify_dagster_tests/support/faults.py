"""Faults in the middle of a load: a hook that a test runs inside its transaction.

with hooked(world, die):
    world.load()
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias

import pytest
from sqlalchemy import Connection

from sparkify_dagster.batches import InspectedDay, InspectedSongs
from sparkify_dagster.warehouse.base import Read, Warehouse
from sparkify_dagster_tests.support.world import World

Loaded: TypeAlias = Sequence[InspectedDay] | InspectedSongs


class Hook(Protocol):
    def __call__(self, loaded: Loaded) -> None: ...


@contextmanager
def hooked(world: World, hook: Hook) -> Iterator[None]:
    """Within the block, each load calls `hook` inside its transaction, after its rows are in."""

    def insert_events(warehouse: Warehouse, connection: Connection, days: Sequence[InspectedDay], read: Read) -> None:
        of_events(warehouse, connection, days, read)
        hook(days)

    def insert_songs(warehouse: Warehouse, connection: Connection, songs: InspectedSongs, read: Read) -> None:
        of_songs(warehouse, connection, songs, read)
        hook(songs)

    kind = type(world.warehouse)
    of_events, of_songs = kind.insert_events, kind.insert_songs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "insert_events", insert_events)
        patch.setattr(kind, "insert_songs", insert_songs)
        yield
