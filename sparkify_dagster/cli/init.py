"""`sparkify init`: writes the files that a folder needs for every command to work in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

# A wheel carries the files beside this module (see pyproject.toml), a clone in its root.
_IN_WHEEL: Final = Path(__file__).with_name("templates")
_IN_CLONE: Final = Path(__file__).parents[2]
TEMPLATES: Final = {"dagster.yaml": "dagster.yaml", "workspace.yaml": "workspace.yaml", "dwh.cfg": "dwh.cfg.example"}
# It will hold passwords.
_PRIVATE: Final = "dwh.cfg"


def write_project(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yields each file of a project's folder, and whether it was written: existing files are kept. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    source = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CLONE
    for name, template in TEMPLATES.items():
        content = (source / template).read_bytes()
        path = folder / name
        try:
            path.touch(0o600 if name == _PRIVATE else 0o666, exist_ok=False)
        except FileExistsError:
            yield path, False
            continue
        path.write_bytes(content)
        yield path, True
