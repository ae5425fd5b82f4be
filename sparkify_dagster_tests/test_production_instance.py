"""infrastructure/dagster.yaml: what runs print goes to S3."""

import re
import secrets
import shutil
from pathlib import Path

import pytest

from sparkify_dagster_tests.project import ROOT, Project
from sparkify_dagster_tests.s3_server import S3Server


@pytest.mark.slow
def test_what_runs_print_is_kept_in_s3(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = f"compute-logs-{secrets.token_hex(6)}"
    s3.put(bucket, {})
    s3.login(monkeypatch)
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "infrastructure" / "dagster.yaml", home)
    project = Project(tmp_path)
    project.simulate(days=1)
    project.environment |= {
        "DAGSTER_HOME": str(home),
        "SPARKIFY_COMPUTE_LOGS_BUCKET": bucket,
        "AWS_ENDPOINT_URL_S3": s3.url,
    }
    project.sparkify("etl")
    kept = [found["Key"] for found in s3.client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert {key.rpartition(".")[2] for key in kept} <= {"out", "err", "complete"}
    assert kept
    assert all(re.fullmatch(r"compute-logs/storage/[0-9a-f-]{36}/compute_logs/.+", key) for key in kept)
    assert not (tmp_path / ".sparkify" / "dagster").exists()
