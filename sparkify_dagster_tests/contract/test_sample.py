"""The real sample, wherever it lies beside the repository: known counts, in any order, from a folder or from S3."""

from pathlib import Path

import pytest

from sparkify_dagster_tests.redshift.fixtures import log_in
from sparkify_dagster_tests.s3_server import S3Server
from sparkify_dagster_tests.world import EVENTS, NewWarehouse, World

SAMPLE = Path(__file__).parents[2] / ".." / "shared" / "data" / "sample"
FIRST_DAY, LAST_DAY = "2018-11-01", "2018-11-14"

pytestmark = pytest.mark.skipif(not SAMPLE.is_dir(), reason="the real sample is not here")


def sample(folder: Path, new_warehouse: NewWarehouse, **changes: str) -> World:
    location = str(SAMPLE.resolve())
    where = {
        "log_data": f"{location}/log_data",
        "song_data": f"{location}/song_data",
        "log_jsonpath": f"{location}/log_json_path.json",
    }
    return World(folder, new_warehouse=new_warehouse, **(where | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, new_warehouse: NewWarehouse) -> World:
    world = sample(tmp_path_factory.mktemp("sample"), new_warehouse)
    with pytest.MonkeyPatch.context() as monkeypatch:
        log_in(new_warehouse, monkeypatch)
        outcome = world.materialize(FIRST_DAY, LAST_DAY)
    assert outcome.ok
    assert all(outcome.checks.values())
    assert outcome.observed("song_data")["ignored_objects"] == 11
    return world


def test_the_counts_are_those_that_are_known(world: World) -> None:
    assert len(world.rows(EVENTS)) == 3_041
    assert {table: len(rows) for table, rows in world.star().items()} == {
        "songplays": 2_562,
        "users": 86,
        "songs": 71,
        "artists": 69,
        "time": 2_561,
    }
    assert world.errors() == []


def test_the_days_one_by_one_in_reverse_order_are_the_same(
    world: World, tmp_path: Path, new_warehouse: NewWarehouse
) -> None:
    other = sample(tmp_path, new_warehouse)
    for number in range(14, 0, -1):
        other.load(f"2018-11-{number:02}")
    assert other.everything() == world.everything()


def test_the_same_files_in_s3_are_the_same(
    world: World, tmp_path: Path, new_warehouse: NewWarehouse, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put(
        "udacity-dend",
        {path.relative_to(SAMPLE).as_posix(): path.read_bytes() for path in SAMPLE.rglob("*") if path.is_file()},
    )
    s3.login(monkeypatch)
    other = sample(
        tmp_path,
        new_warehouse,
        log_data="s3://udacity-dend/log_data",
        song_data="s3://udacity-dend/song_data",
        log_jsonpath="s3://udacity-dend/log_json_path.json",
        aws_endpoint_url=s3.url,
    )
    outcome = other.materialize(FIRST_DAY, LAST_DAY)
    assert outcome.ok
    assert outcome.observed("song_data")["ignored_objects"] == 11
    assert other.star() == world.star()
    assert other.rows(EVENTS) == world.rows(EVENTS)


def test_loading_it_again_changes_nothing(world: World) -> None:
    before = world.everything()
    assert world.materialize(FIRST_DAY, LAST_DAY, full=True).ok
    assert world.everything() == before


def test_every_warehouse_holds_the_same_rows(world: World, tmp_path: Path) -> None:
    other = sample(tmp_path, None)
    other.load(FIRST_DAY, LAST_DAY)
    assert other.everything() == world.everything()
