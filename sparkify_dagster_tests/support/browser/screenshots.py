"""`make screenshots`: takes the screenshots of the UI and the report, with a month loaded and with a dirty day."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster_tests.support.browser import chromium
from sparkify_dagster_tests.support.browser.server import served
from sparkify_dagster_tests.support.browser.ui import UI
from sparkify_dagster_tests.support.project import ROOT, Project

IMAGES = ROOT / "docs" / "images"
DIRTY_DAY = "2018-11-14"


def main() -> None:
    with TemporaryDirectory() as folder, chromium.launched() as browser:
        assert browser, "no browser is installed: `make browser` gets one"
        project = Project(Path(folder))
        # Without a source it simulates a month, as `make run` does.
        report = project.write_report()
        project.sparkify("etl")
        of_report(browser, report)
        with served(project) as ui:
            # Large enough for Dagster to draw the graph's details.
            page = browser.new_page(base_url=ui.url, viewport={"width": 2300, "height": 1300})
            lineage(UI(page), IMAGES / "lineage.png")
            page = browser.new_page(base_url=ui.url, viewport={"width": 1600, "height": 850}, device_scale_factor=1.5)
            column_origins(UI(page), IMAGES / "column_origins.png")
            for query in ("plays_by_day", "plays_by_hour"):
                answer(UI(page), query, IMAGES / f"{query}.png")
            spoil(project)
            project.sparkify("etl", "--from", DIRTY_DAY, "--to", DIRTY_DAY)
            failed_check(UI(page), IMAGES / "failed_check.png")


def of_report(browser: Browser, report: Path) -> None:
    """Takes the first screen in light, and a chart in dark on a phone."""
    page = browser.new_page(viewport={"width": 1180, "height": 900})
    page.goto(report.as_uri())
    page.screenshot(path=IMAGES / "report.png")
    page = browser.new_page(viewport={"width": 390, "height": 844}, device_scale_factor=1.5, color_scheme="dark")
    page.goto(report.as_uri())
    expect(page.locator(".chart svg")).to_have_count(page.locator(".chart").count())
    page.locator("#plays_by_day").evaluate("heading => heading.scrollIntoView()")
    page.screenshot(path=IMAGES / "report_on_a_phone.png", animations="disabled")


def spoil(project: Project) -> None:
    """Adds to the day what real logs have, in lines that are short enough for an image."""
    (log,) = project.folder.glob(f".sparkify/simulated/log_data/**/{DIRTY_DAY}-events.json")
    lines = log.read_text("utf-8").splitlines()
    cut_off = lines[20][:40]
    wrong_type = '{"page":"Home","ts":"noon","userId":"8"}'
    foreign = "connection reset by peer"
    log.write_text("\n".join([*lines, cut_off, wrong_type, foreign, ""]), "utf-8")


def lineage(ui: UI, image: Path) -> None:
    ui.open_lineage()
    # One a node; the last of them to come are the partitions.
    loaded = ui.page.get_by_text(re.compile("^(Materialized|30 partitions)$"))
    expect(ui.page.get_by_text("30 partitions", exact=True)).not_to_have_count(0)
    expect(loaded).to_have_count(ui.page.get_by_text("Latest event", exact=True).count())
    # Of the group that is not opened.
    expect(ui.page.get_by_text("fetching statuses")).to_have_count(0)
    ui.page.screenshot(path=image, clip=around(ui.page, "foreignObject", margin=16))


def column_origins(ui: UI, image: Path) -> None:
    _take(ui.open_column_diagram("songplays"), image)


def answer(ui: UI, query: str, image: Path) -> None:
    _take(ui.open_image(query, "chart", all_queries()[query].title), image)


def _take(shown: Locator, image: Path) -> None:
    # The opening of its dialog is animated.
    shown.page.get_by_role("dialog").get_by_role("button", name="Close").click(trial=True)
    shown.screenshot(path=image, animations="disabled")


def failed_check(ui: UI, image: Path) -> None:
    ui.open_check("staging_events", "no_load_errors")
    expect(ui.page.get_by_text("Failed", exact=True).first).to_be_visible()
    ui.page.screenshot(path=image)


def around(page: Page, elements: str, *, margin: int) -> FloatRect:
    """The part of the page that holds all these elements."""
    boxes = [box for element in page.locator(elements).all() if (box := element.bounding_box())]
    left = min(box["x"] for box in boxes) - margin
    top = min(box["y"] for box in boxes) - margin
    right = max(box["x"] + box["width"] for box in boxes) + margin
    bottom = max(box["y"] + box["height"] for box in boxes) + margin
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


if __name__ == "__main__":
    main()
