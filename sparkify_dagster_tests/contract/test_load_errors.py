"""`sparkify load-errors` shows, on every warehouse, the lines that could not be loaded, with their text."""

from datetime import date

import pytest

from sparkify_dagster.cli import load_errors
from sparkify_dagster.formatting import console
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import World

DAYS = ("2018-11-01", "2018-11-02", "2018-11-03")


@pytest.fixture
def broken(world: World) -> World:
    world.write_log(DAYS[0], event(), "[bold]Quizzelda[/bold] :smile: \x1b[31mred\x07")
    world.write_log(DAYS[1], '{"userId": "Quizzelda"}'.replace("{", '{"ts": 1541116800000, "page": "Home", '))
    world.write_log(DAYS[2], key="2018-11-03-events.json.gz").write_bytes(b"\x1f\x8bcut")
    world.write_songs("A/TRA.json", song(), '{\n "song_id": "S2",\n "artist_id": null\n}')
    world.load(DAYS[0], DAYS[2])
    return world


def printed(world: World, capsys: pytest.CaptureFixture[str], *days: str | None) -> list[str]:
    chosen = [date.fromisoformat(day) if day else None for day in days]
    errors = world.warehouse.run("a test", lambda connection: load_errors.read(connection, *chosen))
    capsys.readouterr()
    load_errors.print_errors(console(), errors)
    return capsys.readouterr().out.splitlines()


FIRST = [
    "2018/11/2018-11-01-events.json line 2: not JSON: Expecting value at character 2",
    r"    [bold]Quizzelda[/bold] :smile: \x1b[31mred\x07",
]
SECOND = [
    "2018/11/2018-11-02-events.json line 1: user_id: text is not a number",
    '    {"ts": 1541116800000, "page": "Home", "userId": "Quizzelda"}',
]
SONGS = [
    "A/TRA.json line 2: artist_id: is missing",
    r"""    {\n "song_id": "S2",\n "artist_id": null\n}""",
]


def test_all_errors_are_shown_by_day_and_the_songs_last(broken: World, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(broken, capsys)
    third = lines.pop(4)
    assert third.startswith("2018-11-03-events.json.gz: cannot be decompressed: ")
    assert lines == [*FIRST, *SECOND, *SONGS, "4 load errors"]


def test_days_choose_errors_of_log_files(broken: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(broken, capsys, DAYS[1], DAYS[1]) == [*SECOND, "1 load error"]
    assert printed(broken, capsys, None, DAYS[1]) == [*FIRST, *SECOND, "2 load errors"]
    assert printed(broken, capsys, "2018-11-04", None) == ["No load errors"]


def test_without_errors_one_line_says_so(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(world, capsys) == ["No load errors"]
