"""Recognizes the conflicts that another attempt resolves, and names the remedy of Redshift's other errors."""

import re

from sqlalchemy.exc import DBAPIError, OperationalError

from sparkify_dagster.warehouse.database_errors import first_line

_QUERY_CANCELED = "57014"
_INSUFFICIENT_PRIVILEGE = "42501"
_PRIVILEGES_REMEDY = (
    "docs/how-to/redshift.md lists the privileges that a user needs; only the user who created the tables may change "
    "or drop them"
)
# Conflicts of concurrent transactions (errors 1023 and 1018, see c_serial_isolation-serializable-isolation-
# troubleshooting in https://docs.aws.amazon.com/redshift/latest/dg/), or a changed table definition.
_CONFLICT_CODES = (
    "40001",
    # Deadlock.
    "40P01",
    # A schema, table or catalog entry already exists: another process is creating the same tables.
    *("42P06", "42P07", "23505"),
)
_CONFLICT = re.compile(
    r"serializable isolation violation|relation does not exist.*1018|1018.*relation does not exist"
    r"|concurrent transaction|tuple concurrently updated|could not open relation with OID",
    re.IGNORECASE | re.DOTALL,
)


def is_conflict(error: DBAPIError) -> bool:
    """Returns whether a transaction failed because of a concurrent one alone."""
    return getattr(error.orig, "pgcode", None) in _CONFLICT_CODES or _CONFLICT.search(str(error.orig)) is not None


def remedy_for(error: DBAPIError) -> str | None:
    """Returns what to do about an error, or None if nothing better is known than its message."""
    code = getattr(error.orig, "pgcode", None)
    if code == _QUERY_CANCELED:
        return "raise SPARKIFY_STATEMENT_TIMEOUT"
    if code == _INSUFFICIENT_PRIVILEGE:
        return _PRIVILEGES_REMEDY
    if is_conflict(error):
        return "other sessions change the same tables at the same time: let them end, and start again"
    return _connection_remedy(error) if isinstance(error, OperationalError) else None


def _connection_remedy(error: OperationalError) -> str:
    said = first_line(error)
    if "authentication method 13" in said:
        return (
            "the password is stored as SHA-256, which this driver cannot send: leave DB_PASSWORD out, and AWS gives "
            "temporary credentials; or store it as MD5, with ALTER USER ... PASSWORD and the password as plain text"
        )
    if error.connection_invalidated:
        return "the connection was cut, and what was not committed is undone: start again when the cluster is up"
    if "certificate" in said or "SSL" in said:
        return "TLS is verified in full: connect by the host's own name, or give sslrootcert in SPARKIFY_WAREHOUSE"
    if "authentication" in said:
        return "check user and password: [CLUSTER] DB_USER and DB_PASSWORD, or SPARKIFY_WAREHOUSE"
    if "database" in said and "does not exist" in said:
        return "check [CLUSTER] DB_NAME, or SPARKIFY_WAREHOUSE"
    return "check host and port, that the cluster runs, and that its security group lets this machine in"
