"""Keeps our SQL inside the subset that DuckDB, PostgreSQL and Redshift run alike.

sqlglot's parser takes much that Redshift refuses, so its tree is held against a list of what is allowed: each kind of
node with its arguments. Add to the list only what the three warehouses were seen to run with the same result.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlglot import ParseError, exp, parse, tokenize

import sparkify_dagster

PACKAGE = Path(sparkify_dagster.__file__).parent
# Redshift alone runs the casts of what COPY has landed.
SQL_FILES = sorted(file for file in PACKAGE.rglob("*.sql") if file.parent.name != "redshift")

ALLOWED: Mapping[type[exp.Expr], set[str]] = {
    exp.Select: {"with_", "expressions", "distinct", "from_", "joins", "where", "group", "having", "order", "limit"},
    # A UNION ALL: without ALL it is distinct.
    exp.Union: {"this", "expression"},
    exp.With: {"expressions"},
    exp.CTE: {"this", "alias"},
    exp.From: {"this"},
    exp.Join: {"this", "on", "side", "kind"},
    exp.Subquery: {"this", "alias"},
    exp.Where: {"this"},
    exp.Having: {"this"},
    exp.Group: {"expressions"},
    exp.Limit: {"expression"},
    # "on" would be DISTINCT ON; expressions are those of COUNT(DISTINCT …).
    exp.Distinct: {"expressions"},
    exp.Table: {"this", "db", "alias"},
    exp.TableAlias: {"this"},
    exp.Alias: {"this", "alias"},
    exp.Column: {"this", "table"},
    exp.Identifier: {"this"},
    exp.Placeholder: {"this"},
    exp.Literal: {"this", "is_string"},
    exp.Null: set(),
    # Predicates
    exp.And: {"this", "expression"},
    exp.Or: {"this", "expression"},
    exp.Not: {"this"},
    exp.EQ: {"this", "expression"},
    exp.NEQ: {"this", "expression"},
    exp.GTE: {"this", "expression"},
    exp.GT: {"this", "expression"},
    exp.LT: {"this", "expression"},
    exp.LTE: {"this", "expression"},
    exp.Between: {"this", "low", "high"},
    exp.Is: {"this", "expression"},
    # Expressions. What is divided is a DOUBLE PRECISION: of two integers, DuckDB gives a fraction, the others do not.
    exp.Div: {"this", "expression", "typed", "safe"},
    exp.Mul: {"this", "expression"},
    exp.Add: {"this", "expression"},
    exp.Sub: {"this", "expression"},
    exp.Paren: {"this"},
    exp.Case: {"this", "ifs", "default"},
    exp.If: {"this", "true"},
    exp.DPipe: {"this", "expression", "safe"},
    exp.Cast: {"this", "to"},
    exp.DataType: {"this"},
    exp.Extract: {"this", "expression"},
    exp.Var: {"this"},
    # Functions
    exp.MD5: {"this"},
    exp.Nullif: {"this", "expression"},
    exp.Trim: {"this", "expression", "position"},
    exp.Count: {"this", "big_int"},
    exp.Star: set(),
    exp.Coalesce: {"this", "expressions"},
    exp.TimestampTrunc: {"this", "unit"},
    exp.Sum: {"this"},
    exp.Min: {"this"},
    exp.Max: {"this"},
    exp.RowNumber: set(),
    exp.Lag: {"this"},
    exp.Lead: {"this"},
    exp.Window: {"this", "partition_by", "order", "over"},
    exp.Order: {"expressions"},
    # "nulls_first" is what sqlglot makes of each DESC; a written one is found among the tokens.
    exp.Ordered: {"this", "desc", "nulls_first"},
}
CAST_TYPES = {exp.DType.VARCHAR, exp.DType.DATE, exp.DType.DOUBLE}
EXTRACTED = {"MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR", "DOW"}


def refusals(sql: str) -> Iterator[str]:
    """Yields what is outside the subset in the SQL."""
    try:
        statements = parse(sql, dialect="redshift")
    except ParseError as error:
        yield str(error)
        return
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        yield "not one SELECT"
    # Windows cannot say where NULLs go on Redshift, and the tree does not tell a written order from the default.
    if any(token.text.upper() == "NULLS" for token in tokenize(sql, dialect="redshift")):
        yield "NULLS FIRST or LAST"
    for statement in statements:
        for node in statement.walk() if statement else ():
            yield from _refused_parts(node)


def _refused_parts(node: exp.Expr) -> Iterator[str]:
    allowed = ALLOWED.get(type(node))
    if allowed is None:
        yield f"{type(node).__name__}: {node.sql(dialect='redshift')}"
        return
    given = {name for name, value in node.args.items() if value not in (None, False, [], "")}
    for name in sorted(given - allowed):
        yield f"{type(node).__name__} with {name}: {node.sql(dialect='redshift')}"
    # Lineage takes it that each column names its table and each output has a name.
    if isinstance(node, exp.Column) and not node.table and not _is_output_to_order_by(node):
        yield f"a column without its table: {node.sql(dialect='redshift')}"
    if isinstance(node, exp.Select):
        yield from (f"an output without a name: {item.sql()}" for item in node.selects if not item.alias_or_name)
        yield from ("SELECT *" for item in node.selects if item.is_star)
    if isinstance(node, exp.Join) and not node.args.get("on"):
        yield f"a join without ON: {node.sql(dialect='redshift')}"
    if isinstance(node, exp.Div) and not (isinstance(node.this, exp.Cast) and node.this.is_type("DOUBLE")):
        yield f"a division of what is not CAST to DOUBLE PRECISION: {node.sql(dialect='redshift')}"
    # Which rows a LIMIT leaves would be any warehouse's own choice.
    if isinstance(node, exp.Limit) and not (isinstance(node.parent, exp.Select) and node.parent.args.get("order")):
        yield f"LIMIT without ORDER BY: {node.parent}"
    if isinstance(node, exp.DataType) and node.this not in CAST_TYPES:
        yield f"CAST to {node.sql(dialect='redshift')}"
    if isinstance(node, exp.Extract) and node.name.upper() not in EXTRACTED:
        yield f"EXTRACT of {node.name}"


def _is_output_to_order_by(column: exp.Column) -> bool:
    """Returns whether it is an output's name in the ORDER BY of its SELECT, where a table cannot be named."""
    select = column.parent_select
    order = column.find_ancestor(exp.Order)
    return (
        isinstance(select, exp.Select)
        and order is not None
        and order is select.args.get("order")
        and column.name in select.named_selects
    )


@pytest.mark.parametrize("file", SQL_FILES, ids=[file.relative_to(PACKAGE).as_posix() for file in SQL_FILES])
def test_our_sql_stays_in_the_subset(file: Path) -> None:
    assert list(refusals(file.read_text("utf-8"))) == []


def test_there_is_sql_to_look_at() -> None:
    assert {file.parent.name for file in SQL_FILES} >= {"staging", "star", "analytics"}


@pytest.mark.parametrize(
    ("construct", "sql"),
    [
        ("DISTINCT ON", "SELECT DISTINCT ON (t.a) t.a, t.b FROM t AS t"),
        ("FILTER", "SELECT COUNT(*) FILTER (WHERE t.a = 1) AS n FROM t AS t"),
        ("LATERAL", "SELECT l.b FROM t AS t LEFT JOIN LATERAL (SELECT u.b FROM u AS u) AS l ON l.b = t.b"),
        ("ON CONFLICT", "INSERT INTO t (a) SELECT u.a FROM u AS u ON CONFLICT DO NOTHING"),
        ("int / int", "SELECT t.a / 1000 AS a FROM t AS t"),
        ("an average of integers", "SELECT AVG(t.a) AS a FROM t AS t"),
        ("LIMIT without ORDER BY", "SELECT t.a FROM t AS t LIMIT 5"),
        ("ORDER BY of what is no output", "SELECT t.a FROM t AS t ORDER BY b"),
        ("IS DISTINCT FROM", "SELECT t.a FROM t AS t WHERE t.a IS DISTINCT FROM t.b"),
        ("NULLS LAST in a window", "SELECT ROW_NUMBER() OVER (ORDER BY t.a DESC NULLS LAST) AS n FROM t AS t"),
        ("NULLS FIRST in a window", "SELECT ROW_NUMBER() OVER (ORDER BY t.a DESC NULLS FIRST) AS n FROM t AS t"),
        ("RETURNING", "DELETE FROM t RETURNING a"),
        ("CONCAT", "SELECT CONCAT(t.a, t.b) AS a FROM t AS t"),
        ("TRY_CAST", "SELECT TRY_CAST(t.a AS VARCHAR) AS a FROM t AS t"),
        ("CHAR, padded", "SELECT CAST(t.a AS CHAR(3)) AS a FROM t AS t"),
        ("DATEDIFF", "SELECT DATEDIFF(day, t.a, t.b) AS a FROM t AS t"),
        ("QUALIFY", "SELECT t.a FROM t AS t QUALIFY ROW_NUMBER() OVER (ORDER BY t.a) = 1"),
        ("GROUP BY ALL", "SELECT t.a FROM t AS t GROUP BY ALL"),
        ("a join USING", "SELECT t.a FROM t AS t INNER JOIN u AS u USING (a)"),
        ("an unknown function", "SELECT FNV_HASH(t.a) AS a FROM t AS t"),
        ("EXTRACT(EPOCH)", "SELECT EXTRACT(EPOCH FROM t.a) AS a FROM t AS t"),
        ("a column without its table", "SELECT a FROM t AS t"),
        ("an output without a name", "SELECT MD5(t.a) FROM t AS t"),
        ("SELECT *", "SELECT * FROM t AS t"),
        ("two statements", "SELECT t.a FROM t AS t; SELECT t.a FROM t AS t"),
    ],
)
def test_the_guard_refuses(construct: str, sql: str) -> None:
    assert list(refusals(sql)), f"{construct} passes"


def test_the_guard_refuses_nothing_else() -> None:
    # So that the refusals above come from the construct in query and not from the SQL around it.
    assert list(refusals("SELECT t.a, COUNT(*) AS n FROM t AS t LEFT JOIN u AS u ON t.b = u.b GROUP BY t.a")) == []
