"""The folders of queries: the project's own, and those of other teams, each named by a defs.yaml in defs/."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from sparkify_dagster.runtime.errors import SparkifyError
from sparkify_dagster.schema import sql_files

DEFS: Final = Path(__file__).parents[1] / "defs"
COMPONENT: Final = "sparkify_dagster.components.Queries"
_FILE: Final = "defs.yaml"
# A job of the queries would materialize all that is in these groups.
_OTHER_GROUPS: Final = frozenset({"source", "staging", "star"})


class QueryFolderError(SparkifyError):
    """A team's defs.yaml is invalid; the message names the file and the remedy."""


@dataclass(frozen=True)
class QueryFolder:
    """A folder of SQL files, with the group and the owners of their assets."""

    path: Path
    group: str = "analytics"
    owners: tuple[str, ...] = ("team:analytics",)


class QueryFolderAttributes(BaseModel):
    """The attributes in a team's defs.yaml."""

    model_config = ConfigDict(extra="forbid")

    folder: str = "."
    """The folder of the SQL files, relative to that of defs.yaml."""
    group: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_]+$")]
    owners: list[Annotated[str, StringConstraints(pattern=r"^(team:[\w.-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")]]


def query_folders(defs: Path = DEFS) -> Sequence[QueryFolder]:
    """Returns the project's folder, then those of teams, by path. Raises QueryFolderError."""
    teams = [_folder(file, part, defs) for file in _files(defs) for part in _parts(file, defs) if _is_of_queries(part)]
    return [QueryFolder(sql_files.QUERIES), *teams]


def has_other_definitions(defs: Path = DEFS) -> bool:
    """Returns whether defs/ holds anything that Dagster has to load. Raises QueryFolderError."""
    python = (path for path in defs.rglob("*.py") if path != defs / "__init__.py")
    return any(python) or any(not _is_of_queries(part) for file in _files(defs) for part in _parts(file, defs))


def _files(defs: Path) -> Sequence[Path]:
    return sorted(defs.rglob(_FILE))


def _parts(file: Path, defs: Path) -> Iterator[Any]:
    """Yields the definitions of a file, which `---` separates."""
    try:
        yield from yaml.safe_load_all(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise QueryFolderError(
            f"{_name(file, defs)}{where}: not valid YAML: correct it, or remove the folder"
        ) from error


def _is_of_queries(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == COMPONENT


def _folder(file: Path, part: dict[str, Any], defs: Path) -> QueryFolder:
    if unknown := part.keys() - {"type", "attributes"}:
        raise QueryFolderError(f"{_name(file, defs)}: unknown key {min(unknown)}: only type and attributes are allowed")
    try:
        attributes = QueryFolderAttributes.model_validate(part.get("attributes"))
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False, include_input=False)
        where = ".".join(["attributes", *map(str, first["loc"])])
        raise QueryFolderError(
            f"{_name(file, defs)}: {where}: {first['msg']}; write folder, group and owners such as team:marketing"
        ) from error
    folder = (file.parent / attributes.folder).resolve()
    if not folder.is_dir():
        raise QueryFolderError(f"{_name(file, defs)}: attributes.folder: there is no folder {folder}")
    if attributes.group in _OTHER_GROUPS:
        raise QueryFolderError(
            f"{_name(file, defs)}: attributes.group: {attributes.group} has other tables: choose another"
        )
    return QueryFolder(folder, attributes.group, tuple(attributes.owners))


def _name(file: Path, defs: Path) -> str:
    return file.relative_to(defs.parent).as_posix()
