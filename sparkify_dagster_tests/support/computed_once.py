"""Results that one process of the tests computes and all others read: a file per result, in a folder of the run."""

import os
import pickle
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def computed_once(key: bytes, compute: Callable[[], Result]) -> Result:
    """Returns the result for the key, of this process or of another one of the same run of the tests."""
    file = Path(os.environ["TESTS_COMPUTED_ONCE"], sha256(key).hexdigest())
    if not file.exists():
        result = compute()
        unfinished = file.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(pickle.dumps(result))
        unfinished.replace(file)
        return result
    return pickle.loads(file.read_bytes())  # type: ignore[no-any-return]
