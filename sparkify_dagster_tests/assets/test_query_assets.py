"""Metadata of analytics assets: preview and chart, without personal columns."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.query import read_query
from sparkify_dagster.assets.analytics import result_metadata
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.ticks import run
from sparkify_dagster_tests.support.world import World

BROWSERS = """-- Which browsers do listeners use?
--
-- Asked by: The tests.
--
-- Columns:
--   browser  VARCHAR(1024)  Browser
--   plays    BIGINT         Plays
--
-- Chart: bar of plays by browser
SELECT
    p.user_agent AS browser,
    COUNT(*) AS plays
FROM songplays AS p
GROUP BY p.user_agent
ORDER BY plays DESC, browser ASC
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.write_log("2018-11-01", event(), event(itemInSession=2, userId="9", firstName="Zoë"))
    world.load("2018-11-01")
    return world


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def shown(world: World, sql: str) -> tuple[list[str], str, str]:
    """Returns the columns of the preview, the chart's Markdown, and that of the result at a glance."""
    file = world.folder / "browsers.sql"
    file.write_text(sql, "utf-8")
    query = read_query(file)
    with world.warehouse.connect("a test") as engine:
        _, failed = refresh.refresh(world.warehouse, engine, [query])
        assert not failed
        with engine.begin() as connection:
            metadata = result_metadata(query, refresh.stored_result(connection, query))
    preview, chart, glance = metadata["preview"], metadata["chart"], metadata.get("at_a_glance")
    assert isinstance(preview, dg.TableMetadataValue)
    assert isinstance(chart, dg.MarkdownMetadataValue)
    assert glance is None or isinstance(glance, dg.MarkdownMetadataValue)
    return list(preview.records[0].data), chart.value or "", (glance.value or "") if glance else ""


def test_a_chart_of_a_personal_column_is_drawn_only_if_it_groups_people(world: World) -> None:
    columns, chart, glance = shown(world, BROWSERS)
    assert columns == ["plays"]
    assert chart.startswith("Not drawn: it would show listeners' browser.")
    assert chart.endswith("`-- Groups people: browser`")
    assert glance == ""
    columns, chart, glance = shown(world, BROWSERS.replace("-- Chart", "-- Groups people: browser\n-- Chart"))
    assert columns == ["browser", "plays"]
    assert chart.startswith("![Which browsers do listeners use?](data:image/svg+xml;base64,")
    assert glance.startswith('|browser|plays||\n|---|--:|---|\n|"Mozilla\\/5\\.0')
    assert glance.endswith("|2|████████|")


@pytest.mark.slow
def test_personal_columns_of_an_earlier_version_are_not_repeated(world: World, instance: dg.DagsterInstance) -> None:
    key = dg.AssetKey("most_active_users")
    world.marts = True
    world.load()

    def refreshed() -> dict[str, dg.MetadataValue]:
        assert run(world, instance, "refresh_analytics", assets=("most_active_users",)).success
        latest = instance.get_latest_materialization_event(key)
        assert latest is not None
        assert latest.asset_materialization is not None
        return dict(latest.asset_materialization.metadata)

    first = refreshed()
    row = dg.TableRecord({"user_id": 8, "first_name": "Kaylee"})
    earlier = dg.MetadataValue.table([row], dg.TableSchema([dg.TableColumn("user_id"), dg.TableColumn("first_name")]))
    at_a_glance = dg.MetadataValue.md("Kaylee")
    shown_before = {**first, "preview": earlier, "at_a_glance": at_a_glance}
    instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=shown_before))
    again = refreshed()
    assert again["refresh"].value == "up_to_date"
    assert {name: again[name] for name in ("preview", "at_a_glance")} == {
        name: first[name] for name in ("preview", "at_a_glance")
    }
