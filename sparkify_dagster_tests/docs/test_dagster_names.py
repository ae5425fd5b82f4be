"""The page on upgrades of Dagster lists each name in use that is beta or not public, with the test that holds it."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._annotations import (
    get_beta_params,
    get_deprecated_params,
    has_beta_params,
    has_deprecated_params,
    is_beta,
    is_deprecated,
    is_preview,
    is_public,
    is_superseded,
)

from sparkify_dagster_tests.support.project import ROOT

PACKAGE, TESTS = ROOT / "sparkify_dagster", ROOT / "sparkify_dagster_tests"
PAGE = (ROOT / "docs" / "dagster-upgrade.md").read_text("utf-8")
ROWS = re.findall(r"^\| `(\S+\.py)` \| (.+?) \| .+ \| `(\S+\.py)` \|$", PAGE, re.MULTILINE)


def names_in(module: Path) -> Iterator[str]:
    """Yields the names of private modules, those that are not stable, and the members of the instance not public."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster."):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("dagster."))
        elif isinstance(node, ast.Call):
            yield from unstable_parameters(node)
        elif isinstance(node, ast.Attribute):
            of = ast.unparse(node.value)
            exported = getattr(dg, node.attr, None) if of == "dg" else None
            if exported is not None and any(
                marked(exported) for marked in (is_beta, is_preview, is_deprecated, is_superseded)
            ):
                yield node.attr
            member = inspect.getattr_static(dg.DagsterInstance, node.attr, None)
            if re.search(r"\binstance$", of.replace("_instance", "instance")) and member is not None:
                function = member.fget if isinstance(member, property) else member
                if not is_public(function):
                    yield node.attr


def unstable_parameters(call: ast.Call) -> Iterator[str]:
    """Yields the parameters of a call of Dagster's that are beta or deprecated."""
    if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "dg":
        called = getattr(dg, call.func.attr)
        for function in (called, called.__init__):
            beta = get_beta_params(function) if has_beta_params(function) else {}
            deprecated = get_deprecated_params(function) if has_deprecated_params(function) else {}
            yield from (word.arg for word in call.keywords if word.arg and word.arg in {**beta, **deprecated})


def test_unstable_parameters_are_found() -> None:
    """None is in use, so the page has none that would show it."""
    call = ast.parse("dg.asset(name='plays', backfill_policy=None)", mode="eval").body
    assert isinstance(call, ast.Call)
    assert list(unstable_parameters(call)) == ["backfill_policy"]


def test_the_page_lists_the_names_in_use_by_module() -> None:
    in_use = {
        module.relative_to(PACKAGE).as_posix(): names
        for module in PACKAGE.rglob("*.py")
        if (names := set(names_in(module)))
    }
    listed = {module: set(re.findall(r"`(\w+)`", names)) for module, names, _ in ROWS}
    assert listed == in_use


def test_the_tests_that_the_page_names_exist() -> None:
    assert [test for *_, test in ROWS if not (TESTS / test).exists()] == []
