"""Rewrites Redshift's DDL for PostgreSQL, on tokens: sqlglot's parser refuses valid DISTKEY and SORTKEY.

Pages: r_CREATE_TABLE_NEW, r_CREATE_TABLE_AS, r_CREATE_VIEW, r_ALTER_TABLE, r_Character_types, t_Defining_constraints.
The limit of a VARCHAR in bytes is a CHECK that an event trigger of the back end adds (system_schema.sql).
"""

from collections.abc import Sequence

from sparkify_dagster_tests.redshift_stand_in.guard import check_name, check_query
from sparkify_dagster_tests.redshift_stand_in.refusal import NotImitated, Refusal, words
from sparkify_dagster_tests.redshift_stand_in.token_reader import TokenReader

DEFAULT_VARCHAR = 256
MAX_VARCHAR = 65_535

_PLAIN_TYPES = words(
    "SMALLINT INT2 INTEGER INT INT4 BIGINT INT8 REAL FLOAT4 FLOAT8 FLOAT BOOLEAN BOOL DATE TIMESTAMP TIMESTAMPTZ TIME"
    " TIMETZ"
)
_TEXT_TYPES = {"VARCHAR", "NVARCHAR", "CHARACTER VARYING", "TEXT"}
_CHARACTER_TYPES = {"CHAR", "CHARACTER", "NCHAR"}
_ATTRIBUTES = words(
    "DEFAULT IDENTITY GENERATED ENCODE DISTKEY SORTKEY NOT NULL UNIQUE PRIMARY REFERENCES CHECK COLLATE"
)


def rewrite_create_table(sql: str) -> str:
    """PostgreSQL's CREATE TABLE, or CREATE TABLE AS, without what only Redshift knows.

    Of a key NOT NULL remains, and a note of its column: it is not enforced, and trusted all the same.
    """
    reader = TokenReader(sql)
    reader.expect("CREATE")
    reader.take("LOCAL")
    temporary = reader.take("TEMP") or reader.take("TEMPORARY")
    reader.expect("TABLE")
    exists = reader.take("IF")
    if exists:
        reader.expect("NOT")
        reader.expect("EXISTS")
    name = reader.qualified_name()
    head = f"CREATE {'TEMPORARY ' if temporary else ''}TABLE {'IF NOT EXISTS ' if exists else ''}{name}"
    items = reader.group_items() if reader.at("(") else []
    _skip_table_attributes(reader)
    if reader.take("AS"):
        select = reader.rest()
        check_query(select)
        columns = f" ({', '.join(item.text() for item in items)})" if items else ""
        return f"{head}{columns} AS {select}"
    if not reader.ended:
        raise Refusal(f'syntax error at or near "{reader.word}"', "42601")
    definitions, keys = _definitions(items)
    return "; ".join([f"{head} ({', '.join(definitions)})", *_noted_keys(name, keys)])


def _noted_keys(table: str, columns: Sequence[str]) -> list[str]:
    return [
        f"INSERT INTO redshift_system.declared_keys VALUES ('{table}'::regclass, '{column}', {len(columns) == 1})"
        for column in columns
    ]


def rewrite_create_view(sql: str) -> str:
    """The view without its late binding, which is not imitated; its query is guarded."""
    reader = TokenReader(sql)
    reader.expect("CREATE")
    replace = reader.take("OR")
    if replace:
        reader.expect("REPLACE")
    reader.expect("VIEW")
    name = reader.qualified_name()
    columns = ", ".join(item.text() for item in reader.group_items()) if reader.at("(") else ""
    reader.expect("AS")
    select = reader.rest(without=("WITH", "NO", "SCHEMA", "BINDING"))
    check_query(select)
    return f"CREATE {'OR REPLACE ' if replace else ''}VIEW {name}{f' ({columns})' if columns else ''} AS {select}"


def rewrite_alter_table(sql: str) -> str:
    reader = TokenReader(sql)
    reader.expect("ALTER")
    reader.expect("TABLE")
    name = reader.qualified_name()
    action = reader.word
    if action == "ADD" and reader.word_after not in ("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN"):
        reader.expect("ADD")
        reader.take("COLUMN")
        (definition,), _ = _definitions([reader.remaining()])
        if definition.endswith("NOT NULL") and " DEFAULT " not in definition:
            # r_ALTER_TABLE
            raise Refusal("ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression")
        return f"ALTER TABLE {name} ADD COLUMN {definition}"
    if action == "ADD" and reader.word_after == "PRIMARY":
        for word in ("ADD", "PRIMARY", "KEY"):
            reader.expect(word)
        return "; ".join(_noted_keys(name, [column.text() for column in reader.group_items()]))
    if action == "DROP" and reader.word_after == "CONSTRAINT":
        return f"DELETE FROM redshift_system.declared_keys WHERE relation = '{name}'::regclass"
    if action in ("RENAME", "OWNER", "DROP"):
        return sql
    raise NotImitated(f"ALTER TABLE {action}")


def _skip_table_attributes(reader: TokenReader) -> None:
    while True:
        if reader.take("DISTSTYLE") or reader.take("BACKUP") or reader.take("ENCODE"):
            reader.next()
        elif reader.take("DISTKEY"):
            reader.group_items()
        elif reader.at("COMPOUND") or reader.at("INTERLEAVED") or reader.at("SORTKEY"):
            reader.take("COMPOUND") or reader.take("INTERLEAVED")
            reader.expect("SORTKEY")
            if not reader.take("AUTO"):
                reader.group_items()
        else:
            return


def _definitions(items: Sequence[TokenReader]) -> tuple[list[str], list[str]]:
    """Returns the columns' definitions, and the columns of the primary key."""
    columns: dict[str, str] = {}
    keys: list[str] = []
    for item in items:
        if item.take("CONSTRAINT"):
            item.next()
        if item.take("LIKE"):
            like = f"LIKE {item.qualified_name()}"
            while not item.ended:
                like += " " + item.next().text
            columns[f" {like}"] = like
        elif item.at("PRIMARY"):
            item.next()
            item.expect("KEY")
            keys += [column.text() for column in item.group_items()]
        elif item.at("UNIQUE") or item.at("FOREIGN"):
            continue
        elif item.at("CHECK"):
            raise Refusal("CHECK")
        else:
            column, definition, is_key = _column(item)
            columns[column] = definition
            keys += [column] * is_key
    for key in keys:
        if key not in columns:
            raise Refusal(f'column "{key}" named in key does not exist', "42703")
        if not columns[key].endswith(" NOT NULL"):
            columns[key] += " NOT NULL"
    return list(columns.values()), keys


def _column(item: TokenReader) -> tuple[str, str, bool]:
    """Returns a column's name and definition, and whether it is the primary key."""
    check_name(item.token)
    name = item.quoted(item.next())
    definition = f"{name} {_type(item)}"
    not_null = is_key = False
    while not item.ended:
        if item.take("DEFAULT"):
            definition += f" DEFAULT {item.expression(_ATTRIBUTES)}"
        elif item.take("IDENTITY"):
            seed, step = (number.text() for number in item.group_items())
            definition += f" GENERATED ALWAYS AS IDENTITY (START WITH {seed} INCREMENT BY {step})"
        elif item.take("ENCODE"):
            item.next()
        elif item.take("DISTKEY") or item.take("SORTKEY") or item.take("UNIQUE") or item.take("NULL"):
            continue
        elif item.take("NOT"):
            item.expect("NULL")
            not_null = True
        elif item.take("PRIMARY"):
            item.expect("KEY")
            not_null = is_key = True
        elif item.take("REFERENCES"):
            item.qualified_name()
            if item.at("("):
                item.group_items()
        elif item.at("["):
            raise Refusal("arrays")
        elif item.word in ("CHECK", "COLLATE"):
            raise Refusal(item.word)
        else:
            raise NotImitated(f'"{item.word}" in a column\'s definition')
    return name, definition + (" NOT NULL" if not_null else ""), is_key


def _type(item: TokenReader) -> str:
    word = item.next().text.upper()
    if word == "DOUBLE":
        item.expect("PRECISION")
        return "DOUBLE PRECISION"
    if word == "CHARACTER" and item.take("VARYING"):
        word = "CHARACTER VARYING"
    if word in _PLAIN_TYPES:
        if item.at("("):
            raise Refusal(f"{word} with a precision")
        if item.at("WITH") or item.at("WITHOUT"):
            word += f" {item.next().text}"
            item.expect("TIME")
            item.expect("ZONE")
            return f"{word} TIME ZONE"
        return word
    sizes = [size.text().upper() for size in item.group_items()] if item.at("(") else []
    if not all(size.isdigit() or size == "MAX" for size in sizes):
        raise Refusal(f'syntax error at or near "{sizes[0]}"', "42601")
    if word in _TEXT_TYPES:
        # r_Character_types: TEXT, whatever is in parentheses, is a VARCHAR(256).
        length = DEFAULT_VARCHAR if word == "TEXT" or not sizes else MAX_VARCHAR if sizes == ["MAX"] else int(sizes[0])
        if not 0 < length <= MAX_VARCHAR:
            raise Refusal(f"length for type character varying cannot exceed {MAX_VARCHAR}", "22023")
        return f"VARCHAR({length})"
    if word in _CHARACTER_TYPES:
        return f"CHAR({sizes[0] if sizes else 1})"
    if word == "BPCHAR":
        return "CHAR(256)"
    if word in ("DECIMAL", "NUMERIC"):
        # r_Numeric_types201: 18 digits, none of them after the point, and 38 at most.
        precision, scale = (*map(int, sizes), *(18, 0)[len(sizes) :])
        if not (0 < precision <= 38 and 0 <= scale <= precision):
            raise Refusal(f"DECIMAL precision {precision} must be between 1 and 38", "22023")
        return f"DECIMAL({precision},{scale})"
    if word in ("SUPER", "VARBYTE", "VARBINARY", "GEOMETRY", "GEOGRAPHY", "HLLSKETCH"):
        raise NotImitated(f"type {word}")
    raise Refusal(f'type "{word.lower()}" does not exist', "42704")
