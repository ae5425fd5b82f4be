"""Partition status of rejected days: real loads, ticks on their history, and the runs that these request."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.assets.staging import staging_events
from sparkify_dagster.automation.failure_alerts import failure_alerts
from sparkify_dagster.automation.rejected_days import rejected_days
from sparkify_dagster.config.run_tags import WAREHOUSE_TAG
from sparkify_dagster.partitions import log_days
from sparkify_dagster_tests.automation.conftest import Clock
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.outcome import Outcome
from sparkify_dagster_tests.support.ticks import Ticks, run, write_days
from sparkify_dagster_tests.support.world import World

DAYS = ["2018-11-01", "2018-11-02", "2018-11-03", "2018-11-04"]
NOTHING_NEW = "No day was rejected since the last tick"


def materialized(*days: int) -> str:
    """Returns the status of the four days, of which only the given ones are materialized."""
    return "".join("M" if day in days else "F" for day in (1, 2, 3, 4))


class Story:
    """Loads of four days, the sensors' ticks after each, and the runs that these request."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.world = World(folder, max_load_errors=1)
        self.instance = instance
        self.sensor = Ticks(rejected_days, self.world, instance)
        self.alerts = Ticks(failure_alerts, self.world, instance)
        self.alerts.evaluate()

    def reject(self, *days: str) -> None:
        for day in days:
            self.world.write_log(day, "not JSON", "nor this", event(time=f"{day}T10:00:00"))

    def load(self, first_day: str = DAYS[0], last_day: str = "") -> None:
        result = run(
            self.world, self.instance, "load_log_days", first_day, last_day or first_day, assets=("staging_events",)
        )
        assert result.success

    def tick(self) -> Sequence[dg.RunRequest]:
        self.sensor.evaluate()
        return self.sensor.requests

    def show(self) -> Outcome:
        """Runs what the tick requests. It must not look at the source."""
        (request,) = self.tick()
        logs = Path(self.world.log_data)
        away = logs.rename(logs.with_name("away"))
        result = run(
            self.world,
            self.instance,
            self.sensor.sensor.job_name or "",
            tags=dict(request.tags),
            config=request.run_config,
        )
        away.rename(logs)
        return Outcome(result)

    @property
    def status(self) -> str:
        by_day = self.instance.get_status_by_partition(staging_events.key, DAYS, log_days) or {}
        return "".join(status.name[0] if status else "-" for status in by_day.values())

    @property
    def alert(self) -> str | None:
        """The report since the property was last read, None if there was none."""
        self.alerts.evaluate()
        return None if self.alerts.skipped == "No new failures" else self.alerts.skipped


@pytest.fixture
def story(tmp_path: Path, instance: dg.DagsterInstance) -> Story:
    return Story(tmp_path, instance)


@pytest.mark.slow
def test_a_day_is_failed_from_its_rejection_until_it_is_loaded(story: Story) -> None:
    write_days(story.world, *DAYS)
    story.reject(DAYS[1], DAYS[3])
    story.load(DAYS[0], DAYS[3])
    assert (story.alert or "").startswith("Check no_rejected_loads of staging_events failed")

    assert story.status == materialized(1, 2, 3, 4), "Dagster itself shows them as failed: the workaround can go"
    shown = story.show()
    assert story.status == materialized(1, 3)
    assert shown.failures["staging_events"].startswith("2 days are rejected, the first is 2018-11-02: 2 of 3 records")
    assert not story.instance.get_records_for_run(
        shown.result.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    ).records, "checks without a result"
    assert story.alert is None, "one alert per rejection"
    assert story.tick() == []

    # Loaded again unchanged, in a range and alone, they stay failed without another run.
    story.load(DAYS[0], DAYS[3])
    assert (story.status, story.tick(), story.sensor.skipped) == (materialized(1, 3), [], NOTHING_NEW)
    story.load(DAYS[1])
    assert (story.status, story.tick(), story.alert) == (materialized(1, 3), [], None)

    write_days(story.world, DAYS[1])
    story.load(DAYS[1])
    assert (story.status, story.tick()) == (materialized(1, 2, 3), [])

    # Rejected again, and this time the other rejected day is shown already.
    story.reject(DAYS[1])
    story.load(DAYS[1])
    assert "staging_events failed (load_log_days, 2018-11-02)" in (story.alert or "")
    assert story.show().failures["staging_events"].startswith("2018-11-02 is rejected: 2 of 3 records have errors")
    assert story.status == materialized(1, 3)

    story.world.delete(f"log_data/2018/11/{DAYS[1]}-events.json")
    write_days(story.world, DAYS[3])
    story.load(DAYS[0], DAYS[3])
    assert (story.status, story.tick()) == (materialized(1, 2, 3, 4), [])


@pytest.mark.slow
def test_a_day_that_was_loaded_before_it_is_shown_does_not_fail(story: Story, clock: Clock) -> None:
    story.reject(DAYS[0], DAYS[1])
    story.load(DAYS[0], DAYS[1])
    (request,) = story.tick()
    write_days(story.world, DAYS[0])
    story.load(DAYS[0])
    story.sensor.cursor = None
    shown = story.show()
    assert shown.failures["staging_events"].startswith("2018-11-02 is rejected: ")
    assert story.status[:2] == "MF"
    # The run of the first request, which begins only now.
    late = run(
        story.world,
        story.instance,
        "show_rejected_days",
        tags=dict(request.tags),
        config=request.run_config,
    )
    assert late.success
    assert story.status[:2] == "MF"

    # Without the run that failed, nothing shows the day: so a load requests another one, unless that is a command's.
    story.instance.delete_run(shown.result.run_id)
    story.load(DAYS[1])
    newest = story.instance.get_run_records(limit=1)[0].dagster_run.run_id
    story.instance.add_run_tags(newest, {WAREHOUSE_TAG: "duckdb:///warehouse.duckdb"})
    assert story.tick() == []
    assert story.sensor.skipped == "Waiting for `sparkify etl`, which shows the days that it rejects itself"
    clock.seconds_ahead = 61
    assert [request.tags["dagster/asset_partition_range_start"] for request in story.tick()] == [DAYS[1]]


def test_without_days_the_tick_is_skipped(story: Story) -> None:
    assert story.tick() == []
    assert story.sensor.skipped == "No days were loaded yet"


def test_rejected_days_is_on_by_default() -> None:
    assert rejected_days.default_status is dg.DefaultSensorStatus.RUNNING
