"""Days that the schedule daily_load loads."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from sparkify_dagster.automation.schedules import daily_load
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster_tests.support.ticks import run, write_days
from sparkify_dagster_tests.support.world import World

Days = tuple[str, str]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    # A schedule's context does not accept an ephemeral instance.
    with dg.instance_for_test() as instance:
        yield instance


def days_of_the_next_run(world: World, instance: dg.DagsterInstance) -> Days | None:
    with dg.build_schedule_context(
        instance, datetime(2018, 12, 1, 5, tzinfo=UTC), resources={"source": world.source}
    ) as context:
        request = daily_load(context)
    if isinstance(request, dg.SkipReason):
        return None
    assert isinstance(request, dg.RunRequest)
    return request.tags["dagster/asset_partition_range_start"], request.tags["dagster/asset_partition_range_end"]


def test_daily_load_covers_the_first_to_the_last_day_with_files(world: World, instance: dg.DagsterInstance) -> None:
    write_days(world, "2018-10-31", "2018-11-03", "2018-11-05", "2018-12-02")
    assert days_of_the_next_run(world, instance) == ("2018-11-03", "2018-11-05")


@pytest.mark.slow
def test_daily_load_covers_days_whose_file_was_deleted(world: World, instance: dg.DagsterInstance) -> None:
    write_days(world, "2018-11-03", "2018-11-05")
    run(world, instance, "load_log_days", "2018-11-03", "2018-11-05", assets=("staging_events",))
    world.delete("log_data/2018/11/2018-11-03-events.json")
    assert days_of_the_next_run(world, instance) == ("2018-11-03", "2018-11-05")


def test_daily_load_skips_without_files(world: World, instance: dg.DagsterInstance) -> None:
    assert days_of_the_next_run(world, instance) is None


def test_daily_load_fails_if_the_source_is_missing(instance: dg.DagsterInstance, world: World) -> None:
    world.log_data += "-elsewhere"
    with pytest.raises(SourceError, match="there is no such folder"):
        days_of_the_next_run(world, instance)


def test_daily_load_is_off_by_default_and_runs_the_whole_pipeline() -> None:
    assert daily_load.default_status is dg.DefaultScheduleStatus.STOPPED
    assert daily_load.job_name == "load_all"
