"""Dagster plans each asset and each check of a range of days once, or once per day where it is daily."""

from collections import Counter
from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest

from sparkify_dagster.automation.jobs import LOG_DAY_ASSETS
from sparkify_dagster.definitions import defs
from sparkify_dagster.partitions import range_tags


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def planned(instance: dg.DagsterInstance, job: dg.JobDefinition) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Returns how often a run of three days plans each asset and each check, of an asset."""
    run = instance.create_run_for_job(job, tags=range_tags(date(2018, 11, 1), date(2018, 11, 3)))
    assets: Counter[str] = Counter()
    checks: Counter[tuple[str, str]] = Counter()
    for entry in instance.all_logs(run.run_id):
        if entry.dagster_event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED and entry.dagster_event:
            assets[entry.dagster_event.asset_materialization_planned_data.asset_key.to_user_string()] += 1
        if entry.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED and entry.dagster_event:
            data = entry.dagster_event.asset_check_planned_data
            assert data.partitions_subset is None, f"a row per day that stays without a result: {data.check_name}"
            checks[data.asset_key.to_user_string(), data.check_name] += 1
    return assets, checks


def test_a_range_of_days_plans_what_is_not_daily_once(instance: dg.DagsterInstance) -> None:
    assets, checks = planned(instance, defs.resolve_job_def("load_all"))
    assert {name: count for name, count in assets.items() if count != 1} == dict.fromkeys(LOG_DAY_ASSETS, 3)
    assert assets.keys() > set(LOG_DAY_ASSETS)
    assert set(checks.values()) == {1}


def test_dagster_still_lets_the_last_step_by_name_decide(instance: dg.DagsterInstance) -> None:
    """If this fails, Dagster has fixed the bug, and the step `write_query_tables` may have any name."""

    @dg.asset
    def a_song() -> None: ...

    @dg.asset(partitions_def=dg.DailyPartitionsDefinition("2018-11-01"))
    def z_day() -> None: ...

    job = dg.Definitions(assets=[a_song, z_day], jobs=[dg.define_asset_job("both")]).resolve_job_def("both")
    assets, _ = planned(instance, job)
    assert assets == {"a_song": 3, "z_day": 3}
