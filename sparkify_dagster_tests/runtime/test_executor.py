"""The executor of every run, with a job of one op."""

import dagster as dg
import pytest

from sparkify_dagster.runtime.executor import watched_in_process_executor

loaded: list[str] = []


@dg.op
def load() -> None:
    loaded.append("loaded")


@dg.job(executor_def=watched_in_process_executor({"sparkify/warehouse": "duckdb:///a", "sparkify/window": "November"}))
def one_op() -> None:
    load()


@pytest.fixture(autouse=True)
def nothing_is_loaded() -> None:
    loaded.clear()


@pytest.mark.parametrize("tags", [{}, {"sparkify/warehouse": "duckdb:///a"}])
def test_a_run_with_the_process_s_own_settings_is_executed(tags: dict[str, str]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.execute_job(dg.reconstructable(one_op), instance, tags=tags).success
    assert loaded == ["loaded"]


def test_a_run_with_other_settings_fails_with_one_line_loads_nothing_and_is_not_repeated() -> None:
    tags = {"sparkify/warehouse": "postgresql://host/db", "sparkify/window": "November"}
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = dg.execute_job(dg.reconstructable(one_op), instance, tags=tags).run_id
        run = instance.get_run_by_id(run_id)
        events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]
    assert run is not None
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.tags["dagster/max_retries"] == "0"
    (failure,) = (event for event in events if event.is_failure)
    assert failure.message == (
        "Nothing was loaded: the run was started with sparkify/warehouse postgresql://host/db, and this process is "
        "configured with duckdb:///a. Run `sparkify etl` where it was started."
    )
    assert not any(getattr(event.event_specific_data, "error", None) for event in events), "a traceback"
    assert loaded == []
