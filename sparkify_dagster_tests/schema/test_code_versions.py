"""Code versions: an edit of the SQL changes those of the tables that it builds, and no other's."""

import pytest

from sparkify_dagster.definitions import defs
from sparkify_dagster.schema import sql_files
from sparkify_dagster.schema.code_versions import code_version_of
from sparkify_dagster.schema.lineage import intermediate_tables
from sparkify_dagster.schema.sql_files import select_sql

SELECT = "SELECT s.song_id -- the id\nFROM songs AS s\nWHERE s.year > 0"


@pytest.mark.parametrize(
    "same",
    [
        "SELECT s.song_id FROM songs AS s WHERE s.year > 0",
        "select s.song_id\n\nfrom songs as s where /* x */ s.year > 0",
    ],
)
def test_comments_and_layout_do_not_count(same: str) -> None:
    assert code_version_of(same) == code_version_of(SELECT)


@pytest.mark.parametrize(
    "edited",
    [SELECT.replace("0", "1"), SELECT.replace("song_id", "title"), SELECT.replace("year > 0", "title = '-- 0'")],
)
def test_what_changes_rows_counts(edited: str) -> None:
    assert code_version_of(edited) != code_version_of(SELECT)


def test_the_views_that_a_select_reads_count() -> None:
    reads = {name: set(intermediate_tables(select_sql(name))) for name in ("songplays", "users", "time", "songs")}
    assert reads == {
        "songplays": {"song_matches", "current_songs"},
        "users": {"user_days"},
        "time": set(),
        "songs": {"current_songs"},
    }


@pytest.mark.usefixtures("nothing_parsed")
def test_an_edited_view_changes_the_tables_that_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_all() -> dict[str, str]:
        return {name: code_version_of.__wrapped__(select_sql(name)) for name in ("songplays", "users", "time", "songs")}

    before, original = of_all(), sql_files.select_sql
    edited = original("song_matches").replace("= 1", "= 2")
    monkeypatch.setattr(
        "sparkify_dagster.schema.code_versions.select_sql",
        lambda name: edited if name == "song_matches" else original(name),
    )
    assert {name for name, version in of_all().items() if version != before[name]} == {"songplays"}


def test_each_asset_that_a_run_builds_has_a_code_version() -> None:
    versions = {spec.key.to_user_string(): spec.code_version for spec in defs.resolve_all_asset_specs()}
    without = {name for name, version in versions.items() if version is None}
    # The sources, and the report, which no SQL builds.
    assert without == {"log_data", "log_json_path", "song_data", "report"}
    of_sql = [version for name, version in versions.items() if version and not name.startswith("staging")]
    assert len(set(of_sql)) == len(of_sql)


def test_dagster_gives_its_tags_these_names() -> None:
    """Fails where Dagster renames its tags, which it does not export."""
    from dagster._core.definitions import data_version

    from sparkify_dagster.presentation import metadata_keys

    assert data_version.CODE_VERSION_TAG == metadata_keys.CODE_VERSION_TAG
    assert data_version.DATA_VERSION_TAG == metadata_keys.DATA_VERSION_TAG
