"""Tags of runs of the command line: warehouse, sources and window."""

from pathlib import Path

import pytest

from sparkify_dagster.config.run_tags import run_tags
from sparkify_dagster.config.settings import Settings


def tags(folder: Path, **variables: str) -> dict[str, str]:
    return run_tags(Settings.load({f"SPARKIFY_{name}": value for name, value in variables.items()}, folder))


def test_paths_are_those_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    simulated = f"{tmp_path}/.sparkify/simulated"
    assert tags(tmp_path) == {
        "sparkify/warehouse": f"duckdb:///{tmp_path}/.sparkify/warehouse.duckdb",
        "sparkify/sources": f"{simulated}/log_data, {simulated}/log_json_path.json, {simulated}/song_data",
        "sparkify/window": "2018-11-01 to 2018-11-30",
    }


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://loader:s3cret@host:5433/db", "postgresql://host:5433/db, schema marts"),
        ("redshift://loader:s3cret@cluster.example/dev", "redshift://cluster.example/dev, schema marts"),
        ("postgresql:///db", "postgresql://localhost/db, schema marts"),
    ],
)
def test_a_server_is_named_without_user_and_password(tmp_path: Path, url: str, shown: str) -> None:
    assert tags(tmp_path, WAREHOUSE=url, STAR_SCHEMA="marts")["sparkify/warehouse"] == shown


def test_an_open_window_is_the_same_on_each_day_and_a_service_is_part_of_its_sources(tmp_path: Path) -> None:
    environment = {
        "SPARKIFY_LOG_DATA": "s3://bucket/logs",
        "SPARKIFY_SONG_DATA": "s3://bucket/songs",
        "SPARKIFY_LOG_START": "2018-11-01",
        "AWS_ENDPOINT_URL": "http://s3.example",
    }
    found = run_tags(Settings.load(environment, tmp_path))
    assert found["sparkify/sources"] == "s3://bucket/logs, s3://bucket/songs of http://s3.example"
    assert found["sparkify/window"] == "2018-11-01 to the last day that is over"
