"""`make browser`: gets the Chromium of these tests, where there is none that works."""

import os
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Error

from sparkify_dagster_tests.support.browser import chromium

_PLAYWRIGHT = str(Path(sys.executable).with_name("playwright"))
_DOWNLOAD = [_PLAYWRIGHT, "install", "--no-shell", "chromium"]
_LIBRARIES = [_PLAYWRIGHT, "install-deps", "chromium"]
_DISTRIBUTION = [
    ["apt-get", "update", "--quiet"],
    ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
]
# A site that cannot be reached should cost seconds; a slow download may take its time.
_CONNECT_MILLISECONDS = "10000"


def main() -> None:
    if found := _working():
        print(f"There is a browser already: {found}")
        return
    may_install = os.geteuid() == 0
    if _run(_DOWNLOAD) and may_install and not _working():
        # A bare machine lacks the libraries that Playwright's own browser needs.
        _run(_LIBRARIES)
    if may_install and not _working():
        for command in _DISTRIBUTION:
            _run(command)
    if not (found := _working()):
        sys.exit("No browser could be installed: put chromium or google-chrome on the PATH, as your system does it")
    print(f"Installed {found}")


def _working() -> str | None:
    """Name and version of the browser that starts here."""
    try:
        with chromium.launched() as browser:
            return f"Chromium {browser.version}" if browser else None
    except Error:
        return None


def _run(command: list[str]) -> bool:
    """Returns whether it succeeded."""
    print("$", *command, flush=True)
    environment = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": _CONNECT_MILLISECONDS,
    }
    try:
        return subprocess.run(command, env=environment, check=False).returncode == 0
    except FileNotFoundError:
        print(f"{command[0]}: not on this system")
        return False


if __name__ == "__main__":
    main()
