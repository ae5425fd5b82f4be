"""A session of boto3 is shared by the clients of a thread, and follows what it was made from."""

from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from sparkify_dagster.config.aws import AwsAccess, MissingCredentialsError, s3_store, session

if TYPE_CHECKING:
    from boto3 import Session


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the AWS command line, which is not there yet."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path / "credentials"


def write(credentials: Path, key: str) -> None:
    credentials.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")


def key_of(session: "Session") -> str:
    found = session.get_credentials()
    assert found is not None
    return str(found.access_key)


def test_a_session_follows_the_credentials_file_and_the_environment(
    credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = AwsAccess(region="us-west-2")
    with pytest.raises(MissingCredentialsError):
        session(access)
    write(credentials, "first")
    assert session(access) is session(access)
    assert key_of(session(access)) == "first"
    write(credentials, "second")
    assert key_of(session(access)) == "second"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "third")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert key_of(session(access)) == "third"


def test_a_store_serves_as_long_as_its_session(credentials: Path) -> None:
    access = AwsAccess(region="us-west-2")
    write(credentials, "first")
    first = s3_store("bucket", "prefix", access)
    assert s3_store("bucket", "prefix", access) is first
    assert s3_store("bucket", "another", access) is not first
    write(credentials, "second")
    assert s3_store("bucket", "prefix", access) is not first


def test_the_keys_of_dwh_cfg_count_only_without_others(credentials: Path) -> None:
    access = AwsAccess(region="us-west-2", fallback_access_key="fallback", fallback_secret_key="secret")
    assert key_of(session(access)) == "fallback"
    write(credentials, "first")
    assert key_of(session(access)) == "first"


def test_each_thread_has_a_session_of_its_own(credentials: Path) -> None:
    """Clients may be used by several threads, sessions may not."""
    write(credentials, "first")
    found = [session(AwsAccess())]
    thread = Thread(target=lambda: found.append(session(AwsAccess())))
    thread.start()
    thread.join()
    assert found[0] is not found[1]
