"""The CloudFormation template, its policies and their page: everything that can be checked without an account."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import get_session
from cfnlint import decode  # type: ignore[import-untyped]
from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped]

from sparkify_dagster.config.keys import KEYS
from sparkify_dagster.config.settings import Settings
from sparkify_dagster_tests.redshift_stand_in import real_cluster

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "infrastructure" / "redshift-serverless.yaml"
PROVISIONED = ROOT / "infrastructure" / "provisioned-cluster-policy.json"
HOW_TO = ROOT / "docs" / "how-to"
PAGE = "\n".join((HOW_TO / name).read_text("utf-8") for name in ("redshift.md", "production.md"))
SECTIONS: dict[str, Any]
SECTIONS, _ = decode.decode(str(TEMPLATE))
PARAMETERS, RESOURCES, OUTPUTS = (SECTIONS[name] for name in ("Parameters", "Resources", "Outputs"))

ACCOUNT = "arn:aws:{}:us-west-2:123456789012:{}"
STAGING = "arn:aws:s3:::staging"
SOURCE = "arn:aws:s3:::udacity-dend"
SECRET = ACCOUNT.format("secretsmanager", "secret:redshift!sparkify-admin-Ab12Cd")
WORKGROUP = ACCOUNT.format("redshift-serverless", "workgroup/11111111-2222-3333-4444-555555555555")
HOST = "sparkify.123456789012.us-west-2.redshift-serverless.amazonaws.com"
KNOWN = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-west-2",
    "AWS::AccountId": "123456789012",
    "StagingBucket": "staging",
    "StagingBucket.Arn": STAGING,
    "CopyRole.Arn": "arn:aws:iam::123456789012:role/sparkify-CopyRole-1",
    "Workgroup.Workgroup.WorkgroupArn": WORKGROUP,
    "Workgroup.Workgroup.Endpoint.Address": HOST,
    **{name: str(parameter["Default"]) for name, parameter in PARAMETERS.items() if "Default" in parameter},
}
# What each call needs, and on what. The code's calls are looked for below.
CALLS = {
    ("obstore", "get"): [
        ("s3:GetObject", f"{SOURCE}/log_data/2018/11/2018-11-01-events.json"),
        ("s3:GetObject", f"{SOURCE}/song_data/A/A/A/TRAAAAW128F429D538.json"),
        ("s3:GetObject", f"{SOURCE}/log_json_path.json"),
    ],
    ("obstore", "get_async"): [("s3:GetObject", f"{SOURCE}/song_data/A/A/A/TRAAAAW128F429D538.json")],
    ("obstore", "head"): [("s3:GetObject", f"{SOURCE}/log_data/2018/11/2018-11-01-events.json")],
    ("obstore", "put"): [("s3:PutObject", f"{STAGING}/1/manifest"), ("s3:AbortMultipartUpload", f"{STAGING}/1/a.gz")],
    ("obstore", "delete"): [("s3:DeleteObject", f"{STAGING}/1/manifest")],
    ("s3", "head_bucket"): [("s3:ListBucket", SOURCE), ("s3:ListBucket", STAGING)],
    ("s3", "list_objects_v2"): [("s3:ListBucket", SOURCE)],
    ("s3", "get_object"): [("s3:GetObject", f"{SOURCE}/song_data/A//TRAAAAW128F429D538.json")],
    ("s3", "head_object"): [("s3:GetObject", f"{SOURCE}/log_data/2018//2018-11-01-events.json")],
    ("secretsmanager", "get_secret_value"): [("secretsmanager:GetSecretValue", SECRET)],
    ("redshift-serverless", "get_credentials"): [("redshift-serverless:GetCredentials", WORKGROUP)],
    ("redshift", "describe_clusters"): [("redshift:DescribeClusters", ACCOUNT.format("redshift", "cluster:sparkify"))],
    ("redshift", "get_cluster_credentials"): [
        ("redshift:GetClusterCredentials", ACCOUNT.format("redshift", "dbuser:sparkify/loader")),
        ("redshift:GetClusterCredentials", ACCOUNT.format("redshift", "dbname:sparkify/sparkify")),
    ],
    ("redshift", "get_cluster_credentials_with_iam"): [
        ("redshift:GetClusterCredentialsWithIAM", ACCOUNT.format("redshift", "dbname:sparkify/sparkify"))
    ],
}
# Not AWS's operations, but the CLI's own.
OWN_COMMANDS = {"cloudformation deploy", "cloudformation wait", "s3 rm", "configure set"}
GLOBAL_OPTIONS = {"query", "output", "profile"}


def resolved(value: Any) -> Any:
    """A value of the template, as it would be once deployed with the defaults."""
    if isinstance(value, list):
        return [resolved(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    match dict(value):
        case {"Ref": name}:
            return KNOWN[name]
        case {"Fn::GetAtt": [resource, attribute]}:
            return KNOWN[f"{resource}.{attribute}"]
        case {"Fn::Sub": [text, names]}:
            return _substituted(text, KNOWN | resolved(names))
        case {"Fn::Sub": text}:
            return _substituted(text, KNOWN)
        case plain:
            return {name: resolved(each) for name, each in plain.items()}


def _substituted(text: str, names: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(.+?)\}", lambda name: names[name[1]], text)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements_of(policy: Any) -> list[dict[str, Any]]:
    return [
        statement | {name: _listed(statement[name]) for name in ("Action", "Resource") if name in statement}
        for statement in resolved(policy["Statement"])
    ]


COPY_ROLE = statements_of(RESOURCES["CopyRole"]["Properties"]["Policies"][0]["PolicyDocument"])
RUNNER = statements_of(RESOURCES["RunnerPolicy"]["Properties"]["PolicyDocument"])
PROVISIONED_RUNNER = statements_of(json.loads(PROVISIONED.read_text("utf-8")))


def allows(statements: list[dict[str, Any]], action: str, resource: str) -> bool:
    return any(
        statement["Effect"] == "Allow"
        and "Condition" not in statement
        and action in statement["Action"]
        and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        for statement in statements
    )


def findings(template: str) -> list[str]:
    config = ManualArgs(regions=["us-west-2"], include_checks=["I"])
    return [str(match) for match in lint(template, config=config)]


def test_cfn_lint_finds_nothing_in_the_template() -> None:
    assert findings(TEMPLATE.read_text("utf-8")) == []


def test_cfn_lint_finds_nothing_in_the_policy_for_a_provisioned_cluster() -> None:
    policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": json.loads(PROVISIONED.read_text())}}
    assert findings(json.dumps({"Resources": {"Policy": policy}})) == []


def test_cfn_lint_knows_actions_and_what_they_work_on() -> None:
    statement = {"Effect": "Allow", "Action": "redshift:DescribeClusters", "Resource": STAGING}
    unknown = {"Effect": "Allow", "Action": "redshift:DescribeCluster", "Resource": "*"}
    policy = {"PolicyDocument": {"Version": "2012-10-17", "Statement": [statement, unknown]}}
    template = json.dumps({"Resources": {"Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": policy}}})
    assert len(findings(template)) == 2


@pytest.mark.parametrize("statements", [COPY_ROLE, RUNNER, PROVISIONED_RUNNER], ids=["copy", "runner", "provisioned"])
def test_policies_name_each_action_and_resource(statements: list[dict[str, Any]]) -> None:
    for statement in statements:
        assert statement["Effect"] == "Allow"
        assert not [action for action in statement["Action"] if "*" in action]
        # A wildcard only for what lies in a bucket, or for the characters that AWS appends to a secret's name.
        for resource in statement["Resource"]:
            name = resource.removesuffix("/*").removesuffix("-??????")
            assert name.count(":") >= 5, resource
            assert not set(name) & set("*?"), resource


def test_copy_role_reads_and_no_more() -> None:
    assert {action for statement in COPY_ROLE for action in statement["Action"]} == {"s3:GetObject", "s3:ListBucket"}
    assert allows(COPY_ROLE, "s3:GetObject", f"{STAGING}/1/manifest")
    assert allows(COPY_ROLE, "s3:GetObject", f"{SOURCE}/log_data/2018/11/2018-11-01-events.json")
    assert allows(COPY_ROLE, "s3:ListBucket", SOURCE)
    assert allows(COPY_ROLE, "s3:ListBucket", STAGING)
    assert not allows(COPY_ROLE, "s3:GetObject", "arn:aws:s3:::another/log_data/a.json")


def test_copy_role_is_trusted_to_redshift_for_this_account_alone() -> None:
    (trust,) = statements_of(RESOURCES["CopyRole"]["Properties"]["AssumeRolePolicyDocument"])
    assert trust["Principal"] == {"Service": ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"]}
    pattern = trust["Condition"]["StringLike"]["sts:ExternalId"]
    assert fnmatchcase(ACCOUNT.format("redshift", "dbuser:sparkify/admin"), pattern)
    assert not fnmatchcase("arn:aws:redshift:us-west-2:999999999999:dbuser:sparkify/admin", pattern)


def test_runner_changes_nothing_but_the_staging_bucket() -> None:
    for action in ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"):
        places = [place for statement in RUNNER if action in statement["Action"] for place in statement["Resource"]]
        assert places == [f"{STAGING}/*"]
    assert not allows(RUNNER, "secretsmanager:GetSecretValue", SECRET.replace("sparkify", "sparkify-other"))


def _calls_in_code() -> Iterator[tuple[str, str]]:
    sources = [path.read_text("utf-8") for path in (ROOT / "sparkify_dagster").rglob("*.py")]
    session = get_session()
    for source in sources:
        for function in re.findall(r"\bobstore\.([a-z_]+)\(", source):
            yield "obstore", function
    everything = "\n".join(sources)
    for service in re.findall(r"""\.client\(\s*["']([a-z0-9-]+)["']""", everything):
        for operation in map(xform_name, session.get_service_model(service).operation_names):
            if f".{operation}(" in everything or f'get_paginator("{operation}")' in everything:
                yield service, operation


def test_runner_may_do_what_the_code_does() -> None:
    calls = set(_calls_in_code())
    # Equal, so that neither a new call is overlooked nor this test goes blind.
    assert calls == CALLS.keys()
    for call in calls:
        for action, resource in CALLS[call]:
            assert allows(RUNNER + PROVISIONED_RUNNER, action, resource), (call, action, resource)
            if call[0] != "redshift":
                assert allows(RUNNER, action, resource), (call, action, resource)


def test_dwh_cfg_of_the_outputs_is_understood(tmp_path: Path) -> None:
    (tmp_path / "dwh.cfg").write_text(resolved(OUTPUTS["DwhCfg"]["Value"]))
    environment = {"SPARKIFY_COPY_STAGING": resolved(OUTPUTS["StagingLocation"]["Value"])}
    settings = Settings.load(environment, tmp_path)
    assert str(settings.warehouse) == f"redshift+psycopg2://{HOST}:5439/sparkify"
    assert settings.cluster_region == "us-west-2"
    assert settings.iam_role_arn == KNOWN["CopyRole.Arn"]
    assert (settings.log_data, settings.log_jsonpath, settings.song_data) == (
        "s3://udacity-dend/log_data",
        "s3://udacity-dend/log_json_path.json",
        "s3://udacity-dend/song_data",
    )
    assert settings.copy_staging == "s3://staging"


def test_page_names_every_parameter_and_output() -> None:
    assert [name for name in [*PARAMETERS, *OUTPUTS] if not re.search(rf"\b{name}\b", PAGE)] == []


def test_page_names_only_settings_that_exist() -> None:
    known = {name for key in KEYS for name in [*key.env, key.cfg_name]}
    known |= set(re.findall(r"env: (\w+)", (ROOT / "infrastructure" / "dagster.yaml").read_text("utf-8")))
    known |= set(re.findall(r"\bSPARKIFY_REDSHIFT_[A-Z]+", Path(real_cluster.__file__).read_text("utf-8")))
    named = set(re.findall(r"\bSPARKIFY_[A-Z_]+|\[[A-Z0-9_]+\] [A-Z_]+", PAGE))
    assert "SPARKIFY_COPY_STAGING" in named
    assert "[CLUSTER] HOST" in named
    assert named - known == set()


SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))


def test_page_s_commands_are_shell() -> None:
    subprocess.run(["bash", "-n"], input=SHELL, text=True, check=True)


def _aws_commands() -> list[tuple[str, str, str]]:
    text = SHELL.replace("\\\n", " ") + "\n".join(re.findall(r"`(aws [^`]+)`", PAGE))
    return re.findall(r"\baws ([a-z0-9-]+) ([a-z0-9-]+)([^\n]*?)(?=\)|\n|$|\"\$\(aws)", text)


def test_page_s_aws_commands_exist_with_their_options() -> None:
    commands = _aws_commands()
    assert len(commands) > 15
    session = get_session()
    for service, command, arguments in commands:
        if f"{service} {command}" in OWN_COMMANDS:
            continue
        # s3 is the CLI's own, and s3api what S3 offers.
        model = session.get_service_model(service.removesuffix("api"))
        operations = {xform_name(name, "-"): name for name in model.operation_names}
        assert command in operations, f"{service} {command}"
        shape = model.operation_model(operations[command]).input_shape
        members = {xform_name(name, "-") for name in shape.members} if shape else set()
        options = set(re.findall(r"--([a-z-]+)", arguments)) - GLOBAL_OPTIONS
        assert options <= members, f"{service} {command}: {options - members}"


def test_deployment_gives_each_parameter_without_a_default() -> None:
    (overrides,) = re.findall(r"--parameter-overrides (.*)", SHELL)
    given = set(re.findall(r'"(\w+)=', overrides))
    assert given == {name for name, parameter in PARAMETERS.items() if "Default" not in parameter}
