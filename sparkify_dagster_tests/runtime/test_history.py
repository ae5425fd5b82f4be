"""The storage of dagster.yaml: the files are Dagster's own, and an engine serves a file more than once."""

from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.runtime import history

OWN = {"sqlite": {"base_dir": "history"}}
OURS = {
    "custom": {
        "module": "sparkify_dagster.runtime.history",
        "class": "SqliteHistory",
        "config": {"base_dir": "history"},
    }
}


@dg.asset
def listened() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"plays": 3})


@dg.asset_check(asset=listened)
def complete() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def instance_with(storage: object) -> dg.DagsterInstance:
    Path("dagster.yaml").write_text(f"storage: {storage}\ntelemetry: {{enabled: false}}\n", "utf-8")
    return dg.DagsterInstance.from_config(".")


def run(instance: dg.DagsterInstance) -> str:
    return dg.materialize([listened, complete], instance=instance).run_id


def seen(instance: dg.DagsterInstance, run_id: str) -> tuple[object, ...]:
    """Returns what the UI shows of a run and of its asset."""
    status = instance.get_run_by_id(run_id)
    materialization = instance.get_latest_materialization_event(listened.key)
    assert status is not None
    assert materialization is not None
    return (
        status.status,
        [(entry.dagster_event_type, entry.message) for entry in instance.all_logs(run_id)],
        instance.get_run_stats(run_id),
        materialization.run_id,
        materialization.asset_materialization,
    )


@pytest.mark.parametrize(("writer", "reader"), [(OWN, OURS), (OURS, OWN)])
def test_each_storage_reads_and_continues_what_the_other_has_written(writer: object, reader: object) -> None:
    with instance_with(writer) as instance:
        first = run(instance)
        written = seen(instance, first)
    with instance_with(reader) as instance:
        assert seen(instance, first) == written
        second = run(instance)
        assert [run.run_id for run in instance.get_runs()] == [second, first]
        assert seen(instance, second)[0] is dg.DagsterRunStatus.SUCCESS


def test_an_engine_serves_a_file_more_than_once() -> None:
    """Fails where Dagster opens its files otherwise than by what the storage overrides."""
    with instance_with(OURS) as instance:
        history._engine.cache_clear()
        run(instance)
    engines = history._engine.cache_info()
    # The runs, the index of all events, and the run's own.
    assert engines.misses == 3
    assert engines.hits > 30


def test_a_history_that_was_wiped_starts_again() -> None:
    with instance_with(OURS) as instance:
        run(instance)
        instance.wipe()
        assert instance.get_runs_count() == 0
        run_id = run(instance)
        assert seen(instance, run_id)[0] is dg.DagsterRunStatus.SUCCESS
