"""Links in the descriptions of assets: they choose the days of the window, so that a click on Materialize is enough."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.automation.jobs import load_all
from sparkify_dagster.days import Window
from sparkify_dagster.definitions import defs
from sparkify_dagster.presentation.links import LOCATION, with_links

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
DAILY = dg.AssetSpec(
    "plays", description="One row per play.", partitions_def=dg.DailyPartitionsDefinition(start_date="2018-11-01")
)


@pytest.mark.parametrize(
    ("window", "link"),
    [
        (
            Window(date(2018, 11, 1), date(2018, 12, 1)),
            "[all days](/assets/plays?view=overview&default_range=%5B2018-11-01...2018-11-30%5D)",
        ),
        (
            Window(date(2018, 11, 1)),
            "[the last 30 days](/assets/plays?view=overview&default_range="
            f"%5B{YESTERDAY - timedelta(days=29)}...{YESTERDAY}%5D)",
        ),
        (
            Window(YESTERDAY),
            f"[the last 30 days](/assets/plays?view=overview&default_range=%5B{YESTERDAY}...{YESTERDAY}%5D)",
        ),
    ],
    ids=["a window with an end", "a long window", "a window of one day"],
)
def test_a_daily_asset_links_to_its_dialog_with_days_chosen(window: Window, link: str) -> None:
    description = with_links(DAILY, window, "load_all").description
    assert description is not None
    assert description.startswith(f"One row per play.\n\nChoose {link}, then **Materialize** at the top, ")
    assert "(/locations/sparkify_dagster/jobs/load_all)" in description
    assert "(/assets/plays?view=checks)" in description


def test_without_a_day_that_is_over_only_the_job_is_linked() -> None:
    description = with_links(DAILY, Window(YESTERDAY + timedelta(days=1)), "load_all").description
    assert (
        description
        == "One row per play.\n\nMaterialize [the whole pipeline](/locations/sparkify_dagster/jobs/load_all)."
    )


def test_each_table_has_its_links() -> None:
    assert f"location_name: {LOCATION}\n" in (Path(__file__).parents[2] / "workspace.yaml").read_text("utf-8")
    for spec in defs.resolve_all_asset_specs():
        description = spec.description or ""
        assert (f"/jobs/{load_all.name})" in description) == (spec.group_name != "source"), spec.key
        assert ("default_range=%5B2018-11-01...2018-11-30%5D" in description) == (spec.partitions_def is not None)
