"""Lists the files of a local folder. Links are followed, each real folder once."""

import errno
import heapq
import os
import stat
from collections.abc import Iterator
from typing import TypeAlias

from sparkify_dagster.sources.object_keys import is_hidden

# A file's key and its os.stat result.
Found: TypeAlias = tuple[str, os.stat_result]
_LEADS_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class BrokenLinkError(OSError):
    """A broken link. It is an error because an unmounted disk is not an empty one."""


def walk(folder: str) -> Iterator[Found]:
    """Yields every regular file below the folder, in any order. Raises OSError with the path, BrokenLinkError.

    A folder's key is its own path, or if only links lead to it, the first of their paths by bytes. Links in dot-folders
    and links named like dot-folders are not followed, and a dot-folder need not be readable.
    """
    seen: set[tuple[int, int]] = set()
    # Folders with a path of their own come before those that only links lead to.
    pending = [(False, b"", "")]
    while pending:
        is_linked, _, key = heapq.heappop(pending)
        path = os.path.join(folder, key) if key else folder  # noqa: PTH118 (pathlib costs twice the listing)
        hidden = is_hidden(key)
        try:
            status = os.stat(path)  # noqa: PTH116
            if is_linked and (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            files, folders, links = _read(path, f"{key}/" if key else "", is_hidden=hidden)
        except OSError:
            if hidden:
                continue
            raise
        yield from files
        for below in folders:
            heapq.heappush(pending, (is_linked, os.fsencode(below), below))
        for below in links:
            heapq.heappush(pending, (True, os.fsencode(below), below))


def _read(path: str, prefix: str, *, is_hidden: bool) -> tuple[list[Found], list[str], list[str]]:
    """Returns the folder's files, its folders, and the folders that its links lead to."""
    files: list[Found] = []
    folders: list[str] = []
    links: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            key = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(key)
            elif entry.is_symlink():
                status = _follow(entry, may_be_broken=is_hidden)
                if status is None:
                    continue
                if stat.S_ISREG(status.st_mode):
                    files.append((key, status))
                elif stat.S_ISDIR(status.st_mode) and not is_hidden and not entry.name.startswith("."):
                    links.append(key)
            elif entry.is_file(follow_symlinks=False):
                try:
                    files.append((key, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue  # deleted since
    return files, folders, links


def _follow(link: "os.DirEntry[str]", *, may_be_broken: bool) -> os.stat_result | None:
    try:
        return link.stat()
    except OSError as error:
        if may_be_broken:
            return None
        if error.errno not in _LEADS_NOWHERE:
            raise
        if not os.path.lexists(link.path):
            return None  # deleted since
        raise BrokenLinkError(error.errno, os.strerror(error.errno), link.path) from error
