"""Refuses the queries that Redshift refuses. sqlglot's parser takes them all, so its tree is looked through.

Pages: c_unsupported-postgresql-features, c_unsupported-postgresql-functions, c_unsupported-postgresql-datatypes,
r_INSERT_30, r_SELECT_synopsis, r_MERGE, r_pg_keywords.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy_redshift.dialect import RESERVED_WORDS  # type: ignore[import-untyped]
from sqlglot import ParseError, Token, TokenError, TokenType, exp, parse, tokenize

from sparkify_dagster_tests.redshift_stand_in.refusal import Refusal, words

# r_pg_keywords; the dialect's own list lacks "interval".
RESERVED = frozenset(RESERVED_WORDS) | {"interval"}

# What may stand before a parenthesis without being a function.
_SYNTAX = words(
    "in values value as over on using by and or not when then else select distinct all from where having union except"
    " minus intersect exists any some join with recursive interval like ilike between case within group is set into"
    " explain filter array lateral similar to escape limit offset top sets default table materialized matched insert"
    " returning"
)
_TYPES = words("varchar char character nchar nvarchar bpchar varying decimal numeric float")
# Functions that Redshift and PostgreSQL both have, and those that system_schema.sql makes.
FUNCTIONS = words(
    "count sum avg min max stddev stddev_samp stddev_pop variance var_samp var_pop percentile_cont"
    " row_number rank dense_rank ntile lag lead first_value last_value nth_value percent_rank cume_dist"
    " coalesce nullif nvl greatest least abs ceil ceiling floor round trunc mod power sqrt exp ln sign random"
    " length len char_length character_length octet_length lower upper initcap trim btrim ltrim rtrim lpad rpad left"
    " right substring position strpos replace translate reverse split_part repeat concat md5 chr ascii regexp_replace"
    " cast extract strtol date_part date_trunc to_char to_date to_timestamp to_number current_schema current_user"
    " current_database version getdate dateadd pg_last_copy_id pg_last_copy_count pg_backend_pid current_setting"
    " has_table_privilege has_schema_privilege pg_get_viewdef pg_get_constraintdef pg_get_expr format_type"
    " pg_table_is_visible obj_description col_description pg_terminate_backend pg_cancel_backend grouping rollup cube"
    " can_json_parse"
)
_UNSUPPORTED_TYPES = words(
    "ARRAY BIT BYTEA ENUM HSTORE INET CIDR JSON JSONB MONEY POINT SERIAL SMALLSERIAL BIGSERIAL UUID XML"
)
_QUERIES = (exp.Select, exp.SetOperation, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Subquery)


def tokens_of(sql: str) -> list[Token]:
    """The statement's tokens, one a word: sqlglot takes PRIMARY KEY and DOUBLE PRECISION for one each."""
    try:
        tokens = tokenize(sql, dialect="redshift")
    except TokenError as error:
        raise Refusal(f"syntax error: {error}", "42601") from error
    return [word for token in tokens for word in _words(sql, token)]


def _words(sql: str, token: Token) -> Iterator[Token]:
    if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER) or " " not in token.text:
        yield token
        return
    for word in re.finditer(r"\S+", sql[token.start : token.end + 1]):
        start = token.start + word.start()
        yield Token(TokenType.VAR, word.group(), start=start, end=start + len(word.group()) - 1)


def check_query(sql: str) -> None:
    """Raises Refusal for a SELECT, INSERT, UPDATE, DELETE or MERGE that Redshift would not run."""
    for message in _refusals(sql):
        raise Refusal(message)


def check_name(token: Token) -> None:
    """Raises Refusal if the token is a reserved word without quotes."""
    if token.token_type is not TokenType.IDENTIFIER and token.text.lower() in RESERVED:
        raise Refusal(f'syntax error at or near "{token.text}": a reserved word', "42601")


def _refusals(sql: str) -> Iterator[str]:
    tokens = tokens_of(sql)
    yield from _refused_tokens(tokens)
    try:
        statements = [statement for statement in parse(sql, dialect="redshift") if statement is not None]
    except ParseError as error:
        raise Refusal(f"syntax error: {error}", "42601") from error
    for statement in statements:
        if not isinstance(statement, _QUERIES):
            yield f"not a query: {type(statement).__name__}"
        of_catalog = _is_of_catalog(statement)
        for node in statement.walk():
            if not (of_catalog and isinstance(node, exp.Array)):
                yield from _refused_node(node)


def _is_of_catalog(statement: exp.Expr) -> bool:
    """Returns whether it reads only the leader node's catalog, which is still that of a PostgreSQL."""
    tables = list(statement.find_all(exp.Table))
    return bool(tables) and all(table.db.lower() == "pg_catalog" for table in tables)


def _refused_tokens(tokens: Sequence[Token]) -> Iterator[str]:
    closing = matching_parentheses(tokens)
    for place, token in enumerate(tokens[:-1]):
        if tokens[place + 1].token_type is TokenType.L_PAREN:
            yield from _refused_function(tokens, place, closing)
        if token.text.upper() == "OVER" and place + 1 in closing:
            window = tokens[place + 1 : closing[place + 1]]
            if any(part.text.upper() == "NULLS" for part in window):
                yield "NULLS FIRST or LAST in a window"


def _refused_function(tokens: Sequence[Token], place: int, closing: dict[int, int]) -> Iterator[str]:
    token, name = tokens[place], tokens[place].text.lower()
    # Types are text too, and strings may stand before a parenthesis in no valid statement.
    if not (name.replace("_", "a").isalnum() and name[:1].isalpha()) or name in _SYNTAX | _TYPES:
        return
    before = [part.text.upper() for part in tokens[:place]]
    if before[-1:] == ["."]:
        before = before[:-2]
    after = tokens[closing[place + 1] + 1 :] if place + 1 in closing else []
    names_columns = before[-1:] in (["INTO"], ["AS"]) or (
        [part.text.upper() for part in after[:2]] == ["AS", "("] and before[-1:] in (["WITH"], ["RECURSIVE"], [","])
    )
    if not names_columns and (token.token_type is TokenType.IDENTIFIER or name not in FUNCTIONS):
        yield f"function {name}() does not exist on Redshift, or is not in the stand-in's list"


_REFUSED_NODES: Final[dict[tuple[type[exp.Expr], ...], str]] = {
    (exp.OnConflict,): "ON CONFLICT",
    (exp.Returning,): "RETURNING",
    (exp.Lateral,): "LATERAL",
    (exp.Filter,): "FILTER",
    (exp.NullSafeEQ, exp.NullSafeNEQ): "IS DISTINCT FROM",
    (exp.Collate,): "COLLATE",
    (exp.Array, exp.Bracket, exp.Unnest): "arrays",
    (exp.Lock,): "FOR UPDATE or FOR SHARE",
    (exp.Fetch,): "FETCH FIRST",
}


def _refused_node(node: exp.Expr) -> Iterator[str]:
    yield from (construct for kinds, construct in _REFUSED_NODES.items() if isinstance(node, kinds))
    if isinstance(node, exp.Distinct) and node.args.get("on"):
        yield "DISTINCT ON"
    elif isinstance(node, exp.Values) and not isinstance(node.parent, exp.Insert):
        yield "VALUES as a table"
    elif isinstance(node, exp.DataType) and str(getattr(node.this, "value", node.this)).upper() in _UNSUPPORTED_TYPES:
        yield f"type {node.sql(dialect='redshift')}"
    elif isinstance(node, exp.Table) and isinstance(node.this, exp.Func):
        yield "table functions"
    elif isinstance(node, exp.EQ | exp.NEQ) and isinstance(node.this, exp.Tuple):
        yield "row constructors"
    elif isinstance(node, exp.Merge):
        yield from _refused_merge(node)
    if (name := _bare_name(node)) is not None and name.lower() in RESERVED:
        yield f'syntax error at or near "{name}": a reserved word'


def _refused_merge(merge: exp.Merge) -> Iterator[str]:
    """r_MERGE: no alias of the target, both clauses once, no further conditions."""
    if merge.args.get("with_"):
        yield "MERGE with WITH"
    if merge.this.alias:
        yield "MERGE with an alias of the target"
    whens = merge.args["whens"].expressions
    if sorted(bool(when.args.get("matched")) for when in whens) != [False, True]:
        yield "MERGE without exactly one WHEN MATCHED and one WHEN NOT MATCHED"
    if any(when.args.get("condition") for when in whens):
        yield "MERGE with AND after WHEN"


def _bare_name(node: exp.Expr) -> str | None:
    """The name at a place where a reserved word needs quotes: not after a dot nor after AS in a list of outputs."""
    identifier: object = None
    if isinstance(node, exp.Table):
        identifier = node.args.get("db") or node.this
    elif isinstance(node, exp.Column):
        identifier = node.args.get("table") or node.this
    elif isinstance(node, exp.TableAlias):
        identifier = node.this
    elif isinstance(node, exp.Identifier) and isinstance(node.parent, exp.Schema):
        identifier = node
    if isinstance(identifier, exp.Identifier) and not identifier.args.get("quoted"):
        return str(identifier.this)
    return None


def matching_parentheses(tokens: Sequence[Token]) -> dict[int, int]:
    """Returns the position of the closing parenthesis for each opening one."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token.token_type is TokenType.L_PAREN:
            opened.append(place)
        elif token.token_type is TokenType.R_PAREN:
            if not opened:
                raise Refusal('syntax error at or near ")"', "42601")
            closing[opened.pop()] = place
    if opened:
        raise Refusal("syntax error at end of input", "42601")
    return closing
