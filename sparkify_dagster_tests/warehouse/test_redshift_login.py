"""Address and login of Redshift, against servers on loopback: moto, AWS's answers that moto lacks, a stand-in.

Whatever these tests call a secret is in no message, in no cause of an error, and in no log.
"""

import json
import logging
import secrets
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from sparkify_dagster.config.settings import Settings
from sparkify_dagster.warehouse.base import Warehouse
from sparkify_dagster.warehouse.connect import create_warehouse
from sparkify_dagster.warehouse.database_errors import WarehouseError
from sparkify_dagster.warehouse.redshift.login import CREDENTIALS_SECONDS, Cluster, connection_parameters
from sparkify_dagster.warehouse.redshift.warehouse import RedshiftWarehouse
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.redshift_stand_in.stand_in import RedshiftStandIn
from sparkify_dagster_tests.support.kerberos import REALM, write_ticket
from sparkify_dagster_tests.support.servers.aws_api import (
    REGION,
    Asked,
    AwsResponse,
    AwsServer,
    json_error,
    json_result,
    xml_error,
    xml_result,
)

SCHEME = "redshift+psycopg2://"
PROVISIONED = "sparkify.abc123xyz789.eu-west-1.redshift.amazonaws.com"
SERVERLESS = "sparkify-wg.123456789012.eu-west-1.redshift-serverless.amazonaws.com"
# What AWS sends for an operation that no policy allows; the resource is the database's user.
DENIED = (
    "User: arn:aws:iam::123456789012:user/loader is not authorized to perform: redshift:{0} on resource: "
    "arn:aws:redshift:us-west-2:123456789012:dbuser:sparkify/awsuser because no identity-based policy allows the "
    "redshift:{0} action"
)
EXPIRED = "The security token included in the request is expired"


class Hidden:
    """Makes secrets, and finds them where they may not be."""

    def __init__(self) -> None:
        self.secrets: list[str] = []

    def new(self) -> str:
        self.secrets.append(f"hidden-{secrets.token_hex(12)}")
        return self.secrets[-1]

    def found_in(self, shown: str) -> list[str]:
        return [secret for secret in self.secrets if secret in shown]


@pytest.fixture
def hidden(aws: AwsServer, caplog: pytest.LogCaptureFixture) -> Iterator[Hidden]:
    hidden = Hidden()
    hidden.secrets += [aws.secret_key, aws.session_token]
    caplog.set_level(logging.DEBUG, "sparkify_dagster")
    yield hidden
    ours = [record for record in caplog.get_records("call") if record.name.startswith("sparkify_dagster")]
    assert hidden.found_in("\n".join(caplog.handler.format(record) for record in ours)) == []


@pytest.fixture(autouse=True)
def logged_in(aws: AwsServer, hidden: Hidden, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.forget()
    aws.login(monkeypatch)


@pytest.fixture
def log_out(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS can be reached, and nobody has credentials for it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)


@pytest.fixture
def identifier(aws: AwsServer) -> str:
    """The name of a cluster that is available."""
    identifier = f"sparkify-{secrets.token_hex(4)}"
    aws.redshift.create_cluster(
        ClusterIdentifier=identifier,
        NodeType="ra3.large",
        MasterUsername="awsuser",
        MasterUserPassword="Moto-wants-1",
        Port=5440,
    )
    return identifier


@pytest.fixture
def server(redshift_servers: RedshiftServers) -> Iterator[RedshiftStandIn]:
    server = redshift_servers.new_server()
    yield server
    server.stop()


def log_in(address: str, identifier: str | None = None, region: str | None = None, secret: str | None = None) -> Any:
    """Returns the parameters of a new connection; the address is a URL without its scheme."""
    cluster = Cluster(make_url(SCHEME + address), identifier, region, secret)
    return connection_parameters(cluster, Settings.load().aws_access())


def refusal(hidden: Hidden, act: Callable[[], object]) -> str:
    """The one line that a person reads; in all that led to it there is no secret either."""
    with pytest.raises(WarehouseError) as raised:
        act()
    said = str(raised.value)
    assert "\n" not in said
    assert hidden.found_in("".join(traceback.format_exception(raised.value))) == []
    shown: BaseException | None = raised.value
    while shown is not None:
        # Attributes too, which error trackers show: a JSONDecodeError keeps the whole document.
        assert hidden.found_in(f"{shown!r} {vars(shown)}") == []
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
    return said


def refused_log_in(hidden: Hidden, *arguments: str, **named: str) -> str:
    return refusal(hidden, lambda: log_in(*arguments, **named))


def warehouse_without_password(
    server: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, host: bool = True
) -> Warehouse:
    """As it is configured for a cluster named sparkify; its host is 127.0.0.1, or else is looked up."""
    url = server.url._replace(username="awsuser", password=None)
    if not host:
        url = url._replace(host=None, port=None)
    monkeypatch.setenv("SPARKIFY_WAREHOUSE", url.render_as_string())
    (tmp_path / "dwh.cfg").write_text("[CLUSTER]\nCLUSTER_IDENTIFIER = sparkify\n")
    monkeypatch.setenv("SPARKIFY_CONFIG", str(tmp_path / "dwh.cfg"))
    return create_warehouse(Settings.load())


@pytest.fixture
def fresh_passwords(aws: AwsServer, server: RedshiftStandIn, hidden: Hidden) -> None:
    """AWS gives another password each time, and the stand-in takes only the one that was given last."""

    def give(asked: Asked) -> AwsResponse:
        server.user, server.password = f"IAM:{asked.parameters['DbUser']}", hidden.new()
        return xml_result(asked, DbUser=server.user, DbPassword=server.password)

    aws.answers["GetClusterCredentials"] = give


def count_to_one(connection: Connection) -> object:
    return connection.scalar(text("SELECT 1 AS counted"))


# Where the cluster is


def test_a_cluster_is_looked_up_by_its_name(aws: AwsServer, identifier: str) -> None:
    found = log_in("awsuser:p@/dev", identifier)
    assert found["host"].startswith(f"{identifier}.")
    assert found["host"].endswith(".redshift.amazonaws.com")
    assert found["port"] == 5440
    assert aws.operations == ["DescribeClusters"]
    assert aws.requests[0].parameters["ClusterIdentifier"] == identifier


def test_a_cluster_is_looked_up_in_its_own_region(aws: AwsServer) -> None:
    aws.answers["DescribeClusters"] = described("available", address="10.0.0.7", port=5439)
    assert log_in("awsuser:p@/dev", "sparkify", "eu-central-1")["host"] == "10.0.0.7"
    log_in("awsuser:p@/dev", "sparkify")
    assert [asked.region for asked in aws.requests] == ["eu-central-1", REGION]


def test_a_port_that_is_given_wins(identifier: str) -> None:
    url = make_url(SCHEME + "awsuser:p@/dev")._replace(port=6000)
    found = connection_parameters(Cluster(url, identifier), Settings.load().aws_access())
    assert found["port"] == 6000


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("awsuser:p@10.0.0.7/dev", 5439),
        ("awsuser:p@10.0.0.7:6000/dev", 6000),
        ("awsuser:p@/dev?host=10.0.0.7&port=6000", "6000"),
    ],
)
def test_a_host_that_is_given_is_not_looked_up(aws: AwsServer, address: str, port: object) -> None:
    assert log_in(address, "sparkify") == {"host": "10.0.0.7", "port": port, "user": "awsuser", "password": "p"}
    assert aws.requests == []


def test_an_unknown_cluster_is_one_clear_line(hidden: Hidden) -> None:
    said = refused_log_in(hidden, f"awsuser:{hidden.new()}@/dev", "nobodys")
    assert said.startswith("nobodys: DescribeClusters: ClusterNotFound: ")
    assert said.endswith("; check [CLUSTER] CLUSTER_IDENTIFIER and DB_REGION")


def test_a_paused_cluster_is_one_clear_line(aws: AwsServer, identifier: str, hidden: Hidden) -> None:
    aws.redshift.pause_cluster(ClusterIdentifier=identifier)
    said = refused_log_in(hidden, f"awsuser:{hidden.new()}@/dev", identifier)
    assert said == (
        f"the cluster {identifier} is paused: "
        f"resume it with `aws redshift resume-cluster --cluster-identifier {identifier}`"
    )
    aws.redshift.resume_cluster(ClusterIdentifier=identifier)
    assert log_in("awsuser:p@/dev", identifier)["port"] == 5440


def test_a_cluster_that_is_being_created_is_one_clear_line(aws: AwsServer, hidden: Hidden) -> None:
    aws.answers["DescribeClusters"] = described("creating")
    said = refused_log_in(hidden, f"awsuser:{hidden.new()}@/dev", "sparkify")
    assert said == "the cluster sparkify is creating: wait until it is available"


def described(status: str, address: str | None = None, port: int | None = None) -> Callable[[Asked], AwsResponse]:
    endpoint = {"Endpoint": {"Address": address, "Port": port}} if address else {}

    def answer(asked: Asked) -> AwsResponse:
        cluster = {"ClusterIdentifier": asked.parameters["ClusterIdentifier"], "ClusterStatus": status, **endpoint}
        return xml_result(asked, Clusters={"Cluster": cluster})

    return answer


# A password that is given


@pytest.mark.usefixtures("log_out")
def test_with_host_and_password_aws_is_not_called(
    aws: AwsServer, server: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, hidden: Hidden
) -> None:
    server.password = hidden.new()
    monkeypatch.setenv("SPARKIFY_WAREHOUSE", server.url.render_as_string(hide_password=False))
    warehouse = create_warehouse(Settings.load())
    assert warehouse.run("a test", count_to_one) == 1
    assert aws.requests == []
    for shown in (repr(warehouse), warehouse.database, str(warehouse.model_dump()), warehouse.model_dump_json()):
        assert hidden.found_in(shown) == []


@pytest.mark.usefixtures("log_out")
def test_whoever_has_a_kerberos_ticket_connects_too(
    server: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a ticket libpq asks for encryption by GSSAPI first, upon which Redshift closes the connection."""
    write_ticket(tmp_path / "ticket")
    (tmp_path / "krb5.conf").write_text(f"[libdefaults]\ndefault_realm = {REALM.decode()}\n")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'ticket'}")
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
    url = server.url.set(host="localhost")
    with pytest.raises(OperationalError, match="server closed the connection"):
        create_engine(url, connect_args={"gssencmode": "prefer"}, poolclass=NullPool).connect()
    assert RedshiftWarehouse(address=url.render_as_string(hide_password=False)).run("a test", count_to_one) == 1


@pytest.mark.usefixtures("log_out")
def test_the_password_of_dwh_cfg_is_used_and_never_shown(
    aws: AwsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hidden: Hidden
) -> None:
    password, secret_key = hidden.new(), hidden.new()
    (tmp_path / "dwh.cfg").write_text(
        f"[CLUSTER]\nHOST = {PROVISIONED}\nDB_NAME = dev\nDB_USER = awsuser\nDB_PASSWORD = {password}\n"
        f"[AWS]\nACCESS_KEY = AKIAEXAMPLE\nSECRET_KEY = {secret_key}\n"
    )
    monkeypatch.setenv("SPARKIFY_CONFIG", str(tmp_path / "dwh.cfg"))
    settings = Settings.load()
    cluster = Cluster(settings.warehouse)
    assert connection_parameters(cluster, settings.aws_access()) == {
        "host": PROVISIONED,
        "port": 5439,
        "user": "awsuser",
        "password": password,
    }
    assert aws.requests == []
    warehouse = create_warehouse(settings)
    for shown in (repr(warehouse), warehouse.database, str(warehouse.model_dump()), repr(cluster), repr(settings)):
        assert hidden.found_in(shown) == []


def test_a_password_wins_over_secret_and_cluster(aws: AwsServer) -> None:
    assert log_in(f"awsuser:p@{PROVISIONED}/dev", "sparkify", secret="a-secret")["password"] == "p"
    assert aws.requests == []


# Temporary credentials


def test_a_user_logs_in_by_the_name_that_aws_returns(aws: AwsServer, identifier: str) -> None:
    found = log_in("awsuser@/dev", identifier)
    assert found["user"] == "IAM:awsuser"
    assert len(found["password"]) == 32
    assert aws.operations == ["DescribeClusters", "GetClusterCredentials"]
    asked = aws.requests[-1].parameters
    assert asked["ClusterIdentifier"] == identifier
    assert (asked["DbUser"], asked["DbName"], asked["AutoCreate"]) == ("awsuser", "dev", "false")
    assert asked["DurationSeconds"] == str(CREDENTIALS_SECONDS)


def test_without_a_user_the_identity_logs_in(aws: AwsServer, identifier: str, hidden: Hidden) -> None:
    password = hidden.new()
    aws.answers["GetClusterCredentialsWithIAM"] = lambda asked: xml_result(
        asked, DbUser="IAMR:loader", DbPassword=password
    )
    found = log_in("/dev", identifier)
    assert (found["user"], found["password"]) == ("IAMR:loader", password)
    assert aws.operations == ["DescribeClusters", "GetClusterCredentialsWithIAM"]
    asked = aws.requests[-1].parameters
    assert (asked["ClusterIdentifier"], asked["DbName"]) == (identifier, "dev")
    assert "DbUser" not in asked


@pytest.mark.parametrize(
    ("identifier", "region", "asked_for"),
    [(None, None, ("sparkify", "eu-west-1")), ("other", "eu-central-1", ("other", "eu-central-1"))],
)
def test_the_name_and_region_of_a_cluster_come_from_its_host_where_no_setting_has_them(
    aws: AwsServer, identifier: str | None, region: str | None, asked_for: tuple[str, str]
) -> None:
    aws.answers["GetClusterCredentials"] = lambda asked: xml_result(asked, DbUser="IAM:awsuser", DbPassword="p")
    found = log_in(f"awsuser@{PROVISIONED}/dev", identifier, region)
    assert found == {"host": PROVISIONED, "port": 5439, "user": "IAM:awsuser", "password": "p"}
    (asked,) = aws.requests
    assert (asked.parameters["ClusterIdentifier"], asked.region) == asked_for


@pytest.mark.parametrize("user", ["", "awsuser@"])
def test_serverless_gives_the_identitys_user_by_workgroup(aws: AwsServer, user: str, hidden: Hidden) -> None:
    password = hidden.new()
    aws.answers["GetCredentials"] = lambda asked: json_result(dbUser="IAMR:loader", dbPassword=password)
    found = log_in(f"{user}{SERVERLESS}/dev")
    assert found == {"host": SERVERLESS, "port": 5439, "user": "IAMR:loader", "password": password}
    (asked,) = aws.requests
    assert asked == Asked(
        "eu-west-1",
        "GetCredentials",
        {"workgroupName": "sparkify-wg", "dbName": "dev", "durationSeconds": str(CREDENTIALS_SECONDS)},
    )


@pytest.mark.parametrize(
    ("host", "region"),
    [
        # As CreateEndpointAccess names it.
        ("my-endpoint-endpoint-rt7xu3ojmhwp.123456789012.eu-west-1.redshift-serverless.amazonaws.com", "eu-west-1"),
        ("warehouse.example.com", "eu-central-1"),
    ],
)
def test_an_endpoint_that_does_not_name_its_workgroup_needs_the_setting(
    aws: AwsServer, host: str, region: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    aws.answers["GetCredentials"] = lambda asked: json_result(dbUser="IAMR:loader", dbPassword="p")
    (tmp_path / "dwh.cfg").write_text(
        f"[CLUSTER]\nHOST={host}\nDB_NAME=dev\nWORKGROUP=sparkify-wg\nDB_REGION=eu-central-1\n"
    )
    monkeypatch.setenv("SPARKIFY_CONFIG", str(tmp_path / "dwh.cfg"))
    warehouse = create_warehouse(Settings.load())
    assert isinstance(warehouse, RedshiftWarehouse)
    cluster = Cluster(make_url(warehouse.address), region=warehouse.region, workgroup=warehouse.workgroup)
    found = connection_parameters(cluster, Settings.load().aws_access())
    assert found == {"host": host, "port": 5439, "user": "IAMR:loader", "password": "p"}
    (asked,) = aws.requests
    assert (asked.parameters["workgroupName"], asked.region) == ("sparkify-wg", region)


def test_an_endpoint_that_is_taken_for_a_workgroup_is_one_clear_line(aws: AwsServer, hidden: Hidden) -> None:
    aws.answers["GetCredentials"] = lambda asked: json_error("ResourceNotFoundException", "no such workgroup")
    assert refused_log_in(hidden, f"{SERVERLESS}/dev").endswith("does not name its workgroup: set [CLUSTER] WORKGROUP")


def test_a_host_that_is_no_clusters_needs_a_password_or_a_name(aws: AwsServer, hidden: Hidden) -> None:
    said = refused_log_in(hidden, "awsuser@10.0.0.7/dev")
    assert said.startswith("no password is set for 10.0.0.7")
    for remedy in (
        "[CLUSTER] DB_PASSWORD",
        "SPARKIFY_WAREHOUSE_SECRET",
        "[CLUSTER] CLUSTER_IDENTIFIER",
        "[CLUSTER] WORKGROUP",
    ):
        assert remedy in said
    assert aws.requests == []


# Every new connection logs in again


@pytest.mark.usefixtures("fresh_passwords")
def test_every_connection_logs_in_again(
    aws: AwsServer, server: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    warehouse = warehouse_without_password(server, monkeypatch, tmp_path)
    for openings in (1, 2):
        with warehouse.connect("a test") as engine:
            for _ in range(2):
                assert warehouse.run_in_transaction(engine, count_to_one) == 1
        assert aws.operations == ["GetClusterCredentials"] * openings


@pytest.mark.usefixtures("fresh_passwords")
@pytest.mark.parametrize("lost_at", ["SELECT 1 AS counted", "COMMIT"])
def test_a_reconnection_logs_in_again(
    aws: AwsServer, server: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lost_at: str
) -> None:
    """It is lost in the middle of a transaction, or at its end."""
    monkeypatch.setattr("sparkify_dagster.warehouse.base.MAX_PAUSE_SECONDS", 0.01)
    warehouse = warehouse_without_password(server, monkeypatch, tmp_path)
    with warehouse.connect("a test") as engine:
        assert warehouse.run_in_transaction(engine, count_to_one) == 1
        first_password = server.password
        server.cut_next(lost_at)
        assert warehouse.run_in_transaction(engine, count_to_one) == 1
    assert server.password != first_password
    assert aws.operations == ["GetClusterCredentials"] * 2


@pytest.mark.usefixtures("fresh_passwords")
def test_a_connection_that_was_lost_unused_is_made_again_before_a_transaction(
    aws: AwsServer, server: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    warehouse = warehouse_without_password(server, monkeypatch, tmp_path)
    with warehouse.connect("a test") as engine:
        server.cut_next("SELECT 1")
        # Not by transact(), which would do it a second time.
        with engine.begin() as connection:
            assert count_to_one(connection) == 1
    assert aws.operations == ["GetClusterCredentials"] * 2


@pytest.mark.usefixtures("fresh_passwords")
def test_a_cluster_is_looked_up_for_every_new_connection(
    aws: AwsServer, server: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hidden: Hidden
) -> None:
    warehouse = warehouse_without_password(server, monkeypatch, tmp_path, host=False)
    aws.answers["DescribeClusters"] = described("available", "127.0.0.1", server.port)
    with warehouse.connect("a test") as engine:
        assert warehouse.run_in_transaction(engine, count_to_one) == 1
        engine.dispose()
        aws.answers["DescribeClusters"] = described("resizing")
        said = refusal(hidden, lambda: warehouse.run_in_transaction(engine, count_to_one))
    assert said == "the cluster sparkify is resizing: wait until it is available"
    assert warehouse.database == "redshift://sparkify/dev"


def test_a_password_that_redshift_refuses_is_one_clear_line(
    aws: AwsServer, server: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hidden: Hidden
) -> None:
    server.password, given = hidden.new(), hidden.new()
    aws.answers["GetClusterCredentials"] = lambda asked: xml_result(asked, DbUser="IAM:awsuser", DbPassword=given)
    warehouse = warehouse_without_password(server, monkeypatch, tmp_path)
    said = refusal(hidden, lambda: warehouse.run("a test", count_to_one))
    assert 'password authentication failed for user "IAM:awsuser"' in said


def test_what_aws_refuses_is_one_clear_line_of_the_warehouses(
    aws: AwsServer, server: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hidden: Hidden
) -> None:
    aws.answers["GetClusterCredentials"] = lambda asked: xml_error("ExpiredToken", EXPIRED)
    warehouse = warehouse_without_password(server, monkeypatch, tmp_path)
    said = refusal(hidden, lambda: warehouse.run("a test", count_to_one))
    assert said == f"sparkify: GetClusterCredentials: ExpiredToken: {EXPIRED}; log in to AWS again"


# A secret in Secrets Manager


@pytest.fixture
def hold(aws: AwsServer) -> Callable[[str], str]:
    """Stores a text in a new secret and returns the secret's name."""

    def hold(content: str) -> str:
        name = f"sparkify/{secrets.token_hex(4)}"
        aws.secrets_manager.create_secret(Name=name, SecretString=content)
        return name

    return hold


def test_a_secret_that_redshift_manages_holds_user_and_password(
    aws: AwsServer, hold: Callable[[str], str], hidden: Hidden
) -> None:
    password = hidden.new()
    secret = hold(json.dumps({"username": "admin", "password": password}))
    found = log_in(f"{PROVISIONED}/dev", "sparkify", secret=secret)
    assert (found["user"], found["password"]) == ("admin", password)
    assert log_in(f"awsuser@{PROVISIONED}/dev", secret=secret)["user"] == "awsuser"
    assert log_in(f"{SERVERLESS}/dev", secret=secret)["user"] == "admin"
    assert aws.operations == ["GetSecretValue"] * 3
    assert aws.requests[0].parameters["SecretId"] == secret


@pytest.mark.parametrize("content", ["{0}", '"{0}"', '["{0}"]', '{{"user": "admin", "pass": "{0}"}}', "{{{0}"])
def test_a_secret_that_holds_something_else_is_not_shown(
    hold: Callable[[str], str], hidden: Hidden, content: str
) -> None:
    secret = hold(content.format(hidden.new()))
    assert refused_log_in(hidden, f"{PROVISIONED}/dev", secret=secret) == (
        f"the secret {secret} does not hold JSON with `username` and `password`, as those that Redshift manages do"
    )


def test_a_missing_secret_is_one_clear_line(hidden: Hidden) -> None:
    said = refused_log_in(hidden, f"{PROVISIONED}/dev", secret="nobodys")
    assert said.startswith(f"{PROVISIONED}: GetSecretValue: ResourceNotFoundException: ")
    assert said.endswith("; check the names in the settings, and the region")


# What AWS refuses


@pytest.mark.usefixtures("log_out")
@pytest.mark.parametrize(
    ("address", "identifier"),
    [("awsuser:p@/dev", "sparkify"), (f"awsuser@{PROVISIONED}/dev", None), (f"{SERVERLESS}/dev", None)],
)
def test_without_aws_credentials_is_one_clear_line(
    aws: AwsServer, hidden: Hidden, address: str, identifier: str | None
) -> None:
    said = refusal(hidden, lambda: log_in(address, identifier))
    assert said.startswith(f"{identifier or make_url(SCHEME + address).host}: no AWS credentials were found: set ")
    assert aws.requests == []


@pytest.mark.parametrize(
    ("address", "secret", "operation", "answer"),
    [
        ("awsuser:p@/dev", None, "DescribeClusters", xml_error("ExpiredToken", EXPIRED)),
        (f"awsuser@{PROVISIONED}/dev", None, "GetClusterCredentials", xml_error("ExpiredToken", EXPIRED)),
        (f"{SERVERLESS}/dev", None, "GetCredentials", json_error("ExpiredTokenException", EXPIRED)),
        (f"{PROVISIONED}/dev", "a-secret", "GetSecretValue", json_error("ExpiredTokenException", EXPIRED)),
    ],
)
def test_an_expired_session_is_one_clear_line(
    aws: AwsServer, hidden: Hidden, address: str, secret: str | None, operation: str, answer: AwsResponse
) -> None:
    aws.answers[operation] = lambda asked: answer
    said = refusal(hidden, lambda: log_in(address, "sparkify", secret=secret))
    assert said.startswith(f"sparkify: {operation}: ExpiredToken")
    assert said.endswith(f": {EXPIRED}; log in to AWS again")
    assert aws.operations == [operation]


@pytest.mark.parametrize(
    ("user", "operation"), [("awsuser@", "GetClusterCredentials"), ("", "GetClusterCredentialsWithIAM")]
)
def test_a_permission_that_lacks_is_named(aws: AwsServer, hidden: Hidden, user: str, operation: str) -> None:
    aws.answers[operation] = lambda asked: xml_error("AccessDenied", DENIED.format(operation))
    said = refused_log_in(hidden, f"{user}{PROVISIONED}/dev", "sparkify")
    assert f"redshift:{operation} on resource: " in said
    assert said.endswith(f"; the AWS identity of this process needs the permission for {operation}")


def test_what_has_no_remedy_comes_as_aws_says_it(aws: AwsServer, hidden: Hidden) -> None:
    message = "The requested operation isn't supported."
    aws.answers["GetClusterCredentials"] = lambda asked: xml_error("UnsupportedOperation", message, status=400)
    said = refused_log_in(hidden, f"awsuser@{PROVISIONED}/dev")
    assert f"{said}." == f"{PROVISIONED}: GetClusterCredentials: UnsupportedOperation: {message}"


def test_wrong_aws_credentials_are_not_taken_for_a_lack_of_permission(aws: AwsServer, hidden: Hidden) -> None:
    """AWS returns what it would have signed, the session token in it."""
    aws.answers["GetClusterCredentials"] = lambda asked: xml_error(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for "
        f"this request should have been\n'POST\n/\n\nx-amz-security-token:{aws.session_token}\n'",
    )
    said = refused_log_in(hidden, f"awsuser@{PROVISIONED}/dev")
    assert said.endswith("the signature you provided; check the AWS credentials")


def test_a_session_token_with_a_line_break_is_not_shown(
    aws: AwsServer, hidden: Hidden, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an .env file from Windows gives it; no request can be made of it."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{aws.session_token}\r")
    said = refused_log_in(hidden, f"awsuser@{PROVISIONED}/dev")
    assert said.startswith(f"{PROVISIONED}: ")
    assert "line break" in said
    assert aws.requests == []


def test_a_cluster_in_no_region_is_one_clear_line(
    aws: AwsServer, hidden: Hidden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION")
    said = refused_log_in(hidden, "awsuser:p@/dev", "sparkify")
    assert said == "sparkify: You must specify a region; set [CLUSTER] DB_REGION or AWS_REGION"
    assert aws.requests == []
