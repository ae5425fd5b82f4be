"""The package's layout: one address for each name. The layers are in pyproject.toml, and `make check` holds them."""

from collections import Counter
from pathlib import Path

import sparkify_dagster

PACKAGE = Path(sparkify_dagster.__file__).parent


def test_no_file_name_occurs_twice() -> None:
    files = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".sql"} and path.name != "__init__.py"]
    assert len(files) > 100
    assert {name: count for name, count in Counter(path.name for path in files).items() if count > 1} == {}
