"""Log files: their names, their days, and their lines."""

import json
from collections.abc import Iterator
from datetime import date

import pytest

from sparkify_dagster.schema import tables
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster_tests.contract.cases import Day, case
from sparkify_dagster_tests.contract.conftest import NewWorld
from sparkify_dagster_tests.support.events import event, lines
from sparkify_dagster_tests.support.world import ERRORS, EVENTS, World

DAY = "2018-11-01"


@case
def test_a_log_file_is_one_json_object_a_line(day: Day) -> Iterator[None]:
    day.write(*(day.event(itemInSession=item) for item in (1, 2, 3)))
    yield
    assert day.column(EVENTS, "item_in_session") == [1, 2, 3]
    assert len(day.rows("songplays")) == 3


KEYS = [
    "2018/11/{}-events.json",
    "{}-events.json",
    "{}-events.json.gz",
    "any where/2019/é/{}-events.json",
    "[a]*?{{b}}/{}-events.json",
    "it's/{}-events.json",
]


@case
def test_a_log_file_may_be_in_any_folder(day: Day) -> Iterator[None]:
    keys = [key.format(day) for key in KEYS]
    for number, key in enumerate(keys):
        day.world.write_log(str(day), day.event(itemInSession=number), key=key)
    yield
    assert day.counts() == dict.fromkeys(keys, (1, 1, 0, 0))
    assert day.column(EVENTS, "item_in_session") == list(range(len(KEYS)))


OTHER_NAMES = [
    "2018/11/2018-11-31-events.json",
    "2018/11/2018-13-01-events.json",
    "2018/11/0000-11-01-events.json",
    "2018/11/2018-11-01-EVENTS.json",
    "2018/11/2018-11-01-events.JSON",
    "2018/11/2018-11-01-events.json.GZ",
    "2018/11/2018-11-01-events.jsonl",
    "2018/11/2018-11-01-events.json.bz2",
    "2018/11/2018-11-01-events.json~",
    "2018/11/2018-11-01-events",
    "2018/11/2018-11-1-events.json",
    "2018/11/20181101-events.json",
    "2018/11/x2018-11-01-events.json",
    "2018/11/2018-11-01-events.json.json",
    "2018/11/٢٠١٨-11-01-events.json",
    "2018/11/.2018-11-01-events.json",
    "2018/11/._2018-11-01-events.json",
    ".ipynb_checkpoints/2018-11-01-events.json",
    "2018/.11/deeper/2018-11-01-events.json",
    ".DS_Store",
]
HIDDEN = 5


@pytest.mark.slow
def test_other_names_and_days_outside_the_window_are_counted_and_left_alone(world: World) -> None:
    for day in ("2018-10-31", DAY, "2018-11-30", "2018-12-01"):
        world.write_log(day, event(time=f"{day}T10:00:00"), key=f"{day}-events.json")
    for key in OTHER_NAMES:
        world.write_log(DAY, "this would be an error", key=key)
    outcome = world.materialize(DAY, "2018-11-30", assets=["staging_events"])
    assert outcome.ok
    assert list(world.counts()) == ["2018-11-01-events.json", "2018-11-30-events.json"]
    assert [str(day) for day in world.column(EVENTS, "log_date")] == [DAY, "2018-11-30"]
    observed = outcome.observed("log_data")
    assert (observed["files"], observed["files_outside_window"]) == (4, 2)
    assert (observed["ignored_objects"], observed["unrecognized_files"]) == (
        len(OTHER_NAMES),
        len(OTHER_NAMES) - HIDDEN,
    )
    assert observed["unrecognized_examples"] == sorted(OTHER_NAMES[:-HIDDEN], key=str.encode)[:3]


@pytest.mark.slow
def test_days_that_never_had_a_file_are_empty_days_and_dot_files_are_no_unrecognized_ones(world: World) -> None:
    world.write("log_data/.DS_Store", b"x")
    outcome = world.materialize(DAY, "2018-11-03")
    assert outcome.ok
    assert all(rows == [] for rows in world.everything().values())
    observed = outcome.observed("log_data")
    assert (observed["files"], observed["files_outside_window"]) == (0, 0)
    assert (observed["ignored_objects"], observed["unrecognized_files"]) == (1, 0)
    assert "unrecognized_examples" not in observed


def test_linked_files_and_folders_are_followed_each_real_folder_once(world: World) -> None:
    world.write_log(DAY, event(itemInSession=1), key="2018/2018-11-01-events.json")
    world.write("elsewhere/2018-11-01-events.json", lines(event(itemInSession=2)))
    world.write("file.json", lines(event(itemInSession=3)))
    log_data = world.folder / "log_data"
    for name in ("b", "a", ".hidden"):
        (log_data / name).symlink_to(world.folder / "elsewhere")
    (log_data / "2018" / "up").symlink_to(log_data)
    (log_data / "c").mkdir()
    (log_data / "c" / "2018-11-01-events.json").symlink_to(world.folder / "file.json")
    world.load(DAY, steps=["staging_events"])
    names = [f"{folder}/2018-11-01-events.json" for folder in ("2018", "a", "c")]
    assert world.counts() == dict.fromkeys(names, (1, 1, 0, 0))
    assert world.column(EVENTS, "item_in_session") == [1, 2, 3]


def test_a_link_that_leads_nowhere_fails_the_load_and_changes_nothing(world: World) -> None:
    disk = world.folder / "disk"
    disk.mkdir()
    (world.folder / "log_data" / "2018").symlink_to(disk / "2018")
    world.write("disk/2018/2018-11-01-events.json", lines(event()))
    world.load(DAY, steps=["staging_events"])
    before = world.everything()
    disk.rename(world.folder / "unmounted")
    with pytest.raises(SourceError) as raised:
        world.load(DAY, steps=["staging_events"])
    assert str(raised.value).startswith(f"{world.folder / 'log_data' / '2018'}: cannot be read: it is a ")
    assert world.everything() == before


def test_a_file_url_names_a_local_folder(world: World) -> None:
    folder = world.folder / "with blank"
    world.write("with blank/2018-11-01-events.json", b"")
    world.log_data = folder.as_uri()
    world.load(DAY, steps=["staging_events"])
    assert list(world.counts()) == ["2018-11-01-events.json"]


def test_a_dot_folder_above_the_prefix_does_not_count(world: World) -> None:
    world.log_data = str(world.folder / ".hidden" / "log_data")
    world.write(".hidden/log_data/2018-11-01-events.json", b"")
    world.load(DAY, steps=["staging_events"])
    assert list(world.counts()) == ["2018-11-01-events.json"]


@case
def test_several_files_of_a_day_all_belong_to_it(day: Day) -> Iterator[None]:
    day.write(day.event(itemInSession=1))
    day.write(day.event(itemInSession=2), end=".json.gz")
    day.write(day.event(itemInSession=3), folder="again")
    yield
    assert day.column(EVENTS, "item_in_session") == [1, 2, 3]
    assert len(day.counts()) == 3


def test_the_date_in_the_name_is_the_partition(world: World) -> None:
    world.write_log(DAY, event(time="2018-11-02T00:00:00"), key="2018/11/2018-11-02-events.json")
    world.load(DAY, steps=["staging_events"])
    assert world.rows(EVENTS) == []
    world.load("2018-11-02", steps=["staging_events"])
    assert [day.isoformat() for day in world.column(EVENTS, "log_date")] == ["2018-11-02"]


@pytest.mark.slow
def test_loading_a_day_without_a_file_empties_it(world: World) -> None:
    path = world.write_log(DAY, event(), "broken")
    world.write_log("2018-11-02", event(time="2018-11-02T10:00:00", userId="9"))
    world.load(DAY, "2018-11-02")
    path.unlink()
    world.load(DAY)
    assert world.rows(ERRORS) == []
    assert list(world.counts()) == ["2018/11/2018-11-02-events.json"]
    assert [row[2] for row in world.rows("songplays")] == [9]
    assert [row[0] for row in world.rows("users")] == [9]
    assert len(world.rows("time")) == 1


@case
def test_a_zero_byte_log_file_is_an_empty_file_of_its_day(day: Day) -> Iterator[None]:
    for end in (".json", ".json.gz"):
        day.put(b"", end=end)
    yield
    assert day.counts() == dict.fromkeys([day.key(), day.key(end=".json.gz")], (0, 0, 0, 0))


@case
def test_a_byte_order_mark_at_the_start_is_dropped(day: Day) -> Iterator[None]:
    day.put(b"\xef\xbb\xbf" + lines(day.event()))
    yield
    assert day.counts() == {day.key(): (1, 1, 0, 0)}


@case
def test_a_byte_order_mark_elsewhere_is_an_error(day: Day) -> Iterator[None]:
    day.put(lines(day.event()) + b"\xef\xbb\xbf" + lines(day.event(itemInSession=2)))
    yield
    assert day.counts() == {day.key(): (2, 1, 0, 1)}


@case
def test_a_carriage_return_before_the_line_feed_is_dropped(day: Day) -> Iterator[None]:
    day.put(lines(day.event(itemInSession=1), day.event(itemInSession=2)).replace(b"\n", b"\r\n"))
    yield
    assert day.column(EVENTS, "item_in_session") == [1, 2]
    assert day.counts() == {day.key(): (2, 2, 0, 0)}


@case
def test_a_line_of_blanks_and_tabs_alone_is_not_a_line(day: Day) -> Iterator[None]:
    """Each kind of blank line is in a file of its own."""
    blanks = [b"", b"   ", b"\t \t", b"\r", b" \r"]
    for number, blank in enumerate(blanks):
        one, two = (lines(day.event(itemInSession=item, sessionId=number)) for item in (1, 2))
        day.put(blank + b"\n" + one + blank + b"\n" + two + b"no\n" + blank + b"\n", folder=str(number))
    yield
    assert day.counts() == {day.key(str(number)): (3, 2, 0, 1) for number in range(len(blanks))}
    # Lines keep their numbers, the blank ones counted.
    assert day.column(ERRORS, "line_number") == [5] * len(blanks)


@case
def test_the_last_line_needs_no_line_feed(day: Day) -> Iterator[None]:
    day.put(lines(day.event(), day.event(itemInSession=2)).rstrip(b"\n"))
    yield
    assert len(day.rows(EVENTS)) == 2


@case
def test_only_a_line_feed_ends_a_line(day: Day) -> Iterator[None]:
    separators = "\u2028 \u2029 \x85 \x0b"
    day.write(day.event(song="a\u2028b\u2029c\x85d"), day.event(itemInSession=2), f"{separators} no")
    yield
    assert day.counts() == {day.key(): (3, 2, 0, 1)}
    assert "a\u2028b\u2029c\x85d" in day.column(EVENTS, "song")


NOT_AN_OBJECT: list[str | bytes] = [
    "nonsense",
    "[]",
    "[{}]",
    "null",
    "12",
    '"text"',
    '{"ts": NaN}',
    '{"ts": Infinity}',
    '{"ts": -Infinity}',
    "{'ts': 1}",
    '{"ts": 1541066400796,}',
    '{"ts": 01}',
    '{"ts": .5}',
    '{"ts": 1.}',
    '{"ts": +1}',
    '{"ts": 1} // comment',
    '{"ts": 1',
    '{"page": "tab\there"}',
    '{"page": "\\x41"}',
    b'{"page": "Home\xff"}',
    b'{"page": "\xed\xa0\x80"}',
    b'{"page": "\xc0\x80"}',
    b'\x00{"page": "Home"}',
    "{" * 5_000,
]


@pytest.fixture(scope="module")
def with_wrong_lines(new_world: NewWorld) -> World:
    """Each line of NOT_AN_OBJECT is the second of three, in the file of a day of its own."""
    world = new_world()
    for number, line in enumerate(NOT_AN_OBJECT, 1):
        day = f"2018-11-{number:02}"
        one, two = (event(itemInSession=item, time=f"{day}T10:00:00") for item in (1, 2))
        world.write_log(day, one, line, two)
    world.load(DAY, f"2018-11-{len(NOT_AN_OBJECT)}")
    return world


@pytest.mark.parametrize(
    "number",
    [pytest.param(number, id=ascii(line)[:30]) for number, line in enumerate(NOT_AN_OBJECT, 1)],
)
def test_a_line_that_is_not_a_json_object_is_an_error(with_wrong_lines: World, number: int) -> None:
    day = f"2018-11-{number:02}"
    items = with_wrong_lines.query(f"SELECT item_in_session FROM {EVENTS} WHERE log_date = DATE '{day}' ORDER BY 1")
    assert items == [(1,), (2,)]
    ((key, line_number, _, column, reason, raw),) = (
        error for error in with_wrong_lines.errors() if error[2] == date.fromisoformat(day)
    )
    assert (key, line_number, column) == (f"2018/11/{day}-events.json", 2, None)
    assert reason.startswith(("not ", "nested"))
    assert raw


@case
def test_keys_of_an_object_come_in_any_order(day: Day) -> Iterator[None]:
    day.write(day.event(), dict(reversed(day.event(itemInSession=2).items())))
    yield
    first, second = day.rows(EVENTS, "song", "artist", "user_id", "ts", "length")
    assert first == second


@case
def test_unknown_extra_fields_are_ignored(day: Day) -> Iterator[None]:
    extra = {"extra": {"deep": [1, {"er": None}]}, "another": "\ud800", "and": 1e300, "": False}
    day.write(json.dumps(day.event(itemInSession=1) | extra), day.event(itemInSession=2))
    yield
    assert day.column(EVENTS, "item_in_session") == [1, 2]


@case
def test_a_missing_key_and_null_are_the_same(day: Day) -> Iterator[None]:
    nulls = ["artist", "song", "length", "gender", "firstName", "lastName", "location", "registration", "userAgent"]
    with_nulls = day.event(itemInSession=1) | dict.fromkeys([*nulls, "status", "level", "auth", "method"])
    day.write(
        with_nulls, {key: value for key, value in (with_nulls | {"itemInSession": 2}).items() if value is not None}
    )
    yield
    names = [column.name for column in tables.staging_events.columns if column.name != "item_in_session"]
    first, second = day.rows(EVENTS, *names)
    assert first == second


def test_for_a_key_given_twice_any_of_its_values_is_taken_and_nothing_else_suffers(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """DuckDB quotes the line in its error and cuts it, one time of two within a character: each is a day of its own."""
    caplog.set_level("INFO")
    for day, padding in ((DAY, ""), ("2018-11-02", "x")):
        one, two, three = (event(time=f"{day}T10:00:00", itemInSession=item) for item in (1, 2, 3))
        twice = json.dumps(two | {"artist": padding + "ë" * 100, "firstName": "Zoë"}, ensure_ascii=False)
        assert twice.endswith("}")
        world.write_log(day, one, twice[:-1] + ', "firstName": "Chloë"}', three)
    world.write_log("2018-11-03", event(time="2018-11-03T10:00:00"))
    world.load(DAY, "2018-11-03")
    assert world.errors() == []
    names = [name for *_, name in world.rows(EVENTS, "log_date", "item_in_session", "first_name")]
    assert len(names) == 7
    assert {names[number] for number in (0, 2, 3, 5, 6)} == {"Kaylee"}
    assert {names[1], names[4]} <= {"Zoë", "Chloë"}
    # Whatever was logged on the way names nobody.
    assert [name for name in ("Zo", "Chlo", "Kaylee", "ëë") if name in caplog.text] == []
