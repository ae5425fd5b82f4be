"""No text becomes SQL: bound texts arrive exactly, whatever Redshift says of the literals that it reads.

Redshift reads a backslash in a plain literal as an escape. Whether it claims otherwise, by the parameter
standard_conforming_strings, no page of AWS's says; the driver believes the claim.
"""

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import World

DAY = "2018-11-01"
HOSTILE = [
    "\\",
    "\\\\",
    "\\'; DROP TABLE songplays; --",
    "\\\\'; DROP TABLE songplays; --",
    "' OR 1=1; DELETE FROM users; --",
    "'' \\'' \\\\''",
    "\\n is not a line's end, \\x41 no A, \\u0041 neither",
    "$$; DROP TABLE songs; $$",
    "ends in a backslash \\",
]


@pytest.fixture(params=[False, True], ids=["says nothing", "says on"])
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    redshift_servers: RedshiftServers,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    redshift_servers.login(monkeypatch)
    world = World(tmp_path, new_warehouse=redshift_servers)
    assert isinstance(world.warehouse, RedshiftWarehouse)
    redshift_servers.server_of(world.warehouse).claims_conforming_strings = request.param
    return world


def test_a_bound_text_arrives_as_it_is(world: World) -> None:
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        assert [connection.scalar(text("SELECT :text"), {"text": hostile}) for hostile in HOSTILE] == HOSTILE
        connection.execute(text("CREATE TEMP TABLE texts (t VARCHAR(999))"))
        connection.execute(text("INSERT INTO texts VALUES (:t)"), [{"t": hostile} for hostile in HOSTILE])
        assert sorted(connection.scalars(text("SELECT t FROM texts"))) == sorted(HOSTILE)


def test_hostile_lines_songs_and_keys_are_loaded_as_on_duckdb(world: World) -> None:
    """Broken lines, texts of events and songs, double-encoded ones, the names of files."""
    world.write_log(
        DAY,
        event(),
        *HOSTILE,
        *(json.dumps({"ts": hostile, "page": hostile}) for hostile in HOSTILE),
        *(
            event(itemInSession=number, song=hostile, artist=f"BjÃ\x83Â¶rk {hostile}", userAgent=hostile, level=hostile)
            for number, hostile in enumerate(HOSTILE, start=10)
        ),
    )
    world.write_log(DAY, "broken", key=f"it's \\' a $1 %s :key \\\\/{DAY}-events.json")
    world.write_songs(
        "O'Brien \\'; --.json", *HOSTILE, *(song(song_id=f"S{i}", title=t) for i, t in enumerate(HOSTILE))
    )
    world.load(DAY)
    on_duckdb = World(world.folder, warehouse_file=world.folder / "other.duckdb")
    on_duckdb.load(DAY)
    assert world.everything() == on_duckdb.everything()
    # The broken lines, those without a valid ts, the other file's line and the song file's first one.
    assert len(world.errors()) == 2 * len(HOSTILE) + 2
