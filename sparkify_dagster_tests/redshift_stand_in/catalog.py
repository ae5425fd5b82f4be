"""Answers sqlalchemy-redshift's reflection, whose queries need columns that PostgreSQL's catalog lacks.

PostgreSQL has `WHERE 1` and names of outputs in a WHERE neither, so each of the three queries gets one of our own with
the same outputs. Keys are missing from them, since the back end has none.
"""

import re
from importlib import resources

_RELATIONS = """
SELECT c.relkind::text AS relkind, n.oid AS schema_oid, n.nspname::text AS schema, c.oid AS rel_oid,
    c.relname::text AS relname, NULL::text AS diststyle, c.relowner AS owner_id,
    pg_catalog.pg_get_userbyid(c.relowner)::text AS owner_name,
    CASE WHEN c.relkind = 'v' THEN trim(TRAILING ';' FROM pg_catalog.pg_get_viewdef(c.oid, true)) END
        AS view_definition,
    pg_catalog.array_to_string(c.relacl, chr(10)) AS privileges
FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
WHERE c.relkind IN ('r', 'v', 'm') AND n.nspname !~ '^pg_' {clauses} ORDER BY 1, 2, 3
"""
_COLUMNS = """
SELECT n.nspname::text AS schema, c.relname::text AS table_name, a.attname::text AS name, 'none'::text AS encode,
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, false AS distkey, 0 AS sortkey, a.attnotnull AS "notnull",
    pg_catalog.col_description(a.attrelid, a.attnum) AS comment, NULL::text AS adsrc, a.attnum,
    pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS "default",
    n.oid AS schema_oid, c.oid AS table_oid
FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
INNER JOIN pg_catalog.pg_attribute AS a ON c.oid = a.attrelid
LEFT JOIN pg_catalog.pg_attrdef AS d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE c.relkind IN ('r', 'v', 'm') AND n.nspname !~ '^pg_' AND a.attnum > 0 AND NOT a.attisdropped {clauses}
ORDER BY 1, 2, 11
"""
_CONSTRAINTS = """
SELECT NULL::text AS schema, NULL::text AS table_name, NULL::text AS contype, NULL::text AS conname,
    NULL::int2[] AS conkey, NULL::int2 AS attnum, NULL::text AS attname, NULL::text AS condef, NULL::oid AS schema_oid,
    NULL::oid AS rel_oid
WHERE false {clauses}
"""


def system_schema() -> str:
    return resources.files(__package__).joinpath("system_schema.sql").read_text("utf-8")


def answer_to_reflection(sql: str) -> str | None:
    """Returns the query on PostgreSQL for one of sqlalchemy-redshift's reflection, or None for any other."""
    if "reldiststyle" in sql:
        return _RELATIONS.format(clauses=_clauses(sql, "relname"))
    if "attencodingtype" in sql:
        return _COLUMNS.format(clauses=_clauses(sql, "table_name"))
    if "svv_external_columns" in sql and "pg_get_constraintdef" in sql:
        return _CONSTRAINTS.format(clauses="")
    return None


def _clauses(sql: str, table_column: str) -> str:
    clauses = ""
    for asked, column in (("schema", "n.nspname"), (table_column, "c.relname")):
        if found := re.search(rf"AND {asked} = '([^']*)'", sql):
            clauses += f" AND {column} = '{found.group(1)}'"
    return clauses
