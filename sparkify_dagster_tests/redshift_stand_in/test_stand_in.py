"""The stand-in for Redshift runs what production code sends, and refuses what Redshift refuses."""

import gzip
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Column, Engine, MetaData, Table, create_engine, delete, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InternalError, NotSupportedError, OperationalError
from sqlalchemy.pool import NullPool
from sqlalchemy_redshift.commands import Compression, CopyCommand, Format  # type: ignore[import-untyped]

from sparkify_dagster.schema.sql_files import VIEWS
from sparkify_dagster.schema.tables import loaded_objects, metadata, songplays, staging_events
from sparkify_dagster.warehouse import transforms
from sparkify_dagster.warehouse.ddl import create_tables, drop_tables
from sparkify_dagster_tests.redshift_stand_in.cluster import ROLE, S3Access
from sparkify_dagster_tests.redshift_stand_in.copy_command import parse_copy
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.redshift_stand_in.refusal import Refusal
from sparkify_dagster_tests.redshift_stand_in.rewriting import rewrite
from sparkify_dagster_tests.redshift_stand_in.stand_in import RedshiftStandIn
from sparkify_dagster_tests.support.servers.s3 import S3Server

EVENTS = (
    ("artist", "artist"),
    ("page", "page"),
    ("ts", "ts"),
    ("item_in_session", "itemInSession"),
    ("length", "length"),
    ("registration", "registration"),
    ("user_id", "userId"),
    ("epoch_ms", "ts"),
)


@pytest.fixture(scope="module")
def warehouse(redshift: RedshiftStandIn) -> Iterator[Engine]:
    """With the project's tables."""
    engine = create_engine(redshift.url, poolclass=NullPool)
    with engine.begin() as connection:
        create_tables(connection)
    yield engine
    with engine.begin() as connection:
        drop_tables(connection)
        connection.execute(text("DROP SCHEMA staging"))


@pytest.fixture
def engine(redshift: RedshiftStandIn, warehouse: Engine) -> Iterator[Engine]:
    redshift.forget()
    yield warehouse
    redshift.forget()


@dataclass
class Bucket:
    s3: S3Server
    name: str = field(default_factory=lambda: f"redshift-{secrets.token_hex(4)}")

    def put(self, key: str, content: bytes | str) -> str:
        self.s3.put(self.name, {key: content if isinstance(content, bytes) else content.encode()})
        return f"s3://{self.name}/{key}"

    def manifest(self, *urls: str, mandatory: bool = True) -> str:
        entries = [{"url": url, "mandatory": mandatory} for url in urls]
        return self.put(f"manifests/{secrets.token_hex(4)}", json.dumps({"entries": entries}))

    def paths(self, *names: str) -> str:
        return self.put("paths/paths.json", json.dumps({"jsonpaths": [f"$['{name}']" for name in names]}))


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    return Bucket(s3)


def lines(*rows: Mapping[str, Any]) -> str:
    return "\n".join(map(json.dumps, rows))


def events_table(name: str = "incoming") -> Table:
    """Some of the columns of staging_events."""
    columns = [Column(column, staging_events.c[column].type) for column, _ in EVENTS]
    return Table(name, MetaData(), *columns, prefixes=["TEMPORARY"])


def copy(to: Any, url: str, **options: Any) -> Any:
    given = {"format": Format.json, "iam_role_arns": ROLE, "time_format": "epochmillisecs", "comp_update": False}
    return CopyCommand(to, url, **(given | {"manifest": True, "max_error": 0, "region": "us-west-2"} | options))


def columns_of(engine: Engine, table: str, schema: str | None = None) -> Sequence[Any]:
    """Does what Inspector.get_columns does; sqlalchemy-redshift 1.0.0 on SQLAlchemy 2.1 fails on the types."""
    with engine.connect() as connection:
        dialect: Any = connection.dialect
        found: Sequence[Any] = dialect._get_redshift_columns(connection, table, schema=schema)
        return found


def rows(engine: Engine, sql: str) -> Sequence[tuple[Any, ...]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


# Connecting


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_server_is_verified(redshift: RedshiftStandIn, host: str) -> None:
    engine = create_engine(redshift.url.set(host=host), poolclass=NullPool)
    with engine.connect() as connection:
        assert "Redshift 1.0" in str(connection.scalar(text("SELECT version()")))
        assert connection.dialect.server_version_info == (8, 0, 2)
        assert connection.dialect.default_schema_name == "public"


def test_an_unknown_authority_is_refused(redshift: RedshiftStandIn) -> None:
    url = redshift.url.difference_update_query(["sslrootcert"])
    with pytest.raises(OperationalError, match="certificate verify failed"):
        create_engine(url, poolclass=NullPool).connect()


def test_there_is_no_way_without_tls(redshift: RedshiftStandIn) -> None:
    with pytest.raises(OperationalError, match="SSL off"):
        create_engine(redshift.url.update_query_dict({"sslmode": "disable"}), poolclass=NullPool).connect()


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"password": "wrong"}, "password authentication"),
        ({"username": "nobody"}, "password authentication"),
        ({"database": "missing"}, "does not exist"),
    ],
)
def test_a_stranger_is_refused(redshift: RedshiftStandIn, part: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(OperationalError, match=reason):
        create_engine(redshift.url.set(**part), poolclass=NullPool).connect()


def test_a_stand_in_of_its_own_stops(redshift_servers: RedshiftServers, s3: S3Server, tmp_path: Path) -> None:
    """With an S3 user who may list only."""
    bucket = Bucket(s3)
    url = bucket.put("a", '{"v": 1}')
    access = S3Access(s3.url, s3.listing_access_key, s3.listing_secret_key)
    stand_in = RedshiftStandIn(redshift_servers.new_back_end(), access, tmp_path)
    stand_in.start()
    engine = create_engine(stand_in.url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text("CREATE TEMP TABLE t (v INT)"))
            with pytest.raises(InternalError, match="AccessDenied"):
                connection.execute(text(f"COPY t FROM '{url}' IAM_ROLE '{ROLE}' JSON 'auto'"))
    finally:
        stand_in.stop()
    with pytest.raises(OperationalError, match="refused"):
        engine.connect()


# Tables


def test_the_tables_are_created_once(redshift: RedshiftStandIn, engine: Engine) -> None:
    with engine.begin() as connection:
        create_tables(connection)
    assert not [sql for sql in redshift.statements if "CREATE TABLE" in sql]


def test_reflection_finds_the_tables(engine: Engine) -> None:
    found = inspect(engine)
    assert set(found.get_view_names("staging")) == set(VIEWS)
    assert set(found.get_table_names()) == {"songplays", "users", "songs", "artists", "time"}
    for table in metadata.tables.values():
        assert found.has_table(table.name, schema=table.schema)
        reflected = columns_of(engine, table.name, table.schema)
        assert [column.name for column in reflected] == table.columns.keys()
        assert [not column.notnull for column in reflected] == [column.nullable for column in table.columns]
        assert [column.comment for column in reflected] == [column.comment for column in table.columns]
        assert found.get_table_comment(table.name, schema=table.schema)["text"] == table.comment
    assert not found.has_table("missing")


def test_keys_are_not_enforced_but_not_null_is(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO users (user_id) VALUES (1), (1)"))
        assert connection.scalar(text("SELECT count(*) FROM users")) == 2
        with pytest.raises(IntegrityError, match="not-null"):
            connection.execute(text("INSERT INTO users (first_name) VALUES ('X')"))


@pytest.mark.parametrize(
    "create",
    [
        "CREATE TEMP TABLE t (k INT, v VARCHAR(4) ENCODE zstd, PRIMARY KEY (k)) DISTSTYLE KEY DISTKEY (k) SORTKEY (v)",
        "CREATE TEMPORARY TABLE t (k INT DISTKEY SORTKEY, v CHARACTER VARYING(4) UNIQUE) BACKUP NO SORTKEY AUTO",
        "CREATE TEMP TABLE s (k INT, v VARCHAR(4)); CREATE TEMP TABLE t (LIKE s INCLUDING DEFAULTS)",
        "CREATE TEMP TABLE s (k INT, v VARCHAR(4)); CREATE TEMP TABLE t DISTKEY (k) AS SELECT s.k, s.v FROM s",
        "CREATE TEMP TABLE t (k INT); ALTER TABLE t ADD COLUMN v VARCHAR(4)",
    ],
)
def test_texts_are_limited_in_bytes(engine: Engine, create: str) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql(create)
        connection.execute(text("INSERT INTO t (k, v) VALUES (1, 'éé')"))
        with pytest.raises(DBAPIError, match=r"value too long for type character varying\(4\)"):
            connection.execute(text("INSERT INTO t (k, v) VALUES (1, 'ééé')"))


def test_types_without_a_size(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE sizes (a VARCHAR, b TEXT, c VARCHAR(MAX), d DECIMAL, e CHAR, f FLOAT)"))
    types = [column.format_type for column in columns_of(engine, "sizes")]
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE sizes"))
    assert types == [
        *("character varying(256)", "character varying(256)", "character varying(65535)"),
        *("numeric(18,0)", "character(1)", "double precision"),
    ]


def test_texts_sort_by_bytes(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE words (w VARCHAR(9))"))
        connection.execute(text("INSERT INTO words VALUES ('a'), ('B'), ('é'), ('_')"))
        assert list(connection.scalars(text("SELECT w FROM words ORDER BY w"))) == ["B", "_", "a", "é"]


def test_blanks_at_the_end_are_kept_and_do_not_count(engine: Engine) -> None:
    queries = {
        "SELECT COUNT(*) FROM words AS w WHERE w.a = 'x'": [(2,)],
        "SELECT COUNT(*) FROM words AS w WHERE w.a IN ('x  ', 'y')": [(3,)],
        "SELECT COUNT(*) FROM words AS w WHERE w.a <> 'x'": [(2,)],
        "SELECT COUNT(*) FROM words AS w WHERE w.a > 'x'": [(1,)],
        "SELECT COUNT(*) FROM words AS w WHERE w.a = RTRIM(w.b, ' ')": [(4,)],
        "SELECT COUNT(*), COUNT(DISTINCT w.a) FROM words AS w": [(4, 3)],
        "SELECT COUNT(*) FROM words AS v INNER JOIN words AS w ON v.a = w.a": [(6,)],
        "SELECT COUNT(*) FROM words AS v WHERE v.a IN (SELECT w.b FROM words AS w)": [(4,)],
        "SELECT MAX(w.n) FROM (SELECT ROW_NUMBER() OVER (PARTITION BY v.a ORDER BY v.a) AS n FROM words AS v) AS w": [
            (2,)
        ],
        "SELECT COUNT(*) AS n FROM words AS w GROUP BY w.a ORDER BY w.a": [(1,), (2,), (1,)],
        "SELECT COUNT(*) FROM (SELECT w.a FROM words AS w UNION SELECT w.b FROM words AS w) AS u": [(3,)],
        "SELECT SUM(LEN(w.a)), SUM(OCTET_LENGTH(w.a)) FROM words AS w": [(5, 5)],
        "SELECT COUNT(*) FROM words AS w WHERE w.a LIKE 'x'": [(1,)],
    }
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE words (a VARCHAR(9), b VARCHAR(9))"))
        connection.execute(text("INSERT INTO words VALUES ('x', 'x '), ('x ', 'x'), (' ', ''), ('y', 'y')"))
        assert list(connection.scalars(text("SELECT w.a FROM words AS w ORDER BY LEN(w.a), w.a"))) == [
            " ",
            "x",
            "y",
            "x ",
        ]
        for query, expected in queries.items():
            assert [tuple(row) for row in connection.execute(text(query))] == expected, query


def test_a_cast_to_numeric_cuts_unless_rounding_is_on(engine: Engine) -> None:
    cast = text("SELECT CAST(2.0 / 3 AS NUMERIC(5, 4)), CAST(CAST(2 AS DOUBLE PRECISION) / 3 AS DECIMAL(9, 2))")
    with engine.connect() as connection:
        assert [str(value) for value in connection.execute(cast).one()] == ["0.6666", "0.66"]
        connection.execute(text("SET enable_numeric_rounding TO on"))
        assert [str(value) for value in connection.execute(cast).one()] == ["0.6667", "0.67"]


def test_backslashes_and_quotes_arrive(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE words (w VARCHAR(99))"))
        connection.execute(text("INSERT INTO words VALUES (:word)"), {"word": r"a\b'c"})
        assert connection.scalar(text("SELECT w FROM words")) == r"a\b'c"


# Transactions


def test_a_rollback_takes_all_back(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE gone (x INT)"))
        connection.execute(insert(songplays).values(_play("1")))
        connection.rollback()
        assert not inspect(connection).has_table("gone")
        assert connection.scalar(text("SELECT count(*) FROM songplays")) == 0


def test_truncate_commits(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE truncated (x INT)"))
        connection.execute(text("INSERT INTO truncated VALUES (1)"))
        connection.execute(text("TRUNCATE truncated"))
        connection.rollback()
    assert rows(engine, "SELECT count(*) FROM truncated") == [(0,)]
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE truncated"))


def test_a_refused_statement_fails_the_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        with pytest.raises(NotSupportedError):
            connection.execute(text("SELECT DISTINCT ON (u.user_id) u.user_id FROM users AS u"))
        with pytest.raises(InternalError, match="current transaction is aborted"):
            connection.execute(text("SELECT 1"))
        connection.rollback()
        assert connection.scalar(text("SELECT 1")) == 1


def test_an_old_play_is_replaced_by_the_transforms(engine: Engine) -> None:
    """All of the project's SQL passes the guard."""
    with engine.connect() as connection:
        connection.execute(
            insert(staging_events),
            [
                {
                    "page": "NextSong",
                    "ts": datetime(2018, 11, 1, 10, 0, second),
                    "log_date": date(2018, 11, 1),
                    "epoch_ms": second,
                    "user_id": 1,
                    "session_id": 7,
                    "item_in_session": second,
                }
                for second in (1, 2)
            ],
        )
        day = date(2018, 11, 1)
        transforms.replace_songplays(connection, day, day)
        transforms.replace_time(connection, day, day)
        transforms.replace_users(connection, day, day)
        for table in ("songs", "artists"):
            transforms.replace_song_dimension(connection, metadata.tables[table])
        assert connection.scalar(text("SELECT count(*) FROM songplays")) == 2
        assert connection.execute(select(metadata.tables["time"].c.weekday)).all() == [(4,), (4,)]
        connection.execute(delete(songplays))
        connection.rollback()


def _play(key: str) -> Mapping[str, object]:
    return {"songplay_id": key, "start_time": datetime(2018, 11, 1), "user_id": 1, "session_id": 1}


# COPY


def test_a_manifest_is_copied_and_inserted_in_one_transaction(engine: Engine, bucket: Bucket) -> None:
    first = {"artist": "Des'ree \\ \t é", "page": "NextSong", "ts": 1541016707796, "itemInSession": 0}
    second = {"page": "Home", "ts": 1541016707797, "length": 246.307061, "registration": 1540344794796.0, "userId": ""}
    urls = [
        bucket.put("a.json.gz", gzip.compress(lines(first | {"userId": "39"}).encode())),
        bucket.put("b.json.gz", gzip.compress(lines(second).encode())),
    ]
    paths = bucket.paths(*(key for _, key in EVENTS))
    incoming = events_table()
    with engine.connect() as connection:
        incoming.create(connection)
        connection.execute(copy(incoming, bucket.manifest(*urls), path_file=paths, compression=Compression.gzip))
        assert connection.scalar(text("SELECT pg_last_copy_count()")) == 2
        query_id = connection.scalar(text("SELECT pg_last_copy_id()"))
        names = ", ".join(name for name, _ in EVENTS)
        connection.execute(
            text(
                f"INSERT INTO staging.staging_events ({names}, log_date)"
                f" SELECT {names}, CAST(i.ts AS DATE) FROM incoming AS i"
            )
        )
        chosen = select(*[staging_events.c[name] for name, _ in EVENTS]).order_by(staging_events.c.ts)
        found = connection.execute(chosen).all()
        history = connection.execute(
            text(
                "SELECT TRIM(h.status), h.loaded_rows, h.source_file_count, h.error_count"
                " FROM sys_load_history AS h WHERE h.query_id = :query_id"
            ),
            {"query_id": query_id},
        ).all()
        details = text(
            "SELECT TRIM(d.file_name), d.lines_scanned, TRIM(d.file_etag) LIKE '\"%\"' FROM sys_load_detail AS d"
            " WHERE d.query_id = pg_last_copy_id() ORDER BY d.file_name"
        )
        assert connection.execute(details).all() == [(url, 1, True) for url in urls]
        connection.rollback()
        assert connection.scalar(text("SELECT count(*) FROM staging.staging_events")) == 0
        assert connection.scalar(text("SELECT pg_last_copy_count()")) == 0
    first_time, second_time = datetime(2018, 10, 31, 20, 11, 47, 796_000), datetime(2018, 10, 31, 20, 11, 47, 797_000)
    registration = datetime(2018, 10, 24, 1, 33, 14, 796_000)
    assert [tuple(row) for row in found] == [
        ("Des'ree \\ \t é", "NextSong", first_time, 0, None, None, 39, 1541016707796),
        (None, "Home", second_time, None, Decimal("246.30706"), registration, None, 1541016707797),
    ]
    # Although the transaction's snapshot is older than the record.
    assert history == [("completed", 2, 2, 0)]
    assert rows(engine, f"SELECT h.status, h.loaded_rows FROM sys_load_history AS h WHERE h.query_id = {query_id}") == [
        ("completed", 2)
    ]


def test_a_hand_written_copy(engine: Engine, bucket: Bucket) -> None:
    url = bucket.put("data/a", '{"A": 1}\n{"a": 2,\n "b": {"c": [1, "x"]}}{"a": 3, "B": true}')
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE t (a INT, b VARCHAR(20), c TIMESTAMP DEFAULT SYSDATE)"))
        connection.execute(
            text(f"COPY t (a, b) FROM '{url}' IAM_ROLE default JSON 'auto ignorecase' COMPUPDATE OFF STATUPDATE OFF")
        )
        found = connection.execute(text("SELECT t.a, t.b, t.c IS NULL FROM t ORDER BY t.a")).all()
        connection.execute(text(f"COPY t FROM '{url}' IAM_ROLE '{ROLE}' FORMAT AS JSON 'auto'"))
        missing = connection.scalar(text("SELECT count(*) FROM t WHERE t.a IS NULL AND t.c IS NULL"))
    assert [tuple(row) for row in found] == [(1, None, False), (2, '{"c":[1,"x"]}', False), (3, "true", False)]
    assert missing == 1


BAD_VALUES: Sequence[tuple[str, str, int]] = [
    ("INT", '"a"', 1207),
    ("INT", "1.5", 1207),
    ("INT", "2147483648", 1204),
    ("SMALLINT", "32768", 1204),
    ("DOUBLE PRECISION", '"x"', 1208),
    ("DECIMAL(5, 2)", '"x"', 1209),
    ("DECIMAL(5, 2)", "1000", 1204),
    ("DECIMAL(5, 2)", "1e999999999", 1204),
    ("BOOLEAN", '"maybe"', 1210),
    ("DATE", '"2018-13-01"', 1205),
    ("TIMESTAMP", '"soon"', 1206),
    ("VARCHAR(3)", '"éé"', 1204),
    ("VARCHAR(3)", r'"\u0000a"', 1218),
    ("VARCHAR(3)", r'"\ud800"', 1220),
    ("CHAR(3)", '"é"', 1220),
    ("INT NOT NULL", "null", 1213),
    ("INT", "NaN", 1216),
]


@pytest.mark.parametrize(("type_", "value", "code"), BAD_VALUES)
def test_a_bad_value_fails_the_load(engine: Engine, bucket: Bucket, type_: str, value: str, code: int) -> None:
    url = bucket.put("data/bad", f'{{"v":\n{value}}}\n')
    with engine.connect() as connection:
        connection.execute(text(f"CREATE TEMP TABLE t (v {type_})"))
        with pytest.raises(InternalError, match="Load into table 't' failed") as raised:
            connection.execute(text(f"COPY t FROM '{url}' IAM_ROLE '{ROLE}' JSON 'auto' TIMEFORMAT 'auto'"))
        connection.rollback()
        assert getattr(raised.value.orig, "pgcode", None) == "XX000"
        found = connection.execute(
            text(
                "SELECT TRIM(e.file_name), e.line_number, TRIM(e.column_name), e.error_code"
                " FROM sys_load_error_detail AS e ORDER BY e.query_id DESC LIMIT 1"
            )
        ).one()
        old = connection.scalar(text("SELECT l.err_code FROM stl_load_errors AS l ORDER BY l.query DESC LIMIT 1"))
    # The line is the object's last one; of what is no JSON it is the one where reading failed.
    expected = (url, 1, None) if code == 1216 else (url, 2, "v")
    assert tuple(found) == (*expected, code)
    assert old == code


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("INT", '""', None),
        ("INT", '"12"', 12),
        ("BIGINT", "1541016707796.0", 1541016707796),
        ("DECIMAL(10, 5)", "1.999999", Decimal("1.99999")),
        ("DECIMAL(10, 5)", "-1.999999", Decimal("-1.99999")),
        ("VARCHAR(4)", '""', ""),
        ("VARCHAR(4)", '"ab     "', "ab  "),
        ("VARCHAR(4)", r'"ab\u0000cdefg"', "ab"),
        ("VARCHAR(9)", "1.50", "1.50"),
        ("VARCHAR(9)", r'"\ud83d\ude00"', "😀"),
        ("BOOLEAN", "true", True),
        ("DATE", '"2018-11-01"', date(2018, 11, 1)),
        ("TIMESTAMP", '"2018-11-01T10:00:00.5"', datetime(2018, 11, 1, 10, 0, 0, 500_000)),
    ],
)
def test_values_are_converted(engine: Engine, bucket: Bucket, type_: str, value: str, expected: object) -> None:
    url = bucket.put("data/good", f'{{"v": {value}}}')
    with engine.connect() as connection:
        connection.execute(text(f"CREATE TEMP TABLE t (v {type_})"))
        connection.execute(text(f"COPY t FROM '{url}' IAM_ROLE '{ROLE}' JSON 'auto' TIMEFORMAT 'auto'"))
        assert connection.scalar(text("SELECT t.v FROM t")) == expected


def test_errors_below_maxerror_are_skipped(engine: Engine, bucket: Bucket) -> None:
    url = bucket.put("data/mixed", '{"v": 1}\nnot JSON\n{"v": "x"}\n{"v": 2}\n')
    copy_sql = f"COPY t FROM '{url}' IAM_ROLE '{ROLE}' JSON 'auto' MAXERROR"
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE t (v INT)"))
        connection.execute(text(f"{copy_sql} 3"))
        assert connection.scalar(text("SELECT pg_last_copy_count()")) == 2
        with pytest.raises(InternalError, match="failed"):
            connection.execute(text(f"{copy_sql} AS 2"))


def test_junk_between_objects_is_an_error_each(engine: Engine, bucket: Bucket) -> None:
    url = bucket.put("data/junk", '{"v": 1}\r\n\r\n{"v": 2}, {"v": 3}\n[{"v": 4}]\n{"v": 5}')
    paths = bucket.put("paths/dots.json", '{"jsonpaths": ["$.v"]}')
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE t (v INT)"))
        connection.execute(text(f"COPY t FROM '{url}' IAM_ROLE '{ROLE}' JSON '{paths}' MAXERROR 3"))
        assert list(connection.scalars(text("SELECT t.v FROM t ORDER BY t.v"))) == [1, 2, 5]
        connection.commit()
        found = connection.execute(
            text(
                "SELECT e.line_number, e.error_code FROM sys_load_error_detail AS e"
                " WHERE e.query_id = pg_last_copy_id() ORDER BY e.line_number"
            )
        ).all()
    assert [tuple(row) for row in found] == [(3, 1216), (4, 1216)]


def test_paths_into_arrays(engine: Engine, bucket: Bucket) -> None:
    url = bucket.put("data/arrays", "[1, 2]\n[3]\n")
    copy_sql = f"COPY t FROM '{url}' IAM_ROLE '{ROLE}' JSON"
    first, second = (bucket.put(f"paths/{n}.json", f'{{"jsonpaths": ["$[{n}]"]}}') for n in (0, 1))
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE t (v INT)"))
        connection.execute(text(f"{copy_sql} '{first}'"))
        assert list(connection.scalars(text("SELECT t.v FROM t ORDER BY t.v"))) == [1, 3]
        # MAXERROR does not help: a missing element fails the whole COPY.
        with pytest.raises(InternalError, match="index out of range"):
            connection.execute(text(f"{copy_sql} '{second}' MAXERROR 9"))


def test_a_copy_outside_of_a_transaction(engine: Engine, bucket: Bucket) -> None:
    good, bad = bucket.put("good/a", '{"v": 1}'), bucket.put("bad/a", '{"v": "x"}')
    ids = "SELECT pg_last_copy_id(), pg_last_copy_count()"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE TEMP TABLE t (v INT)"))
        connection.execute(text(f"COPY t FROM '{good}' IAM_ROLE '{ROLE}' JSON 'auto'"))
        first, count = connection.execute(text(ids)).one()
        assert count == 1
        with pytest.raises(InternalError, match="failed"):
            connection.execute(text(f"COPY t FROM '{bad}' IAM_ROLE '{ROLE}' JSON 'auto'"))
        second, _ = connection.execute(text(ids)).one()
        assert second > first
        errors = text("SELECT COUNT(*) FROM sys_load_error_detail AS e WHERE e.query_id = :query_id")
        assert connection.scalar(errors, {"query_id": second}) == 1
        status = text("SELECT h.status FROM sys_load_history AS h WHERE h.query_id = :query_id")
        assert [connection.scalar(status, {"query_id": id_}) for id_ in (first, second)] == ["completed", "aborted"]


def test_the_epochs_fraction_is_a_choice(redshift: RedshiftStandIn, engine: Engine, bucket: Bucket) -> None:
    url = bucket.put("data/epoch", '{"v": 1541016707796.0}')
    redshift.epoch_fractions = False
    try:
        with engine.connect() as connection:
            connection.execute(text("CREATE TEMP TABLE t (v TIMESTAMP)"))
            with pytest.raises(InternalError, match="failed"):
                connection.execute(
                    text(f"COPY t FROM '{url}' IAM_ROLE '{ROLE}' JSON 'auto' TIMEFORMAT 'epochmillisecs'")
                )
    finally:
        redshift.epoch_fractions = True


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("IAM_ROLE 'arn:aws:iam::123456789012:role/other' JSON 'auto'", "not authorized to assume IAM Role"),
        ("IAM_ROLE 'arn:aws:iam::123456789012:role/a, arn:aws:iam::123456789012:role/b' JSON 'auto'", "Invalid IAM"),
        ("ACCESS_KEY_ID 'x' SECRET_ACCESS_KEY 'y' JSON 'auto'", "takes no keys"),
        ("CREDENTIALS 'aws_access_key_id=x;aws_secret_access_key=y' JSON 'auto'", "takes no keys"),
        ("JSON 'auto'", "CREDENTIALS argument is required"),
        (f"IAM_ROLE '{ROLE}' JSON 'Auto'", "Invalid JSONPath"),
        (f"IAM_ROLE '{ROLE}' JSON 'auto' NULL AS ''", "not supported with JSON"),
        (f"IAM_ROLE '{ROLE}' JSON 'auto' TIMEFORMAT 'EpochMillisecs'", "TIMEFORMAT"),
        (f"IAM_ROLE '{ROLE}' JSON 'auto' MANIFEST", "Problem reading manifest file"),
        (f"IAM_ROLE '{ROLE}' JSON 'auto' GZIP", "GZIP"),
        (f"IAM_ROLE '{ROLE}' JSON 's3://missing-bucket/paths.json'", "NoSuchBucket"),
    ],
)
def test_a_wrong_copy_is_refused(engine: Engine, bucket: Bucket, options: str, reason: str) -> None:
    url = bucket.put("data/a", '{"v": 1}')
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE t (v INT)"))
        with pytest.raises(DBAPIError, match=reason):
            connection.exec_driver_sql(f"COPY t FROM '{url}' {options}")


def test_what_the_manifest_lists_must_exist(engine: Engine, bucket: Bucket) -> None:
    there, missing = bucket.put("a", '{"v": 1}'), f"s3://{bucket.name}/missing"
    table = Table("t", MetaData(), Column("v", staging_events.c.status.type), prefixes=["TEMPORARY"])
    with engine.connect() as connection:
        table.create(connection)
        connection.commit()
        connection.execute(copy(table, bucket.manifest(there, missing, mandatory=False)))
        assert connection.scalar(text("SELECT pg_last_copy_count()")) == 1
        for manifest in (bucket.manifest(there, missing), bucket.manifest(missing, mandatory=False)):
            with pytest.raises(InternalError, match=r"mandatory|No file"):
                connection.execute(copy(table, manifest))
            connection.rollback()


def test_paths_match_the_columns(engine: Engine, bucket: Bucket) -> None:
    url = bucket.put("data/a", '{"v": 1, "W": 2}')
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE pair (v INT, w INT)"))
        connection.commit()
        try:
            pair = Table("pair", MetaData(), Column("v"), Column("w"))
            options = {"manifest": False, "path_file": bucket.paths("W")}
            with pytest.raises(InternalError, match="Number of jsonpaths"):
                connection.execute(copy(pair, url, **options))
            connection.rollback()
            connection.execute(copy([pair.c.w], url, **options))
            assert connection.execute(text("SELECT p.v, p.w FROM pair AS p")).all() == [(None, 2)]
            # Another key than "jsonpaths" silently means 'auto'.
            other = bucket.put("paths/other.json", '{"paths": ["$.W"]}')
            connection.execute(copy([pair.c.w], url, **(options | {"path_file": other})))
            assert connection.scalar(text("SELECT count(*) FROM pair AS p WHERE p.w IS NULL")) == 1
        finally:
            connection.rollback()
            connection.execute(text("DROP TABLE pair"))
            connection.commit()


def test_table_info_counts_rows(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(insert(songplays).values(_play("1")))
        found = connection.execute(
            text("SELECT i.tbl_rows, i.unsorted, i.stats_off FROM svv_table_info AS i WHERE i.\"table\" = 'songplays'")
        ).all()
    assert [tuple(row) for row in found] == [(1, 0, 0)]


# What Redshift refuses

REFUSED = [
    "INSERT INTO users (user_id) VALUES (1) ON CONFLICT DO NOTHING",
    "INSERT INTO users (user_id) VALUES (1) RETURNING user_id",
    "DELETE FROM users WHERE user_id = 1 RETURNING user_id",
    "UPDATE users SET level = 'x' RETURNING user_id",
    "CREATE TABLE t (k SERIAL)",
    "CREATE TABLE t (k JSON)",
    "CREATE TABLE t (k JSONB)",
    "CREATE TABLE t (k UUID)",
    "CREATE TABLE t (k INT[])",
    "CREATE TABLE t (k INTERVAL)",
    "CREATE TABLE t (k INT CHECK (k > 0))",
    "CREATE TABLE t (k INT, CHECK (k > 0))",
    'CREATE TABLE t (k VARCHAR(3) COLLATE "C")',
    "CREATE TABLE t (user INT)",
    "CREATE TABLE t (k VARCHAR(65536))",
    "CREATE INDEX i ON users (user_id)",
    "CREATE UNIQUE INDEX i ON users (user_id)",
    "CREATE SEQUENCE s",
    "CREATE TRIGGER t BEFORE INSERT ON users EXECUTE PROCEDURE f()",
    "SAVEPOINT s",
    "ROLLBACK TO SAVEPOINT s",
    "RELEASE SAVEPOINT s",
    "SELECT CAST('{}' AS JSONB) AS j",
    "SELECT ARRAY[1, 2] AS a",
    "SELECT (u.user_id)[1] AS a FROM users AS u",
    "SELECT DISTINCT ON (u.user_id) u.level FROM users AS u",
    "SELECT a.x FROM users AS u, LATERAL (SELECT u.user_id AS x) AS a",
    "SELECT COUNT(*) FILTER (WHERE u.level = 'paid') AS n FROM users AS u",
    "SELECT u.user_id FROM users AS u WHERE u.level IS DISTINCT FROM 'paid'",
    "SELECT u.user_id FROM users AS u WHERE u.level IS NOT DISTINCT FROM 'paid'",
    "SELECT v.x FROM (VALUES (1), (2)) AS v (x)",
    "VALUES (1)",
    'SELECT u.level COLLATE "C" AS l FROM users AS u',
    "SELECT g FROM generate_series(1, 3) AS g",
    "SELECT generate_series(1, 3) AS g",
    "SELECT STRING_AGG(u.level, ',') AS l FROM users AS u",
    "SELECT ARRAY_AGG(u.level) AS l FROM users AS u",
    "SELECT * FROM unnest('{1}') AS u",
    "SELECT jsonb_build_object('a', 1) AS j",
    "SELECT gen_random_uuid() AS u",
    "SELECT NOW() AS n",
    "SELECT u.user_id FROM users AS user",
    "SELECT tag FROM users AS u",
    "SELECT u.user_id FROM users AS u FOR UPDATE",
    "SELECT ROW_NUMBER() OVER (ORDER BY u.level DESC NULLS LAST) AS n FROM users AS u",
    "SELECT u.user_id FROM users AS u WHERE (u.user_id, u.level) = (1, 'paid')",
    "MERGE INTO users AS t USING u ON t.user_id = u.user_id WHEN MATCHED THEN UPDATE SET level = u.level"
    " WHEN NOT MATCHED THEN INSERT (user_id) VALUES (u.user_id)",
    "MERGE INTO users USING u ON users.user_id = u.user_id WHEN MATCHED THEN UPDATE SET level = u.level",
    "MERGE INTO users USING u ON users.user_id = u.user_id WHEN MATCHED AND u.level = 'x' THEN DELETE"
    " WHEN NOT MATCHED THEN INSERT (user_id) VALUES (u.user_id)",
    "WITH u AS (SELECT s.user_id FROM songplays AS s) MERGE INTO users USING u ON users.user_id = u.user_id"
    " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (user_id) VALUES (u.user_id)",
    "COPY users FROM STDIN",
    "SET enable_seqscan TO off",
    "SELEC 1",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_what_redshift_lacks_is_refused(engine: Engine, sql: str) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE u (user_id BIGINT, level VARCHAR(64))"))
        with pytest.raises(DBAPIError) as raised:
            connection.exec_driver_sql(sql)
        # By the guard, and not by PostgreSQL for a reason of its own.
        with pytest.raises(Refusal) as refused:
            parse_copy(sql) if sql.startswith("COPY") else rewrite(sql)
        assert refused.value.message in str(raised.value.orig)
        with pytest.raises(InternalError, match="current transaction is aborted"):
            connection.execute(text("SELECT 1"))


@pytest.mark.parametrize(
    "columns", ["u.user_id, u.level, u.gender", "u.user_id", "u.user_id, u.gender", "u.user_id, u.user_id AS level"]
)
def test_a_view_is_replaced_by_one_with_the_same_columns_only(engine: Engine, columns: str) -> None:
    view = "CREATE OR REPLACE VIEW v AS SELECT {} FROM users AS u"
    with engine.connect() as connection:
        for query in ("u.user_id, u.level", "u.user_id + 1 AS user_id, u.level"):
            connection.execute(text(view.format(query)))
        with pytest.raises(DBAPIError, match=r"cannot (change|drop)"):
            connection.execute(text(view.format(columns)))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO users (user_id, level) VALUES (1, 'free'), (2, 'paid')",
        "INSERT INTO users (user_id) (SELECT u.user_id FROM u)",
        "DELETE FROM users USING u WHERE users.user_id = u.user_id",
        "UPDATE users SET level = u.level FROM u WHERE users.user_id = u.user_id",
        "MERGE INTO users USING u ON users.user_id = u.user_id WHEN MATCHED THEN UPDATE SET level = u.level"
        " WHEN NOT MATCHED THEN INSERT (user_id, level) VALUES (u.user_id, u.level)",
        "WITH a (x) AS (SELECT 1), b (y) AS (SELECT a.x FROM a) SELECT b.y AS user FROM b",
        "SELECT u.user_id FROM u MINUS SELECT u.user_id FROM users AS u",
        "SELECT NVL(u.level, '') AS l, GETDATE() AS g, SYSDATE AS s, LEN(u.level) AS n FROM u ORDER BY l NULLS FIRST",
        "SELECT u.user_id FROM u WHERE u.user_id IN (1, 2) AND EXISTS (SELECT 1 FROM users AS s)",
        "SELECT DATE_TRUNC('day', CAST('2018-11-01' AS TIMESTAMP)) + INTERVAL '90 minutes' AS t",
        "SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY u.user_id) AS m FROM u",
        "SELECT SUM(u.user_id) OVER (ORDER BY u.user_id ROWS UNBOUNDED PRECEDING) AS s FROM u",
        "SET query_group TO 'dagster:songs'; SELECT 1",
        "SHOW query_group",
        "RESET query_group",
        "SET statement_timeout TO 1000",
        "SET search_path TO staging; SELECT pg_last_copy_id()",
        "COMMENT ON TABLE u IS 'x'",
        "LOCK TABLE users",
        "ANALYZE users PREDICATE COLUMNS",
        "EXPLAIN SELECT u.user_id FROM u",
        "EXPLAIN SELECT u.user_id FROM u WHERE u.level = '2018-11-01'",
        "SELECT i.isolation_level FROM stv_db_isolation_level AS i",
        "SELECT s.tbl_rows FROM pg_catalog.svv_table_info AS s",
        "CREATE OR REPLACE VIEW v AS SELECT s.user_id FROM public.users AS s WITH NO SCHEMA BINDING",
        "-- why\nSELECT 1 /* because */;",
        'CREATE TEMP TABLE t ("user" INT IDENTITY(1, 1), x TIMESTAMP DEFAULT SYSDATE NOT NULL ENCODE raw)',
    ],
)
def test_what_redshift_has_is_run(engine: Engine, sql: str) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE u (user_id BIGINT, level VARCHAR(64))"))
        connection.exec_driver_sql(sql)


def test_a_remembered_statement_keeps_its_values(engine: Engine) -> None:
    """Values that no rule depends on are taken out of a statement while it is read, under a name like `value 0`."""
    with engine.connect() as connection:
        for day in ("2018-11-01", "2018-11-02"):
            row = connection.exec_driver_sql(f"SELECT 'value 0' AS a, '{day}' AS b, 'it''s {day}' AS c").one()
            assert tuple(row) == ("value 0", day, f"it's {day}")
            row = connection.exec_driver_sql(f"SELECT '{day}' AS a, '7' AS b, 'a''{day}''' AS c").one()
            assert tuple(row) == (day, "7", f"a'{day}'")


# Failures on purpose


def test_a_statement_fails_on_purpose(redshift: RedshiftStandIn, engine: Engine) -> None:
    redshift.fail_next("FROM users", "40001", "1023 Serializable isolation violation on table")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        with pytest.raises(OperationalError, match="1023") as raised:
            connection.execute(text("SELECT u.level FROM users AS u"))
        assert getattr(raised.value.orig, "pgcode", None) == "40001"
        connection.rollback()
        connection.execute(text("SELECT u.level FROM users AS u"))


def test_a_commit_that_fails_ends_the_transaction_without_it(redshift: RedshiftStandIn, engine: Engine) -> None:
    redshift.fail_next("COMMIT", "40001", "1023 Serializable isolation violation on table")
    with engine.connect() as connection:
        connection.execute(insert(loaded_objects).values(_object("undone")))
        with pytest.raises(OperationalError, match="1023"):
            connection.commit()
        connection.rollback()
        assert connection.scalar(text("SELECT count(*) FROM staging.loaded_objects")) == 0


@pytest.mark.parametrize(("after", "kept"), [(False, 0), (True, 1)])
def test_a_connection_is_cut(redshift: RedshiftStandIn, engine: Engine, after: bool, kept: int) -> None:
    redshift.cut_next("COMMIT", after=after)
    with pytest.raises(OperationalError) as raised, engine.begin() as connection:
        connection.execute(insert(loaded_objects).values(_object("cut")))
    assert isinstance(raised.value.orig, psycopg2.OperationalError)
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM staging.loaded_objects")) == kept
        connection.execute(delete(loaded_objects))


def _object(key: str) -> Mapping[str, object]:
    counts = dict.fromkeys(("bytes", "lines", "staged", "duplicates", "errors"), 0)
    return {"key": key, "loader_version": "1", "loaded_at": datetime(2018, 11, 1)} | counts


def test_every_statement_is_noted(redshift: RedshiftStandIn, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT :x AS x"), {"x": "it's"})
    assert redshift.statements == ["BEGIN", "SELECT 'it''s' AS x", "COMMIT"]


def test_the_certificate_is_a_file(redshift: RedshiftStandIn) -> None:
    assert Path(redshift.ca_file).read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_copy_may_name_columns_in_quotes() -> None:
    command = parse_copy("""COPY t ("Page", ts) FROM 's3://b/manifest' IAM_ROLE default JSON 'auto' MANIFEST""")
    assert list(command.columns) == ["Page", "ts"]
