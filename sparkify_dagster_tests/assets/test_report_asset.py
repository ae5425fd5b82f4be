"""The asset `report`: what a run says of it."""

from pathlib import Path

import dagster as dg

from sparkify_dagster.assets.report import report_asset
from sparkify_dagster.report.location import ReportLocation
from sparkify_dagster_tests.support.world import World


def written(world: World, location: Path) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [report_asset([])],
            instance=instance,
            resources={"warehouse": world.warehouse, "report_location": ReportLocation(location=str(location))},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )


def test_a_run_says_where_the_report_is_and_how_large(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    (materialization,) = written(World(tmp_path), file).asset_materializations_for_node("report")
    metadata = {name: value.value for name, value in materialization.metadata.items()}
    assert metadata == {"location": str(file), "bytes": file.stat().st_size}


def test_a_report_that_cannot_be_written_fails_its_step_with_the_remedy(tmp_path: Path) -> None:
    result = written(World(tmp_path), tmp_path)
    (failure,) = result.get_step_failure_events()
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    assert data.description == (
        f"{tmp_path}: the report cannot be written: it is a folder; name a file or an s3:// URL that can be written, "
        "as an argument or as SPARKIFY_REPORT_FILE"
    )
