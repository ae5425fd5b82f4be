"""Host and credentials of the cluster, fetched from AWS for every connection, so that none can expire.

Sources, below https://docs.aws.amazon.com/: redshift/latest/APIReference/API_DescribeClusters,
API_GetClusterCredentials, API_GetClusterCredentialsWithIAM, redshift-serverless/latest/APIReference/API_GetCredentials,
redshift/latest/mgmt/redshift-secrets-manager-integration.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoRegionError
from sqlalchemy import URL

from sparkify_dagster.config import aws
from sparkify_dagster.config.aws import AwsAccess
from sparkify_dagster.config.keys import REDSHIFT_PORT
from sparkify_dagster.warehouse.database_errors import WarehouseError, with_remedy

if TYPE_CHECKING:
    from boto3 import Session

# The minimum that AWS allows: a connection outlives the credentials that opened it.
CREDENTIALS_SECONDS = 900
_SERVERLESS_HOST = re.compile(r"(?P<name>[^.]+)\.\d{12}\.(?P<region>[^.]+)\.redshift-serverless\.amazonaws\.com.*")
_CLUSTER_HOST = re.compile(r"(?P<name>[^.]+)\.[^.]+\.(?P<region>[^.]+)\.redshift\.amazonaws\.com.*")

# After the name of an operation, or for each of them.
_REMEDIES = {
    "GetCredentials: ResourceNotFoundException": "the host of a managed VPC endpoint does not name its workgroup: set "
    "[CLUSTER] WORKGROUP",
    "ClusterNotFound": "check [CLUSTER] CLUSTER_IDENTIFIER and DB_REGION",
    "ClusterNotFoundFault": "check [CLUSTER] CLUSTER_IDENTIFIER and DB_REGION",
    "ResourceNotFoundException": "check the names in the settings, and the region",
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "RequestExpired"), "log in to AWS again"),
    **dict.fromkeys(
        ("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException"),
        "check the AWS credentials",
    ),
}


@dataclass(frozen=True)
class Cluster:
    """The settings of the cluster. Without a password, credentials come from the secret, or else from AWS."""

    url: URL
    identifier: str | None = None
    region: str | None = None
    secret: str | None = None
    workgroup: str | None = None


def connection_parameters(cluster: Cluster, access: AwsAccess) -> dict[str, Any]:
    """Returns host, port, user and password for one new connection. Raises WarehouseError."""
    with _translate_errors(cluster):
        # A session is opened only if needed: with host and password no AWS credentials are required.
        found = _endpoint(cluster, access)
        return found | _login(cluster, str(found["host"]), access)


def _endpoint(cluster: Cluster, access: AwsAccess) -> dict[str, Any]:
    # SQLAlchemy takes both from the URL's query as well.
    host, port = (cluster.url.query.get(name) for name in ("host", "port"))
    if host := cluster.url.host or host:
        return {"host": host, "port": cluster.url.port or port or REDSHIFT_PORT}
    client = _session(access, cluster.region).client("redshift")
    found = client.describe_clusters(ClusterIdentifier=cluster.identifier or "")["Clusters"][0]
    status = found["ClusterStatus"]
    endpoint = found.get("Endpoint", {})
    if status == "paused" or not endpoint.get("Address"):
        remedy = (
            f"resume it with `aws redshift resume-cluster --cluster-identifier {cluster.identifier}`"
            if status in ("paused", "pausing")
            else "wait until it is available"
        )
        raise WarehouseError(f"the cluster {cluster.identifier} is {status}: {remedy}")
    return {"host": endpoint["Address"], "port": cluster.url.port or endpoint["Port"]}


def _login(cluster: Cluster, host: str, access: AwsAccess) -> dict[str, Any]:
    user, database = cluster.url.username, cluster.url.database or ""
    if cluster.url.password is not None:
        return {"user": user, "password": cluster.url.password}
    if cluster.secret is not None:
        return _secret_login(cluster.secret, user, _session(access, cluster.region))
    match = _SERVERLESS_HOST.fullmatch(host)
    # The host of a managed VPC endpoint looks like a workgroup's, and has the endpoint's name.
    if workgroup := cluster.workgroup or (match and match["name"]):
        region = match["region"] if match else cluster.region
        given = (
            _session(access, region)
            .client("redshift-serverless")
            .get_credentials(workgroupName=workgroup, dbName=database, durationSeconds=CREDENTIALS_SECONDS)
        )
        return {"user": given["dbUser"], "password": given["dbPassword"]}
    match = _CLUSTER_HOST.fullmatch(host)
    identifier = cluster.identifier or (match["name"] if match else None)
    if identifier is None:
        raise WarehouseError(
            f"no password is set for {host}, and AWS has no credentials for it, since it is not the host of a cluster: "
            "set [CLUSTER] DB_PASSWORD, SPARKIFY_WAREHOUSE_SECRET, [CLUSTER] CLUSTER_IDENTIFIER or [CLUSTER] WORKGROUP"
        )
    redshift = _session(access, cluster.region or (match["region"] if match else None)).client("redshift")
    if user:
        login = redshift.get_cluster_credentials(
            DbUser=user,
            DbName=database,
            ClusterIdentifier=identifier,
            DurationSeconds=CREDENTIALS_SECONDS,
            AutoCreate=False,
        )
        # AWS adds a prefix to the user's name.
        return {"user": login["DbUser"], "password": login["DbPassword"]}
    of_identity = redshift.get_cluster_credentials_with_iam(
        DbName=database, ClusterIdentifier=identifier, DurationSeconds=CREDENTIALS_SECONDS
    )
    return {"user": of_identity["DbUser"], "password": of_identity["DbPassword"]}


def _secret_login(secret: str, user: str | None, session: "Session") -> dict[str, Any]:
    # Not dagster-aws's resource, which is beta and would only call this client.
    response = session.client("secretsmanager").get_secret_value(SecretId=secret)
    try:
        document = json.loads(response["SecretString"])
        return {"user": user or document["username"], "password": document["password"]}
    except (KeyError, TypeError, ValueError):
        # The cause is suppressed: it may show the secret.
        raise WarehouseError(
            f"the secret {secret} does not hold JSON with `username` and `password`, as those that Redshift manages do"
        ) from None


def _session(access: AwsAccess, region: str | None) -> "Session":
    return aws.session(AwsAccess(None, region or access.region, access.fallback_access_key, access.fallback_secret_key))


@contextmanager
def _translate_errors(cluster: Cluster) -> Iterator[None]:
    name = cluster.identifier or cluster.url.host or cluster.url.query.get("host")
    # The causes are suppressed: some of them show the session token.
    try:
        yield
    except ClientError as error:
        raise WarehouseError(f"{name}: {_said_by_aws(error)}") from None
    except (BotoCoreError, aws.MissingCredentialsError) as error:
        raise WarehouseError(f"{name}: {_said_by_boto3(error)}") from None


def _said_by_aws(error: ClientError) -> str:
    code, message = (str(error.response["Error"].get(part, "")) for part in ("Code", "Message"))
    denied = f"the AWS identity of this process needs the permission for {error.operation_name}"
    remedy = (
        denied
        if code.startswith("AccessDenied")
        else _REMEDIES.get(f"{error.operation_name}: {code}", _REMEDIES.get(code))
    )
    # After its first line, SignatureDoesNotMatch quotes the headers that were sent.
    said = ": ".join([error.operation_name, code, *message.splitlines()[:1]]).removesuffix(".")
    return with_remedy(said, remedy)


def _said_by_boto3(error: Exception) -> str:
    # An HTTPClientError shows a header that cannot be sent; other errors have their own classes.
    if type(error) is HTTPClientError:
        return "the request to AWS cannot be sent; check that no AWS credential has a line break at its end"
    said = " ".join(str(error).split()).removesuffix(".")
    return f"{said}; set [CLUSTER] DB_REGION or AWS_REGION" if isinstance(error, NoRegionError) else said
