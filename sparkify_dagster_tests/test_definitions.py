"""The definitions: the asset graph, its metadata, and the commands that load them from the project's folder."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.analytics.comparison import MATCHES_EXPECTED
from sparkify_dagster.analytics.query import Query, all_queries
from sparkify_dagster.definitions import defs
from sparkify_dagster.schema import tables
from sparkify_dagster.schema.lineage import source_tables
from sparkify_dagster_tests.support.definitions_snapshot import SNAPSHOT, describe_definitions
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.outcome import asset_key
from sparkify_dagster_tests.support.project import ROOT, Project
from sparkify_dagster_tests.support.world import World

SOURCES = ("log_data", "log_json_path", "song_data")
STAGING = ("staging_events", "staging_songs")
STAR = ("songplays", "users", "songs", "artists", "time")
TABLES = (*STAGING, *STAR)


def spec(name: str) -> dg.AssetSpec:
    (found,) = (spec for spec in defs.resolve_all_asset_specs() if spec.key == asset_key(name))
    return found


def backfill_policy(name: str) -> dg.BackfillPolicy | None:
    return defs.resolve_assets_def(name).backfill_policy


# The graph


def test_the_definitions_match_the_snapshot() -> None:
    found, before = describe_definitions(), SNAPSHOT.read_text().splitlines()
    removed = [f"- {line}" for line in before if line not in found]
    added = [f"+ {line}" for line in found if line not in before]
    changed = "\n".join([*removed, *added])
    assert not changed, (
        f"If this is intended, run `python -m sparkify_dagster_tests.support.definitions_snapshot`:\n{changed}"
    )


def test_each_job_has_a_description_and_runs_in_one_process() -> None:
    for job in defs.jobs or ():
        definition = defs.resolve_job_def(job.name)
        assert definition.description
        # With one process per step, the steps would compete for the DuckDB file.
        assert definition.executor_def.name == "in_process"


def test_each_check_sensor_and_schedule_has_a_description() -> None:
    checks = [spec for checks in defs.asset_checks or () for spec in checks.check_specs]
    described = [*checks, *(defs.sensors or ()), *(defs.schedules or ())]
    assert all(len(item.description or "") > 30 for item in described)


def test_the_sources_are_external() -> None:
    assert all(not defs.resolve_assets_def(name).is_executable for name in SOURCES)
    assert all(defs.resolve_assets_def(name).is_executable for name in TABLES)


@pytest.mark.parametrize("table", STAR)
def test_star_assets_depend_on_the_tables_that_their_sql_reads(table: str) -> None:
    assert {dep.asset_key.to_user_string() for dep in spec(table).deps} == source_tables(table)


@pytest.mark.parametrize("name", [*SOURCES, *TABLES])
def test_each_asset_has_an_owner_and_a_description(name: str) -> None:
    assert spec(name).owners == ["team:data-engineering"]
    assert len(spec(name).description or "") > 30


@pytest.mark.parametrize("name", TABLES)
def test_a_range_of_days_is_one_run(name: str) -> None:
    assert backfill_policy(name) == dg.BackfillPolicy.single_run()


@pytest.mark.parametrize("name", TABLES)
def test_each_table_has_metadata_of_its_columns_lineage_and_name(name: str) -> None:
    (table,) = (table for table in tables.metadata.tables.values() if table.name == name)
    metadata = spec(name).metadata
    assert metadata["dagster/relation_identifier"] == metadata["dagster/table_name"] == table.fullname
    schema, lineage, diagram = (
        metadata[key] for key in ("dagster/column_schema", "dagster/column_lineage", "column_lineage_diagram")
    )
    names = [column.name for column in table.columns]
    assert [column.name for column in schema.columns] == names
    assert all(column.description and " ← " in column.description for column in schema.columns)
    assert set(lineage.deps_by_column) == set(names)
    assert "(data:image/svg+xml;base64," in diagram.value


@pytest.mark.parametrize("query", all_queries().values(), ids=list(all_queries()))
def test_each_query_file_defines_an_asset_and_a_check(query: Query) -> None:
    asset = spec(query.name)
    assert (asset.group_name, asset.owners) == ("analytics", ["team:analytics"])
    assert {dep.asset_key.to_user_string() for dep in asset.deps} == query.reads
    assert query.title in (asset.description or "")
    assert query.asked_by in (asset.description or "")
    schema = asset.metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == list(query.columns)
    assert all(" ← " in column.description for column in schema.columns)
    assert "(data:image/svg+xml;base64," in asset.metadata["column_lineage_diagram"].value
    assert dg.AssetCheckKey(asset_key(query.name), MATCHES_EXPECTED) in defs.resolve_asset_graph().asset_check_keys
    assert backfill_policy(query.name) == dg.BackfillPolicy.single_run()


@pytest.mark.parametrize("job", ["load_all", "load_songs", "load_log_days", "refresh_analytics"])
def test_each_job_that_changes_the_star_refreshes_the_queries(job: str) -> None:
    materialized = set(defs.resolve_job_def(job).asset_layer.executable_asset_keys)
    assert {asset_key(name) for name in all_queries()} <= materialized


@pytest.mark.parametrize("name", SOURCES)
def test_each_source_has_its_location(name: str) -> None:
    location = spec(name).metadata["location"]
    assert location.value == spec(name).metadata["dagster/uri"]
    assert location.value.startswith(".sparkify/simulated/")


def test_a_run_without_partitions_fails_with_the_remedy(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write_log("2018-11-01", event())
    outcome = world.materialize(None)
    remedy = outcome.failures["staging_events"]
    assert "Jobs > load_all > Materialize all" in remedy
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
    """Dagster warns of its own older commands and of its parser for --select; our code must not cause warnings."""
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
        ("dagster job list -w workspace.yaml", "Job: load_all"),
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
    ["dg launch --job load_all", "dagster asset materialize -m sparkify_dagster.definitions --select *"],
    ids=["dg launch", "dagster asset materialize"],
)
def test_commands_load_a_range_of_days_in_one_run(project: Project, source: Path, command: str) -> None:
    project.use(source)
    output = project.run(*command.split(), "--partition-range", "2018-11-01...2018-11-02")
    assert_no_warning(output)
    assert "2 days to load" in output
    assert "DEBUG" not in output
    with project.instance() as instance:
        (run,) = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.tags["dagster/asset_partition_range_end"] == "2018-11-02"
    world = project.world
    assert world.star() == world.from_scratch("2018-11-01", "2018-11-02").star()
