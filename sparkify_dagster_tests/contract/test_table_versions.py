"""The version of a table follows the content of its rows, on every warehouse."""

from collections.abc import Mapping
from pathlib import Path

from sparkify_dagster.schema.tables import READ_TABLES
from sparkify_dagster.warehouse import table_versions
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import NewWarehouse, World

DAYS = ("2018-11-01", "2018-11-02")


def test_equal_rows_have_equal_versions_and_others_have_not(tmp_path: Path, new_warehouse: NewWarehouse) -> None:
    world = World(tmp_path, new_warehouse=new_warehouse, marts=True)
    for number, day in enumerate(DAYS):
        world.write_log(day, event(time=f"{day}T10:00:00", userId=str(number)))
    world.write_songs("A/A/A/TRAAA.json", song())

    def versions() -> Mapping[str, str]:
        read = world.warehouse.run("a test", table_versions.read_versions)
        return {name: version.rows for name, version in read.items() if name != "staging_songs"}

    def changed_by_hand() -> list[str]:
        return world.warehouse.run("a test", table_versions.changed_by_hand)

    world.load(*DAYS)
    first = versions()
    assert first.keys() == {table.name for table in READ_TABLES}
    world.load(*DAYS, full=True)
    assert versions() == first
    world.write_log(DAYS[1], event(time=f"{DAYS[1]}T10:00:00", userId="1", userAgent="another"))
    world.load(DAYS[1])
    assert {name for name, version in versions().items() if version != first[name]} == {"songplays"}
    world.write_log(DAYS[1], event(time=f"{DAYS[1]}T10:00:00", userId="1"))
    world.load(DAYS[1])
    assert versions() == first
    assert changed_by_hand() == []
    world.execute(
        "UPDATE users SET level = 'paid' WHERE user_id = 1",
        "UPDATE songs SET year = 1900",
        "DELETE FROM product.sessions WHERE user_id = 0",
    )
    assert changed_by_hand() == ["users", "songs", "product.sessions"]
    # A table that is rebuilt as a whole keeps none of its old rows.
    world.load_songs_alone()
    assert changed_by_hand() == ["users", "product.sessions"]
