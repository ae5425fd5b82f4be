"""One client's session, with the session of the back end that belongs to it."""

import re
import socket
import time
from collections.abc import Iterable, Mapping, Sequence, Set

from sparkify_dagster_tests.redshift_stand_in import wire
from sparkify_dagster_tests.redshift_stand_in.cluster import Cluster, Transaction
from sparkify_dagster_tests.redshift_stand_in.copy_command import CopyCommand, parse_copy
from sparkify_dagster_tests.redshift_stand_in.copy_source import Source
from sparkify_dagster_tests.redshift_stand_in.copy_values import Column
from sparkify_dagster_tests.redshift_stand_in.loading import CANCELED, QUERY_CANCELED, Load
from sparkify_dagster_tests.redshift_stand_in.refusal import NotImitated, Refusal
from sparkify_dagster_tests.redshift_stand_in.rewriting import first_word, rewrite, split_statements, trusting_keys
from sparkify_dagster_tests.redshift_stand_in.wire import Channel, Closed, Message

_IDLE = b"I"
_FAILED = b"E"
_INSUFFICIENT_PRIVILEGE = "42501"
# Nothing, or not all, was granted.
_NOT_GRANTED = ("01007", "01006")
_ON_DATABASE = re.compile(r"\bON\s+DATABASE\s+(\w+)", re.IGNORECASE)
_SYSTEM_VIEWS = re.compile(r"\b(sys_load_detail|sys_load_error_detail|sys_load_history)\b", re.IGNORECASE)
_LAST_COPY = re.compile(r"\bpg_last_copy_id\(\)", re.IGNORECASE)
_DISTINCT = re.compile(r"\bDISTINCT\b", re.IGNORECASE)
_CHUNK_BYTES = 1 << 16
# Redshift is a PostgreSQL 8.0.2 to its clients, which reported little of this.
_HIDDEN_PARAMETERS = {
    b"standard_conforming_strings",
    b"in_hot_standby",
    b"default_transaction_read_only",
    b"search_path",
    b"scram_iterations",
}
_SETTINGS = (
    '-c search_path="$user",public,redshift_system -c standin.query_group=default -c DateStyle=ISO,MDY'
    " -c escape_string_warning=off -c backslash_quote=on"
    # c_serial_isolation: SNAPSHOT is the default.
    " -c default_transaction_isolation=repeatable\\ read"
    " -c client_min_messages=notice"
)
_COLUMNS = """
SELECT a.attname, CASE a.atttypid WHEN 'bpchar'::regtype THEN 'character' ELSE format_type(a.atttypid, NULL) END,
    a.atttypmod, a.attnotnull, a.attrelid::bigint
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = {table}::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


class BackEndError(Exception):
    """The back end refused a statement of the stand-in; the client gets its error."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.fields.get("M"))
        self.message = message


class Session:
    def __init__(self, cluster: Cluster, connection: socket.socket) -> None:
        self._cluster = cluster
        self._client = Channel(connection)
        self._back_end: Channel | None = None
        self._status = _IDLE
        self._process_id = 0
        self._transaction = Transaction(0)
        self._system_views: Channel | None = None

    def run(self) -> None:
        """Serves the client until it goes. Raises Closed."""
        if not self._is_let_in():
            return
        while True:
            message = self._client.receive()
            if message.kind == b"X":
                return
            if message.kind != b"Q":
                self._client.send(wire.error("0A000", "the stand-in takes simple queries only", "FATAL"))
                return
            self._handle(message.content.rstrip(b"\0").decode())

    def close(self) -> None:
        self._client.close()
        for channel in (self._back_end, self._system_views):
            if channel is not None:
                channel.close()

    def _is_let_in(self) -> bool:
        cluster = self._cluster
        code, content = self._client.receive_startup()
        encrypted = False
        if code == wire.GSS_REQUEST:
            # PostgreSQL would decline; Redshift closes the connection.
            return False
        if code == wire.SSL_REQUEST:
            self._client.send_bytes(b"S")
            self._client = Channel(cluster.tls.wrap_socket(self._client.socket, server_side=True))
            encrypted = True
            code, content = self._client.receive_startup()
        if code == wire.CANCEL_REQUEST:
            self._cancel(content)
            return False
        parameters = wire.startup_parameters(content)
        if not encrypted:
            # As with the parameter require_ssl (connecting-ssl-support).
            self._refuse_client("28000", "no pg_hba.conf entry: SSL off")
            return False
        self._client.send(Message(b"R", cluster.authentication.to_bytes(4, "big")))
        password = self._client.receive().content.rstrip(b"\0").decode()
        user = parameters.get("user", "")
        if password != (cluster.password if user == cluster.user else cluster.passwords.get(user)):
            self._refuse_client("28P01", f'password authentication failed for user "{user}"')
            return False
        if parameters.get("database", user) != cluster.database:
            self._refuse_client("3D000", f'database "{parameters.get("database")}" does not exist')
            return False
        self._open_back_end(parameters.get("application_name", ""))
        if user != cluster.user:
            self._rows(f'SET SESSION AUTHORIZATION "{user}"')
        return True

    def _refuse_client(self, sqlstate: str, text: str) -> None:
        self._client.send(wire.error(sqlstate, text, "FATAL"))

    def _open_back_end(self, application_name: str) -> None:
        channel = self._connect()
        self._back_end = channel
        back_end = self._cluster.back_end
        channel.send_bytes(
            wire.startup(
                {
                    "user": back_end.username or "",
                    "database": back_end.database or "",
                    "client_encoding": "UTF8",
                    "application_name": application_name,
                    "options": f"{_SETTINGS} -c TimeZone={self._cluster.timezone}"
                    f" -c standard_conforming_strings={'off' if self._cluster.has_escapes else 'on'}",
                }
            )
        )
        for message in channel.until_ready():
            if message.kind == b"S":
                name, value = message.content.split(b"\0")[:2]
                if name == b"standard_conforming_strings" and self._cluster.claims_conforming_strings:
                    value = b"on"
                elif name in _HIDDEN_PARAMETERS:
                    continue
                if name == b"server_version":
                    value = b"8.0.2"
                self._client.send(Message(b"S", name + b"\0" + value + b"\0"))
                continue
            if message.kind == b"K":
                self._process_id = int.from_bytes(message.content[:4], "big")
            self._client.send(message)
            if message.kind == b"E":
                raise Closed

    def _connect(self) -> Channel:
        back_end = self._cluster.back_end
        connection = socket.create_connection((back_end.host or "127.0.0.1", back_end.port or 5432))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Channel(connection)

    def _cancel(self, key: bytes) -> None:
        self._cluster.canceled.add(int.from_bytes(key[:4], "big"))
        channel = self._connect()
        channel.send_bytes(
            (len(key) + 8).to_bytes(4, "big") + wire.CANCEL_REQUEST.to_bytes(4, "big") + key,
        )
        channel.close()

    def _handle(self, sql: str) -> None:
        if self._status == _IDLE:
            self._transaction = Transaction(time.monotonic())
        self._transaction.statements.append(sql)
        self._cluster.canceled.discard(self._process_id)
        failure = self._cluster.received(sql)
        if failure is not None and failure.cuts and not failure.after:
            raise Closed
        messages: Iterable[Message]
        if failure is not None and not failure.cuts:
            raised = self._raised(failure.sqlstate, failure.message)
            messages = raised
            if sql == "COMMIT":
                # Whether it succeeds or fails, it ends the transaction.
                self._rows("ROLLBACK")
                messages = [*raised[:-1], Message(b"Z", _IDLE)]
        else:
            messages = self._answer(sql)
        if failure is not None and failure.cuts:
            # It was run to its end: only the answer is lost.
            for _ in messages:
                pass
            raise Closed
        for message in messages:
            if message.kind == b"Z":
                self._status = message.content
                if self._status == _IDLE:
                    self._transaction.ended = time.monotonic()
                    self._cluster.transactions.append(self._transaction)
            self._client.send(message)

    def _answer(self, sql: str) -> Iterable[Message]:
        try:
            # Statements are read as with escapes; without, a backslash is one, and stands in strings alone.
            statements = split_statements(sql if self._cluster.has_escapes else sql.replace("\\", "\\\\"))
            if sql == "show transaction isolation level":
                return self._asked(f"SELECT '{self._cluster.isolation_level}' AS transaction_isolation")
            words = [first_word(statement) for statement in statements]
            alone = {"COPY", "TRUNCATE"} & set(words)
            if alone and len(statements) > 1:
                raise NotImitated(f"{alone.pop()} in one message with other statements")
            if words == ["COPY"]:
                return self._copy(statements[0])
            if words == ["TRUNCATE"]:
                return self._truncate(rewrite(statements[0]))
            if self._status != _FAILED and _SYSTEM_VIEWS.search(sql):
                return self._asked_of_system_views(sql)
            rewritten = "; ".join(rewrite(statement) for statement in statements)
            if not self._cluster.has_escapes:
                rewritten = rewritten.replace("\\\\", "\\")
            if words == ["GRANT"]:
                return self._grant(_ON_DATABASE.sub(f"ON DATABASE {self._cluster.back_end.database}", rewritten))
            return self._asked(trusting_keys(rewritten, self._declared_keys()) if _DISTINCT.search(sql) else rewritten)
        except Refusal as refusal:
            return self._raised(refusal.sqlstate, refusal.message)
        except BackEndError as error:
            return self._failed(error)

    def _asked(self, sql: str) -> Iterable[Message]:
        """The back end's answer as it comes."""
        channel = self._channel
        channel.send(wire.query(sql))
        return (_in_redshifts_words(message) for message in channel.until_ready())

    def _grant(self, sql: str) -> Sequence[Message]:
        """To grant what one may not grant is an error, of which PostgreSQL warns only."""
        messages = list(self._asked(sql))
        for message in messages:
            if message.kind == b"N" and message.fields.get("C") in _NOT_GRANTED:
                return self._raised(_INSUFFICIENT_PRIVILEGE, "permission denied: " + message.fields["M"])
        return messages

    def _asked_of_system_views(self, sql: str) -> Iterable[Message]:
        """System views lie outside of the transaction's snapshot."""
        ((copy_id,),) = self._rows("SELECT redshift_system.pg_last_copy_id()")
        if self._system_views is None:
            channel = self._system_views = self._connect()
            back_end = self._cluster.back_end
            options = {"user": back_end.username or "", "database": back_end.database or "", "options": _SETTINGS}
            channel.send_bytes(wire.startup({**options, "client_encoding": "UTF8"}))
            for _ in channel.until_ready():
                pass
        self._system_views.send(wire.query(rewrite(_LAST_COPY.sub(str(copy_id), sql))))
        for message in self._system_views.until_ready():
            yield Message(b"Z", self._status) if message.kind == b"Z" else _in_redshifts_words(message)

    def _declared_keys(self) -> Mapping[str, Set[str]]:
        """Returns the columns that are a key by themselves, by table."""
        if self._status == _FAILED:
            return {}
        keys: dict[str, set[str]] = {}
        for table, column in self._rows(
            "SELECT c.relname, k.column_name FROM redshift_system.declared_keys AS k"
            " INNER JOIN pg_catalog.pg_class AS c ON k.relation = c.oid WHERE k.is_whole"
        ):
            keys.setdefault(str(table), set()).add(str(column))
        return keys

    def _raised(self, sqlstate: str, text: str) -> Sequence[Message]:
        """The back end itself raises the error, so that its transaction fails. The client sees no PL/pgSQL."""
        quoted = text.replace("\\", "\\\\").replace("'", "''")
        code = sqlstate if re.fullmatch(r"[0-9A-Z]{5}", sqlstate) else "XX000"
        body = f"BEGIN RAISE EXCEPTION USING MESSAGE = E'{quoted}', ERRCODE = '{code}'; END"
        channel = self._channel
        channel.send(wire.query(f"DO $standin${body}$standin$"))
        return [
            wire.error(message.fields["C"], message.fields["M"]) if message.kind == b"E" else message
            for message in channel.until_ready()
        ]

    def _failed(self, error: BackEndError) -> Sequence[Message]:
        return [_in_redshifts_words(error.message), Message(b"Z", self._status)]

    def _truncate(self, sql: str) -> Iterable[Message]:
        """r_TRUNCATE: it commits the transaction in which it runs."""
        messages = list(self._asked(sql))
        if messages[-1].content == b"T":
            self._rows("COMMIT")
            messages[-1] = Message(b"Z", _IDLE)
        return messages

    def _rows(self, sql: str) -> list[Sequence[str | None]]:
        """The rows of a query of the stand-in's own, in the client's session and transaction."""
        channel = self._channel
        channel.send(wire.query(sql))
        return [message.row for message in self._checked(channel.until_ready()) if message.kind == b"D"]

    def _checked(self, messages: Iterable[Message]) -> list[Message]:
        received = list(messages)
        self._status = received[-1].content
        for message in received:
            if message.kind == b"E":
                raise BackEndError(message)
        return received

    def _copy(self, sql: str) -> Sequence[Message]:
        command = parse_copy(sql)
        cluster = self._cluster
        table_id, columns = self._columns(command)
        command.check_roles(cluster.roles, cluster.default_role)
        load = Load(
            cluster,
            command,
            columns,
            table_id=table_id,
            session_id=self._process_id,
            source=Source(cluster.s3_client(command.region), command, columns),
        )
        started = time.monotonic()
        in_transaction = self._status != _IDLE
        try:
            rows = load.rows()
            if "no_load" not in command.flags:
                self._copy_in(command, columns, rows)
        except Refusal:
            load.record("aborted", time.monotonic() - started)
            if not in_transaction:
                # PG_LAST_COPY_ID counts loads that failed, unless their transaction takes it back.
                self._rows(f"SELECT set_config('standin.last_copy_id', '{load.query_id}', false)")
            raise
        load.record("completed", time.monotonic() - started)
        self._rows(
            f"SELECT set_config('standin.last_copy_id', '{load.query_id}', false),"
            f" set_config('standin.last_copy_count', '{load.loaded_rows}', false)"
        )
        return [*map(wire.info, load.notices()), wire.complete("COPY"), Message(b"Z", self._status)]

    def _columns(self, command: CopyCommand) -> tuple[int, Sequence[Column]]:
        """The target's columns, or those of the list, in its order."""
        table = command.table.replace("\\", "\\\\").replace("'", "''")
        found: dict[str, Column] = {}
        table_id = 0
        for name, type_, modifier, not_null, relation in self._rows(_COLUMNS.format(table=f"'{table}'")):
            length, scale = int(modifier or 0) - 4, 0
            if type_ == "numeric":
                length, scale = length >> 16, length & 0x7FF
            found[str(name)] = Column(str(name), str(type_), length, scale, not_null == "t")
            table_id = int(relation or 0)
        for name in command.columns:
            if name not in found:
                raise Refusal(f'column "{name}" of relation "{command.table}" does not exist', "42703")
        return table_id, [found[name] for name in command.columns or found]

    def _copy_in(self, command: CopyCommand, columns: Sequence[Column], rows: Sequence[bytes]) -> None:
        names = ", ".join('"' + column.name.replace('"', '""') + '"' for column in columns)
        channel = self._channel
        channel.send(wire.query(f"COPY {command.table} ({names}) FROM STDIN"))
        first = channel.receive()
        if first.kind != b"G":
            self._checked([first, *channel.until_ready()])
        content = b"".join(rows)
        for start in range(0, len(content), _CHUNK_BYTES):
            channel.send(Message(b"d", content[start : start + _CHUNK_BYTES]))
        channel.send(Message(b"c", b""))
        self._checked(channel.until_ready())

    @property
    def _channel(self) -> Channel:
        assert self._back_end is not None
        return self._back_end


def _in_redshifts_words(message: Message) -> Message:
    """A text that is too long, which the back end finds by a CHECK."""
    if message.kind == b"E":
        fields = message.fields
        limit = re.fullmatch(r"bytes_\d+_(\d+)", fields.get("n", ""))
        if fields.get("C") == QUERY_CANCELED:
            # r_statement_timeout
            return wire.error(QUERY_CANCELED, CANCELED)
        if fields.get("C") == _INSUFFICIENT_PRIVILEGE:
            kinds = r"(?<=permission denied for )(table|view)"
            return wire.error(_INSUFFICIENT_PRIVILEGE, re.sub(kinds, "relation", fields["M"]))
        if fields.get("C") == "23514" and limit:
            return wire.error("22001", f"value too long for type character varying({limit.group(1)})")
    return message
