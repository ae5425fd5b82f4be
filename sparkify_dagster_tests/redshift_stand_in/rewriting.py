"""Rewrites a statement for the back end, passes it on, or refuses it."""

import re
from collections.abc import Callable, Mapping, Set
from functools import lru_cache

from sqlglot import Token, TokenType

from sparkify_dagster_tests.redshift_stand_in.catalog import answer_to_reflection
from sparkify_dagster_tests.redshift_stand_in.ddl import rewrite_alter_table, rewrite_create_table, rewrite_create_view
from sparkify_dagster_tests.redshift_stand_in.guard import check_query, matching_parentheses, tokens_of
from sparkify_dagster_tests.redshift_stand_in.refusal import NotImitated, Refusal, words

# Parameters that PostgreSQL has as well; others of Redshift's are kept under a name of our own and do nothing.
_SHARED_SETTINGS = words("statement_timeout datestyle timezone client_encoding application_name")
_OWN_SETTINGS = words(
    "query_group enable_result_cache_for_session wlm_query_slot_count analyze_threshold_percent"
    " json_parse_truncate_strings enable_numeric_rounding enable_case_sensitive_identifier"
    " describe_field_name_in_uppercase"
)
_LEADING = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_SETTING = re.compile(
    r"(?P<verb>SET|SHOW|RESET)\s+(?:SESSION\s+|LOCAL\s+)?(?P<name>\w+)(?P<value>.*)", re.IGNORECASE | re.DOTALL
)
_ISOLATION = re.compile(
    r"\bISOLATION\s+LEVEL\s+(SERIALIZABLE|REPEATABLE\s+READ|READ\s+(UN)?COMMITTED|SNAPSHOT)\s*,?", re.IGNORECASE
)
_UNSUPPORTED_KINDS = words("INDEX SEQUENCE TRIGGER TYPE DOMAIN EXTENSION RULE AGGREGATE OPERATOR")
# c_unsupported-postgresql-features and the list of SQL commands have none of these.
_UNSUPPORTED_COMMANDS = words("SAVEPOINT RELEASE LISTEN NOTIFY REINDEX CLUSTER DO VALUES TABLE IMPORT")


# Each test sends the same statements, of which sqlglot takes some milliseconds to read one. They differ in days, times,
# versions and keys, on which no rule depends.
_remembered = lru_cache(maxsize=5_000)
_VALUE = re.compile(r"'[-0-9a-fT:. ]*[0-9][-0-9a-fT:. ]*'")
_STAND_FOR_VALUE = re.compile(r"'value (\d+)'")


@_remembered
def split_statements(sql: str) -> tuple[str, ...]:
    statements: list[str] = []
    start = 0
    for token in tokens_of(sql):
        if token.token_type is TokenType.SEMICOLON:
            statements.append(sql[start : token.start])
            start = token.end + 1
    statements.append(sql[start:])
    return tuple(without_comments for part in statements if (without_comments := part[leading(part) :].strip()))


def leading(sql: str) -> int:
    """The length of the blanks and comments before the first word."""
    found = _LEADING.match(sql)
    return found.end() if found else 0


def first_word(sql: str) -> str:
    found = re.match(r"[\w(]+", sql[leading(sql) :])
    return found.group().upper() if found else ""


def rewrite(sql: str) -> str:
    """PostgreSQL's statement for one of Redshift's. Raises Refusal."""
    if _STAND_FOR_VALUE.search(sql):
        return _rewrite(sql)
    values: list[str] = []

    def stand_for(value: re.Match[str]) -> str:
        values.append(value[0])
        return f"'value {len(values) - 1}'"

    rewritten = _rewrite(_VALUE.sub(stand_for, sql))
    return _STAND_FOR_VALUE.sub(lambda found: values[int(found[1])], rewritten)


@_remembered
def _rewrite(sql: str) -> str:
    reflection = answer_to_reflection(sql)
    if reflection is not None:
        return reflection
    word = first_word(sql)
    if word.startswith("(") or word in ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE"):
        check_query(sql)
        return _in_postgres_words(sql)
    if word in _UNSUPPORTED_COMMANDS:
        raise Refusal(f"{word} is not supported")
    rewriter = _REWRITERS.get(word)
    if rewriter is None:
        raise Refusal(f'syntax error at or near "{word}", or unknown to the stand-in', "42601")
    return rewriter(sql)


def _create(sql: str) -> str:
    start = _words(sql)
    kind = start[2] if start[1] == "UNIQUE" else start[1]
    if kind in _UNSUPPORTED_KINDS:
        raise Refusal(f"CREATE {kind} is not supported")
    if start[1] in ("TABLE", "TEMP", "TEMPORARY", "LOCAL"):
        return _in_postgres_words(rewrite_create_table(sql))
    if start[1] == "VIEW" or start[1:4] == ["OR", "REPLACE", "VIEW"]:
        return _in_postgres_words(rewrite_create_view(sql))
    if start[1] == "USER":
        # r_CREATE_USER: such a user logs in by temporary credentials alone.
        return re.sub(r"\bPASSWORD\s+DISABLE\b", "PASSWORD NULL", sql, flags=re.IGNORECASE)
    if start[1] in ("SCHEMA", "GROUP", "ROLE"):
        return sql
    raise NotImitated(f"CREATE {start[1]}")


def _transaction(sql: str) -> str:
    start = _words(sql)
    if start[0] == "ROLLBACK" and "TO" in start:
        raise Refusal("ROLLBACK TO SAVEPOINT is not supported")
    return _ISOLATION.sub("", sql)


def _setting(sql: str) -> str:
    start = _words(sql)
    # r_BEGIN: every level but SERIALIZABLE is taken for it; the stand-in keeps to its snapshots.
    if "ISOLATION" in start:
        return "SELECT 'SERIALIZABLE' AS transaction_isolation" if start[0] == "SHOW" else "SET standin.isolation = ''"
    if start[:2] == ["SET", "TRANSACTION"] or start[1:3] == ["SESSION", "AUTHORIZATION"]:
        return sql
    found = _SETTING.match(sql[leading(sql) :])
    if found is None:
        raise NotImitated(sql)
    verb, name, value = found["verb"].upper(), found["name"].lower(), found["value"]
    if name == "search_path":
        return f"SET search_path{value}, redshift_system" if verb == "SET" else sql
    if name in _OWN_SETTINGS:
        return f"{verb} standin.{name}{value}"
    # psycopg2 sets the isolation level by the name of the default.
    if name in _SHARED_SETTINGS or (verb == "SET" and name.startswith("default_transaction_")):
        return sql
    raise Refusal(f'unrecognized configuration parameter "{name}"', "42704")


def _grant(sql: str) -> str:
    # r_GRANT writes GRANT ROLE and TO ROLE; in PostgreSQL a role needs no such word.
    return re.sub(r"\b(GRANT|REVOKE|TO|FROM)\s+ROLE\b", r"\1", sql, flags=re.IGNORECASE)


def _vacuum(sql: str) -> str:
    table = re.sub(
        r"\b(VACUUM|FULL|SORT\s+ONLY|DELETE\s+ONLY|REINDEX|RECLUSTER|BOOST|TO\s+\d+\s+PERCENT)\b",
        "",
        sql,
        flags=re.IGNORECASE,
    )
    return f"VACUUM {table}"


def _analyze(sql: str) -> str:
    if "COMPRESSION" in sql.upper():
        raise NotImitated("ANALYZE COMPRESSION")
    return re.sub(r"\b(PREDICATE|ALL)\s+COLUMNS\b", "", sql, flags=re.IGNORECASE)


def _explain(sql: str) -> str:
    start = leading(sql)
    rest = re.sub(r"^EXPLAIN\s+(VERBOSE\s+)?", "", sql[start:], flags=re.IGNORECASE)
    return f"EXPLAIN {rewrite(rest)}"


def _as_it_is(sql: str) -> str:
    return sql


_REWRITERS: dict[str, Callable[[str], str]] = {
    "CREATE": _create,
    # r_ALTER_DEFAULT_PRIVILEGES grants to roles as GRANT does.
    "ALTER": lambda sql: rewrite_alter_table(sql) if _words(sql)[1] == "TABLE" else _grant(sql),
    "DROP": _as_it_is,
    "COMMENT": _as_it_is,
    "TRUNCATE": lambda sql: re.sub(r"TRUNCATE\s+(TABLE\s+)?", "TRUNCATE TABLE ", sql, count=1, flags=re.IGNORECASE),
    "LOCK": _as_it_is,
    "GRANT": _grant,
    "REVOKE": _grant,
    "VACUUM": _vacuum,
    "ANALYZE": _analyze,
    "ANALYSE": _analyze,
    "EXPLAIN": _explain,
    "SET": _setting,
    "SHOW": _setting,
    "RESET": _setting,
    "BEGIN": _transaction,
    "START": _transaction,
    "COMMIT": _transaction,
    "END": _transaction,
    "ROLLBACK": _transaction,
    "ABORT": _transaction,
    "DECLARE": _as_it_is,
    "FETCH": _as_it_is,
    "CLOSE": _as_it_is,
    "DEALLOCATE": _as_it_is,
}
_WORDS = {"MINUS": "EXCEPT", "SYSDATE": "redshift_system.sysdate()"}


def trusting_keys(sql: str, keys: Mapping[str, Set[str]]) -> str:
    """Returns the statement as a planner runs it that takes declared keys, columns by table, for unique.

    t_Defining_constraints: a DISTINCT over a key is dropped, so that a count counts every row.
    """
    trusted = {column for table, columns in keys.items() if re.search(rf"\b{table}\b", sql) for column in columns}
    if not trusted:
        return sql
    key = rf"((?:\w+\.)?(?:{'|'.join(sorted(trusted))}))\b"
    return re.sub(rf"\b(COUNT\s*\(|SELECT\s)\s*DISTINCT\s+{key}(?!\s*,)", r"\1\2", sql, flags=re.IGNORECASE)


def _words(sql: str) -> list[str]:
    return [*re.findall(r"\w+", sql[leading(sql) : leading(sql) + 200].upper()), "", "", "", ""]


def _in_postgres_words(sql: str) -> str:
    """Replaces what has another name in PostgreSQL."""
    tokens = tokens_of(sql)
    edits: list[tuple[int, int, str]] = []
    for place, token in enumerate(tokens):
        if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER):
            continue
        called = tokens[place + 1 : place + 2] and tokens[place + 1].token_type is TokenType.L_PAREN
        after_dot = place > 0 and tokens[place - 1].token_type is TokenType.DOT
        text = token.text.upper()
        if text in _WORDS and not after_dot:
            edits.append((token.start, token.end + 1, _WORDS[text]))
        elif text == "CAST" and called:
            edits += _numeric_cast(tokens, place)
        elif text == "NVL" and called:
            edits.append((token.start, token.end + 1, "coalesce"))
        elif text == "DATEADD" and called:
            # r_DATEADD_function: the part is a word without quotes.
            part = tokens[place + 2]
            edits.append((token.start, part.end + 1, f"redshift_system.dateadd('{part.text}'"))
        elif text == "TABLE_CONSTRAINTS" and after_dot:
            edits.append((tokens[place - 2].start, token.end + 1, "redshift_system.table_constraints"))
        elif _is_redshifts_own(text, bool(called)) and (not after_dot or _follows_pg_catalog(tokens, place)):
            start = tokens[place - 2].start if after_dot else token.start
            edits.append((start, token.end + 1, f"redshift_system.{token.text}"))
    for start, end, text in sorted(edits, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql


def _numeric_cast(tokens: list[Token], place: int) -> list[tuple[int, int, str]]:
    """Returns the edits by which CAST(x AS NUMERIC(p, s)) cuts x after s digits (r_Numeric_computations201).

    With enable_numeric_rounding it rounds.
    """
    end = matching_parentheses(tokens).get(place + 1)
    if end is None or end - 7 <= place:
        return []
    as_, type_ = tokens[end - 7], tokens[end - 6]
    if as_.text.upper() != "AS" or type_.text.upper() not in ("NUMERIC", "DECIMAL"):
        return []
    before, scale = tokens[place + 1].end + 1, tokens[end - 2].text
    return [(before, before, "redshift_system.cut(CAST("), (as_.start, as_.start, f"AS NUMERIC), {scale}) ")]


def _is_redshifts_own(text: str, called: bool) -> bool:
    if called:
        return text == "VERSION" or text.startswith("PG_LAST_COPY_")
    return text.startswith(("SYS_LOAD_", "STL_", "STV_", "SVV_"))


def _follows_pg_catalog(tokens: list[Token], place: int) -> bool:
    return tokens[place - 2].text.lower() == "pg_catalog"
