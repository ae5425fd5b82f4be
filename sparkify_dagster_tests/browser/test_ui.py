"""The UI as its users live in it: each does something in the browser and finds what it shows in the warehouse too.

The tests share one UI, each has days of its own.
"""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import expect

from sparkify_dagster_tests.support.browser.fixtures import DAYS, MAX_LOAD_ERRORS
from sparkify_dagster_tests.support.browser.ui import GROUPS, RUN_MILLISECONDS, UI
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.outcome import SOURCES
from sparkify_dagster_tests.support.project import Project, wait_until
from sparkify_dagster_tests.support.world import STAR, World

pytestmark = pytest.mark.slow

FIRST_DAY, LAST_DAY = "2018-11-01", f"2018-11-{DAYS:02}"
NOT_LOADED, DIRTY, DROPPED = "2018-11-05", "2018-11-06", "2018-11-07"


@pytest.fixture
def world(project: Project) -> World:
    return World(project.folder / "source", warehouse_file=project.warehouse_file)


def plays(day: str, count: int) -> list[dict[str, object]]:
    return [event(time=f"{day}T10:{minute:02}:00", itemInSession=minute) for minute in range(count)]


def plays_in(world: World, day: str) -> int:
    return sum(start.date().isoformat() == day for start in world.column("songplays", "start_time"))


@pytest.fixture(scope="module")
def everything_is_loaded(new_ui: Callable[[], UI]) -> None:
    ui = new_ui()
    ui.launch(choose="All")
    expect(ui.page.get_by_text("100% completed")).to_be_visible(timeout=RUN_MILLISECONDS)
    ui.page.close()


@pytest.mark.usefixtures("everything_is_loaded")
def test_materialize_all(ui: UI, world: World) -> None:
    ui.open_asset("songplays")
    ui.see("Row count", len(world.rows("songplays")))
    assert world.everything() == world.from_scratch(FIRST_DAY, LAST_DAY).everything()
    assert all(world.star().values())


def test_the_lineage_graph_goes_from_the_sources_to_the_star(ui: UI) -> None:
    ui.open_lineage()
    # The second time: the first is in the list beside the graph.
    x = {}
    for name in (*GROUPS, *SOURCES, "staging_events", "staging_songs", *STAR):
        shown = ui.page.get_by_text(name, exact=True).last
        expect(shown).to_be_visible()
        box = shown.bounding_box()
        assert box is not None
        x[name] = box["x"]
    assert max(x[source] for source in SOURCES) < x["staging_events"] < x["songplays"] < x["time"]


def test_a_columns_origin_is_told_and_drawn(ui: UI) -> None:
    ui.open_asset("songplays")
    expect(ui.row("song_id")).to_contain_text("← staging_songs.song_id, joined on title, artist_name, duration")
    image = ui.open_column_diagram("songplays")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth") > 0


@pytest.mark.usefixtures("everything_is_loaded")
def test_a_query_shows_its_answer_as_rows_and_as_a_chart(ui: UI, world: World) -> None:
    ui.open_asset("plays_by_hour")
    expect(ui.page.get_by_text("At which hours of the week do people listen?").first).to_be_visible()
    expect(ui.row("plays")).to_contain_text("← COUNT(*)")
    ui.see("Row count", len(world.rows("analytics.plays_by_hour")))
    image = ui.open_image("plays_by_hour", "chart", "At which hours of the week")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth") > 0


def test_a_day_is_materialized_its_check_fails_while_it_is_dirty_and_no_other_day_changes(
    ui: UI, world: World, screenshots: Path
) -> None:
    result = ui.page.get_by_text("Evaluation result", exact=True).locator("..")

    world.write_log(NOT_LOADED, *plays(NOT_LOADED, 1))
    world.write_log(DIRTY, *plays(DIRTY, 5), *["not JSON"] * (MAX_LOAD_ERRORS + 1))
    ui.materialize(DIRTY)
    ui.open_check("staging_events", "no_rejected_loads")
    expect(result).to_contain_text("Failed")
    ui.see("rejected_loads", 1)
    ui.screenshot(screenshots / "a_check_fails_on_a_dirty_day.png")
    assert plays_in(world, DIRTY) == 0

    world.write_log(DIRTY, *plays(DIRTY, 7))
    ui.materialize(DIRTY)
    ui.open_check("staging_events", "no_rejected_loads")
    expect(result).to_contain_text("Passed")
    ui.see("rejected_loads", 0)
    ui.page.goto(f"/assets/songplays?view=partitions&partition={DIRTY}")
    ui.see("dagster/partition_row_count", 7)
    assert plays_in(world, DIRTY) == 7
    assert plays_in(world, NOT_LOADED) == 0


def test_a_dropped_file_is_loaded_once_the_sensor_is_on(
    ui: UI, world: World, project: Project, screenshots: Path
) -> None:
    ui.switch("log_files", on=True)
    try:
        expect(ui.row("Latest tick")).not_to_contain_text("never run", timeout=RUN_MILLISECONDS)
        # What the sensor finds at first has its own runs.
        wait_until(lambda: all(run.is_finished for run in sensor_runs(project)), "the runs of the first tick")
        before = [run.run_id for run in sensor_runs(project)]
        world.write_log(DROPPED, *plays(DROPPED, 3))
        ui.open_runs(of_sensor="log_files")
        run = ui.run_other_than(before)
        expect(run).to_be_visible(timeout=RUN_MILLISECONDS)
        run.click()
        ui.see_success()
        assert plays_in(world, DROPPED) == 3
    finally:
        ui.screenshot(screenshots / "the_run_of_a_dropped_file.png")
        ui.switch("log_files", on=False)


def sensor_runs(project: Project) -> list[dg.DagsterRun]:
    with project.instance() as instance:
        return list(instance.get_runs(dg.RunsFilter(tags={"dagster/sensor_name": "log_files"})))
