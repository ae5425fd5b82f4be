"""What the sensors ask for: ticks on a real folder, a real history and real runs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from sparkify_dagster.automation import sensors
from sparkify_dagster.definitions import defs
from sparkify_dagster.partitions import range_tags
from sparkify_dagster.sources.object_store import SourceError
from sparkify_dagster_tests.world import World, asset_key, event, song

Range = tuple[str, str]


@dataclass
class Ticks:
    """A sensor that ticks again and again with the cursor that it left."""

    sensor: dg.SensorDefinition
    world: World
    instance: dg.DagsterInstance
    cursor: str | None = None
    skipped: str | None = None
    keys: list[str] = field(default_factory=list)
    requests: list[dg.RunRequest] = field(default_factory=list)
    events: list[dg.AssetMaterialization] = field(default_factory=list)

    def tick(self) -> list[Range]:
        """The ranges of days that this tick asks for."""
        context = dg.build_sensor_context(
            self.instance,
            cursor=self.cursor,
            resources={"source": self.world.source} if self.sensor.required_resource_keys else {},
        )
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        self.skipped = data.skip_message
        self.requests = list(data.run_requests or [])
        self.events = [event for event in data.asset_events if isinstance(event, dg.AssetMaterialization)]
        self.keys += [request.run_key or "" for request in self.requests]
        return [
            (
                request.tags["dagster/asset_partition_range_start"],
                request.tags["dagster/asset_partition_range_end"],
            )
            for request in self.requests
        ]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# Log files


@pytest.fixture
def log_files(world: World, instance: dg.DagsterInstance) -> Ticks:
    return Ticks(sensors.log_files, world, instance)


def write_days(world: World, *days: str) -> None:
    for day in days:
        world.write_log(day, event(time=f"{day}T10:00:00"))


def test_the_first_tick_asks_for_one_run(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02", "2018-11-03")
    assert log_files.tick() == [("2018-11-01", "2018-11-03")]
    assert log_files.skipped is None


def test_nothing_new_skips(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    cursor = log_files.cursor
    assert log_files.tick() == []
    assert log_files.skipped == "2 days with log files, none new, changed or gone"
    assert log_files.cursor == cursor


def test_an_empty_folder_skips(log_files: Ticks) -> None:
    assert log_files.tick() == []
    assert log_files.skipped == "0 days with log files, none new, changed or gone"


def test_a_changed_file_asks_for_its_day_alone(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02", "2018-11-03")
    log_files.tick()
    log_files.world.write_log("2018-11-02", event(time="2018-11-02T11:00:00"))
    assert log_files.tick() == [("2018-11-02", "2018-11-02")]
    assert log_files.tick() == []


def test_a_second_file_of_a_day_asks_for_the_day(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    log_files.world.write_log("2018-11-02", event(), key="late/2018-11-02-events.json.gz")
    assert log_files.tick() == [("2018-11-02", "2018-11-02")]


def test_a_deleted_file_asks_for_its_day(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    log_files.world.delete("log_data/2018/11/2018-11-01-events.json")
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    assert log_files.tick() == []


def test_each_block_of_days_is_a_run(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-03", "2018-11-04", "2018-11-30")
    assert log_files.tick() == [
        ("2018-11-01", "2018-11-01"),
        ("2018-11-03", "2018-11-04"),
        ("2018-11-30", "2018-11-30"),
    ]


def test_more_blocks_than_a_tick_bears_wait_for_the_next(log_files: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests' window is a month, which has not so many gaps.
    year = dg.DailyPartitionsDefinition("2018-01-01", end_date="2019-01-01")
    monkeypatch.setattr(sensors, "log_days", year)
    days = [(date(2018, 1, 1) + timedelta(days=2 * number)).isoformat() for number in range(30)]
    write_days(log_files.world, *days)
    assert log_files.tick() == [(day, day) for day in days[:25]]
    assert log_files.tick() == [(day, day) for day in days[25:]]
    assert log_files.tick() == []
    assert len(set(log_files.keys)) == 30


def test_content_that_comes_back_is_asked_for_again(log_files: Ticks) -> None:
    world = log_files.world
    path = world.write_log("2018-11-01", event())
    contents = [path.read_bytes(), path.read_bytes().replace(b"free", b"paid")]
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    for content in (contents[1], contents[0], contents[1]):
        world.write("log_data/2018/11/2018-11-01-events.json", content)
        assert log_files.tick() == [("2018-11-01", "2018-11-01")]
    assert len(set(log_files.keys)) == len(log_files.keys) == 4


def test_days_outside_the_window_and_other_files_are_ignored(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-10-31", "2018-11-01", "2018-12-01")
    log_files.world.write("log_data/2018/11/._2018-11-02-events.json", b"")
    log_files.world.write("log_data/readme.txt", b"")
    assert log_files.tick() == [("2018-11-01", "2018-11-01")]


def test_a_source_that_cannot_be_listed_fails_the_tick(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01")
    log_files.tick()
    cursor = log_files.cursor
    folder = Path(log_files.world.log_data)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(SourceError, match="there is no such folder"):
        log_files.tick()
    # And days that were seen before are not taken for deleted ones.
    assert log_files.cursor == cursor
    folder.with_name("elsewhere").rename(folder)
    assert log_files.tick() == []


def test_what_was_found_is_recorded_on_the_source(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.world.write("log_data/readme.txt", b"hello")
    log_files.tick()
    (found,) = log_files.events
    assert found.asset_key == asset_key("log_data")
    size = sum(path.stat().st_size for path in Path(log_files.world.log_data).rglob("*-events.json"))
    assert {name: value.value for name, value in found.metadata.items()} == {
        "location": log_files.world.log_data,
        "files": 2,
        "bytes": size,
        "files_outside_the_window": 0,
        "ignored_objects": 1,
    }


def test_its_runs_are_of_the_log_days_and_load_them(log_files: Ticks) -> None:
    write_days(log_files.world, "2018-11-01", "2018-11-02")
    log_files.tick()
    assert log_files.sensor.job_name == "load_log_days"
    (request,) = log_files.requests
    result = run(log_files.world, log_files.instance, "load_log_days", tags=dict(request.tags))
    assert result.success
    assert len(log_files.world.rows("songplays")) == 2


# Late songs


@pytest.fixture
def late_songs(world: World, instance: dg.DagsterInstance) -> Ticks:
    return Ticks(sensors.late_songs, world, instance)


def run(
    world: World,
    instance: dg.DagsterInstance,
    job: str,
    first_day: str = "",
    last_day: str = "",
    *,
    tags: dict[str, str] | None = None,
    assets: tuple[str, ...] = (),
    run_id: str | None = None,
) -> dg.ExecuteInProcessResult:
    if first_day:
        tags = range_tags(date.fromisoformat(first_day), date.fromisoformat(last_day or first_day))
    definition = defs.resolve_job_def(job)
    if assets:
        definition = definition.get_subset(asset_selection={asset_key(name) for name in assets})
    return definition.execute_in_process(
        instance=instance,
        resources={"source": world.source, "warehouse": world.warehouse, "limits": world.limits},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        run_id=run_id,
        tags=tags,
        raise_on_error=False,
    )


def play_before_the_song_comes(ticks: Ticks, *days: str) -> None:
    """Loads days whose plays have no song yet, and then the song alone."""
    write_days(ticks.world, *days)
    ticks.world.load(min(days), max(days))
    ticks.world.write_songs("A/A/A/TRAAA.json", song())
    run(ticks.world, ticks.instance, "load_songs")


def test_without_songs_it_skips(late_songs: Ticks) -> None:
    assert late_songs.tick() == []
    assert late_songs.skipped == "No songs have been loaded yet"


def test_a_late_song_asks_for_its_days_plays_alone(late_songs: Ticks) -> None:
    play_before_the_song_comes(late_songs, "2018-11-02", "2018-11-03", "2018-11-09")
    assert late_songs.tick() == [("2018-11-02", "2018-11-03"), ("2018-11-09", "2018-11-09")]
    assert {request.asset_selection[0] for request in late_songs.requests if request.asset_selection} == {
        asset_key("songplays")
    }
    assert late_songs.sensor.job_name == "load_log_days"


def test_its_runs_match_the_plays(late_songs: Ticks) -> None:
    play_before_the_song_comes(late_songs, "2018-11-02", "2018-11-09")
    late_songs.tick()
    world = late_songs.world
    assert set(world.column("songplays", "song_id")) == {None}
    for request in late_songs.requests:
        run(world, late_songs.instance, "load_log_days", tags=dict(request.tags), assets=("songplays",))
    assert set(world.column("songplays", "song_id")) == {song()["song_id"]}
    assert world.pending() == []
    assert world.star() == world.from_scratch("2018-11-02", "2018-11-09").star()
    assert late_songs.tick() == []


def test_the_same_load_is_looked_at_once(late_songs: Ticks) -> None:
    play_before_the_song_comes(late_songs, "2018-11-02")
    late_songs.tick()
    assert late_songs.tick() == []
    assert late_songs.skipped == "No songs have been loaded since the last look"


def test_songs_that_nobody_played_ask_for_nothing(late_songs: Ticks) -> None:
    write_days(late_songs.world, "2018-11-02")
    late_songs.world.write_songs("A/A/A/TRAAA.json", song(title="Never played"))
    run(late_songs.world, late_songs.instance, "sparkify", "2018-11-02")
    assert late_songs.tick() == []
    assert late_songs.skipped == "Every play matches as the catalogue says"


def test_days_that_the_same_run_matched_are_not_asked_for(late_songs: Ticks) -> None:
    days = ("2018-11-02", "2018-11-03", "2018-11-04")
    write_days(late_songs.world, *days)
    late_songs.world.load(days[0], days[-1])
    late_songs.world.write_songs("A/A/A/TRAAA.json", song())
    run(late_songs.world, late_songs.instance, "sparkify", days[1])
    assert late_songs.tick() == [(days[0], days[0]), (days[2], days[2])]


def test_days_that_an_earlier_load_left_are_asked_for_again(late_songs: Ticks) -> None:
    play_before_the_song_comes(late_songs, "2018-11-02")
    late_songs.world.write_songs("A/A/B/TRAAB.json", song(song_id="SOOTHER", title="Never played"))
    # Both loads are there before the sensor looks.
    run(late_songs.world, late_songs.instance, "load_songs")
    assert late_songs.tick() == [("2018-11-02", "2018-11-02")]


def test_a_day_that_was_matched_before_the_load_is_asked_for(late_songs: Ticks) -> None:
    write_days(late_songs.world, "2018-11-02")
    run(late_songs.world, late_songs.instance, "sparkify", "2018-11-02")
    late_songs.world.write_songs("A/A/A/TRAAA.json", song())
    run(late_songs.world, late_songs.instance, "load_songs")
    assert late_songs.tick() == [("2018-11-02", "2018-11-02")]


def test_it_waits_for_the_end_of_the_run_that_loads_songs(late_songs: Ticks) -> None:
    write_days(late_songs.world, "2018-11-02", "2018-11-03")
    late_songs.world.load("2018-11-02", "2018-11-03")
    late_songs.world.write_songs("A/A/A/TRAAA.json", song())
    run_id, in_between = str(uuid4()), []

    def tick_when_songs_are_loaded(entry: dg.EventLogEntry) -> None:
        happened = entry.dagster_event
        if happened and happened.is_step_materialization and happened.asset_key == asset_key("songs"):
            in_between.append((late_songs.tick(), late_songs.skipped, late_songs.cursor))

    late_songs.instance.add_event_listener(run_id, tick_when_songs_are_loaded)
    run(late_songs.world, late_songs.instance, "sparkify", "2018-11-02", run_id=run_id)
    waiting = "The run that loads songs may match these plays itself; waiting for its end"
    assert in_between == [([], waiting, None)]
    assert late_songs.tick() == [("2018-11-03", "2018-11-03")]


def test_a_run_that_failed_after_the_songs_leaves_its_days_to_the_sensor(late_songs: Ticks) -> None:
    write_days(late_songs.world, "2018-11-02")
    late_songs.world.load("2018-11-02")
    late_songs.world.write_songs("A/A/A/TRAAA.json", song())
    folder = Path(late_songs.world.log_data)
    folder.rename(folder.with_name("elsewhere"))
    result = run(late_songs.world, late_songs.instance, "sparkify", "2018-11-02")
    assert not result.success
    assert late_songs.tick() == [("2018-11-02", "2018-11-02")]


# Both


def test_sensors_start_as_the_readme_says() -> None:
    assert sensors.log_files.default_status is dg.DefaultSensorStatus.STOPPED
    assert sensors.late_songs.default_status is dg.DefaultSensorStatus.RUNNING
