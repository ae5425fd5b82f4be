"""Small random worlds, loaded into all three warehouses: they hold the same rows, dirt and all."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sparkify_dagster_tests.contract.test_reference import DAYS, Load, Write, play, scripts
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.support.events import event, lines, song
from sparkify_dagster_tests.support.servers.postgres import PostgresServer
from sparkify_dagster_tests.support.world import OBJECTS, World

BROKEN_NAME = "BjÃ\x83Â¶rk"
# Texts at the limits of their columns, in bytes: 64 and 1,024.
LONG_TEXTS = [
    "x" * 64,
    "x" * 63 + "é",
    "é" * 512,
    "é" * 512 + "x",
    "x" * 1_024,
    "x" * 1_025,
    "🎵" * 256,
    BROKEN_NAME * 85,
]


@st.composite
def worlds(draw: st.DrawFn) -> list[Write | Load]:
    """A script that also meets the limits of columns."""
    script = draw(scripts())
    text = draw(st.sampled_from(LONG_TEXTS))
    column = draw(st.sampled_from(["artist", "song", "level", "page", "location", "firstName"]))
    script.insert(
        0, Write(f"log_data/long/{DAYS[0]}-events.json", lines(event(**{column: text}), event(itemInSession=2)))
    )
    script.insert(0, Write("song_data/long.json", json.dumps(song(title=text, song_id="SLONG")).encode()))
    return script


@given(script=worlds())
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_the_three_warehouses_hold_the_same_rows(
    postgres: PostgresServer,
    redshift_servers: RedshiftServers,
    monkeypatch: pytest.MonkeyPatch,
    script: list[Write | Load],
) -> None:
    redshift_servers.login(monkeypatch)
    held = []
    for new_warehouse in (None, postgres.new_warehouse, redshift_servers):
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder), max_load_errors=1_000, new_warehouse=new_warehouse, marts=True)
            play(script, world)
            held.append(world.everything() | {OBJECTS: world.counts(), "pending": world.pending()})
    assert held[0] == held[1]
    assert held[0] == held[2]
