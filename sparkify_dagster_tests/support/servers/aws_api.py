"""AWS for tests: moto on loopback, behind a server that notes every request and gives the answers that a test arranged.

def test_something(aws: AwsServer, monkeypatch):
    aws.login(monkeypatch)
    aws.redshift.create_cluster(...)
    aws.answers["GetClusterCredentialsWithIAM"] = lambda asked: xml_result(asked, DbUser="IAMR:loader", DbPassword="x")
    ...
    assert aws.operations == ["DescribeClusters", "GetClusterCredentialsWithIAM"]
"""

import http.client
import json
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import boto3
import pytest

from sparkify_dagster_tests.support.servers.ports import free_ports
from sparkify_dagster_tests.support.servers.s3 import S3Server

if TYPE_CHECKING:
    from mypy_boto3_redshift import RedshiftClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

MOTO = shutil.which("moto_server", path=str(Path(sys.executable).parent)) or shutil.which("moto_server")
START_SECONDS = 60
REGION = "us-west-2"
SERVICES = ("REDSHIFT", "REDSHIFT_SERVERLESS", "SECRETS_MANAGER")
_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


@dataclass(frozen=True)
class Asked:
    """A request: in which region, and what for."""

    region: str
    operation: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class AwsResponse:
    status: int
    content_type: str
    body: bytes


@dataclass
class AwsServer:
    """moto, with responses that a test can replace; the credentials are those of login()."""

    url: str
    moto_url: str
    access_key: str = "AKIAIOSFODNN7EXAMPLE"
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    session_token: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    requests: list[Asked] = field(default_factory=list)
    answers: dict[str, Callable[[Asked], AwsResponse]] = field(default_factory=dict)

    @property
    def operations(self) -> list[str]:
        return [asked.operation for asked in self.requests]

    @cached_property
    def redshift(self) -> "RedshiftClient":
        """For arranging; what it does is not noted."""
        return boto3.client(
            "redshift",
            endpoint_url=self.moto_url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    @cached_property
    def secrets_manager(self) -> "SecretsManagerClient":
        """For arranging; what it does is not noted."""
        return boto3.client(
            "secretsmanager",
            endpoint_url=self.moto_url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def reach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The endpoints alone, for somebody who has no credentials."""
        for service in SERVICES:
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", self.url)
        # No look at the machine's own files, nor for an instance role.
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, "")

    def login(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Endpoints, region and temporary credentials, as a person would give them, in the environment."""
        self.reach(monkeypatch)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", self.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", self.secret_key)
        monkeypatch.setenv("AWS_SESSION_TOKEN", self.session_token)
        monkeypatch.setenv("AWS_REGION", REGION)

    def forget(self) -> None:
        """Forgets requests and replaced responses, for the next test."""
        self.requests.clear()
        self.answers.clear()


# What AWS sends: XML for Redshift itself, JSON for Serverless and Secrets Manager.


def xml_result(asked: Asked, **fields: object) -> AwsResponse:
    name = asked.operation
    return _xml(f"<{name}Response><{name}Result>{_elements(fields)}</{name}Result></{name}Response>")


def xml_error(code: str, message: str, status: int = 403) -> AwsResponse:
    error = _elements({"Type": "Sender", "Code": code, "Message": message})
    return _xml(f"<ErrorResponse><Error>{error}</Error><RequestId>1</RequestId></ErrorResponse>", status)


def json_result(**fields: object) -> AwsResponse:
    return AwsResponse(200, "application/x-amz-json-1.1", json.dumps(fields).encode())


def json_error(code: str, message: str) -> AwsResponse:
    return AwsResponse(400, "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode())


def _xml(text: str, status: int = 200) -> AwsResponse:
    return AwsResponse(status, "text/xml", text.encode())


def _elements(fields: Mapping[str, object]) -> str:
    return "".join(
        f"<{name}>{_elements(value) if isinstance(value, Mapping) else escape(str(value))}</{name}>"
        for name, value in fields.items()
    )


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsServer]:
    """A server of this test process; tests keep apart by the names of their clusters and secrets, and by forget()."""
    if MOTO is None:
        pytest.skip("moto is not installed")
    log_file = tmp_path_factory.mktemp("aws") / "log"
    # Another test process may choose the same one.
    for _ in range(3):
        (port,) = free_ports(1)
        with log_file.open("wb") as log:
            process = subprocess.Popen([MOTO, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
        try:
            if _is_up(port, process):
                with _front(port) as server:
                    yield server
                return
        finally:
            process.kill()
            process.wait()
    raise RuntimeError(f"moto does not start: {log_file.read_text()[-2_000:]}")


def _is_up(port: int, process: "subprocess.Popen[bytes]") -> bool:
    """Returns whether moto responds: False if it ended, or does not respond in time."""
    end = time.monotonic() + START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None and time.monotonic() < end:
        try:
            opener.open(f"http://127.0.0.1:{port}/moto-api/", timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


@pytest.fixture(scope="session")
def exact_s3(aws: AwsServer) -> S3Server:
    """moto's S3, which keeps every key as it is, as AWS does; SeaweedFS takes keys for paths and normalises them."""
    return S3Server(aws.moto_url)


@contextmanager
def _front(moto_port: int) -> Iterator[AwsServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = _asked(dict(self.headers), body)
            server.requests.append(asked)
            arranged = server.answers.get(asked.operation)
            answer = arranged(asked) if arranged else _answer_of_moto(moto_port, self.path, dict(self.headers), body)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server = AwsServer(f"http://127.0.0.1:{listener.server_port}", f"http://127.0.0.1:{moto_port}")
        threading.Thread(target=listener.serve_forever, name="aws-server", daemon=True).start()
        yield server
        listener.shutdown()


def _asked(headers: Mapping[str, str], body: bytes) -> Asked:
    scope = _SCOPE.search(headers["Authorization"])
    assert scope is not None
    if target := headers.get("X-Amz-Target"):
        parameters = {name: str(value) for name, value in json.loads(body).items()}
        return Asked(scope["region"], target.rpartition(".")[2], parameters)
    parameters = dict(parse_qsl(body.decode()))
    return Asked(scope["region"], parameters.pop("Action"), parameters)


def _answer_of_moto(port: int, path: str, headers: dict[str, str], body: bytes) -> AwsResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return AwsResponse(answer.status, answer.headers.get("Content-Type", "text/xml"), answer.read())
    finally:
        connection.close()
