"""Runs COPY from a temporary S3 prefix that is always cleaned up.

Sources, below https://docs.aws.amazon.com/redshift/latest/dg/: r_COPY, loading-data-files-using-manifest,
copy-usage_notes-copy-from-json, SYS_LOAD_DETAIL, SYS_LOAD_ERROR_DETAIL, r_STL_LOAD_ERRORS.
"""

import gzip
import json
import logging
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

import obstore
import psycopg2
import psycopg2.extensions
from botocore.exceptions import BotoCoreError, ClientError
from obstore.store import S3Store
from sqlalchemy import Connection, Table, text
from sqlalchemy.exc import DBAPIError

from sparkify_dagster.batches import LoadError, StoredObject
from sparkify_dagster.config import aws
from sparkify_dagster.config.aws import S3_ERRORS, AwsAccess
from sparkify_dagster.warehouse.database_errors import RowCountMismatchError, WarehouseError, first_line

log = logging.getLogger(__name__)

MAX_CONCURRENT_WRITES = 16
SHOWN_ERRORS = 20
# The beginning of COPY's error when it rejected records; what follows quotes a name and is not shown.
_REJECTED = re.compile("^Load into table")
# The records that COPY rejected appear in the system tables a moment after its transaction has ended.
ERROR_TABLE_SECONDS = 5.0
# The objects that COPY read are listed at once, as far as is known.
LISTING_SECONDS = 5.0
_FILE_NAME_BYTES = 256
# "Invalid digit, Value 'K', Pos 0, Type: Integer", and whatever else it may quote.
_QUOTED = re.compile(r""" Value '.*',(?= Pos)|(?<!\w)(["']).*\1""")


@dataclass
class CopyFolder:
    """A temporary folder in S3 with the input of one COPY, or a few."""

    url: str
    region: str | None
    store: S3Store
    _names: list[str] = field(default_factory=list)

    def put_all(self, contents: dict[str, bytes]) -> list[str]:
        """Writes objects concurrently and returns their URLs. Raises WarehouseError."""
        self._names += contents
        try:
            with ThreadPoolExecutor(MAX_CONCURRENT_WRITES) as writers:
                list(writers.map(lambda name: obstore.put(self.store, name, contents[name]), contents))
        except S3_ERRORS as error:
            raise WarehouseError(
                f"SPARKIFY_COPY_STAGING: {self.url} cannot be written to: {aws.s3_cause(error)}; check that the "
                "bucket is there, and that the AWS identity of this process may put, get and delete objects below it"
            ) from error
        return [f"{self.url}/{name}" for name in contents]

    def put(self, name: str, content: bytes) -> str:
        return self.put_all({name: content})[0]

    def put_manifest(self, name: str, urls: Sequence[str]) -> str:
        """Writes a manifest of these objects, all of which are mandatory, and returns its URL."""
        entries = [{"url": url, "mandatory": True} for url in urls]
        return self.put(name, json.dumps({"entries": entries}).encode())

    def remove(self) -> None:
        if not self._names:
            return
        try:
            obstore.delete(self.store, self._names)
        except S3_ERRORS as error:
            # The load is done, or has failed for another reason; the bucket's expiry rule removes what is left.
            log.warning("%s could not be removed: %s", self.url, aws.s3_cause(error))


@contextmanager
def copy_folder(staging: str, region: str | None, access: AwsAccess) -> Iterator[CopyFolder]:
    """Yields a new folder below the staging location and removes it at the end. Raises WarehouseError.

    The bucket's region may differ from the source's, for which `access` is.
    """
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(6)}"
    bucket, prefix = aws.split_s3_url(staging)
    try:
        store = aws.s3_store(bucket, f"{prefix}/{name}".strip("/"), replace(access, region=region or access.region))
    except aws.MissingCredentialsError as error:
        raise WarehouseError(f"SPARKIFY_COPY_STAGING: {staging}: {error}") from error
    folder = CopyFolder(f"{staging}/{name}", region, store)
    try:
        yield folder
    finally:
        folder.remove()


def required(staging: str | None) -> str:
    if staging is None:
        raise WarehouseError(
            "SPARKIFY_COPY_STAGING is missing: Redshift reads manifests and copies from S3; set it to "
            "s3://bucket/prefix, a place where this process may write and the cluster's role may read"
        )
    return staging


_regions: dict[tuple[str, str | None], str | None] = {}


def bucket_region(bucket: str, access: AwsAccess) -> str | None:
    """Returns the bucket's region, which never changes, or None if the server does not say. Raises WarehouseError."""
    cache_key = (bucket, access.endpoint_url)
    if cache_key not in _regions:
        try:
            client = aws.session(access).client(
                "s3", endpoint_url=access.endpoint_url, region_name=access.region or aws.DEFAULT_REGION
            )
            _regions[cache_key] = client.head_bucket(Bucket=bucket).get("BucketRegion")
        except ClientError as error:
            code = error.response["Error"].get("Code", "")
            meaning = {"404": "there is no such bucket", "403": "access is denied"}.get(code, str(error))
            raise WarehouseError(f"s3://{bucket}: {meaning}") from error
        except (BotoCoreError, aws.MissingCredentialsError) as error:
            raise WarehouseError(f"s3://{bucket}: {error}") from error
    return _regions[cache_key]


@dataclass(frozen=True)
class Copy:
    """One COPY of JSON by a manifest of some URLs. `json_option` is 'auto' or the URL of a JSONPaths file."""

    table: Table
    columns: Sequence[str]
    manifest: str
    urls: Sequence[str]
    json_option: str
    role: str | None
    region: str | None
    gzip: bool
    max_errors: int = 0
    """So many rejected records are passed over; the next one fails the COPY."""

    def run(self, connection: Connection) -> None:
        """Raises RowCountMismatchError with the lines that COPY rejected, WarehouseError if it could read nothing."""
        process, began = connection.execute(text("SELECT PG_BACKEND_PID(), GETDATE()")).one()
        options = ["MANIFEST", "COMPUPDATE OFF", *(["GZIP"] if self.gzip else [])]
        if self.max_errors:
            options.append(f"MAXERROR {self.max_errors}")
        parameters = {"manifest": self.manifest, "json_option": self.json_option}
        if self.role is not None:
            parameters["role"] = self.role
        if self.region is not None:
            options.append("REGION :region")
            parameters["region"] = self.region
        statement = (
            f"COPY {self.table.fullname} ({', '.join(self.columns)}) FROM :manifest"
            f" IAM_ROLE {'default' if self.role is None else ':role'} FORMAT JSON :json_option {' '.join(options)}"
        )
        try:
            connection.execute(text(statement), parameters)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            if _REJECTED.match(first_line(error)):
                rejected = _rejected_records(connection, process, began, self.urls)
                if not rejected:
                    raise RowCountMismatchError(
                        "COPY rejected records that the cluster does not list yet: see sys_load_error_detail"
                    ) from None
                first = rejected[0]
                raise RowCountMismatchError(
                    f"COPY rejected {first.key} line {first.line_number}: {first.column_name}: {first.reason}", rejected
                ) from None
            if (remedy := _remedy(first_line(error), self.role)) is not None:
                raise WarehouseError(f"COPY failed: {first_line(error)}; {remedy}") from None
            raise


@dataclass(frozen=True)
class LoadedFile:
    """An object as a COPY read it."""

    etag: str
    lines: int

    def is_version_of(self, source: StoredObject) -> bool:
        """Returns whether COPY read the version that was listed. A listing has the ETag in quotes."""
        return self.etag == source.etag.strip('"')


def list_loaded_files(connection: Connection, urls: Sequence[str]) -> Mapping[str, LoadedFile]:
    """Returns the objects that this session's last COPY read, by those of the URLs that name one of them alone.

    No page says how soon they are listed. So an object is missing only after LISTING_SECONDS.
    """
    by_name = _by_listed_name(urls)
    end = time.monotonic() + LISTING_SECONDS
    while True:
        found: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for name, etag, lines in connection.execute(text(_LOADED_FILES)):
            found[name].append((etag.strip('"'), lines))
        if by_name.keys() <= found.keys() or time.monotonic() > end:
            break
        time.sleep(0.2)
    loaded = {}
    for name, (url, *others) in by_name.items():
        etags = {etag for etag, _ in found.get(name, ())}
        if not others and len(etags) == 1:
            loaded[url] = LoadedFile(etags.pop(), sum(lines for _, lines in found[name]))
    return loaded


def files_with_rejected_records(connection: Connection, urls: Sequence[str]) -> Set[str]:
    """Returns the URLs of those objects of which this session's last COPY may have rejected records."""
    names = set(connection.scalars(text(_FILES_WITH_ERRORS)))
    return {url for url in urls if _as_listed(url) in names}


def _by_listed_name(urls: Sequence[str]) -> Mapping[str, Sequence[str]]:
    by_name: dict[str, list[str]] = defaultdict(list)
    for url in urls:
        by_name[_as_listed(url)].append(url)
    return by_name


def _as_listed(url: str) -> str:
    """Returns the URL as a CHAR(256) of a system view shows it: cut, and without blanks at its end."""
    return url.encode()[:_FILE_NAME_BYTES].decode(errors="ignore").rstrip(" ")


def _remedy(said: str, role: str | None) -> str | None:
    """Returns the remedy for an error of COPY about S3 or its role, or None for any other error."""
    if "IAM" in said or "assume" in said:
        return f"attach the role {role or '(default)'} to the cluster, or correct [IAM_ROLE] ARN"
    if "S3" in said or "manifest" in said:
        return (
            f"the role {role or '(the default one)'} needs s3:GetObject and s3:ListBucket on the source's bucket and "
            "on that of SPARKIFY_COPY_STAGING"
        )
    return None


def _rejected_records(connection: Connection, process: int, began: datetime, urls: Sequence[str]) -> list[LoadError]:
    """Returns the records that this session's COPY rejected, after a rollback.

    Serverless has only the first of the two system tables. Their raw lines and values are not read.
    """
    driver = cast(psycopg2.extensions.connection, connection.connection.driver_connection)
    end = time.monotonic() + ERROR_TABLE_SECONDS
    while True:
        for query in (_SYS_ERRORS, _STL_ERRORS):
            driver.rollback()
            try:
                with driver.cursor() as cursor:
                    cursor.execute(query, (process, began, SHOWN_ERRORS))
                    rows = cursor.fetchall()
            except psycopg2.Error as error:
                log.info("the load errors cannot be read: %s", first_line(error))
                continue
            if rows:
                url_of = {name: of_name[0] for name, of_name in _by_listed_name(urls).items() if len(of_name) == 1}
                return [
                    LoadError(
                        url_of.get(file, file), line, column or None, f"{_without_values(reason)} (error {code})", None
                    )
                    for file, line, column, code, reason in rows
                ]
        if time.monotonic() > end:
            return []
        time.sleep(0.5)


def _without_values(reason: str) -> str:
    return _QUOTED.sub("", reason)


# The columns are CHAR: padded with blanks.
_LOADED_FILES = """
SELECT TRIM(file_name), TRIM(file_etag), lines_scanned FROM sys_load_detail WHERE query_id = pg_last_copy_id()
"""
_FILES_WITH_ERRORS = "SELECT DISTINCT TRIM(file_name) FROM sys_load_error_detail WHERE query_id = pg_last_copy_id()"
_SYS_ERRORS = """
SELECT TRIM(file_name), line_number, TRIM(column_name), error_code, TRIM(error_message)
FROM sys_load_error_detail WHERE session_id = %s AND start_time >= %s
ORDER BY start_time, file_name, line_number LIMIT %s
"""
_STL_ERRORS = """
SELECT TRIM(filename), line_number, TRIM(colname), err_code, TRIM(err_reason)
FROM stl_load_errors WHERE session = %s AND starttime >= %s
ORDER BY starttime, filename, line_number LIMIT %s
"""


def compressed(content: bytes) -> bytes:
    """Compresses at gzip's fastest level: the object is read once and removed."""
    return gzip.compress(content, compresslevel=1)
