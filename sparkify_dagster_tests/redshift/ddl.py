"""Rewrites Redshift's DDL for PostgreSQL, on tokens: sqlglot's parser refuses valid DISTKEY and SORTKEY.

Pages: r_CREATE_TABLE_NEW, r_CREATE_TABLE_AS, r_CREATE_VIEW, r_ALTER_TABLE, r_Character_types, t_Defining_constraints.
The limit of a VARCHAR in bytes is a CHECK that an event trigger of the back end adds (system_schema.sql).
"""

from collections.abc import Sequence

from sqlglot import Token, TokenType

from sparkify_dagster_tests.redshift.guard import check_name, check_query, matching_parentheses, tokens_of
from sparkify_dagster_tests.redshift.refusal import NotImitated, Refusal, words

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
    """PostgreSQL's CREATE TABLE, or CREATE TABLE AS, without what only Redshift knows and with no key but NOT NULL."""
    reader = _Reader(sql)
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
    return f"{head} ({', '.join(_definitions(items))})"


def rewrite_create_view(sql: str) -> str:
    """The view without its late binding, which is not imitated; its query is guarded."""
    reader = _Reader(sql)
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
    reader = _Reader(sql)
    reader.expect("ALTER")
    reader.expect("TABLE")
    name = reader.qualified_name()
    action = reader.word
    if action == "ADD" and reader.word_after not in ("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN"):
        reader.expect("ADD")
        reader.take("COLUMN")
        (definition,) = _definitions([reader.remaining()])
        return f"ALTER TABLE {name} ADD COLUMN {definition}"
    if action in ("RENAME", "OWNER") or (action == "DROP" and reader.word_after != "CONSTRAINT"):
        return sql
    raise NotImitated(f"ALTER TABLE {action}")


def _skip_table_attributes(reader: "_Reader") -> None:
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


def _definitions(items: "Sequence[_Reader]") -> list[str]:
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
            column, definition = _column(item)
            columns[column] = definition
    for key in keys:
        if key not in columns:
            raise Refusal(f'column "{key}" named in key does not exist', "42703")
        if not columns[key].endswith(" NOT NULL"):
            columns[key] += " NOT NULL"
    return list(columns.values())


def _column(item: "_Reader") -> tuple[str, str]:
    check_name(item.token)
    name = item.quoted(item.next())
    definition = f"{name} {_type(item)}"
    not_null = False
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
            not_null = True
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
    return name, definition + (" NOT NULL" if not_null else "")


def _type(item: "_Reader") -> str:
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


class _Reader:
    """Goes through a statement's tokens, and gives back the text between them as it was written."""

    def __init__(self, sql: str, tokens: Sequence[Token] | None = None) -> None:
        self._sql = sql
        self._tokens = tokens_of(sql) if tokens is None else tokens
        self._place = 0
        self._closing = matching_parentheses(self._tokens)

    @property
    def ended(self) -> bool:
        return self._place >= len(self._tokens)

    @property
    def token(self) -> Token:
        if self.ended:
            raise Refusal("syntax error at end of input", "42601")
        return self._tokens[self._place]

    @property
    def word(self) -> str:
        """The word here in capitals; an identifier in quotes is none."""
        if self.ended or self.token.token_type in (TokenType.IDENTIFIER, TokenType.STRING):
            return ""
        return self.token.text.upper()

    @property
    def word_after(self) -> str:
        return self._tokens[self._place + 1].text.upper() if self._place + 1 < len(self._tokens) else ""

    def at(self, word: str) -> bool:
        return self.word == word

    def next(self) -> Token:
        token = self.token
        self._place += 1
        return token

    def take(self, word: str) -> bool:
        if self.at(word):
            self._place += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise Refusal(f'syntax error at or near "{self.word or "end of input"}", expected {word}', "42601")

    def qualified_name(self) -> str:
        check_name(self.token)
        name = self.quoted(self.next())
        while self.take("."):
            name += "." + self.quoted(self.next())
        return name

    def quoted(self, token: Token) -> str:
        return self._sql[token.start : token.end + 1]

    def group_items(self) -> "list[_Reader]":
        """What stands in the parentheses here, parted at its commas."""
        if not self.at("("):
            self.expect("(")
        end = self._closing[self._place]
        items: list[list[Token]] = [[]]
        depth = 0
        for token in self._tokens[self._place + 1 : end]:
            depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
            if depth == 0 and token.token_type is TokenType.COMMA:
                items.append([])
            else:
                items[-1].append(token)
        self._place = end + 1
        return [_Reader(self._sql, item) for item in items]

    def expression(self, ends: frozenset[str]) -> str:
        """The text up to a word that ends it."""
        first = self._place
        while not self.ended and (self._place == first or self.word not in ends):
            self._place = self._closing.get(self._place, self._place) + 1
        return self._between(first, self._place)

    def remaining(self) -> "_Reader":
        return _Reader(self._sql, self._tokens[self._place :])

    def rest(self, without: tuple[str, ...] = ()) -> str:
        """The text from here on, but for words at its end."""
        tokens = [token for token in self._tokens[self._place :] if token.token_type is not TokenType.SEMICOLON]
        if without and tuple(token.text.upper() for token in tokens[-len(without) :]) == without:
            tokens = tokens[: -len(without)]
        if not tokens:
            raise Refusal("syntax error at end of input", "42601")
        return self._sql[tokens[0].start : tokens[-1].end + 1]

    def text(self) -> str:
        return self._between(0, len(self._tokens))

    def _between(self, first: int, end: int) -> str:
        return self._sql[self._tokens[first].start : self._tokens[end - 1].end + 1] if end > first else ""
