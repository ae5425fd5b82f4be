"""Links from an asset's page to its code."""

from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.assets import analytics, staging, star
from sparkify_dagster.definitions import defs
from sparkify_dagster.presentation.code_references import with_code_links
from sparkify_dagster_tests.support.project import ROOT


def links(asset: dg.AssetsDefinition) -> list[str]:
    """Returns the links' targets; the line follows '#L' in a URL and ':' in a file."""
    (spec,) = asset.specs
    references = spec.metadata["dagster/code_references"].code_references
    return [reference.source for reference in references]


@pytest.mark.parametrize("asset", [staging.staging_events, star.songplays])
def test_a_link_points_to_the_asset_function(asset: dg.AssetsDefinition) -> None:
    (linked,) = with_code_links([asset], "https://example.com/repository/tree/main/")
    path, _, line = links(linked)[0].removeprefix("https://example.com/repository/tree/main/").partition("#L")
    # The function begins with its decorator.
    assert "@dg.asset(" in (ROOT / path).read_text("utf-8").splitlines()[int(line) - 1]


def test_a_star_table_also_links_to_its_sql_file() -> None:
    (linked,) = with_code_links([star.songplays], "https://example.com/tree/main")
    assert links(linked)[1:] == [
        "https://example.com/tree/main/sparkify_dagster/sql/star/songplays.sql",
    ]


def test_without_a_url_links_point_to_local_files() -> None:
    for asset in defs.assets or ():
        if isinstance(asset, dg.AssetsDefinition):
            for spec in asset.specs:
                for reference in spec.metadata["dagster/code_references"].code_references:
                    assert Path(reference.file_path).is_file()


def test_a_query_links_to_its_file() -> None:
    (linked,) = with_code_links([analytics.queries], "https://example.com/tree/main")
    references = linked.specs_by_key[dg.AssetKey("top_songs")].metadata["dagster/code_references"].code_references
    assert references[-1].source == "https://example.com/tree/main/sparkify_dagster/sql/analytics/top_songs.sql"
