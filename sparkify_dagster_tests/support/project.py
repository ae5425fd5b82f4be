"""The project's folder as a user has it, for commands that run in processes of their own.

`sparkify` and Dagster's commands are forked from a process that has the libraries. They are started as a shell starts
them where the test says so, or changes what the interpreter reads when it starts; what they start themselves always is.

project = Project(tmp_path)
project.sparkify("simulate", "--out", "source")
project.sparkify("etl", expect=1)
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dagster as dg
from click.testing import CliRunner

from sparkify_dagster.cli.main import main
from sparkify_dagster_tests.support.forked_commands import ForkedProcess, can_be_forked, start_forked
from sparkify_dagster_tests.support.run_history import copy_empty_history
from sparkify_dagster_tests.support.world import World

ROOT = Path(__file__).parents[2]
# What a person would find in the project's folder and Dagster's commands read there.
FILES = ("dagster.yaml", "pyproject.toml", "workspace.yaml")
HISTORY = Path(".sparkify", "dagster")
# Long enough for a machine that does much else at the time.
DEADLINE_SECONDS = 120
# What the installed scripts do.
SPARKIFY = "from sparkify_dagster.cli.main import main; main()"
_SCRIPTS = {
    "sparkify": SPARKIFY,
    "dagster": "from dagster._cli import main; main()",
    "dagster-daemon": "from dagster._daemon.cli import main; main()",
    "dagster-webserver": "from dagster_webserver.cli import main; main()",
    "dg": "from dagster_dg_cli.cli import main; main()",
}
SECRET = "wJalrXUtnFEMI-not-to-be-shown"


@dataclass
class Project:
    """A folder with the project's own files, its state below it, and an environment that says where the source is."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    scripts: Path = Path(sys.executable).parent
    """The folder of the virtual environment's commands."""

    def __post_init__(self) -> None:
        for name in FILES:
            shutil.copy(ROOT / name, self.folder / name)
        if not (self.folder / HISTORY).exists():
            # Which the first command would create, in half a second of a processor.
            copy_empty_history(self.folder / HISTORY)
        (self.folder / "dwh.cfg").write_text(f"[AWS]\nACCESS_KEY = AKIAEXAMPLE\nSECRET_KEY = {SECRET}\n")

    # Arranging

    def simulate(self, *, days: int = 3, users: int = 10, songs: int = 20) -> None:
        """A small source, and a window that is just as long."""
        # With this seed each day has plays, and there are free and paid listeners, women and men.
        options = {"--out": "source", "--days": days, "--users": users, "--songs": songs, "--seed": 20}
        self.call("simulate", *(str(part) for option in options.items() for part in option))
        self.use(self.folder / "source", days=days)
        self.environment["SPARKIFY_EXPECTED_RESULTS"] = str(self.folder / "source" / "expected")

    def use(self, source: Path, *, days: int = 3) -> None:
        """The source's log_data and song_data, for some days from 2018-11-01."""
        self.environment |= {
            "SPARKIFY_LOG_DATA": str(source / "log_data"),
            "SPARKIFY_SONG_DATA": str(source / "song_data"),
            "SPARKIFY_LOG_START": "2018-11-01",
            "SPARKIFY_LOG_END": f"2018-11-{days + 1:02}",
        }

    def write_report(self) -> Path:
        """Lets the commands write the report, and returns its file."""
        self.environment["SPARKIFY_REPORT_FILE"] = ".sparkify/report.html"
        return self.folder / ".sparkify" / "report.html"

    # Acting

    def sparkify(self, *arguments: str, expect: int = 0, **environment: str) -> str:
        return self.run("sparkify", *arguments, expect=expect, **environment)

    def call(self, *arguments: str, expect: int = 0, **environment: str) -> str:
        """Calls `sparkify` in this process, whose definitions have no setting of the project: for all but `etl`."""
        variables = self.environment_of(environment)
        removed = dict.fromkeys(os.environ.keys() - variables.keys())
        with chdir(self.folder):
            result = CliRunner().invoke(main, arguments, env={**removed, **variables})
        self._new_output().write_text(result.output, "utf-8")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert result.exit_code == expect, f"the command ended with {result.exit_code}:\n{result.output}"
        assert SECRET not in result.output
        return result.output

    def run(self, command: str, *arguments: str, expect: int = 0, **environment: str) -> str:
        """Runs a command of the virtual environment, checks its status and returns its output."""
        with self.start(command, *arguments, **environment) as started:
            output = started.wait(expect)
        if command == "sparkify":
            assert "Traceback" not in output, output
        return output

    @contextmanager
    def start(self, command: str, *arguments: str, **environment: str) -> Iterator["Started"]:
        """A command that is running. At the block's end it is killed, with all that it started."""
        if command not in _SCRIPTS or not can_be_forked({**self.environment, **environment}):
            with self.start_installed(command, *arguments, **environment) as started:
                yield started
            return
        with self.start_code(_SCRIPTS[command], *arguments, name=command, **environment) as started:
            yield started

    @contextmanager
    def start_code(self, code: str, *arguments: str, name: str = "code", **environment: str) -> Iterator["Started"]:
        """The same for Python code, forked from a process that has the libraries."""
        output = self._new_output()
        forked = start_forked(code, [name, *arguments], self.folder, self.environment_of(environment), output)
        with Started(forked, output) as started:
            yield started

    def start_installed(self, command: str, *arguments: str, **environment: str) -> AbstractContextManager["Started"]:
        """The same for a command that is started as a shell starts it."""
        return self._start_installed(command, arguments, environment, background=False)

    def start_in_background(
        self, command: str, *arguments: str, **environment: str
    ) -> AbstractContextManager["Started"]:
        """The same for a command that is started as a script starts one with `&`."""
        return self._start_installed(command, arguments, environment, background=True)

    @contextmanager
    def _start_installed(
        self, command: str, arguments: Sequence[str], environment: Mapping[str, str], *, background: bool
    ) -> Iterator["Started"]:
        output = self._new_output()
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [str(self.scripts / command), *arguments],
                cwd=self.folder,
                env=self.environment_of(environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(_take_signals, background=background),
            )
        with Started(process, output) as started:
            yield started

    def _new_output(self) -> Path:
        output = self.folder / f"output-{time.monotonic_ns()}.txt"
        output.touch()
        return output

    def environment_of(self, changes: Mapping[str, str]) -> dict[str, str]:
        """The environment of a command."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPARKIFY_")}
        # Each run would write it again, for a third of a second; the tests that look at it say where it is.
        report = {"SPARKIFY_REPORT_FILE": ""}
        own = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "200", "VIRTUAL_ENV": str(self.scripts.parent)}
        return {**inherited, **report, **own, **self.environment, **changes}

    # Looking

    @property
    def world(self) -> World:
        """The same source and warehouse, to look at and to load from scratch."""
        return World(
            self.folder,
            warehouse_file=self.warehouse_file,
            log_data=self.environment["SPARKIFY_LOG_DATA"],
            song_data=self.environment["SPARKIFY_SONG_DATA"],
        )

    @property
    def warehouse_file(self) -> Path:
        return self.folder / ".sparkify" / "warehouse.duckdb"

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The history that the project's commands share."""
        # The storage lies relative to the folder in which a command starts.
        with chdir(self.folder), dg.DagsterInstance.from_config(str(self.folder)) as instance:
            yield instance

    def runs(self) -> list[dg.DagsterRun]:
        """The runs in the history, the oldest first."""
        with self.instance() as instance:
            return list(instance.get_runs())[::-1]


def _take_signals(*, background: bool) -> None:
    """As from a terminal, or from a script, in whose background SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN if background else signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@dataclass
class Started:
    """A command that was started, and the file with what it prints."""

    process: subprocess.Popen[bytes] | ForkedProcess
    file: Path

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *error: object) -> None:
        self.kill_group()

    def wait(self, expect: int = 0) -> str:
        """Waits for the command to end with the expected status, and returns its output."""
        status = self.process.wait(DEADLINE_SECONDS)
        assert status == expect, f"the command ended with {status}:\n{self.output}"
        assert SECRET not in self.output
        return self.output

    def kill_group(self) -> None:
        """Kills the command and all processes that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        # One that was forked just now may have no group yet.
        self.process.kill()
        self.process.wait()

    @property
    def output(self) -> str:
        return self.file.read_text("utf-8", errors="replace")

    def wait_for(self, text: str) -> None:
        """Waits until the command has printed the text."""
        wait_until(lambda: text in self.output or self.process.poll() is not None, f"{text!r} in the output")
        assert text in self.output, self.output


def wait_until(
    condition: Callable[[], bool], what: str, *, seconds: float = DEADLINE_SECONDS, pause: float = 0.005
) -> None:
    """Looks again and again until the condition holds; fails where it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(pause)
