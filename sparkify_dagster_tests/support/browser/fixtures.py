"""A page of a real browser on the real UI, and the project behind it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Browser

from sparkify_dagster.analytics.query_folders import COMPONENT
from sparkify_dagster.components import QueriesScaffolder
from sparkify_dagster_tests.support.browser import chromium
from sparkify_dagster_tests.support.browser.server import SHORT_TICKS, Served, served
from sparkify_dagster_tests.support.browser.ui import UI
from sparkify_dagster_tests.support.project import ROOT, Project
from sparkify_dagster_tests.support.wheel import EmptyFolder

DAYS = 7
TEAM = "marketing"
# Nobody watches what moves, and drawing it costs an eighth of the browser's time.
STILL = """
document.addEventListener('DOMContentLoaded', () => {
  const style = document.createElement('style');
  style.textContent = '*, *::before, *::after { animation: none !important; transition: none !important }';
  document.head.append(style);
})
"""
# Few, so that a dirty day is a short one.
MAX_LOAD_ERRORS = 3
MISSING = "no browser is installed: `make browser` gets one"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots", metavar="DIR", type=Path, help="Where the browser tests leave what they saw; else with pytest."
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Once for all the tests that lack the browser."""
    skipped = terminalreporter.stats.get("skipped", [])
    if count := sum(MISSING in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(f"{count} tests of the UI were skipped: {MISSING}", yellow=True)


# Both for a module, not for the session: Playwright's event loop would be in the way of other tests that use one, and
# the UI's processes would take their share of the machine until the last test.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.launched() as browser:
        if browser is not None:
            yield browser
        elif os.environ.get("CI"):
            # A build in which nobody looked at the UI must not pass.
            pytest.fail(MISSING)
        else:
            pytest.skip(MISSING)


@pytest.fixture(scope="module")
def project(scripts: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of the wheel, with songs and without logs; three days of logs wait in `simulated`."""
    project = EmptyFolder(tmp_path_factory.mktemp("shown"), scripts=scripts)
    project.call("init")
    project.simulate(days=3)
    source = project.folder / "source"
    (source / "log_data").rename(project.folder / "simulated")
    (source / "log_data").mkdir()
    project.use(source, days=DAYS)
    return project


@pytest.fixture(scope="module")
def served_ui(browser: Browser, project: Project) -> Iterator[Served]:
    """The UI of a package of its own, with a team's queries."""
    package = shutil.copytree(ROOT / "sparkify_dagster", project.folder / "sparkify_dagster")
    _scaffold(package / "defs" / TEAM)
    # Before the package that is installed.
    environment = {**SHORT_TICKS, "PYTHONPATH": f"{project.folder}{os.pathsep}{SHORT_TICKS['PYTHONPATH']}"}
    with served(project, SPARKIFY_MAX_LOAD_ERRORS=str(MAX_LOAD_ERRORS), **environment) as ui:
        yield ui


def _scaffold(folder: Path) -> None:
    """Does what `dg scaffold defs` does with the component of queries."""
    folder.mkdir(parents=True)
    request = dg.ScaffoldRequest(COMPONENT, folder, scaffold_format="yaml", project_root=None, params=dg.Model())
    QueriesScaffolder().scaffold(request)


@pytest.fixture(scope="session")
def screenshots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen: Path | None = request.config.getoption("--screenshots")
    return chosen or tmp_path_factory.mktemp("screenshots")


@pytest.fixture(scope="module")
def shared_ui(browser: Browser, served_ui: Served) -> Iterator[UI]:
    """The page that all tests share, since each load of the UI takes three seconds of CPU time."""
    with browser.new_page(
        base_url=served_ui.url, viewport={"width": 1600, "height": 1000}, reduced_motion="reduce"
    ) as page:
        page.add_init_script(STILL)
        yield UI(page)


@pytest.fixture
def ui(request: pytest.FixtureRequest, shared_ui: UI, screenshots: Path) -> Iterator[UI]:
    yield shared_ui
    # Of a failed test too: it shows why.
    shared_ui.screenshot(screenshots / f"{request.node.name}.png")
