"""Actions and views of a user in the UI, by roles and texts: its pages have no stable ids."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Locator, Page, TimeoutError, expect

from sparkify_dagster_tests.support.project import wait_until

# For a machine that does much else at the time.
PAGE_MILLISECONDS = 60_000
# After which one clicks once more.
PATIENCE_MILLISECONDS = 10_000
# What a link does: the address changes, and the UI draws what belongs to it.
_FOLLOW = "path => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate', {state: {}})) }"
GROUPS = ("source", "staging", "star")


@dataclass(frozen=True)
class UI:
    page: Page

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PAGE_MILLISECONDS)
        expect.set_options(timeout=PAGE_MILLISECONDS)

    # Acting

    def open(self, path: str) -> None:
        """Goes to a page as the UI's own links do, without loading the whole UI again."""
        if self.page.url == "about:blank":
            self.page.goto(path)
        else:
            self.page.evaluate(_FOLLOW, path)

    def launch(self, *, choose: str, days: str = "") -> None:
        """Jobs > load_all > Materialize all, then days: what the field takes, or a button such as All and its days."""
        # Loaded again, so that neither the choice nor the notice of an earlier launch is there.
        self.page.goto("/locations/sparkify_dagster/jobs/load_all")
        dialog = self.page.get_by_role("dialog")
        # With the days that there are, the dialog has their last one to offer.
        latest = dialog.get_by_text("Latest", exact=True)
        self._open_dialog(self.page.get_by_role("button", name="Materialize all"), latest)
        if choose[0].isdigit():
            field = dialog.get_by_placeholder(re.compile("^ex: "))
            field.fill(choose)
            field.press("Tab")
            dialog.get_by_role("button", name="Launch 1 run", exact=True).click()
        else:
            launch = dialog.get_by_role("button", name="Launch backfill", exact=True)
            chosen = dialog.get_by_role("button", name=choose, exact=True)
            field = dialog.get_by_placeholder(re.compile("^ex: "))

            def are_chosen() -> bool:
                return _click(chosen) and launch.is_enabled() and field.input_value() == days

            # While the status of the days is still coming, it chooses none, or others.
            wait_until(are_chosen, f"{days} to be chosen", pause=0.5)
            launch.click()
        self.page.get_by_role("link", name="View", exact=True).click()

    def terminate(self, run_id: str) -> None:
        self.open(f"/runs/{run_id}")
        # The icons of buttons are part of their names.
        self.page.get_by_role("button", name="Terminate").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("button", name="Terminate 1 run", exact=True).click()
        # It stays for what it has to say against it: "Unable to terminate run".
        expect(dialog).to_be_hidden()

    def re_execute(self) -> None:
        """On a run's page: launches all of its steps once more, and goes to the page of the new run."""
        address = self.page.url
        self.page.get_by_role("button", name="Re-execute all (*)").click()
        expect(self.page).not_to_have_url(address)

    def switch(self, sensor: str, *, on: bool) -> None:
        self.open(f"/locations/sparkify_dagster/sensors/{sensor}")
        switch = self.row("Running").get_by_role("checkbox")
        # Until the page has found out it shows the sensor as off.
        expect(self.row("Frequency")).to_be_visible()
        expect(switch).to_be_checked(checked=not on)
        # The input itself is invisible; its label is what one sees and clicks.
        self.row("Running").locator("label").click()
        expect(switch).to_be_checked(checked=on)

    # Looking

    @contextmanager
    def not_looking(self) -> Iterator[None]:
        """Spares the drawing of what moves while one waits for something else than the page."""
        session = self.page.context.new_cdp_session(self.page)
        session.send("Page.setWebLifecycleState", {"state": "frozen"})
        try:
            yield
        finally:
            session.send("Page.setWebLifecycleState", {"state": "active"})
            session.detach()

    def see_success(self) -> None:
        """On a run's page."""
        expect(self.page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
        expect(self.page.get_by_text(re.compile("^(Success|Failure|Canceled)$")).first).to_be_visible()
        expect(self.page.get_by_text("Success", exact=True).first).to_be_visible()

    def open_lineage(self) -> None:
        expanded = ",".join(f"global@global:{group}" for group in reversed(GROUPS))
        self.open(f"/asset-groups/?expanded={quote(expanded, safe='')}")

    def open_asset(self, asset: str, view: str = "overview") -> None:
        self.open(f"/assets/{asset}?view={view}")

    def open_check(self, asset: str, check: str) -> None:
        self.open_asset(asset, "checks")
        self.page.get_by_text(check, exact=True).first.click()
        expect(self.page.get_by_text("Evaluation result", exact=True)).to_be_visible()

    def open_column_diagram(self, asset: str) -> Locator:
        return self.open_image(asset, "column_lineage_diagram", "Column lineage of")

    def open_image(self, asset: str, metadata: str, name: str) -> Locator:
        """The image of that name, behind the [Show Markdown] of the metadata."""
        self.open_asset(asset)
        image = self.page.get_by_role("dialog").get_by_role("img", name=name)
        self._open_dialog(self.row(metadata).get_by_text("[Show Markdown]"), image)
        return image

    def see(self, name: str, value: int) -> None:
        """The value beside its name, in a table or anywhere else."""
        both = re.compile(rf"^\s*{re.escape(name)}\s*{value}\s*$")
        expect(self.page.locator("*", has_text=both).first).to_be_visible()

    def row(self, text: str) -> Locator:
        """The first row of a table with a cell that holds just the text."""
        return self.page.get_by_role("row").filter(has=self.page.get_by_text(text, exact=True)).first

    def open_runs(self, *, of_sensor: str) -> None:
        self.open(f"/runs?q[0]={quote(f'tag:dagster/sensor_name={of_sensor}')}")

    def link_to_run(self, run_id: str) -> Locator:
        return self.page.locator(f"a[href^='/runs/{run_id}']").first

    def screenshot(self, path: Path) -> None:
        """Of the page at rest: dialogs fade in and out."""
        self.page.screenshot(path=path, animations="disabled")

    def _open_dialog(self, opener: Locator, content: Locator) -> None:
        """Clicks until the content is there: a page that gets its data is drawn again, without the dialog."""
        deadline = time.monotonic() + PAGE_MILLISECONDS / 1_000
        while not content.is_visible():
            assert time.monotonic() < deadline, f"waited in vain for {content}"
            if not self.page.get_by_role("dialog").is_visible():
                opener.click()
            with suppress(TimeoutError):
                content.wait_for(timeout=PATIENCE_MILLISECONDS)


def _click(button: Locator) -> bool:
    button.click()
    return True
