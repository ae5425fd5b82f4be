"""DuckDB: files that cannot be opened as a warehouse are errors of one line with the remedy."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from sparkify_dagster.schema.tables import pending_rematch
from sparkify_dagster.warehouse import duckdb_instance
from sparkify_dagster.warehouse.base import count_rows
from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
from sparkify_dagster_tests.support.project import DEADLINE_SECONDS

REMEDY = "name another file in SPARKIFY_WAREHOUSE, as duckdb:///path/warehouse.duckdb"


def error_of(path: Path) -> str:
    with pytest.raises(WarehouseError) as raised, DuckDBWarehouse(path=str(path)).connect("a test"):
        pass
    return str(raised.value)


def test_a_file_of_another_kind_is_kept_and_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("what I wanted to do today")
    assert error_of(file) == f"{file} is not a DuckDB file; {REMEDY}, or move this one away"
    assert file.read_text() == "what I wanted to do today"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert error_of(tmp_path) == f"{tmp_path} is a folder; {REMEDY}"


@pytest.mark.parametrize("path", ["/proc/x.duckdb", "/proc/x/y.duckdb", "/dev/null/x.duckdb"])
def test_where_nothing_can_be_written_nobody_waits(path: str) -> None:
    assert error_of(Path(path)).startswith(f"{path} cannot be written: ")


def test_a_link_to_itself_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "loop.duckdb"
    file.symlink_to(file)
    assert error_of(file).startswith(f"{file} cannot be ")
    assert error_of(file).endswith(REMEDY)


def test_a_file_of_zero_bytes_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").touch()
    with DuckDBWarehouse(path=str(tmp_path / "x.duckdb")).connect("a test") as engine, engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM songplays")) == 0


def test_an_error_does_not_show_what_was_bound(tmp_path: Path) -> None:
    with (
        pytest.raises(DBAPIError) as raised,
        DuckDBWarehouse(path=str(tmp_path / "x.duckdb")).connect("a test") as engine,
        engine.begin() as connection,
    ):
        connection.execute(text("SELECT no_column FROM users WHERE first_name = :name"), {"name": "Ayleen"})
    assert "no_column" in str(raised.value)
    assert "Ayleen" not in str(raised.value)


def test_a_file_that_this_process_has_open_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)):
        assert error_of(path).startswith(f"{path} is open elsewhere; close it there and run again: ")
    with DuckDBWarehouse(path=str(path)).connect("a test"):
        pass


def test_files_of_any_name_are_open_at_once_and_closed_at_the_end(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("x.duckdb", "it's.duckdb", 'a "b" \\ ;.duckdb')]
    with ExitStack() as opened:
        for number, path in enumerate(paths):
            engine = opened.enter_context(DuckDBWarehouse(path=str(path)).connect("a test"))
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE numbers AS SELECT :number AS number"), {"number": number})
    for number, path in enumerate(paths):
        assert not path.with_name(f"{path.name}.wal").exists()
        with duckdb.connect(str(path)) as other_program:
            assert other_program.execute("SELECT number FROM numbers").fetchall() == [(number,)]


def test_what_does_not_fit_into_memory_goes_to_a_folder_beside_the_file(tmp_path: Path) -> None:
    rows = "SELECT DISTINCT i FROM range(4000000) AS t (i)"
    assert _in_a_process(tmp_path, f"SELECT count(*) || current_setting('temp_directory') FROM ({rows})") == (
        f"4000000{tmp_path}/x.duckdb.tmp\n",
        "",
    )


def test_a_statement_that_needs_all_in_memory_is_repeated_without_the_limit(tmp_path: Path) -> None:
    result, log = _in_a_process(tmp_path, "SELECT len(list(i)) FROM range(4000000) AS t (i)")
    assert result == "4000000\n"
    assert log.startswith("Out of Memory Error")
    assert log.count("the transaction is repeated") == 1


def _in_a_process(folder: Path, statement: str) -> tuple[str, str]:
    """Returns the result of a statement in a DuckDB that is limited to 40 MB, and what was logged."""
    program = (
        "import sys\n"
        "from sparkify_dagster.warehouse import duckdb_instance\n"
        "from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse\n"
        "duckdb_instance.cursor().execute(\"SET memory_limit = '40MB'\")\n"
        "run = DuckDBWarehouse(path=sys.argv[1]).run\n"
        "print(run('a test', lambda connection: connection.exec_driver_sql(sys.argv[2]).scalar()))\n"
    )
    command = [sys.executable, "-c", program, str(folder / "x.duckdb"), statement]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    assert {path.name.partition(".")[0] for path in folder.iterdir()} == {"x"}
    return ran.stdout, ran.stderr


class TestKeptOpen:
    """A command leaves the file open between its connections, and lets others have it in between."""

    # Prints what it logs, and the number of rows that it finds.
    OTHER = """
import logging, sys
from sparkify_dagster.schema.tables import pending_rematch
from sparkify_dagster.warehouse.base import count_rows
from sparkify_dagster.warehouse.duckdb import DuckDBWarehouse
logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
print(DuckDBWarehouse(path=sys.argv[1]).read("another", lambda connection: count_rows(connection, pending_rematch)))
"""

    @pytest.fixture
    def warehouse(self, tmp_path: Path) -> DuckDBWarehouse:
        return DuckDBWarehouse(path=str(tmp_path / "x.duckdb"))

    def is_open(self, warehouse: DuckDBWarehouse) -> bool:
        opened = duckdb_instance.cursor().execute("SELECT path FROM duckdb_databases()").fetchall()
        return (warehouse.path,) in opened

    def add_a_row(self, connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO staging.pending_rematch (log_date) VALUES (DATE '2018-11-01')")

    def start_other(self, warehouse: DuckDBWarehouse) -> "subprocess.Popen[str]":
        command = [sys.executable, "-u", "-c", self.OTHER, warehouse.path]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def test_the_file_stays_open_until_the_end(self, warehouse: DuckDBWarehouse) -> None:
        with warehouse.kept_open():
            assert not self.is_open(warehouse)
            for _ in range(2):
                warehouse.run("a test", self.add_a_row)
                assert self.is_open(warehouse)
        assert not self.is_open(warehouse)
        assert warehouse.read("a test", lambda connection: count_rows(connection, pending_rematch)) == 2
        assert not self.is_open(warehouse)

    def test_an_error_closes_the_file(self, warehouse: DuckDBWarehouse) -> None:
        with warehouse.kept_open():
            warehouse.run("a test", self.add_a_row)
            with pytest.raises(ZeroDivisionError):
                warehouse.run("a test", lambda connection: 1 / 0)
            assert not self.is_open(warehouse)
            warehouse.run("a test", self.add_a_row)
        assert warehouse.read("a test", lambda connection: count_rows(connection, pending_rematch)) == 2

    def test_much_that_is_not_yet_in_the_file_closes_it(
        self, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with warehouse.kept_open():
            warehouse.run("a test", self.add_a_row)
            assert self.is_open(warehouse)
            monkeypatch.setattr("sparkify_dagster.warehouse.duckdb.MAX_WAL_BYTES", 0)
            warehouse.run("a test", self.add_a_row)
            assert not self.is_open(warehouse)

    def test_a_process_that_waits_has_it_before_the_next_connection(self, warehouse: DuckDBWarehouse) -> None:
        with warehouse.kept_open():
            with warehouse.connect("the first") as engine:
                other = self.start_other(warehouse)
                assert other.stdout
                assert other.stdout.readline().startswith("Waiting for the first (process ")
                warehouse.run_in_transaction(engine, self.add_a_row)
            assert not self.is_open(warehouse)
            warehouse.run("the second", self.add_a_row)
            # Had it waited for the end of the block, it would not be done yet.
            assert other.wait(DEADLINE_SECONDS) == 0
            assert self.is_open(warehouse)
        assert other.communicate()[0] == "1\n"

    def test_who_waits_reads_the_purpose_of_the_present_connection(self, warehouse: DuckDBWarehouse) -> None:
        with warehouse.kept_open():
            warehouse.run("the first", self.add_a_row)
            with warehouse.connect("the second"):
                other = self.start_other(warehouse)
                assert other.stdout
                assert other.stdout.readline().startswith("Waiting for the second (process ")
            assert other.communicate(timeout=DEADLINE_SECONDS)[0] == "1\n"
