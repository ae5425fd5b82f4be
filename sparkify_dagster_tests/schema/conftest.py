import pytest

from sparkify_dagster.schema import parse_cache


@pytest.fixture
def nothing_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test that replaces SQL in memory have it parsed: the kept results are those of the files."""
    monkeypatch.setattr(parse_cache, "_kept", lambda: parse_cache._Kept(code=""))
