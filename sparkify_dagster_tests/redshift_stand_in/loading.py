"""A load by COPY: rows for the back end, errors and counts for the system tables.

Pages: SYS_LOAD_HISTORY, SYS_LOAD_DETAIL, SYS_LOAD_ERROR_DETAIL, r_STL_LOAD_ERRORS, copy-parameters-data-load
(MAXERROR).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sparkify_dagster_tests.redshift_stand_in.cluster import Cluster
from sparkify_dagster_tests.redshift_stand_in.copy_command import CopyCommand
from sparkify_dagster_tests.redshift_stand_in.copy_source import INVALID_LINE, Row, Source, SourceFile
from sparkify_dagster_tests.redshift_stand_in.copy_values import Column, Conversion, Number, ValueRefused, converted
from sparkify_dagster_tests.redshift_stand_in.refusal import Refusal

QUERY_CANCELED, CANCELED = "57014", "Query (150) canceled on user's request"
_TYPE_NAMES = {
    "character varying": "varchar",
    "character": "char",
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "timestamp without time zone": "timestamp",
}
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True)
class RowError:
    url: str
    row: Row
    code: int
    reason: str
    column: Column | None = None
    value: str = ""


@dataclass(frozen=True)
class ScannedFile:
    url: str
    etag: str
    bytes: int
    lines: int


@dataclass
class Load:
    cluster: Cluster
    command: CopyCommand
    columns: Sequence[Column]
    table_id: int
    session_id: int
    source: Source
    query_id: int = 0
    loaded_rows: int = 0
    errors: list[RowError] = field(default_factory=list)
    _scanned_files: list[ScannedFile] = field(default_factory=list)
    _files: int = 0
    _file_bytes: int = 0
    _scanned: int = 0
    _started: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))

    def __post_init__(self) -> None:
        self.query_id = self.cluster.next_query_id()

    def rows(self) -> Sequence[bytes]:
        """The rows as PostgreSQL's COPY takes them. Raises Refusal when MAXERROR errors are found, 0 meaning 1."""
        conversion = Conversion(self.command.time_format, self.command.flags, self.cluster.epoch_fractions)
        urls = self.source.urls()
        self._files = len(urls)
        rows: list[bytes] = []
        for url in urls:
            file = self.source.read(url)
            self._file_bytes += len(file.content)
            self._scanned += 1
            self._scanned_files.append(ScannedFile(url, file.etag, file.bytes, _lines_of(file)))
            for row in self.source.rows(file):
                if self.session_id in self.cluster.canceled:
                    raise Refusal(CANCELED, QUERY_CANCELED)
                line = self._line(url, row, conversion)
                if line is not None:
                    rows.append(line)
                elif len(self.errors) >= max(self.command.max_error, 1):
                    table = self.command.table.rpartition(".")[2].strip('"')
                    raise Refusal(
                        f"Load into table '{table}' failed.  Check 'sys_load_error_detail' system table for details.",
                        "XX000",
                    )
        self.loaded_rows = len(rows)
        return rows

    def notices(self) -> Sequence[str]:
        """Sends a message that a client sees as INFO."""
        table = self.command.table.rpartition(".")[2].strip('"')
        completed = f"Load into table '{table}' completed, {self.loaded_rows} record(s) loaded successfully."
        if not self.errors:
            return [completed]
        return [
            completed,
            f"Load into table '{table}' completed, {len(self.errors)} record(s) could not be loaded.  Check"
            " 'sys_load_error_detail' system table for details.",
        ]

    def record(self, status: str, seconds: float) -> None:
        """Beside the client's transaction: the records outlive its rollback. In one message, to connect once."""
        database = self.cluster.database
        statements: list[str] = []
        parameters: list[object] = []

        def add(statement: str, values: Sequence[object]) -> None:
            statements.append(statement)
            parameters.extend(values)

        for scanned in self._scanned_files if self.cluster.lists_loaded_files else ():
            add(
                "INSERT INTO redshift_system.sys_load_detail (query_id, file_name, bytes_scanned, lines_scanned,"
                " file_etag) VALUES (%s, %s, %s, %s, %s)",
                [self.query_id, scanned.url[:256], scanned.bytes, scanned.lines, scanned.etag],
            )
        for error in self.errors:
            column = error.column
            add(
                "INSERT INTO redshift_system.load_errors (query_id, session_id, database_name, table_id,"
                " file_name, line_number, column_name, column_type, column_length, error_code, error_message,"
                " raw_line, raw_field_value) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    self.query_id,
                    self.session_id,
                    database,
                    self.table_id,
                    error.url[:256],
                    error.row.line,
                    column and column.name,
                    column and _TYPE_NAMES.get(column.type, column.type)[:10],
                    str(column.length) if column and column.length > 0 else "",
                    error.code,
                    error.reason[:512],
                    _storable(error.row.text),
                    _storable(error.value),
                ],
            )
        add(
            "INSERT INTO redshift_system.sys_load_history (query_id, status, session_id, database_name, table_name,"
            " start_time, duration, data_source, loaded_rows, source_file_count, source_file_bytes,"
            " file_count_scanned, file_bytes_scanned, error_count)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                self.query_id,
                status,
                self.session_id,
                database,
                self.command.table.rpartition(".")[2].strip('"'),
                self._started,
                int(seconds * 1_000_000),
                self.command.source,
                self.loaded_rows if status == "completed" else 0,
                self._files,
                self._file_bytes,
                self._scanned,
                self._file_bytes,
                len(self.errors),
            ],
        )
        self.cluster.execute_in_back_end("; ".join(statements), parameters)

    def _line(self, url: str, row: Row, conversion: Conversion) -> bytes | None:
        if row.values is None:
            self.errors.append(RowError(url, row, INVALID_LINE, row.reason))
            return None
        texts = []
        for column, value in zip(self.columns, row.values, strict=True):
            try:
                text = converted(value, column, conversion)
            except ValueRefused as refused:
                # The first wrong value of a row is the row's error.
                shown = value if isinstance(value, str | Number) else "" if value is None else str(value)
                self.errors.append(RowError(url, row, refused.code, refused.reason, column, shown))
                return None
            texts.append("\\N" if text is None else text.translate(_ESCAPES))
        return "\t".join(texts).encode() + b"\n"


def _lines_of(file: SourceFile) -> int:
    return file.content.count(b"\n") + (not file.content.endswith(b"\n") and bool(file.content))


def _storable(text: str) -> str:
    """Cut to the column's 1,024 bytes, without what a database cannot hold."""
    encoded = text.replace("\0", "").encode("utf-8", "replace")[:1024]
    return encoded.decode("utf-8", "ignore")
