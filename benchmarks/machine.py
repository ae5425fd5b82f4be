"""Says where and when a benchmark was run, since a figure means little without it."""

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def describe_machine() -> str:
    """Returns the cores, memory, processor, versions and the UTC date in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = ", ".join(f"{name} {version(name.lower())}" for name in ("DuckDB", "Dagster"))
    return (
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}), {memory / 2**30:.0f} GiB of memory, "
        f"Python {platform.python_version()}, {versions}, {datetime.now(UTC):%Y-%m-%d}"
    )


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()
