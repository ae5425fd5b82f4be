"""How AWS is reached: which credentials, region and endpoint, for S3 and for the services that boto3 talks to."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import S3Store

from sparkify_dagster.settings import Settings

if TYPE_CHECKING:
    from boto3 import Session
    from obstore.store import S3Config

# udacity-dend, the public bucket of this data, lies in us-west-2.
DEFAULT_REGION = "us-west-2"


class NoCredentials(Exception):
    """Neither AWS's own chain nor dwh.cfg has credentials; the message says what to set."""


@dataclass(frozen=True)
class AwsAccess:
    """Credentials come from the usual AWS chain; these keys serve only where it finds none."""

    endpoint_url: str | None = None
    region: str | None = None
    fallback_access_key: str | None = None
    fallback_secret_key: str | None = None

    def __repr__(self) -> str:
        return f"AwsAccess(endpoint_url={self.endpoint_url!r}, region={self.region!r})"


def access_of(settings: Settings) -> AwsAccess:
    """How the settings say that AWS is reached; the endpoint is S3's."""
    access_key, secret_key = settings.dwh_access_key, settings.dwh_secret_key
    return AwsAccess(
        endpoint_url=settings.aws_endpoint_url,
        region=settings.aws_region,
        fallback_access_key=access_key.get_secret_value() if access_key else None,
        fallback_secret_key=secret_key.get_secret_value() if secret_key else None,
    )


def session(access: AwsAccess) -> "Session":
    """A boto3 session with the credentials that the AWS chain finds, or else with dwh.cfg's. Raises NoCredentials."""
    import boto3

    found = boto3.Session(region_name=access.region)
    if found.get_credentials() is not None:
        return found
    if access.fallback_access_key and access.fallback_secret_key:
        return boto3.Session(access.fallback_access_key, access.fallback_secret_key, region_name=access.region)
    raise NoCredentials(
        "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or [AWS] "
        "ACCESS_KEY and SECRET_KEY in dwh.cfg"
    )


def s3_store(bucket: str, prefix: str, access: AwsAccess) -> S3Store:
    """A client for the objects below a prefix. Raises NoCredentials."""
    from obstore.auth.boto3 import Boto3CredentialProvider

    found = session(access)
    config: S3Config = {
        "region": found.region_name or DEFAULT_REGION,
        "virtual_hosted_style_request": access.endpoint_url is None,
    }
    if access.endpoint_url is not None:
        config["endpoint"] = access.endpoint_url
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        credential_provider=Boto3CredentialProvider(found),
        client_options={"allow_http": (access.endpoint_url or "").startswith("http://")},
    )


def split_s3_url(url: str) -> tuple[str, str]:
    """Bucket and key, or prefix, of an s3:// URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key.strip("/")


def s3_cause(error: Exception) -> str:
    """An S3 error in one line: S3's own code and message, which it sends as XML, where there are any."""
    text = str(error).strip() or type(error).__name__
    said = [match[1] for name in ("Code", "Message") if (match := re.search(f"<{name}>([^<]+)</{name}>", text))]
    return (": ".join(said) or text.splitlines()[0])[:300]


S3_ERRORS = (BaseError, OSError, ValueError)
