"""Access to AWS: credentials, region and endpoint, for S3 and for the services that are called through boto3."""

import html
import os
import re
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from obstore.exceptions import BaseError
from obstore.store import S3Store

from sparkify_dagster.runtime.errors import SparkifyError

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_s3 import S3Client
    from obstore.store import S3Config

# With pauses of at most 1, 2 and 4 s in between.
MAX_ATTEMPTS = 4
_OBJECT_FIELD = re.compile(r"<(Key|LastModified|ETag|Size)>([^<]*)<")
# udacity-dend, the public bucket of this data, is in us-west-2.
DEFAULT_REGION = "us-west-2"


class MissingCredentialsError(SparkifyError):
    """No credentials in AWS's own chain or in dwh.cfg; the message says what to set."""


@dataclass(frozen=True)
class AwsAccess:
    """Endpoint, region, and keys that are used only if the usual AWS chain has no credentials."""

    endpoint_url: str | None = None
    region: str | None = None
    fallback_access_key: str | None = None
    fallback_secret_key: str | None = None

    def __repr__(self) -> str:
        return f"AwsAccess(endpoint_url={self.endpoint_url!r}, region={self.region!r})"


def session(access: AwsAccess) -> "Session":
    """Returns this thread's boto3 session with the credentials of the AWS chain, or else dwh.cfg's.

    A session is made again when an environment variable or file from which it was made changes: to make one, and to
    read AWS's descriptions of a service for its first client, takes longer than most requests.

    Raises MissingCredentialsError.
    """
    # A session is not for several threads at a time.
    return _session(access, _configuration(), get_ident())


def _configuration() -> tuple[Hashable, ...]:
    """Returns the environment variables and the versions of the files from which boto3 makes a session."""
    variables = frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    files = []
    for variable, default in (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")):
        file = Path(os.environ.get(variable, f"~/.aws/{default}")).expanduser()
        with suppress(OSError):
            found = file.stat()
            files.append((file, found.st_ino, found.st_size, found.st_mtime_ns))
    return variables, *files


@lru_cache(maxsize=16)
def _session(access: AwsAccess, configuration: tuple[Hashable, ...], thread: int) -> "Session":
    import boto3

    found = boto3.Session(region_name=access.region)
    if found.get_credentials() is not None:
        return found
    if access.fallback_access_key and access.fallback_secret_key:
        return boto3.Session(access.fallback_access_key, access.fallback_secret_key, region_name=access.region)
    raise MissingCredentialsError(
        "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or [AWS] "
        "ACCESS_KEY and SECRET_KEY in dwh.cfg"
    )


def s3_client(access: AwsAccess, *, connections: int) -> "S3Client":
    """Returns a client that lists and reads objects by their exact keys, for several threads.

    Raises MissingCredentialsError.
    """
    from botocore.config import Config

    found = session(access)
    config = Config(
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": MAX_ATTEMPTS},
        s3={"addressing_style": "path"} if access.endpoint_url is not None else None,
    )
    client = found.client(
        "s3", endpoint_url=access.endpoint_url, region_name=found.region_name or DEFAULT_REGION, config=config
    )
    client.meta.events.register("before-parse.s3.ListObjectsV2", _parse_objects)
    return client


def _parse_objects(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Parses the objects of a page of a listing, and leaves the rest of the page to botocore.

    botocore takes 0.2 ms per object, thirty times as long and longer than S3.
    """
    if response_dict["status_code"] != 200:
        return
    # The text of an element has no "<".
    before, *items = response_dict["body"].decode().split("<Contents>")
    objects, rest = [], [before]
    for item in items:
        content, end, after = item.partition("</Contents>")
        fields = dict(_OBJECT_FIELD.findall(content))
        if not end or not fields.keys() >= {"Key", "LastModified", "Size"}:
            return
        objects.append(
            {
                "Key": html.unescape(fields["Key"]),
                "LastModified": datetime.fromisoformat(fields["LastModified"]),
                "ETag": html.unescape(fields.get("ETag", "")),
                "Size": int(fields["Size"]),
            }
        )
        rest.append(after)
    if objects:
        customized_response_dict["Contents"] = objects
        response_dict["body"] = "".join(rest).encode()


def s3_store(bucket: str, prefix: str, access: AwsAccess) -> S3Store:
    """Returns a fast client for the objects below a prefix whose keys it can address.

    A client serves as long as this thread's session does: to make one takes as long as several requests, and its
    connections stay open. Raises MissingCredentialsError or ValueError.
    """
    if prefix.startswith("/"):
        raise ValueError(f"{prefix!r} begins with an empty folder")
    return _s3_store(bucket, prefix, access.endpoint_url, session(access))


@lru_cache(maxsize=16)
def _s3_store(bucket: str, prefix: str, endpoint_url: str | None, found: "Session") -> S3Store:
    from obstore.auth.boto3 import Boto3CredentialProvider

    config: S3Config = {
        "region": found.region_name or DEFAULT_REGION,
        "virtual_hosted_style_request": endpoint_url is None,
    }
    if endpoint_url is not None:
        config["endpoint"] = endpoint_url
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        credential_provider=Boto3CredentialProvider(found),
        client_options={"allow_http": (endpoint_url or "").startswith("http://")},
    )


def split_s3_url(url: str) -> tuple[str, str]:
    """Returns the bucket and the key, or prefix without trailing slashes, of an s3:// URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key.rstrip("/")


def s3_cause(error: Exception) -> str:
    """Returns an S3 error in one line, with S3's own code and message if it sent them."""
    if isinstance(error, ClientError):
        found = error.response["Error"]
        return ": ".join(filter(None, (found.get("Code"), found.get("Message"))))[:300]
    text = str(error).strip() or type(error).__name__
    said = [match[1] for name in ("Code", "Message") if (match := re.search(f"<{name}>([^<]+)</{name}>", text))]
    return (": ".join(said) or text.splitlines()[0])[:300]


def is_missing(error: ClientError) -> bool:
    """Returns whether an error says that the object does not exist; for a HEAD request S3 only sends 404."""
    return error.response["Error"].get("Code") in ("NoSuchKey", "404")


S3_ERRORS = (BaseError, OSError, ValueError, ClientError, BotoCoreError)
