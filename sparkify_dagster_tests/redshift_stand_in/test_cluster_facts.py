"""The program for a real cluster answers all of its questions on the stand-in, without a name or a credential."""

import json
import re
import secrets

import pytest

from sparkify_dagster_tests.redshift_stand_in.cluster import ROLE
from sparkify_dagster_tests.redshift_stand_in.cluster_facts import Prober
from sparkify_dagster_tests.redshift_stand_in.fixtures import STAGING_BUCKET, RedshiftServers
from sparkify_dagster_tests.support.servers.aws_api import REGION, AwsServer, json_result

EXPECTED = r"""
1. Isolation level: 'SERIALIZABLE'; the driver takes it for SERIALIZABLE
2. SVV_TABLE_INFO as this user: 0 tables
3. A declared key with two equal values: COUNT\(DISTINCT\) is 2, SELECT DISTINCT has 2 rows
4. COPY of odd values: a key given twice: 'last'; a surrogate pair: '\\U0001f600'; U\+FFFF: '\\uffff'; true as .*
5. A rejected record: InternalError_ XX000: Load into table .* failed\..* \d\.\d s after the rollback
6. SYS_LOAD_DETAIL in the transaction of its COPY: of one object of two lines it has \[\(2, .*[0-9a-f]{32}.*\)\]
7. CAST\(2.0/3 AS NUMERIC\(5, 4\)\): 0.6666, of a DOUBLE 0.6666; with enable_numeric_rounding 0.6667 and 0.6667
8. A statement_timeout of a second: QueryCanceled 57014: Query \(150\) canceled on user's request
9. Login by the admin's secret: by psycopg2, libpq \d+
10. LOCK by another user: with SELECT: .* denied for relation \(other user\); with INSERT, DELETE: is taken; .*
11. Literals and parameters: LEN\('\\\\'\) is 1; reported are {.*"standard_conforming_strings": null.*}
12. GRANT by a user without the grant option: InsufficientPrivilege 42501: permission denied: no privileges were .*
13. Blanks at the end of a text: groups of 'a' and 'a ': 1; equal to 'a': 2
"""


def test_every_fact_is_found_out_without_a_name(
    redshift_servers: RedshiftServers, aws: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.reach(monkeypatch)
    monkeypatch.setenv("AWS_REGION", REGION)
    redshift_servers.login(monkeypatch)
    server = redshift_servers.new_server()
    password = {"username": server.user, "password": server.password}
    aws.answers["GetSecretValue"] = lambda asked: json_result(SecretString=json.dumps(password))
    address = server.url.render_as_string(hide_password=False)
    prober = Prober(address, f"s3://{STAGING_BUCKET}/{secrets.token_hex(6)}", ROLE, secret="admin-secret")
    facts = list(prober.lines())
    for fact, expected in zip(facts, EXPECTED.strip().splitlines(), strict=True):
        assert re.fullmatch(expected, fact), fact
    # A failure shows no name either.
    server.password = secrets.token_hex(6)
    facts += prober.lines()
    assert facts[-1] == (
        '13. Blanks at the end of a text: OperationalError None: connection to server at "(host)", port '
        f'{server.port} failed: FATAL: password authentication failed for user "(user)"'
    )
    for name in (server.user, password["password"], server.host, STAGING_BUCKET, ROLE, "123456789012", "admin-secret"):
        assert not [fact for fact in facts if name in fact], name
    server.stop()
