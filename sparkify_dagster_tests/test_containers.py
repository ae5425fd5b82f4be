"""The Dockerfile and compose.yaml: everything that can be checked without Docker. `make check` lints both."""

import re
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from sparkify_dagster.config.keys import KEYS

ROOT = Path(__file__).parent.parent
INFRASTRUCTURE = ROOT / "infrastructure"
DOCKERFILE = (INFRASTRUCTURE / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((INFRASTRUCTURE / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "sparkify"}
COPIED = {
    source
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for source in sources.split()
}
# AWS's own variables, which the settings' page leaves to AWS.
CREDENTIALS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}


def commands() -> list[list[str]]:
    checks = [service["healthcheck"]["test"] for service in OURS.values()]
    assert all(check[0] == "CMD" for check in checks)
    return [service["command"] for service in OURS.values()] + [check[1:] for check in checks]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_exist_with_their_options(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program, *arguments = command
    if program == "python":
        compile(arguments[1], "health check", "exec")
        return
    (script,) = entry_points(group="console_scripts", name=program)
    # runtime/test_production_instance.py starts the webserver with these options; to import it takes two seconds.
    if program == "dagster-webserver":
        assert arguments[::2] == ["--host", "--port"]
        return
    # click looks at all options before it shows the help.
    monkeypatch.setattr(sys, "argv", [*command, "--help"])
    with pytest.raises(SystemExit) as ended:
        script.load()()
    assert ended.value.code == 0


def test_each_setting_reaches_the_containers() -> None:
    settings = {name for key in KEYS for name in key.env} - {"SPARKIFY_CONFIG"}
    instance = set(re.findall(r"env: (\w+)", (INFRASTRUCTURE / "dagster.yaml").read_text("utf-8")))
    for service in OURS.values():
        assert set(service["environment"]) == settings | instance | CREDENTIALS


def test_no_file_holds_a_credential() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            secret = re.search(r"KEY|SECRET|PASSWORD|TOKEN|WEBHOOK", name)
            assert not secret or value is None or value.startswith("${"), name
            # A password in a URL.
            assert not re.search(r"://\w+:(?!\$\{)\S*@", value or ""), name
    assert not re.search(r"^(ENV|ARG) .*(KEY|SECRET|PASSWORD|TOKEN)", DOCKERFILE, re.MULTILINE)


def test_the_image_gets_what_the_package_is_built_from_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {*wheel["packages"], *wheel["force-include"], "pyproject.toml", "constraints.txt"}
    assert needed | {"infrastructure/dagster.yaml", "infrastructure/workspace.yaml"} == COPIED
    context = (INFRASTRUCTURE / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert context[1] == "*"
    assert {line[1:] for line in context if line.startswith("!")} == COPIED
    assert all((ROOT / name).exists() for name in COPIED)
    assert "pip install -c constraints.txt --no-build-isolation '.[production]'" in DOCKERFILE
    assert "production" in project["project"]["optional-dependencies"]


def test_images_are_pinned_and_nothing_runs_as_root() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    for image in [*bases, SERVICES["history"]["image"]]:
        assert re.fullmatch(r"\w+:\d+\.\d+(\.\d+)?(-\w+)+", image), image
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001"]


def test_the_workspace_leads_to_the_service_with_the_code() -> None:
    (location,) = yaml.safe_load((INFRASTRUCTURE / "workspace.yaml").read_text("utf-8"))["load_from"]
    server = location["grpc_server"]
    command = SERVICES[server["host"]]["command"]
    assert command[command.index("--port") + 1] == str(server["port"])
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["dagster"]
    assert command[command.index("--module-name") + 1] == ours["module_name"]
    assert server["location_name"] == ours["code_location_name"]


def test_every_service_has_a_health_check_and_no_port_is_public() -> None:
    assert all("healthcheck" in service for service in SERVICES.values())
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:3000:3000"]
