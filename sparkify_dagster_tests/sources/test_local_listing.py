"""Listing of local folders: links, loops, and what is no file."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sparkify_dagster.sources.object_store import LocalFolder, SourceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The location; the folder above it is for what lies elsewhere."""
    folder = tmp_path / "location"
    folder.mkdir()
    return folder


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)
    return path


def link(path: Path, to: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to)


def keys(folder: Path) -> list[str]:
    store = LocalFolder(folder)
    listed = store.list()
    assert [store.head(stored.key) for stored in listed] == listed
    return [stored.key for stored in listed]


def test_files_of_any_name_are_listed_by_their_bytes(folder: Path) -> None:
    names = [
        "a b",
        "é",
        "😀",
        "\uff5e",
        "level=paid/x",
        "[a]*?",
        "line\n",
        "\x01",
        ".dot",
        ".dot/x",
        "a/b",
        "a.b",
        "..x",
    ]
    names.remove(".dot")
    for name in names:
        write(folder / name)
    assert keys(folder) == sorted(names, key=str.encode)


def test_linked_files_and_folders_are_followed(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "2018" / "a.json")
    file = write(tmp_path / "b.json")
    link(folder / "linked", tmp_path / "elsewhere")
    link(folder / "c" / "renamed.json", file)
    link(folder / "c" / "again.json", file)
    assert keys(folder) == ["c/again.json", "c/renamed.json", "linked/2018/a.json"]


def test_the_location_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    write(folder / "a.json")
    link(tmp_path / "link", folder)
    assert keys(tmp_path / "link") == ["a.json"]


def test_a_folder_below_the_location_has_its_own_path(folder: Path) -> None:
    write(folder / "z" / "own" / "a.json")
    link(folder / "a", folder / "z" / "own")
    link(folder / "b", folder / "z")
    assert keys(folder) == ["z/own/a.json"]


@pytest.mark.parametrize("names", [["b", "a"], ["link", "link-2"], ["x/y", "x-y"], ["\uff5e", "😀"]])
def test_a_folder_that_links_alone_lead_to_has_the_first_of_them(
    folder: Path, tmp_path: Path, names: list[str]
) -> None:
    write(tmp_path / "elsewhere" / "sub" / "a.json")
    for name in names:
        link(folder / name, tmp_path / "elsewhere")
    assert keys(folder) == [f"{min(names, key=str.encode)}/sub/a.json"]


@pytest.mark.parametrize(("outer", "inner", "first"), [("a", "b", "a/sub"), ("b", "a", "a"), ("b", "b-x", "b-x")])
def test_a_folder_that_is_linked_alone_and_inside_another_is_listed_once(
    folder: Path, tmp_path: Path, outer: str, inner: str, first: str
) -> None:
    write(tmp_path / "elsewhere" / "sub" / "a.json")
    link(folder / outer, tmp_path / "elsewhere")
    link(folder / inner, tmp_path / "elsewhere" / "sub")
    assert keys(folder) == [f"{first}/a.json"]


def test_links_of_linked_folders_are_followed(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.json")
    write(tmp_path / "two" / "b.json")
    link(tmp_path / "one" / "more", tmp_path / "two")
    link(folder / "c", tmp_path / "one")
    assert keys(folder) == ["c/a.json", "c/more/b.json"]
    link(folder / "b", tmp_path / "two")
    assert keys(folder) == ["b/b.json", "c/a.json"]


def test_loops_end(folder: Path, tmp_path: Path) -> None:
    write(folder / "a" / "a.json")
    link(folder / "a" / "up", folder)
    link(folder / "a" / "self", folder / "a")
    write(tmp_path / "elsewhere" / "b.json")
    link(tmp_path / "elsewhere" / "back", tmp_path / "elsewhere")
    link(folder / "b", tmp_path / "elsewhere")
    assert keys(folder) == ["a/a.json", "b/b.json"]


def test_what_lies_above_the_location_is_reached_by_a_link_once(folder: Path, tmp_path: Path) -> None:
    write(folder / "a.json")
    write(tmp_path / "beside" / "b.json")
    link(folder / "up", tmp_path)
    assert keys(folder) == ["a.json", "up/beside/b.json"]


def test_links_of_dot_folders_are_not_followed(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.json")
    link(folder / ".hidden" / "link", tmp_path / "elsewhere")
    link(folder / ".dot-link", tmp_path / "elsewhere")
    link(folder / ".hidden" / "deeper" / "broken", tmp_path / "nowhere")
    write(folder / ".hidden" / "b.json")
    assert keys(folder) == [".hidden/b.json"]


def test_a_linked_file_of_a_dot_folder_has_the_path_of_its_link(folder: Path) -> None:
    """So Kubernetes mounts a ConfigMap, and git-annex keeps a file."""
    link(folder / "a.json", write(folder / "..data" / "a.json"))
    assert keys(folder) == ["..data/a.json", "a.json"]


@pytest.mark.parametrize("name", ["2018-11-01-events.json", "README", ".dot", "folder/file", "elsewhere"])
def test_a_link_that_leads_nowhere_fails_the_listing(folder: Path, tmp_path: Path, name: str) -> None:
    link(folder / name, tmp_path / "nowhere")
    with pytest.raises(SourceError) as raised:
        LocalFolder(folder).list()
    assert str(raised.value).startswith(f"{folder / name}: cannot be read: it is a link that leads nowhere; mount")


@pytest.mark.parametrize("target", [lambda path: path, lambda path: write(path.parent / "file") / "below"])
def test_a_link_to_itself_or_through_a_file_leads_nowhere(folder: Path, target: Callable[[Path], Path]) -> None:
    link(folder / "x", target(folder / "x"))
    with pytest.raises(SourceError, match=f"^{folder / 'x'}: cannot be read: it is a link that leads nowhere"):
        LocalFolder(folder).list()


def test_a_broken_link_in_a_linked_folder_is_named_by_the_path_through_the_link(folder: Path, tmp_path: Path) -> None:
    link(tmp_path / "elsewhere" / "broken", tmp_path / "nowhere")
    link(folder / "a", tmp_path / "elsewhere")
    with pytest.raises(SourceError, match=f"^{folder / 'a' / 'broken'}: "):
        LocalFolder(folder).list()


def test_what_is_not_a_regular_file_is_ignored_and_never_opened(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "2018-11-01-events.json")
    os.mkfifo(tmp_path / "pipe")
    link(folder / "2018-11-02-events.json", tmp_path / "pipe")
    link(folder / "null", Path(os.devnull))
    with socket.socket(socket.AF_UNIX) as server:
        # The whole path is too long for a socket's.
        here = Path.cwd()
        os.chdir(folder)
        try:
            server.bind("socket.json")
        finally:
            os.chdir(here)
        write(folder / "a.json")
        assert keys(folder) == ["a.json"]
    # Nor where one is asked for by its name, or has taken a file's place: nobody ever writes to this pipe.
    with pytest.raises(SourceError, match=r"2018-11-01-events\.json: is not a file"):
        LocalFolder(folder).read("2018-11-01-events.json")


def test_a_location_that_is_a_file_says_so(folder: Path) -> None:
    file = write(folder / "a.json")
    with pytest.raises(SourceError) as raised:
        LocalFolder(file).list()
    assert str(raised.value) == f"{file}: is a file, not a folder"


@pytest.mark.parametrize("name", ["nowhere", "a.json/below"])
def test_a_location_that_is_not_there_says_so(folder: Path, name: str) -> None:
    write(folder / "a.json")
    with pytest.raises(SourceError) as raised:
        LocalFolder(folder / name).list()
    assert str(raised.value) == f"{folder / name}: there is no such folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_fails_the_listing_but_not_a_dot_folder(folder: Path) -> None:
    (folder / ".Trashes").mkdir(mode=0)
    write(folder / "a.json")
    assert keys(folder) == ["a.json"]
    (folder / "b").mkdir(mode=0)
    with pytest.raises(SourceError, match=f"^{folder / 'b'}: cannot be read: Permission denied"):
        LocalFolder(folder).list()
