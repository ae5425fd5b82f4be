"""Code versions: digests of the SQL that builds tables, by which Dagster's UI shows where an edit takes effect."""

from functools import cache
from hashlib import sha256

from sparkify_dagster.schema.lineage import intermediate_tables, parsed_select
from sparkify_dagster.schema.parse_cache import cached_on_disk
from sparkify_dagster.schema.sql_files import select_sql


def code_version(table: str) -> str:
    """Returns the code version of a table that a transform builds. Raises LineageError."""
    return code_version_of(select_sql(table))


@cache
@cached_on_disk
def code_version_of(select: str) -> str:
    """Returns a digest of a SELECT and of those of the views that it reads. Raises LineageError.

    Comments, line breaks and the case of keywords do not count.
    """
    read = (select, *(select_sql(name) for name in sorted(intermediate_tables(select))))
    canonical = [parsed_select(each).sql("redshift", comments=False) for each in read]
    return sha256("\0".join(canonical).encode()).hexdigest()[:12]
