"""The pages that people read first: their length, their examples and their links."""

import re
from pathlib import Path

import pytest
from obstore.store import LocalStore

from sparkify_dagster.analytics import formats
from sparkify_dagster.analytics.expected import ExpectedResults
from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.cli.main import SIMULATED_MONTH
from sparkify_dagster.formatting import console
from sparkify_dagster.simulator import simulate
from sparkify_dagster_tests.support.project import ROOT

README = ROOT / "README.md"
MAX_README_LINES = 150
# What the forge shows outside the site, where no site builder looks at the links.
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "infrastructure/README.md"]
EXAMPLES = re.findall(
    r"\$ \.venv/bin/sparkify query (\w+)( \| head -n \d+)?\n(.+?)\n(?=\n|```)", README.read_text("utf-8"), re.DOTALL
)


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= MAX_README_LINES


def test_the_readme_has_three_example_answers() -> None:
    assert len(EXAMPLES) == 3


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> ExpectedResults:
    """The expected results of the month that `make run` simulates; contract/test_queries.py holds the SQL to them."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(LocalStore(folder), **SIMULATED_MONTH)
    return ExpectedResults(location=str(folder / "expected"))


@pytest.mark.parametrize(("name", "head", "shown"), EXAMPLES, ids=[name for name, *_ in EXAMPLES])
def test_an_example_answer_is_what_the_command_prints(
    name: str,
    head: str,
    shown: str,
    expected: ExpectedResults,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    query = all_queries()[name]
    rows = expected.read(query)
    assert rows
    console().print(formats.to_table(query, rows))
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert shown.splitlines() == (printed[: int(head.split()[-1])] if head else printed)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#]*)(?:#([^)]+))?\)", page.read_text("utf-8"))
    for target, anchor in links:
        linked = page if not target else (page.parent / target).resolve()
        assert linked.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in _anchors(linked), f"{name} links to {target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
