"""Reads a COPY of JSON from S3, with the grammar of r_COPY and the pages copy-parameters-*."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlglot import TokenType

from sparkify_dagster_tests.redshift_stand_in.guard import check_name
from sparkify_dagster_tests.redshift_stand_in.refusal import NotImitated, Refusal, words
from sparkify_dagster_tests.redshift_stand_in.token_reader import TokenReader

MAX_MAXERROR = 100_000
# copy-parameters-data-format: not allowed with JSON.
_NOT_WITH_JSON = words("CSV DELIMITER ESCAPE FILLRECORD FIXEDWIDTH IGNOREBLANKLINES NULL READRATIO REMOVEQUOTES")
_KEYS = re.compile(r"access_key|secret|token", re.IGNORECASE)
_ROLES = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[^\s,]+(,arn:aws[\w-]*:iam::\d{12}:role/[^\s,]+)*")
_FLAGS = {
    "MANIFEST": "manifest",
    "GZIP": "gzip",
    "TRUNCATECOLUMNS": "truncate_columns",
    "BLANKSASNULL": "blanks_as_null",
    "EMPTYASNULL": "empty_as_null",
    "TRIMBLANKS": "trim_blanks",
    "ROUNDEC": "round_decimals",
    "NOLOAD": "no_load",
}


@dataclass
class CopyCommand:
    table: str
    columns: Sequence[str]
    source: str
    # None stands for the cluster's default role.
    roles: Sequence[str] | None = None
    json: str = "auto"
    region: str | None = None
    time_format: str | None = None
    date_format: str | None = None
    max_error: int = 0
    flags: set[str] = field(default_factory=set)

    @property
    def is_in_s3(self) -> bool:
        return self.source.startswith("s3://")

    def check_roles(self, accepted: Collection[str], default: str | None) -> None:
        """copy-parameters-authorization: each role of the chain has to be one that the cluster may take."""
        for role in [default] if self.roles is None else self.roles:
            if role is None:
                raise Refusal("There is no default IAM role associated with the cluster.", "XX000")
            if role not in accepted:
                raise Refusal(f"User is not authorized to assume IAM Role {role}", "XX000")


def parse_copy(sql: str) -> CopyCommand:
    return _Parser(sql).parse()


class _Parser:
    def __init__(self, sql: str) -> None:
        self._reader = TokenReader(sql.rstrip("; \n"))

    def parse(self) -> CopyCommand:
        self._reader.expect("COPY")
        table, columns = self._target()
        self._reader.expect("FROM")
        if self._reader.take("STDIN"):
            raise Refusal("COPY from STDIN is not supported, specify the S3 path")
        command = CopyCommand(table, columns, self._string())
        if not command.is_in_s3:
            raise NotImitated("COPY from elsewhere than S3")
        authorised = has_format = False
        seen: set[str] = set()
        while not self._reader.ended:
            option = self._reader.next().text.upper()
            if option == "WITH":
                option = self._reader.next().text.upper()
            if option in seen:
                raise Refusal(f"conflicting or redundant options: {option}", "42601")
            seen.add(option)
            if option in ("IAM_ROLE", "CREDENTIALS"):
                command.roles = self._roles(option)
                authorised = True
            elif option in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
                raise Refusal("the stand-in takes no keys: they would show in logs and in STL_QUERYTEXT", "42601")
            elif option in ("FORMAT", "JSON"):
                self._reader.take("AS")
                if option == "FORMAT" and not self._reader.take("JSON"):
                    raise NotImitated(f"COPY of {self._reader.next().text.upper()}")
                self._reader.take("AS")
                command.json = self._string() if self._at_string() else "auto"
                has_format = True
            else:
                self._option(command, option)
        if not authorised:
            raise Refusal("CREDENTIALS argument is required but not supplied", "42601")
        if not has_format:
            raise NotImitated("COPY of anything but JSON")
        if not (command.json in ("auto", "auto ignorecase") or command.json.startswith("s3://")):
            raise Refusal(f"Invalid JSONPath or option: {command.json}", "42601")
        return command

    def _target(self) -> tuple[str, list[str]]:
        table = self._name()
        while self._reader.take("."):
            table += "." + self._name()
        columns: list[str] = []
        if self._reader.take("("):
            columns.append(self._column())
            while self._reader.take(","):
                columns.append(self._column())
            self._reader.expect(")")
        return table, columns

    def _option(self, command: CopyCommand, option: str) -> None:
        if option in _FLAGS:
            command.flags.add(_FLAGS[option])
        elif option == "REGION":
            self._reader.take("AS")
            command.region = self._string()
        elif option == "TIMEFORMAT":
            self._reader.take("AS")
            command.time_format = self._string()
            # They are case-sensitive; a format of one's own is not imitated.
            if command.time_format not in ("auto", "epochsecs", "epochmillisecs"):
                raise NotImitated(f"TIMEFORMAT '{command.time_format}'")
        elif option == "DATEFORMAT":
            self._reader.take("AS")
            command.date_format = self._string()
            if command.date_format not in ("auto", "YYYY-MM-DD"):
                raise NotImitated(f"DATEFORMAT '{command.date_format}'")
        elif option == "MAXERROR":
            self._reader.take("AS")
            command.max_error = self._number()
            if command.max_error > MAX_MAXERROR:
                raise Refusal(f"MAXERROR must be between 0 and {MAX_MAXERROR}", "42601")
        elif option in ("COMPUPDATE", "STATUPDATE"):
            choices = ["ON", "OFF", "TRUE", "FALSE", *(["PRESET"] if option == "COMPUPDATE" else [])]
            any(self._reader.take(choice) for choice in choices)
        elif option == "COMPROWS":
            self._number()
        elif option in _NOT_WITH_JSON:
            raise Refusal(f"{option} is not supported with JSON", "42601")
        else:
            raise NotImitated(f"COPY's {option}")

    def _roles(self, option: str) -> Sequence[str] | None:
        self._reader.take("AS")
        if option == "IAM_ROLE" and self._reader.take("DEFAULT"):
            return None
        text = self._string()
        if option == "CREDENTIALS":
            name, _, text = text.partition("=")
            if _KEYS.search(name):
                raise Refusal("the stand-in takes no keys: they would show in logs and in STL_QUERYTEXT", "42601")
            if name != "aws_iam_role":
                raise Refusal("Invalid credentials", "XX000")
        # A chain has no blanks (authorizing-redshift-service).
        if not _ROLES.fullmatch(text):
            raise Refusal(f"Invalid IAM role: {text}", "XX000")
        return text.split(",")

    def _column(self) -> str:
        token = self._reader.token
        return self._reader.next().text if token.token_type is TokenType.IDENTIFIER else self._name()

    def _name(self) -> str:
        """As it is written; without quotes, in lower case."""
        token = self._reader.next()
        check_name(token)
        if token.token_type is TokenType.IDENTIFIER:
            return self._reader.quoted(token)
        return token.text.lower()

    def _at_string(self) -> bool:
        return not self._reader.ended and self._reader.token.token_type is TokenType.STRING

    def _string(self) -> str:
        if not self._at_string():
            raise Refusal(f'syntax error at or near "{self._reader.next().text}", expected a string', "42601")
        return self._reader.next().text

    def _number(self) -> int:
        text = self._reader.next().text
        if not text.isdigit():
            raise Refusal(f'syntax error at or near "{text}", expected a number', "42601")
        return int(text)
