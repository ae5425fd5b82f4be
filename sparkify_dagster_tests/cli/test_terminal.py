"""Output that nothing can break, commands that are interrupted, and several that start at once."""

import json
import shutil
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from sparkify_dagster.cli.main import main
from sparkify_dagster.formatting import visible
from sparkify_dagster_tests.runtime.test_liveness import statuses
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.project import DEADLINE_SECONDS, Project
from sparkify_dagster_tests.support.world import World

DAY = "2018-11-01"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def small(project: Project) -> World:
    """A source of one day with one play."""
    project.use(project.folder, days=1)
    world = project.world
    world.write_log(DAY, event())
    world.write_songs("A/A/A/TRAAA.json", song())
    return world


# Output


@pytest.mark.slow
def test_text_of_the_data_and_any_encoding_reach_the_end_of_a_run(small: World, project: Project) -> None:
    folder = Path(small.log_data, "[/x] \x1b[31m")
    folder.mkdir(parents=True)
    (folder / f"{DAY}-events.json").write_text(f"{json.dumps(event(itemInSession=7))}\nnot JSON\n")
    small.write_songs("A/A/A/TRAAB.json", "[/bold]\x1b[2J")
    output = project.sparkify(
        "etl",
        PYTHONIOENCODING="latin-1",
        SPARKIFY_WAREHOUSE=f"duckdb:///{project.folder}/[/x]/warehouse.duckdb",
        SPARKIFY_SERVICE_HOST="10.0.0.1",
    )
    assert f"Loading {DAY} to {DAY} into duckdb:///{project.folder}/[/x]/warehouse.duckdb" in output
    assert r"[/x] \x1b[31m/2018-11-01-events.json" in output
    assert "  ? staging_events " in output
    assert "\x1b" not in output
    assert output.count("SPARKIFY_SERVICE_HOST") == 1
    assert "sparkify: ignored, since no setting has this name: SPARKIFY_SERVICE_HOST (environment)\n" in output


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_no_run(small: World, project: Project) -> None:
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("sparkify")), "etl"],
        cwd=project.folder,
        env=project.environment_of({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"Loading ")
    process.stdout.close()
    assert process.wait(DEADLINE_SECONDS) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert len(small.rows("songplays")) == 1


def test_a_full_disk_below_the_output_ends_nothing() -> None:
    program = "from sparkify_dagster.formatting import console; console().print('x'); print('y')"
    with Path("/dev/full").open("w") as full:
        assert subprocess.run([sys.executable, "-c", program], stdout=full, check=False).returncode == 0


def test_control_characters_are_shown_as_text() -> None:
    assert visible("a\x1b[31m\r\nb\x9b\u202e\udc80é日") == r"a\x1b[31m\r\nb\x9b\u202e\udc80é日"
    assert visible("a\n\tb", keep="\n") == "a\n\\tb"


def test_an_error_shows_control_characters_as_text(project: Project) -> None:
    output = project.call("verify", "--expected", "no\x1b[31mwhere", expect=1)
    assert output.startswith(r"sparkify: no expected results found in no\x1b[31mwhere: ")


@pytest.mark.slow
def test_csv_and_json_are_utf8_whatever_the_terminal_s_encoding(small: World, project: Project) -> None:
    small.write_log(DAY, event(song="Björk – 日本"))
    small.load(DAY)
    for form in ("csv", "json"):
        with chdir(project.folder):
            result = CliRunner(charset="latin-1").invoke(main, ["query", "top_songs", "--format", form])
        assert "Björk – 日本" in result.stdout_bytes.decode("utf-8")


# Interrupted


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_interrupted_says_so(small: World, project: Project, number: int, status: int) -> None:
    """A run, and a command that runs nothing. SIGTERM also ends what a script has started in the background."""
    background = number == signal.SIGTERM
    start = project.start_in_background if background else project.start_installed
    small.load(DAY)
    before = small.everything()
    small.write_log(DAY, event(song="Another"))
    with (
        small.warehouse.connect("somebody's load"),
        # Signals are tried on the installed script: a forked process may take them otherwise.
        # With the days named, the first step is the first to open the warehouse.
        start("sparkify", "etl", "--from", DAY, "--to", DAY) as etl,
        start("sparkify", "create-tables") as create_tables,
    ):
        for started in (etl, create_tables):
            started.wait_for("Waiting for somebody's load")
            if background:
                started.process.send_signal(signal.SIGINT)
                with pytest.raises(subprocess.TimeoutExpired):
                    started.process.wait(0.5)
            started.process.send_signal(number)
            assert started.process.wait(DEADLINE_SECONDS) == status
            assert "Traceback" not in started.output
            assert started.output.splitlines()[-1] == "sparkify: interrupted"
    assert "  ✗ staging_events\n    interrupted\n" in etl.output
    # Not failed: the daemon would repeat it.
    assert statuses(project) == [dg.DagsterRunStatus.CANCELED]
    assert small.everything() == before


# Several at once, and state that cannot be kept


@pytest.mark.slow
def test_of_two_first_runs_one_simulates_a_month_and_both_load(project: Project) -> None:
    # A window of one day, so that the month is not all loaded.
    days = {"SPARKIFY_LOG_START": "2018-11-30", "SPARKIFY_LOG_END": "2018-12-01"}
    with project.start("sparkify", "etl", **days) as one, project.start("sparkify", "etl", **days) as other:
        outputs = [one.wait(), other.wait()]
    said = "No source is configured: simulating a month of the app (2018-11) into .sparkify/simulated"
    (simulating,) = (output for output in outputs if said in output)
    assert simulating.startswith(said)
    assert "".join(outputs).count("Next: `sparkify ui`") == 2
    simulated = project.folder / ".sparkify" / "simulated"
    assert len(list((simulated / "log_data").rglob("*.json"))) == 30
    assert not (project.folder / ".sparkify" / "unfinished").exists()


@pytest.mark.parametrize("command", [("etl",), ("etl", "--from", "2018-11-01")])
def test_a_state_folder_that_cannot_be_written_is_one_line(project: Project, command: tuple[str, ...]) -> None:
    shutil.rmtree(project.folder / ".sparkify")
    (project.folder / ".sparkify").touch()
    output = project.call(*command, expect=1)
    assert output == "sparkify: .sparkify: cannot be written: File exists; sparkify keeps its state there\n"


def test_a_history_that_cannot_be_written_is_one_line(project: Project) -> None:
    shutil.rmtree(project.folder / ".sparkify" / "dagster")
    (project.folder / ".sparkify" / "dagster").touch()
    output = project.call("etl", expect=1, SPARKIFY_LOG_DATA="logs", SPARKIFY_SONG_DATA="songs")
    assert output.startswith("sparkify: .sparkify: cannot be written: ")
    assert output.count("\n") == 1


# Days


@pytest.mark.parametrize("command", ["query top_songs", "verify --expected ."])
@pytest.mark.parametrize(
    ("days", "message"),
    [
        ("--from 2018-11-03 --to 2018-11-01", "--from 2018-11-03 is after --to 2018-11-01"),
        ("--to 9999-12-31", "--to 9999-12-31: the last possible day is 9999-12-30"),
        ("--from 9999-12-31", "--from 9999-12-31: the last possible day is 9999-12-30"),
    ],
)
def test_impossible_days_are_an_error_of_one_line(project: Project, command: str, days: str, message: str) -> None:
    assert project.call(*command.split(), *days.split(), expect=1) == f"sparkify: {message}\n"


@pytest.mark.parametrize(
    "options", ["--start 9999-12-20", "--start 9999-12-31 --days 1", "--start 0999-12-31", "--days 4000000"]
)
def test_days_that_cannot_be_simulated_are_one_line(project: Project, options: str) -> None:
    output = project.call("simulate", "--out", "x", *options.split(), expect=1)
    assert output.startswith("sparkify: --start ")
    assert output.endswith(" are not all between 1000-01-01 and 9999-12-30\n")
    assert not (project.folder / "x").exists()


def test_the_last_possible_days_are_simulated(project: Project) -> None:
    options = ["--start", "9999-12-29", "--days", "2", "--users", "5", "--songs", "5"]
    assert project.call("simulate", "--out", "x", *options).startswith("Simulated")
