"""The UI as its users live in it: each does something in the browser and finds what it shows in the warehouse too.

The tests share one UI, one page and one story, whose parts are the fixtures: files are dropped for the sensor, two days
of them are rejected, one is corrected, a command for it is terminated and re-executed, and all that is failed or
missing is materialized. A test looks at what a part has left.
"""

import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect

from sparkify_dagster.partitions import range_tags
from sparkify_dagster_tests.support.browser.fixtures import DAYS, MAX_LOAD_ERRORS, TEAM
from sparkify_dagster_tests.support.browser.server import Served
from sparkify_dagster_tests.support.browser.ui import GROUPS, PATIENCE_MILLISECONDS, UI
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.outcome import SOURCES
from sparkify_dagster_tests.support.project import DEADLINE_SECONDS, Project, wait_until
from sparkify_dagster_tests.support.world import STAR, World

pytestmark = pytest.mark.slow

FIRST_DAY, LAST_DAY = "2018-11-01", f"2018-11-{DAYS:02}"
NOT_LOADED, BROKEN, DIRTY, DROPPED = "2018-11-04", "2018-11-05", "2018-11-06", "2018-11-07"
# The title of a song, as a text that a page must not run.
HOSTILE = "<img src=x onerror=\"document.title = 'hacked'\">"
# A run is a process that imports Dagster; the daemon may first have to find it.
RUN_SECONDS = 180
STOP_SECONDS = 20


@pytest.fixture(scope="module")
def world(project: Project) -> World:
    return World(project.folder / "source", warehouse_file=project.warehouse_file)


def plays(day: str, count: int) -> list[dict[str, object]]:
    return [event(time=f"{day}T10:{minute:02}:00", itemInSession=minute) for minute in range(count)]


def plays_in(world: World, *days: str) -> dict[str, int]:
    loaded = [start.date().isoformat() for start in world.column("songplays", "start_time")]
    return {day: loaded.count(day) for day in days}


def wait_for_runs(ui: UI, project: Project, count: int) -> list[dg.DagsterRun]:
    """Returns the runs, the last one first, when there are so many and all have ended."""

    def have_ended() -> bool:
        runs, backfills = instance.get_runs(), instance.get_backfills(status=BulkActionStatus.REQUESTED)
        return len(runs) >= count and all(run.is_finished for run in runs) and not backfills

    with ui.not_looking(), project.instance() as instance:
        wait_until(have_ended, f"the end of {count} runs", seconds=RUN_SECONDS, pause=0.25)
        return list(instance.get_runs())


def is_ticking(project: Project) -> bool:
    with project.instance() as instance:
        states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        ticks = [
            instance.get_ticks(state.instigator_origin_id, state.selector_id, statuses=[TickStatus.STARTED])
            for state in states
        ]
        return any(ticks) or any(state.status is InstigatorStatus.RUNNING for state in states)


# The story


@pytest.fixture(scope="module")
def run_of_the_sensor(shared_ui: UI, project: Project, world: World) -> str:
    """Three days are dropped while the sensor is on, two of them to be rejected, for which a run fails then."""
    shared_ui.switch("log_files", on=True)
    expect(shared_ui.row("Latest tick")).not_to_contain_text("never run", timeout=RUN_SECONDS * 1_000)
    drop = World(project.folder / "drop")
    drop.write_log(DIRTY, *plays(DIRTY, 5), *["not JSON"] * (MAX_LOAD_ERRORS + 1))
    drop.write_log(BROKEN, "<Error>AccessDenied</Error>")
    drop.write_log(DROPPED, *plays(DROPPED, 3))
    # All at once, or each may have a run of its own.
    (drop.folder / "log_data" / "2018").rename(world.folder / "log_data" / "2018")
    shown, run = wait_for_runs(shared_ui, project, 2)
    assert (shown.job_name, shown.status) == ("show_rejected_days", dg.DagsterRunStatus.FAILURE)
    shared_ui.switch("log_files", on=False)
    # A tick that goes on would find the files that come next.
    wait_until(lambda: not is_ticking(project), "the end of the sensor's last tick", pause=0.25)
    return run.run_id


@pytest.fixture(scope="module")
def terminated_command(shared_ui: UI, project: Project, world: World, run_of_the_sensor: str) -> dg.DagsterRun:
    """The dirty day has a clean file. A command for it waits for the warehouse, and is terminated in the UI."""
    world.write_log(NOT_LOADED, *plays(NOT_LOADED, 1))
    world.write_log(DIRTY, *plays(DIRTY, 7))
    with (
        world.warehouse.connect("somebody's load"),
        project.start("sparkify", "etl", "--from", DIRTY, "--to", DIRTY) as command,
    ):
        command.wait_for("Waiting for somebody's load")
        with project.instance() as instance:
            (run,) = instance.get_runs(limit=1)
        shared_ui.terminate(run.run_id)
        assert command.process.wait(DEADLINE_SECONDS) == 143, command.output
    assert command.output.splitlines()[-1] == "sparkify: terminated in the UI"
    return run


@pytest.fixture(scope="module")
def corrected_day(shared_ui: UI, project: Project, terminated_command: dg.DagsterRun) -> None:
    """The command's run is re-executed, and loads that day alone, though another one has come."""
    shared_ui.open(f"/runs/{terminated_command.run_id}")
    shared_ui.re_execute()
    run, *_ = wait_for_runs(shared_ui, project, 4)
    assert run.parent_run_id == terminated_command.run_id
    shared_ui.see_success()


@pytest.fixture(scope="module")
def everything_is_loaded(shared_ui: UI, project: Project, world: World, corrected_day: None) -> None:
    """The simulated days have come, the broken one is corrected, and the failed and missing days are materialized."""
    world.write_log(BROKEN, *plays(BROKEN, 1), event(time=f"{BROKEN}T11:00:00", itemInSession=2, song=HOSTILE))
    shutil.copytree(project.folder / "simulated", world.folder / "log_data", dirs_exist_ok=True)
    shared_ui.launch(choose="Failed and missing", days="[2018-11-01...2018-11-05]")
    run, *_ = wait_for_runs(shared_ui, project, 5)
    assert range_tags(date(2018, 11, 1), date(2018, 11, 5)).items() <= run.tags.items()
    expect(shared_ui.page.get_by_text("100% completed")).to_be_visible()


# What it has left


def test_dropped_files_are_loaded_once_the_sensor_is_on(ui: UI, world: World, run_of_the_sensor: str) -> None:
    assert plays_in(world, DIRTY, DROPPED) == {DIRTY: 0, DROPPED: 3}
    ui.open_runs(of_sensor="log_files")
    ui.link_to_run(run_of_the_sensor).click()
    ui.see_success()


@pytest.mark.usefixtures("run_of_the_sensor")
def test_a_check_fails_while_a_day_is_dirty(ui: UI) -> None:
    ui.open_check("staging_events", "no_rejected_loads")
    expect(evaluation(ui)).to_contain_text("Failed")
    ui.see("rejected_loads", 2)


@pytest.mark.usefixtures("run_of_the_sensor")
def test_rejected_days_are_red(ui: UI) -> None:
    ui.open(f"/assets/staging_events?view=partitions&partition={DIRTY}")
    expect(ui.page.get_by_text("Failed (2)", exact=True)).to_be_visible()
    expect(ui.page.get_by_text("Materialized (1)", exact=True)).to_be_visible()
    expect(ui.page.get_by_text(re.compile("failed, and did not materialize this asset"))).to_be_visible()


def test_a_command_that_is_terminated_is_canceled_and_on_its_job_s_page(
    ui: UI, world: World, terminated_command: dg.DagsterRun
) -> None:
    assert plays_in(world, DIRTY, DROPPED) == {DIRTY: 0, DROPPED: 3}
    ui.open("/locations/sparkify_dagster/jobs/load_all/runs")
    expect(ui.link_to_run(terminated_command.run_id)).to_be_visible()
    expect(ui.page.get_by_text("Canceled", exact=True).first).to_be_visible()


@pytest.mark.usefixtures("corrected_day")
def test_a_command_s_run_is_re_executed_its_check_passes_and_no_other_day_changes(ui: UI, world: World) -> None:
    ui.open_check("staging_events", "no_rejected_loads")
    # Of the days of the run, which is that one alone.
    expect(evaluation(ui)).to_contain_text("Passed")
    ui.see("rejected_loads", 0)
    ui.open(f"/assets/songplays?view=partitions&partition={DIRTY}")
    ui.see("dagster/partition_row_count", 7)
    assert plays_in(world, NOT_LOADED, DIRTY, DROPPED) == {NOT_LOADED: 0, DIRTY: 7, DROPPED: 3}


@pytest.mark.usefixtures("everything_is_loaded")
def test_materialize_all(ui: UI, world: World) -> None:
    ui.open_asset("songplays")
    ui.see("Row count", len(world.rows("songplays")))
    assert world.everything() == world.from_scratch(FIRST_DAY, LAST_DAY).everything()
    assert all(world.star().values())


@pytest.mark.usefixtures("everything_is_loaded")
def test_a_query_shows_its_answer_as_rows_and_as_a_chart(ui: UI, world: World) -> None:
    ui.open_asset("plays_by_hour")
    expect(ui.page.get_by_text("At which hours of the week do people listen?").first).to_be_visible()
    expect(ui.row("plays")).to_contain_text("← COUNT(*)")
    ui.see("Row count", len(world.rows("analytics.plays_by_hour")))
    image = ui.open_image("plays_by_hour", "chart", "At which hours of the week")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth") > 0


@pytest.mark.usefixtures("everything_is_loaded")
def test_a_query_shows_its_result_at_a_glance_in_both_themes(ui: UI, screenshots: Path) -> None:
    ui.open_asset("plays_by_hour")
    shown = ui.row("at_a_glance").locator("pre").first
    colours = set()
    for theme in ("light", "dark"):
        ui.page.emulate_media(color_scheme=theme)
        shown.scroll_into_view_if_needed()
        expect(shown).to_contain_text(re.compile("█.*hour [0-9]+ to [0-9]+", re.DOTALL))
        colours.add(shown.evaluate("element => getComputedStyle(element).color"))
        ui.screenshot(screenshots / f"at_a_glance_{theme}.png")
    ui.page.emulate_media(color_scheme="light")
    assert len(colours) == 2


@pytest.mark.usefixtures("everything_is_loaded")
def test_a_teams_query_is_materialized_with_the_others(ui: UI, world: World) -> None:
    ui.open_asset(f"{TEAM}_example")
    expect(ui.page.get_by_role("link", name=TEAM, exact=True).first).to_be_visible()
    ui.see("Row count", len(world.rows(f"analytics.{TEAM}_example")))
    expect(ui.row("at_a_glance")).to_contain_text("█")


@pytest.mark.usefixtures("everything_is_loaded")
def test_a_link_of_a_daily_asset_opens_its_dialog_with_all_days_chosen(ui: UI) -> None:
    ui.open_asset("songplays")
    ui.page.get_by_role("link", name="all days", exact=True).first.click()
    ui.page.get_by_role("button", name=re.compile("Materialize")).first.click()
    dialog = ui.page.get_by_role("dialog")
    expect(dialog.get_by_placeholder(re.compile("^ex: "))).to_have_value(f"[{FIRST_DAY}...{LAST_DAY}]")
    expect(dialog.get_by_role("button", name=re.compile("^Launch"))).to_be_enabled()


@pytest.fixture(scope="module")
def report(browser: Browser, project: Project, everything_is_loaded: None) -> Iterator[Page]:
    """The page of the report in a browser without a network."""
    project.call("report", "report.html")
    with browser.new_context(offline=True, viewport={"width": 1200, "height": 900}) as context:
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: problems.append(request.url))
        address = (project.folder / "report.html").as_uri()
        page.goto(address)
        yield page
        assert problems == [address]


def test_the_report_draws_its_charts_and_runs_no_text_of_the_data(report: Page, screenshots: Path) -> None:
    expect(report.locator(".chart svg")).to_have_count(report.locator(".chart").count())
    report.get_by_text("Table unmatched_songs").click()
    expect(report.get_by_role("cell", name=HOSTILE)).to_be_visible()
    # As the label of its bar too, cut to the width that labels have.
    expect(report.locator("[data-chart=chart-unmatched_songs] text", has_text=HOSTILE[:9])).to_be_visible()
    expect(report).to_have_title(re.compile("^Sparkify: listening report"))
    chart = report.locator("[data-chart=chart-plays_by_day]")
    chart.locator("svg").hover()
    expect(report.locator("#vg-tooltip-element")).to_contain_text(re.compile(r"day\s*2018-11-0\d\s*plays\s*\d+"))
    report.screenshot(path=screenshots / "report_chart.png", animations="disabled")


def test_the_report_can_be_read_in_both_themes_and_on_a_phone(report: Page, screenshots: Path) -> None:
    inks = set()
    for theme in ("light", "dark"):
        report.emulate_media(color_scheme=theme)
        label = report.locator("[data-chart=chart-plays_by_day] svg text").first
        inks.add(label.evaluate("text => getComputedStyle(text).fill"))
        report.screenshot(path=screenshots / f"report_{theme}.png", animations="disabled")
    assert len(inks) == 2
    report.emulate_media(color_scheme="light")
    report.set_viewport_size({"width": 360, "height": 800})
    # Paper shows all tables. On a screen a table scrolls within its place, the page does not.
    report.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(report.locator("details:not([open])")).to_have_count(0)
    report.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
    widths = "charts => charts.map(chart => chart.getBoundingClientRect().width)"
    assert max(report.locator(".chart svg").evaluate_all(widths)) < 360
    report.screenshot(path=screenshots / "report_narrow.png", animations="disabled")


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


def test_a_columns_origin_is_written_and_drawn(ui: UI) -> None:
    ui.open_asset("songplays")
    expect(ui.row("song_id")).to_contain_text("← staging_songs.song_id, joined on title, artist_name, duration")
    image = ui.open_column_diagram("songplays")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth") > 0


def evaluation(ui: UI) -> Locator:
    return ui.page.get_by_text("Evaluation result", exact=True).locator("..")


@pytest.mark.usefixtures("everything_is_loaded")
def test_a_broken_query_says_what_to_correct_and_keeps_its_result(ui: UI, project: Project) -> None:
    file = project.folder / "sparkify_dagster" / "sql" / "analytics" / "top_songs.sql"
    # Each run that comes after would fail with it.
    file.write_text(file.read_text("utf-8").replace("WHERE p.start_time", "WHERE p.started"), "utf-8")
    ui.open("/locations")
    ui.page.get_by_role("button").filter(has_text=re.compile("^Reload$")).click()
    reason = ui.page.get_by_text("top_songs.sql, line 19: p.started: songplays has no such column").first

    def is_shown() -> bool:
        # Loaded again, since the UI keeps what it knew of an asset.
        ui.page.goto("/assets/top_songs?view=overview")
        with suppress(TimeoutError):
            reason.wait_for(timeout=PATIENCE_MILLISECONDS)
        return reason.is_visible()

    wait_until(is_shown, "the reload of the definitions")
    expect(ui.row("at_a_glance")).to_contain_text("█")
    ui.open_asset("top_artists")
    expect(ui.page.get_by_text("Which artists are played most?").first).to_be_visible()
    ui.open_asset("top_songs")
    expect(reason).to_be_visible()


def test_the_ui_leaves_no_process_when_it_is_killed(served_ui: Served) -> None:
    """The last one. It was started by a script, in an empty folder, from the wheel.

    Its group gets SIGTERM, as if it had got that itself.
    """
    assert len(served_ui.processes) > 3
    served_ui.started.process.send_signal(signal.SIGKILL)
    served_ui.started.process.wait(STOP_SECONDS)
    wait_until(lambda: not served_ui.processes, "the end of all", seconds=STOP_SECONDS)
