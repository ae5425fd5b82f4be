"""What Dagster is told: the whole graph as one table, and the commands that read it from the project's folder."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.definitions import defs
from sparkify_dagster.warehouse import tables
from sparkify_dagster.warehouse.lineage import source_tables
from sparkify_dagster_tests.project import ROOT, Project
from sparkify_dagster_tests.world import World, asset_key, event

SOURCES = ("log_data", "log_json_path", "song_data")
STAGING = ("staging_events", "staging_songs")
STAR = ("songplays", "users", "songs", "artists", "time")
TABLES = (*STAGING, *STAR)
DAILY = ("staging_events", "songplays", "users", "time")
# By asset; those of severity ERROR that hold up what is downstream are marked.
CHECKS = {
    "staging_events": {"reconciliation*", "no_refused_days", "no_load_errors"},
    "staging_songs": {"reconciliation*", "not_refused", "no_load_errors"},
    "songplays": {"unique_key*", "as_many_as_staged", "match_rate", "referential_integrity"},
    "users": {"unique_key*"},
    "songs": {"unique_key*"},
    "artists": {"unique_key*"},
    "time": {"unique_key*", "distinct_start_times"},
}


def spec(name: str) -> dg.AssetSpec:
    (found,) = (spec for spec in defs.resolve_all_asset_specs() if spec.key == asset_key(name))
    return found


def backfill_policy(name: str) -> dg.BackfillPolicy | None:
    return defs.resolve_assets_def(name).backfill_policy


# The graph


def test_these_are_all_assets() -> None:
    assert {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()} == {*SOURCES, *TABLES}


def test_the_sources_are_external() -> None:
    assert all(not defs.resolve_assets_def(name).is_executable for name in SOURCES)
    assert all(defs.resolve_assets_def(name).is_executable for name in TABLES)


@pytest.mark.parametrize("table", STAR)
def test_the_star_depends_on_what_its_sql_reads(table: str) -> None:
    assert {dep.asset_key.to_user_string() for dep in spec(table).deps} == source_tables(table)


def test_staging_depends_on_the_source() -> None:
    assert {dep.asset_key.to_user_string() for dep in spec("staging_events").deps} == {"log_data", "log_json_path"}
    assert {dep.asset_key.to_user_string() for dep in spec("staging_songs").deps} == {"song_data"}


def test_each_asset_is_in_its_group() -> None:
    for group, names in (("source", SOURCES), ("staging", STAGING), ("star", STAR)):
        assert {spec(name).group_name for name in names} == {group}


def test_kinds_name_the_warehouse() -> None:
    assert {frozenset(spec(name).kinds) for name in TABLES} == {frozenset({"table", "duckdb"})}
    assert {frozenset(spec(name).kinds) for name in SOURCES} == {frozenset({"json"})}


@pytest.mark.parametrize("name", [*SOURCES, *TABLES])
def test_each_asset_has_an_owner_and_a_description(name: str) -> None:
    assert spec(name).owners == ["team:data-engineering"]
    assert len(spec(name).description or "") > 30


def test_the_event_side_is_daily_in_utc_within_the_window() -> None:
    for name in TABLES:
        partitions = spec(name).partitions_def
        assert (partitions is not None) == (name in DAILY)
        if isinstance(partitions, dg.DailyPartitionsDefinition):
            assert partitions.timezone == "UTC"
            assert partitions.get_first_partition_key() == "2018-11-01"
            assert partitions.get_last_partition_key() == "2018-11-30"


@pytest.mark.parametrize("name", TABLES)
def test_any_range_of_days_is_one_run(name: str) -> None:
    assert backfill_policy(name) == dg.BackfillPolicy.single_run()


def test_these_are_all_checks() -> None:
    found: dict[str, set[str]] = {}
    for checks in defs.asset_checks or ():
        assert isinstance(checks, dg.AssetChecksDefinition)
        for check in checks.check_specs:
            found.setdefault(check.asset_key.to_user_string(), set()).add(check.name + "*" * check.blocking)
            assert check.description
    assert found == CHECKS


@pytest.mark.parametrize("name", TABLES)
def test_each_table_shows_its_columns_lineage_and_name(name: str) -> None:
    (table,) = (table for table in tables.metadata.tables.values() if table.name == name)
    metadata = spec(name).metadata
    assert metadata["dagster/relation_identifier"] == metadata["dagster/table_name"] == table.fullname
    schema, lineage, picture = (
        metadata[key] for key in ("dagster/column_schema", "dagster/column_lineage", "column_lineage_picture")
    )
    names = [column.name for column in table.columns]
    assert [column.name for column in schema.columns] == names
    assert all(column.description and " ← " in column.description for column in schema.columns)
    assert set(lineage.deps_by_column) == set(names)
    assert "(data:image/svg+xml;base64," in picture.value


@pytest.mark.parametrize("name", SOURCES)
def test_each_source_says_where_it_is(name: str) -> None:
    location = spec(name).metadata["location"]
    assert location.value == spec(name).metadata["dagster/uri"]
    assert location.value.startswith(".sparkify/simulated/")


@pytest.mark.parametrize(
    ("job", "assets"),
    [
        ("sparkify", set(TABLES)),
        ("load_songs", {"staging_songs", "songs", "artists"}),
        ("load_log_days", set(DAILY)),
    ],
)
def test_jobs(job: str, assets: set[str]) -> None:
    definition = defs.resolve_job_def(job)
    assert {key.to_user_string() for key in definition.asset_layer.executable_asset_keys} == assets
    assert definition.description
    # A process a step would fight over the DuckDB file.
    assert definition.executor_def.name == "in_process"


def test_there_are_no_other_jobs_and_sensors() -> None:
    assert {job.name for job in defs.jobs or ()} == {
        "sparkify",
        "load_songs",
        "load_log_days",
        "maintain_warehouse",
    }
    status = {sensor.name: sensor.default_status for sensor in defs.sensors or ()}
    assert status == {
        "log_files": dg.DefaultSensorStatus.STOPPED,
        "song_files": dg.DefaultSensorStatus.STOPPED,
        "late_songs": dg.DefaultSensorStatus.RUNNING,
        "failures": dg.DefaultSensorStatus.STOPPED,
    }


def test_a_run_without_a_partition_says_what_to_do(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write_log("2018-11-01", event())
    outcome = world.materialize(None)
    remedy = outcome.failures["staging_events"]
    assert "Jobs > sparkify > Materialize all" in remedy
    assert "sparkify etl --from 2018-11-01 --to 2018-11-30" in remedy
    assert outcome.materialized == {"staging_songs", "songs", "artists"}


# The commands


@pytest.mark.slow
def test_importing_the_definitions_prints_nothing() -> None:
    imported = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import sparkify_dagster.definitions"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert (imported.returncode, imported.stdout, imported.stderr) == (0, "", "")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Project(tmp_path_factory.mktemp("simulated"))
    project.simulate()
    return project.folder / "source"


def assert_no_warning(output: str) -> None:
    """Dagster warns of its own older commands and of its parser for --select; of our code there is nothing to say."""
    warnings = [line for line in output.splitlines() if "Warning" in line]
    assert [
        line for line in warnings if "SupersessionWarning" not in line and "antlr_asset_selection" not in line
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("dg check defs", "All definitions loaded successfully"),
        ("dg list defs --json", "songplays"),
        ("dagster definitions validate", "Validation successful"),
        ("dagster job list -w workspace.yaml", "Job: sparkify"),
    ],
)
def test_commands_read_the_definitions_from_the_folder(project: Project, command: str, expected: str) -> None:
    (project.folder / "sparkify_dagster").symlink_to(ROOT / "sparkify_dagster")
    output = project.run(*command.split())
    assert expected in output
    assert_no_warning(output)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["dg launch --job sparkify", "dagster asset materialize -m sparkify_dagster.definitions --select *"],
    ids=["dg launch", "dagster asset materialize"],
)
def test_commands_load_a_range_of_days_in_one_run(project: Project, source: Path, command: str) -> None:
    project.use(source)
    output = project.run(*command.split(), "--partition-range", "2018-11-01...2018-11-02")
    assert_no_warning(output)
    with project.instance() as instance:
        (run,) = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.tags["dagster/asset_partition_range_end"] == "2018-11-02"
    world = project.world
    assert world.star() == world.from_scratch("2018-11-01", "2018-11-02").star()
