"""Keeps on disk what parsing has found in the SQL, so that not every process imports sqlglot and parses each SELECT."""

import atexit
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps
from hashlib import sha256
from importlib.metadata import version
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final, ParamSpec, TypeVar, get_type_hints

import msgspec

# Each edit of a SELECT adds some: with more, most are of SQL that is gone.
_MAX_RESULTS: Final = 2_000
_PACKAGE: Final = Path(__file__).parents[1]
# The folders with the code that parses and with the SQL that it reads by itself.
_FOLDERS: Final = ("analytics", "schema", "sql")
# Beside the bytecode: it belongs to this installation, and goes with it.
_FILE: Final = Path(cache_from_source(__file__)).with_name("parsed-sql.json")

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class _Kept(msgspec.Struct):
    """The content of the file."""

    code: str
    """The digest of what the results depend on, besides the arguments."""
    results: dict[str, msgspec.Raw] = {}


def cached_on_disk(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Keeps the results of a function for the next process, until code or SQL of the package changes.

    The arguments are texts, the results are of types that msgspec decodes from JSON. Errors are not kept.
    """
    decoder = cache(lambda: msgspec.json.Decoder(get_type_hints(function)["return"]))

    @wraps(function)
    def cached(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        key = sha256(f"{function.__module__}.{function.__qualname__} {args} {kwargs}".encode()).hexdigest()[:32]
        with suppress(KeyError, msgspec.DecodeError):
            found: _Result = decoder().decode(_kept().results[key])
            return found
        result = function(*args, **kwargs)
        _keep(key, msgspec.Raw(msgspec.json.encode(result)))
        return result

    return cached


@cache
def _kept() -> _Kept:
    with suppress(OSError, msgspec.DecodeError):
        kept = msgspec.json.decode(_FILE.read_bytes(), type=_Kept)
        if kept.code == _code():
            return kept
    return _Kept(_code())


def _keep(key: str, result: msgspec.Raw) -> None:
    results = _kept().results
    if len(results) >= _MAX_RESULTS:
        results.clear()
    results[key] = result
    # Registered again, it still runs once.
    atexit.unregister(_write)
    atexit.register(_write)


def _write() -> None:
    # Where Python cannot write its bytecode either, each process parses for itself.
    with suppress(OSError):
        _FILE.parent.mkdir(parents=True, exist_ok=True)
        new = _FILE.with_suffix(f".{os.getpid()}")
        try:
            new.write_bytes(msgspec.json.encode(_kept()))
            # Another process reads either the old file or the new one.
            new.replace(_FILE)
        finally:
            new.unlink(missing_ok=True)


@cache
def _code() -> str:
    digest = sha256(version("sqlglot").encode())
    for folder in _FOLDERS:
        for path in sorted((_PACKAGE / folder).rglob("*")):
            if path.suffix in (".py", ".sql"):
                digest.update(f"\0{path.relative_to(_PACKAGE)}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()
