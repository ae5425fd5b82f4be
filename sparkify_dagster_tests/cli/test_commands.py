"""The command line, as a user has it: a process of its own in the project's folder.

Each command is a process in one test at least; where the process is not the point, `Project.call` spares it.
"""

import csv
import json
import re
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.definitions import defs
from sparkify_dagster.partitions import log_days
from sparkify_dagster_tests.support.events import event, lines, song
from sparkify_dagster_tests.support.project import ROOT, SECRET, Project
from sparkify_dagster_tests.support.world import OBJECTS, STAR, World

# Each of which a run of everything evaluates.
CHECKS = sum(len(list(checks.check_specs)) for checks in defs.asset_checks or ())
DAYS = ["2018-11-01", "2018-11-02", "2018-11-03"]
FAR_DAY = "2024-11-25"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def loaded_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after its first run, and what that run printed."""
    project = Project(tmp_path_factory.mktemp("loaded"))
    project.simulate()
    project.write_report()
    (project.folder / "first_run.txt").write_text(project.sparkify("etl"))
    return project


@pytest.fixture
def loaded(loaded_once: Project, tmp_path: Path) -> Project:
    """A project of the test's own, as the first run left it. The source is where it was."""
    shutil.copytree(loaded_once.folder, tmp_path, dirs_exist_ok=True)
    return Project(tmp_path, dict(loaded_once.environment))


def small_world(project: Project) -> World:
    """A source that a test writes itself, for three days."""
    project.use(project.folder)
    world = project.world
    for folder in (world.log_data, world.song_data):
        Path(folder).mkdir()
    return world


@pytest.fixture
def small(project: Project) -> World:
    return small_world(project)


@pytest.fixture(scope="module")
def rejected_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project after a run that rejects two of four days, one of which is years later; and what that run printed."""
    project = Project(tmp_path_factory.mktemp("rejected"))
    small = small_world(project)
    for day in (DAYS[0], FAR_DAY):
        small.write_log(day, event(time=f"{day}T10:00:00"))
    small.write_log(DAYS[1], event(time=f"{DAYS[1]}T10:00:00"), "not JSON", "not JSON")
    small.write_log(DAYS[2], "broken")
    small.write_songs("A/A/A/TRAAA.json", song(song_id="SOOTHER", title="Never played"))
    return project, project.sparkify("etl", expect=1, SPARKIFY_MAX_LOAD_ERRORS="1", SPARKIFY_LOG_END="")


@pytest.fixture
def rejected(rejected_once: tuple[Project, str], project: Project) -> World:
    """A project of the test's own, as that run left it."""
    shutil.copytree(rejected_once[0].folder, project.folder, dirs_exist_ok=True)
    project.use(project.folder)
    return project.world


def code_versions(project: Project) -> dict[str, str]:
    """Returns the code version with which each asset was built last, as the UI compares it with the present one."""
    versions = {}
    with project.instance() as instance:
        for name in ("staging_events", "staging_songs", *STAR, *all_queries()):
            latest = instance.get_latest_materialization_event(dg.AssetKey(name))
            assert latest is not None
            assert latest.asset_materialization is not None
            versions[name] = (latest.asset_materialization.tags or {})["dagster/code_version"]
    return versions


def loads(world: World) -> dict[str, datetime]:
    """Returns the load time of each object."""
    return dict(world.rows("staging.loaded_objects", "key", "loaded_at"))


def one_line(output: str) -> str:
    """The only line of the output."""
    (line,) = output.splitlines()
    return line


def test_help_names_every_command(project: Project) -> None:
    with project.start_installed("sparkify", "--help") as started:
        output = started.wait()
    for command in (
        "create-tables",
        "etl",
        "grant",
        "init",
        "load-errors",
        "query",
        "simulate",
        "split",
        "ui",
        "verify",
    ):
        assert f"\n  {command} " in output


@pytest.mark.slow
def test_create_tables_can_be_run_again(project: Project) -> None:
    for create in (project.sparkify, project.call):
        output = create("create-tables")
        assert one_line(output) == "Tables are ready: duckdb:///.sparkify/warehouse.duckdb"
    project.use(project.folder)
    assert project.world.star() == {"songplays": [], "users": [], "songs": [], "artists": [], "time": []}


@pytest.mark.slow
def test_create_tables_keeps_what_is_in_them(loaded: Project) -> None:
    before = loaded.world.everything()
    loaded.call("create-tables")
    assert loaded.world.everything() == before


@pytest.mark.slow
def test_the_same_seed_simulates_the_same_bytes(project: Project) -> None:
    options = ("--days", "2", "--users", "5", "--songs", "5")
    written = []
    # Another process has other hashes, and may put a set in another order.
    for simulate, folder, seed in ((project.sparkify, "a", "7"), (project.call, "b", "7"), (project.call, "c", "8")):
        simulate("simulate", "--out", folder, "--seed", seed, *options)
        files = [path for path in (project.folder / folder).rglob("*") if path.is_file()]
        written.append({path.relative_to(project.folder / folder): path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert written[0] != written[2]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--out", "x", "--users", "0"], "0 is not in the range 1<=x<=1000000"),
        (["--out", "x", "--start", "2018-13-01"], "'2018-13-01' is not a day like 2018-11-01"),
        ([], "Missing option '--out'"),
    ],
)
def test_wrong_options_of_simulate_are_errors_of_one_line(project: Project, options: list[str], problem: str) -> None:
    output = project.call("simulate", *options, expect=2)
    assert problem in output.splitlines()[-1]


def test_a_folder_that_cannot_be_written_is_one_line(project: Project) -> None:
    (project.folder / "file").touch()
    output = project.call("simulate", "--out", "file", expect=1)
    assert one_line(output).startswith("sparkify: --out file: ")


@pytest.mark.slow
def test_the_first_run_loads_everything_and_says_so(loaded_once: Project) -> None:
    output = (loaded_once.folder / "first_run.txt").read_text()
    assert "Loading 2018-11-01 to 2018-11-03 into duckdb:///.sparkify/warehouse.duckdb" in output
    assert f"Checks: {CHECKS} passed, 0 warn, 0 failed" in output
    assert "23 of 23 queries as expected" in output
    assert "Match rate: " in output
    assert output.splitlines()[-1] == "Report: .sparkify/report.html"
    assert "`sparkify ui`" in output
    world = loaded_once.world
    for table, count in (("songplays", len(world.rows("songplays"))), ("songs", 20)):
        (line,) = (line for line in output.splitlines() if line.startswith(f"{table} "))
        assert line.split() == [table, str(count)]
    assert world.everything() == world.from_scratch(DAYS[0], DAYS[-1]).everything()


@pytest.mark.slow
def test_the_first_run_s_report_has_the_results_of_its_checks(loaded_once: Project) -> None:
    page = (loaded_once.folder / ".sparkify" / "report.html").read_text("utf-8")
    assert page.count(">as expected</span>") == 2 * len(all_queries())
    assert "Headline figures of 2018-11-01 to 2018-11-03." in page
    assert f">{CHECKS} passed</span>" in page


@pytest.mark.slow
def test_a_report_of_some_days_is_written_where_it_is_wanted(loaded: Project) -> None:
    days = ("--from", "2018-11-02", "--to", "2018-11-02")
    assert re.fullmatch(r"Wrote sent/day\.html \(1\.\d MB\)", one_line(loaded.call("report", "sent/day.html", *days)))
    page = (loaded.folder / "sent" / "day.html").read_text("utf-8")
    assert "Queries over 2018-11-02." in page
    assert f">{CHECKS} passed</span>" in page
    assert [path.name for path in (loaded.folder / "sent").iterdir()] == ["day.html"]
    # As any file that a command writes, and not as a temporary one.
    assert (loaded.folder / "sent" / "day.html").stat().st_mode == (loaded.folder / "dwh.cfg").stat().st_mode


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("s3://bucket", "is not the name of a file"),
        ("folder/", "is not the name of a file"),
        (".", "the report cannot be written: it is a folder; name a file or an s3:// URL"),
        ("dwh.cfg/report.html", "the report cannot be written: "),
    ],
)
def test_a_report_that_cannot_be_written_is_one_line(project: Project, file: str, problem: str) -> None:
    output = one_line(project.call("report", file, expect=1))
    assert output.startswith(f"sparkify: {file}")
    assert problem in output


def test_a_report_without_a_place_is_one_line(project: Project) -> None:
    output = one_line(project.call("report", expect=1))
    assert output == "sparkify: SPARKIFY_REPORT_FILE is empty: name the file, such as report.html"


@pytest.mark.slow
def test_the_run_is_in_the_history_that_the_ui_shows(loaded_once: Project) -> None:
    (run,) = loaded_once.runs()
    assert run.job_name == "load_all"
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.tags["dagster/asset_partition_range_start"] == DAYS[0]
    assert run.tags["dagster/asset_partition_range_end"] == DAYS[-1]
    with loaded_once.instance() as instance:
        for table in ("staging_events", "songplays", "users", "time"):
            assert instance.get_materialized_partitions(dg.AssetKey(table)) == set(DAYS)


@pytest.mark.slow
def test_no_secret_is_kept_in_the_state(loaded_once: Project) -> None:
    files = [path for path in (loaded_once.folder / ".sparkify").rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_a_second_run_says_that_there_is_nothing_to_do_and_starts_no_run(loaded: Project) -> None:
    before, runs = loaded.warehouse_file.read_bytes(), loaded.runs()
    assert loaded.sparkify("etl").splitlines() == [
        "Nothing to do: no file, SQL or setting has changed since the last run",
        f"Checks, as of their last run: {CHECKS} passed, 0 warn, 0 failed",
        "Report: .sparkify/report.html",
    ]
    assert loaded.warehouse_file.read_bytes() == before
    assert len(loaded.runs()) == len(runs)


@pytest.mark.slow
def test_what_stands_rejected_is_named_and_fails_a_run_that_has_nothing_to_do(
    rejected_once: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(rejected_once[0].folder, tmp_path, dirs_exist_ok=True)
    # The source is where it was: a copied file would be a changed one.
    project = Project(tmp_path, dict(rejected_once[0].environment))
    output = project.sparkify("etl", expect=1, SPARKIFY_MAX_LOAD_ERRORS="1", SPARKIFY_LOG_END="")
    nothing, *standing, checks, first, second, remedy = output.splitlines()
    assert nothing == "Nothing to do: no file, SQL or setting has changed since the last run"
    # The far day was loaded last, and is all that the latest results are about.
    assert [line.partition(": ")[0] for line in standing] == ["WARN"] * len(standing)
    assert checks.startswith("Checks, as of their last run: ")
    assert first == "2018-11-02 stands rejected: 2 of 3 records have errors, the limit is 1"
    assert second.startswith("2018-11-03 stands rejected: ")
    assert remedy == "Correct the files (`sparkify load-errors` shows the records) and run `sparkify etl` again"
    assert [run.job_name for run in project.runs()] == ["load_all", "load_log_days", "show_rejected_days"]


@pytest.mark.slow
def test_a_command_that_is_killed_before_its_checks_leaves_them_to_the_next(loaded: Project) -> None:
    """All tables are built, and some checks, the comparison of the queries, or the report have not seen them."""
    logs = shutil.copytree(loaded.environment["SPARKIFY_LOG_DATA"], loaded.folder / "logs")
    loaded.environment["SPARKIFY_LOG_DATA"] = str(logs)
    for step in ("check_songplays", "write_query_tables"):
        with loaded.start("sparkify", "etl") as killed:
            killed.wait_for(f" {step} ")
            killed.kill_group()
        assert "Loading 2018-11-01 to 2018-11-03" in killed.output
    output = loaded.sparkify("etl")
    assert "Nothing else is stale: refreshing the queries" in output
    assert "23 of 23 queries as expected" in output
    assert loaded.world.query("SELECT COUNT(*) FROM staging.pending_steps") == [(0,)]
    assert "Nothing to do" in loaded.sparkify("etl")


@pytest.mark.slow
def test_queries_are_not_refreshed_if_the_same_days_are_built_again(loaded_once: Project, loaded: Project) -> None:
    loaded.sparkify("etl", "--from", DAYS[0], "--to", DAYS[-1])
    asked = "SELECT query, refreshed_at FROM staging.analytics_refreshes ORDER BY query"
    assert loaded.world.query(asked) == loaded_once.world.query(asked)
    assert loads(loaded.world) == loads(loaded_once.world)
    with loaded.instance() as instance:
        newest = instance.get_latest_materialization_event(dg.AssetKey("plays_by_day"))
    assert newest is not None
    assert newest.asset_materialization is not None
    metadata = newest.asset_materialization.metadata
    assert metadata["refresh"].value == "up_to_date"
    # The page shows what it showed.
    assert {"preview", "chart", "dagster/row_count"} <= metadata.keys()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--from", "2018-11-03", "--to", "2018-11-01"], "--from 2018-11-03 is after --to 2018-11-01"),
        (
            ["--from", "2018-10-31", "--to", "2018-11-01"],
            "--from 2018-10-31: outside the window of SPARKIFY_LOG_START and SPARKIFY_LOG_END, "
            "2018-11-01 to 2018-11-30",
        ),
        (
            ["--to", "2018-12-01"],
            "--to 2018-12-01: outside the window of SPARKIFY_LOG_START and SPARKIFY_LOG_END, 2018-11-01 to 2018-11-30",
        ),
    ],
    ids=["reversed", "before the window", "after the window"],
)
def test_wrong_days_are_one_line(project: Project, options: list[str], problem: str) -> None:
    (project.folder / ".sparkify" / "simulated" / "log_data").mkdir(parents=True)
    assert one_line(project.call("etl", *options, expect=1)) == f"sparkify: {problem}"


def test_an_option_that_is_no_day_is_an_error_of_one_line(project: Project) -> None:
    output = project.call("etl", "--from", "yesterday", expect=2)
    assert "'yesterday' is not a day like 2018-11-01" in output.splitlines()[-1]


@pytest.mark.parametrize("command", ["etl", "create-tables", "ui"])
def test_a_wrong_setting_is_one_line(project: Project, command: str) -> None:
    # One that took the setting would replace this process by the UI's.
    run = project.sparkify if command == "ui" else project.call
    output = run(command, expect=1, SPARKIFY_MAX_LOAD_ERRORS="many")
    assert one_line(output) == (
        "sparkify: SPARKIFY_MAX_LOAD_ERRORS: 'many' is not a whole number of 0 or more (environment variable)"
    )


@pytest.mark.slow
def test_a_missing_folder_is_one_line(project: Project) -> None:
    project.use(project.folder / "nowhere")
    output = project.sparkify("etl", expect=1)
    assert one_line(output) == f"sparkify: {project.folder / 'nowhere' / 'log_data'}: there is no such folder"


def test_a_folder_without_the_instance_is_one_line(project: Project) -> None:
    (project.folder / "dagster.yaml").unlink()
    shutil.rmtree(project.folder / ".sparkify")
    output = project.call("etl", expect=1)
    assert one_line(output) == (
        f"sparkify: there is no dagster.yaml in {project.folder}: run this in the project's folder, set DAGSTER_HOME, "
        "or write one with `sparkify init`"
    )
    # Nor is a month simulated there.
    assert not (project.folder / ".sparkify").exists()


@pytest.mark.slow
def test_rejected_days_fail_the_command_and_no_other_day(rejected_once: tuple[Project, str]) -> None:
    project, output = rejected_once
    assert (
        "2018-11-02 is rejected: 2 of 3 records have errors, the limit is 1. The day keeps the rows of its last load."
        in output
    )
    assert "2018-11-03-events.json has 1 error and no good record. The day keeps the rows of its last load." in output
    assert "ERROR: staging_events.no_rejected_loads: " in output
    # What one run finds counts, although the last one finds nothing.
    assert ", 1 failed\n" in output
    assert "Not everything succeeded: `sparkify ui` shows the run with its log and check results" in output
    assert [start.date().isoformat() for start in project.world.column("songplays", "start_time")] == [DAYS[0], FAR_DAY]
    with project.instance() as instance:
        loaded, failed = dg.AssetPartitionStatus.MATERIALIZED, dg.AssetPartitionStatus.FAILED
        status = instance.get_status_by_partition(dg.AssetKey("staging_events"), DAYS, log_days)
    assert status == dict(zip(DAYS, [loaded, failed, failed], strict=True))


@pytest.mark.slow
def test_days_far_apart_are_loaded_in_runs_of_their_own(rejected_once: tuple[Project, str]) -> None:
    project, output = rejected_once
    assert f"Loading {DAYS[0]} to {DAYS[2]} into" in output
    assert f"Loading {FAR_DAY} to {FAR_DAY} into" in output
    # The last one fails for the rejected days.
    assert [run.job_name for run in project.runs()] == ["load_all", "load_log_days", "show_rejected_days"]


@pytest.mark.slow
def test_full_loads_everything_again_and_rejected_days_load_within_the_limit(rejected: World, project: Project) -> None:
    rejected.write_log(DAYS[2], event(time=f"{DAYS[2]}T10:00:00"))
    # The files are copies, which are new to the warehouse.
    assert replace(rejected, max_load_errors=1).load(DAYS[0], DAYS[2]).rejected_days == [DAYS[1]]
    before = loads(rejected)
    output = project.sparkify("etl", "--full", SPARKIFY_MAX_LOAD_ERRORS="2")
    assert f"1 log file left alone, outside the window of {DAYS[0]} to {DAYS[2]}: {FAR_DAY} to {FAR_DAY}" in output
    assert len(rejected.rows("songplays")) == 4
    after = loads(rejected)
    assert {key for key in before if after[key] == before[key]} == {f"2024/11/{FAR_DAY}-events.json"}
    assert all(after[key] >= before[key] for key in before)
    tables, fresh = rejected.everything(), rejected.from_scratch(DAYS[0], FAR_DAY).everything()
    # The file outside of the window is still a copy of the one that was loaded.
    for rows in (tables, fresh):
        rows[OBJECTS] = [row for row in rows[OBJECTS] if FAR_DAY not in row[0]]
    assert tables == fresh


@pytest.mark.slow
def test_a_day_cut_by_local_time_and_what_was_not_run_are_a_line_each(small: World, project: Project) -> None:
    others = [event(time=f"2018-11-02T0{hour}:00:00", itemInSession=hour) for hour in range(7)]
    small.write_log(DAYS[0], event(), *others)
    Path(small.song_data).rmdir()
    output = project.sparkify("etl", expect=1, SPARKIFY_MAX_LOAD_ERRORS="1")
    assert f"{small.song_data}: there is no such folder" in output
    rejected, check = (line for line in output.splitlines() if "is rejected: " in line)
    assert check.startswith("    ERROR: staging_events.no_rejected_loads: ")
    assert "7 of 8 records have errors, the limit is 1. The day keeps the rows of its last load. " in rejected
    assert (
        "Every error is an event of another UTC day: split the files by UTC day, not by local time. First: " in rejected
    )
    assert "SPARKIFY_MAX_LOAD_ERRORS" not in output
    assert "      (showing the first 5)\n" in output
    assert "Dependencies for step" not in output
    (not_run,) = (line for line in output.splitlines() if "Not run" in line)
    assert not_run.startswith("  - Not run, since an upstream step failed: ")
    assert {"songs", "artists", "songplays"} <= set(not_run.partition("failed: ")[2].split(", "))


@pytest.mark.slow
def test_from_and_to_choose_days_and_a_late_song_is_matched_on_all_days(rejected: World, project: Project) -> None:
    assert set(rejected.column("songplays", "song_id")) == {None}
    rejected.write_log(DAYS[1], event(time=f"{DAYS[1]}T10:00:00"))
    rejected.write_log(DAYS[0], event(itemInSession=2), key="late/2018-11-01-events.json")
    rejected.write_songs("A/A/B/TRAAB.json", song())
    output = project.sparkify("etl", "--from", DAYS[1], "--to", DAYS[1], SPARKIFY_LOG_END="")
    assert [line for line in output.splitlines() if line.startswith("Loading ")] == [
        f"Loading {DAYS[1]} to {DAYS[1]} into duckdb:///.sparkify/warehouse.duckdb"
    ]
    for day in (DAYS[0], FAR_DAY):
        assert f"The song catalogue changed: re-matching the plays of {day} to {day}\n" in output
    assert set(rejected.column("songplays", "song_id")) == {song()["song_id"]}
    assert rejected.pending() == []
    first_runs, (chosen, *others) = project.runs()[:3], project.runs()[3:]
    assert [run.job_name for run in first_runs] == ["load_all", "load_log_days", "show_rejected_days"]
    assert chosen.job_name == "load_all"
    assert chosen.tags["dagster/asset_partition_range_start"] == DAYS[1]
    assert chosen.tags["dagster/asset_partition_range_end"] == DAYS[1]
    assert [run.job_name for run in others] == ["load_log_days", "load_log_days"]
    # The day's later file is not of the chosen days, nor is the broken one.
    rejected.delete("log_data/late/2018-11-01-events.json")
    rejected.delete("log_data/2018/11/2018-11-03-events.json")
    assert rejected.star() == rejected.from_scratch(DAYS[0], FAR_DAY).star()


@pytest.mark.slow
def test_without_a_day_of_the_window_the_songs_are_loaded_alone(small: World, project: Project) -> None:
    small.write_songs("A/A/A/TRAAA.json", song())
    output = project.sparkify("etl")
    assert "No day of the window has a log file or rows: loading only the songs" in output
    assert small.column("songs", "song_id") == [song()["song_id"]]
    assert [run.job_name for run in project.runs()] == ["load_songs"]
    # Files that are there, and none of them loaded, are a mistake.
    small.write_log("2019-02-03", event(time="2019-02-03T10:00:00"))
    output = project.sparkify("etl", expect=1)
    assert "1 log file left alone, outside the window of 2018-11-01 to 2018-11-03: 2019-02-03 to 2019-02-03" in output
    assert "No day was loaded: none of the 1 log file of" in output
    small.delete("log_data/2019/02/2019-02-03-events.json")
    small.write("log_data/mini_sparkify_event_data.json", lines(event()))
    output = project.sparkify("etl", expect=1)
    assert "looks empty: no log file, and 1 other object ('mini_sparkify_event_data.json')" in output
    assert len(small.rows("songs")) == 1


@pytest.mark.slow
def test_an_unmounted_disk_empties_nothing_unless_it_is_meant(loaded: Project) -> None:
    held = loaded.world.star()
    loaded.environment |= dict.fromkeys(("SPARKIFY_LOG_DATA", "SPARKIFY_SONG_DATA"), str(loaded.folder / "not_mounted"))
    (loaded.folder / "not_mounted").mkdir()
    output = loaded.sparkify("etl", expect=1)
    for source in ("log", "song"):
        assert f"looks empty: no {source} file, and nothing else" in output
    assert loaded.world.star() == held
    # Its answers are no longer the expected ones.
    output = loaded.sparkify("etl", "--allow-empty", "logs", "--allow-empty", "songs", expect=1)
    assert "staging_events.no_lost_events: the files of 3 days are gone, first 2018-11-01" in output
    assert not any(loaded.world.star().values())


def test_load_errors_are_shown_with_their_text(small: World, project: Project) -> None:
    small.write_log(DAYS[0], event(), "Quizzelda \x1b[31m")
    small.load(DAYS[0])
    assert project.sparkify("load-errors").splitlines() == [
        "2018/11/2018-11-01-events.json line 2: not JSON: Expecting value at character 1",
        r"    Quizzelda \x1b[31m",
        "1 load error",
    ]
    assert one_line(project.call("load-errors", "--from", DAYS[1])) == "No load errors"
    output = project.call("load-errors", "--from", DAYS[1], "--to", DAYS[0], expect=1)
    assert one_line(output) == "sparkify: --from 2018-11-02 is after --to 2018-11-01"


# The analysts' queries


@pytest.mark.slow
def test_verify_says_which_answers_are_as_expected(loaded: Project) -> None:
    output = loaded.sparkify("verify", "--audit")
    assert output.splitlines()[-2:] == [
        "23 of 23 queries as expected",
        "All rows of the star and the marts are as loads have written them",
    ]
    (line,) = (line for line in output.splitlines() if line.startswith("plays_by_day "))
    assert line.split() == ["plays_by_day", "3", "3", "rows", "as", "expected"]


@pytest.mark.slow
def test_verify_shows_what_a_row_changed_by_hand_changes(loaded: Project) -> None:
    with loaded.world.warehouse.connect("a test") as engine, engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE songplays SET level = CASE level WHEN 'paid' THEN 'free' ELSE 'paid' END"
                " WHERE start_time = (SELECT MAX(start_time) FROM songplays)"
            )
        )
    audit, output = loaded.call("verify", "--audit", expect=1), loaded.call("verify", expect=1)
    assert audit.splitlines()[-1] == "Rows changed by hand: songplays. `sparkify etl --full` builds all tables again"
    failed = {line.split()[0] for line in output.splitlines() if re.search("; [0-9]+ rows? expected", line)}
    assert "free_and_paid" in failed
    assert "plays_by_day" not in failed
    assert "\nfree_and_paid: How much of the listening is paid for?\n" in output
    assert "found " in output
    assert output.splitlines()[-1] == f"{23 - len(failed)} of 23 queries as expected"


@pytest.mark.slow
def test_verify_of_some_days_compares_with_what_is_expected_of_them(loaded: Project) -> None:
    expected = loaded.folder / "november_2nd"
    expected.mkdir()
    days = ("--from", "2018-11-02", "--to", "2018-11-02")
    answer = loaded.call("query", "plays_by_day", *days, "--format", "csv")
    assert answer.splitlines()[0] == "day,plays,listeners,sessions,plays_7_days"
    assert [line.partition(",")[0] for line in answer.splitlines()[1:]] == ["2018-11-02"]
    (expected / "plays_by_day.csv").write_text(answer)
    output = loaded.call("verify", "--expected", "november_2nd", *days)
    assert output.splitlines()[-1] == "1 of 1 query as expected; 22 without an expected result"
    loaded.call("verify", "--expected", "november_2nd", expect=1)


@pytest.mark.slow
def test_verify_without_anything_to_compare_with_is_one_line(loaded: Project) -> None:
    output = loaded.call("verify", expect=1, SPARKIFY_EXPECTED_RESULTS="")
    assert (
        one_line(output)
        == "sparkify: no expected results configured: set SPARKIFY_EXPECTED_RESULTS, or pass --expected"
    )
    output = loaded.call("verify", "--expected", "nowhere", expect=1)
    assert one_line(output) == "sparkify: no expected results found in nowhere: it has no file such as top_songs.csv"
    (loaded.folder / "wrong").mkdir()
    (loaded.folder / "wrong" / "top_songs.csv").write_text("song,plays\n")
    output = loaded.call("verify", "--expected", "wrong", expect=1)
    assert one_line(output).startswith(
        "sparkify: wrong/top_songs.csv, line 1: expected the columns song, artist, plays, "
    )


def test_query_lists_the_queries(project: Project) -> None:
    lines = project.call("query").splitlines()
    assert len(lines) == len(all_queries())
    assert "top_songs                     Which songs are played most?" in lines


@pytest.mark.slow
def test_query_answers_in_three_formats(loaded: Project) -> None:
    top_songs = loaded.world.query(
        "SELECT song, COUNT(*) FROM songplays GROUP BY song, artist ORDER BY 2 DESC, song, artist LIMIT 20"
    )
    as_json = json.loads(loaded.call("query", "top_songs", "--format", "json"))
    assert [(row["song"], row["plays"]) for row in as_json] == top_songs
    as_csv = list(csv.DictReader(loaded.call("query", "top_songs", "--format", "csv").splitlines()))
    assert [(row["song"], int(row["plays"])) for row in as_csv] == top_songs
    as_table = loaded.call("query", "top_songs").splitlines()
    assert as_table[0].split() == ["song", "artist", "plays", "listeners"]
    assert as_table[1].startswith(top_songs[0][0])
    assert len(as_table) == 1 + len(top_songs)


@pytest.mark.slow
def test_an_edited_select_is_reported_and_its_days_are_built_again(loaded: Project) -> None:
    shutil.copytree(ROOT / "sparkify_dagster", loaded.folder / "sparkify_dagster")
    loaded.environment["PYTHONPATH"] = str(loaded.folder)
    songplays = loaded.folder / "sparkify_dagster" / "sql" / "star" / "songplays.sql"
    songplays.write_text(songplays.read_text("utf-8").replace("e.user_agent", "e.method"), "utf-8")
    before = code_versions(loaded)
    output = loaded.sparkify("etl", "--from", DAYS[1])
    (line,) = (line for line in output.splitlines() if "its SQL has changed" in line)
    assert line == (
        "songplays: its SQL has changed since it was last built; this builds the chosen days again, and `sparkify etl` "
        "without days all of them"
    )
    plays = loaded.world.rows("songplays", "start_time", "user_agent")
    assert {start.date().isoformat() for start, agent in plays if agent == "PUT"} == {*DAYS[1:]}
    assert all((agent == "PUT") == (start.date().isoformat() in DAYS[1:]) for start, agent in plays)
    after = code_versions(loaded)
    assert {name for name in after if after[name] != before[name]} == {"songplays"}
    # What the chosen days have left is what the edit still concerns.
    assert f"Loading {DAYS[0]} to {DAYS[0]} into" in loaded.sparkify("etl")
    assert {agent for _, agent in loaded.world.rows("songplays", "start_time", "user_agent")} == {"PUT"}


@pytest.mark.slow
def test_a_mistake_in_a_query_s_file_stops_that_query_alone(loaded: Project) -> None:
    shutil.copytree(ROOT / "sparkify_dagster", loaded.folder / "sparkify_dagster")
    # Before the package that is installed.
    loaded.environment["PYTHONPATH"] = str(loaded.folder)
    folder = loaded.folder / "sparkify_dagster" / "sql" / "analytics"
    top_songs, top_artists = folder / "top_songs.sql", folder / "top_artists.sql"
    # One that is found by reading the file, and one that only the warehouse finds.
    top_songs.write_text(top_songs.read_text("utf-8").replace("-- Asked by:", "-- Asked:"), "utf-8")
    top_artists.write_text(top_artists.read_text("utf-8").replace("COUNT(*)", "CAST(MAX(n.artist) AS DATE)"), "utf-8")
    # Names that no asset can have, or that others have.
    shutil.copy(top_songs, folder / "songplays.sql")
    shutil.copy(top_songs, folder / "Top songs.sql")
    broken = "top_songs.sql: the header has no line '-- Asked by: <who, and what for>'"
    kept = loaded.world.query("SELECT * FROM analytics.top_songs ORDER BY ALL")

    assert one_line(loaded.sparkify("query", "top_songs", expect=1)) == f"sparkify: {broken}"
    refused = one_line(loaded.sparkify("query", "top_artists", expect=1))
    assert refused.startswith("sparkify: query top_artists (top_artists.sql) failed: Conversion Error: ")
    assert loaded.sparkify("query", "plays_by_day", "--format", "csv").count("\n") == 4
    listed = loaded.sparkify("query").splitlines()
    assert f"sparkify: {broken}" in listed
    assert any(line.startswith("plays_by_day ") for line in listed)

    verified = loaded.sparkify("verify", expect=1)
    assert f"\ntop_songs: {broken}\n" in verified
    assert "\ntop_artists: query top_artists (top_artists.sql) failed: Conversion Error: " in verified
    assert verified.splitlines()[-1] == "21 of 21 queries as expected; 4 failed"

    output = loaded.sparkify("etl", expect=1)
    assert f"  ✗ read_top_songs\n    {broken}; its table keeps the result of 20" in output
    for name in ("songplays", "Top songs"):
        assert f"\n    {name}.sql: invalid name: use lower case" in output
    assert "    query top_artists (top_artists.sql) failed: Conversion Error: " in output
    assert "Not everything succeeded" in output
    assert loaded.world.query("SELECT * FROM analytics.top_songs ORDER BY ALL") == kept
    with loaded.instance() as instance:
        (run,) = instance.get_runs(limit=1)
        steps = instance.get_run_step_stats(run.run_id)
        # Its page shows the last result, as of an earlier run.
        shown = instance.get_latest_materialization_event(dg.AssetKey("top_songs"))
    failed = {step.step_key for step in steps if step.status and step.status.value == "FAILURE"}
    assert failed == {"read_songplays_sql", "read_top_songs", "read_top_songs_sql", "write_query_tables"}
    assert shown is not None
    assert shown.run_id != run.run_id


@pytest.mark.slow
def test_query_of_what_nobody_asks_is_one_line(loaded: Project) -> None:
    output = loaded.call("query", "top_song", expect=1)
    assert one_line(output).startswith("sparkify: unknown query 'top_song'; available: active_users, ")


@pytest.mark.slow
def test_tables_are_dropped_only_when_that_is_confirmed(loaded: Project) -> None:
    before = loaded.world.star()
    assert "Drop all tables" in loaded.call("create-tables", "--drop", expect=1)
    assert loaded.world.star() == before
    assert "(recreated empty)" in loaded.sparkify("create-tables", "--drop", "--yes")
    assert not any(loaded.world.everything().values())
    assert loaded.world.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'analytics'") == []
    loaded.sparkify("etl")
    assert loaded.world.star() == before


@pytest.mark.slow
def test_a_file_has_no_roles_to_grant_to(loaded: Project) -> None:
    assert "has no roles" in loaded.call("grant", "--role", "analysts", expect=1)
