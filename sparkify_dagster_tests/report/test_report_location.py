"""The location of the report: a file that is replaced as a whole, or an object in S3."""

from pathlib import Path
from uuid import uuid4

import pytest

from sparkify_dagster.report.location import ReportError, ReportLocation
from sparkify_dagster_tests.support.servers.s3 import S3Server


def test_a_file_is_replaced_as_a_whole_and_left_alone_if_it_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "reports" / "report.html"
    location = ReportLocation(location=str(file))
    location.write("the first")
    with file.open(encoding="utf-8") as reader:
        location.write("the second, Björk")
        assert reader.read() == "the first"
    assert file.read_text("utf-8") == "the second, Björk"
    before = file.stat()
    location.write("the second, Björk")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [path.name for path in file.parent.iterdir()] == ["report.html"]


def test_an_object_is_shown_by_a_browser(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = f"bucket-{uuid4()}"
    s3.put(bucket, {})
    s3.login(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    ReportLocation(location=f"s3://{bucket}/sent/report.html").write("Björk")
    written = s3.client.get_object(Bucket=bucket, Key="sent/report.html")
    assert written["Body"].read().decode() == "Björk"
    assert written["ContentType"] == "text/html; charset=utf-8"


def test_a_bucket_that_must_not_be_written_is_one_line_without_a_secret(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = f"bucket-{uuid4()}"
    s3.put(bucket, {})
    s3.login(monkeypatch, s3.listing_access_key, s3.listing_secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    with pytest.raises(ReportError) as raised:
        ReportLocation(location=f"s3://{bucket}/report.html").write("a page")
    message = str(raised.value)
    assert message.startswith(f"s3://{bucket}/report.html: the report cannot be written: ")
    assert message.endswith(
        "name a file or an s3:// URL that can be written, as an argument or as SPARKIFY_REPORT_FILE"
    )
    assert "\n" not in message
    assert s3.listing_secret_key not in message
