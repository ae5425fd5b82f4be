"""The results of parsing that a process leaves for the next one."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from sparkify_dagster_tests.support.package_copy import copy_package

# What definitions are made of, without Dagster, which takes a second to import.
IMPORT = """
import sys
from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.schema.code_versions import code_version, code_version_of
from sparkify_dagster.schema.lineage import column_origins, source_tables
from sparkify_dagster.schema.tables import PRODUCT_TABLES, STAR_TABLES

for table in (*STAR_TABLES, *PRODUCT_TABLES):
    origins = dict(column_origins(table.name))
    print(table.name, code_version(table.name), sorted(source_tables(table.name)), origins)
for query in all_queries().values():
    version = code_version_of(query.select)
    print(query.name, version, query.order, query.by_day, query.personal_columns, sorted(query.reads))
print("parsed" if "sqlglot" in sys.modules else "not parsed")
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = copy_package(tmp_path_factory.mktemp("copy"), queries=["top_songs", "most_active_users", "errors_and_help"])
    for kept in copy.rglob("parsed-sql.json"):
        kept.unlink()
    return copy


def definitions(package: Path) -> tuple[str, str]:
    """Returns whether a new process has parsed, and its description of tables and queries."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=package.parent, capture_output=True, text=True, check=True
    )
    described, _, parsed = done.stdout.rstrip().rpartition("\n")
    return parsed, described


def names_of(lines: Iterable[str]) -> set[str]:
    return {line.partition(" ")[0] for line in lines}


def kept_file(package: Path) -> Path:
    (file,) = package.rglob("parsed-sql.json")
    return file


@pytest.fixture(scope="module")
def described(package: Path) -> str:
    """The description of the first process, which has to parse."""
    parsed, described = definitions(package)
    assert parsed == "parsed"
    assert "songplays" in described
    return described


def test_the_next_process_finds_the_same_without_parsing(package: Path, described: str) -> None:
    assert definitions(package) == ("not parsed", described)


@pytest.mark.parametrize("damage", ["not JSON", "of another form", "other results"])
def test_a_damaged_file_is_replaced(package: Path, described: str, damage: str) -> None:
    kept = kept_file(package)
    content = json.loads(kept.read_text("utf-8"))
    # No function returns a number.
    other = {**content, "results": dict.fromkeys(content["results"], 1)}
    kept.write_text({"not JSON": "{", "of another form": "[]", "other results": json.dumps(other)}[damage], "utf-8")
    assert definitions(package) == ("parsed", described)
    assert json.loads(kept.read_text("utf-8"))["results"].keys() == content["results"].keys()
    assert definitions(package) == ("not parsed", described)


def test_without_write_access_each_process_parses(package: Path, described: str) -> None:
    kept = kept_file(package)
    content = kept.read_bytes()
    kept.unlink()
    # Not even root can write a file where a folder is.
    kept.mkdir()
    try:
        assert definitions(package) == ("parsed", described)
        assert list(kept.parent.glob("parsed-sql.*")) == [kept]
    finally:
        kept.rmdir()
        kept.write_bytes(content)


@pytest.mark.parametrize(
    ("edited", "before", "after", "changed"),
    [
        # A view, of which only the name stands in the SELECT that is parsed.
        ("sql/staging/song_matches.sql", "= 1", "= 2", {"songplays"}),
        ("sql/analytics/top_songs.sql", "DESC", "ASC", {"top_songs"}),
        ("schema/code_versions.py", "[:12]", "[:11]", None),
    ],
)
def test_edited_sql_or_code_is_parsed_again(
    package: Path, described: str, edited: str, before: str, after: str, changed: set[str] | None
) -> None:
    path = package / edited
    original = path.read_text("utf-8")
    assert before in original
    path.write_text(original.replace(before, after), "utf-8")
    try:
        parsed, edited_description = definitions(package)
    finally:
        path.write_text(original, "utf-8")
    assert parsed == "parsed"
    lines = set(edited_description.splitlines()) - set(described.splitlines())
    assert names_of(lines) == (changed or names_of(described.splitlines()))
