"""Only things that have changed are stale, and a stale thing is never taken for fresh."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sparkify_dagster.analytics.expected import ExpectedResults
from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.automation.jobs import LOG_DAY_ASSETS
from sparkify_dagster.cli import staleness
from sparkify_dagster.cli.staleness import Staleness, find_stale
from sparkify_dagster.definitions import defs
from sparkify_dagster.schema import code_versions, sql_files
from sparkify_dagster.schema.tables import DAY_TABLES, READ_TABLES, metadata
from sparkify_dagster.warehouse import pending_steps, staging_tables, table_versions
from sparkify_dagster_tests.support import etl_steps
from sparkify_dagster_tests.support.etl_steps import EtlSteps, seen_history
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import World, thrown_away

DAYS = ("2018-11-01", "2018-11-02", "2018-11-03", "2018-11-30")
EDITS = {
    "songplays": ("e.user_agent", "e.method"),
    "users": ("u.gender", "u.level"),
    "songs": ("c.year, 0", "c.year, 1"),
}


def write_days(world: World) -> World:
    for number, day in enumerate(DAYS):
        world.write_log(day, event(time=f"{day}T10:00:00", userId=str(number)))
    world.write_songs("A/A/A/TRAAA.json", song())
    return world


@pytest.fixture(scope="module", autouse=True)
def _few_queries() -> Iterator[None]:
    """Each query is refreshed in the same way, and these read plays, songs and sessions."""
    few = {name: all_queries()[name] for name in FEW_QUERIES}
    with pytest.MonkeyPatch.context() as patch:
        for module in (staleness, etl_steps):
            patch.setattr(module, "all_queries", lambda: few)
        yield


@pytest.fixture(scope="module")
def history() -> dg.DagsterInstance:
    return seen_history()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, history: dg.DagsterInstance) -> Path:
    """The folder of a world in which everything is built."""
    world = write_days(World(tmp_path_factory.mktemp("built"), marts=True))
    EtlSteps(world, history).run()
    return world.folder


@pytest.fixture
def etl(built: Path, tmp_path: Path, history: dg.DagsterInstance) -> Iterator[EtlSteps]:
    """The command on a world of the test's own, whose files are the ones that were loaded."""
    world = World(shutil.copytree(built, tmp_path / "world"), marts=True)
    files = [*world.source.list_log_files().files, *world.source.list_song_files().files]
    with thrown_away(world):
        # Of a local file the ETag changes with each copy.
        world.execute(
            *(f"UPDATE staging.loaded_objects SET etag = '{file.etag}' WHERE key = '{file.key}'" for file in files),
        )
        yield EtlSteps(world, history)


def days_of(stale: Staleness) -> list[str]:
    return [str(day) for day in stale.days]


def summary(stale: Staleness) -> tuple[list[str], bool, bool]:
    return days_of(stale), stale.songs, stale.results


NOTHING: tuple[list[str], bool, bool] = ([], False, False)
ALL_DAYS = [*DAYS]


def test_nothing_is_stale_after_a_load(etl: EtlSteps) -> None:
    assert summary(etl.stale()) == NOTHING
    assert etl.is_fresh()


def test_days_whose_files_are_new_changed_or_gone_are_stale(etl: EtlSteps) -> None:
    world = etl.world
    world.write_log(DAYS[0], event(itemInSession=7), key="late/2018-11-01-events.json")
    world.write_log(DAYS[1], event(time=f"{DAYS[1]}T11:00:00"))
    world.delete(f"log_data/2018/11/{DAYS[3]}-events.json")
    world.write_log("2018-11-20", event(time="2018-11-20T10:00:00"))
    assert summary(etl.stale()) == ([DAYS[0], DAYS[1], "2018-11-20", DAYS[3]], False, False)
    etl.run()
    assert etl.is_fresh()
    assert world.everything() == world.everything_from_scratch(DAYS[0], DAYS[-1])


@pytest.mark.parametrize("change", ["new", "changed", "gone"])
def test_song_files_that_change_are_stale_and_no_day_is(etl: EtlSteps, change: str) -> None:
    if change == "gone":
        etl.world.delete("song_data/A/A/A/TRAAA.json")
        etl.world.write_songs("A/A/B/TRAAB.json", song())
    else:
        etl.world.write_songs(f"A/A/A/{'TRAAA' if change == 'changed' else 'TRAAC'}.json", song(title="Another"))
    assert summary(etl.stale()) == ([], True, False)
    etl.run()
    assert etl.is_fresh()


def test_what_stands_rejected_is_stale_only_when_its_files_limits_or_loader_change(
    etl: EtlSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = etl.world
    world.max_load_errors = 0
    world.write_log(DAYS[0], event(), "not JSON")
    world.write_songs("A/A/A/TRAAA.json", song(), song(song_id=None))
    etl.run()
    assert [str(day) for day in world.column("staging.rejected_loads", "log_date") if day] == [DAYS[0]]
    assert None in world.column("staging.rejected_loads", "log_date")
    assert summary(etl.stale()) == NOTHING
    # A load meets the songs again, and reads nothing.
    assert world.load(steps=["staging_songs"]).songs.rejected
    assert len(world.errors()) == 2

    world.max_load_errors = 1
    assert summary(etl.stale()) == ([DAYS[0]], True, False)
    world.max_load_errors = 0
    world.max_inflated_bytes -= 1
    assert summary(etl.stale()) == ([DAYS[0]], True, False)
    world.max_inflated_bytes += 1
    with monkeypatch.context() as other_loader:
        other_loader.setattr(staging_tables, "LOADER_VERSION", 99)
        assert summary(etl.stale()) == (ALL_DAYS, True, False)
    assert summary(etl.stale()) == NOTHING

    world.write_log(DAYS[0], event())
    world.write_songs("A/A/A/TRAAA.json", song())
    assert summary(etl.stale()) == ([DAYS[0]], True, False)
    etl.run()
    assert etl.is_fresh()
    assert world.column("staging.rejected_loads", "log_date") == []


def test_a_lower_limit_makes_days_and_songs_with_more_errors_stale(etl: EtlSteps) -> None:
    etl.world.write_log(DAYS[0], event(), "not JSON")
    etl.world.write_songs("A/A/A/TRAAA.json", song(), song(song_id=None))
    etl.run()
    etl.world.max_load_errors = 0
    assert summary(etl.stale()) == ([DAYS[0]], True, False)


def test_other_json_keys_make_all_days_stale(etl: EtlSteps) -> None:
    etl.world.map_keys({"jsonpaths": [f"$['{'listener' if name == 'userId' else name}']" for name in _keys(etl.world)]})
    assert summary(etl.stale()) == (ALL_DAYS, False, False)


def _keys(world: World) -> list[str]:
    return list(world.source.json_paths().keys)


def test_a_source_that_cannot_be_read_is_stale_so_that_a_run_says_so(etl: EtlSteps) -> None:
    world = etl.world
    world.log_jsonpath, world.song_data = str(world.folder / "nowhere.json"), str(world.folder / "nowhere")
    assert summary(etl.stale()) == (ALL_DAYS, True, False)


def test_a_day_is_stale_until_the_last_table_is_built(etl: EtlSteps) -> None:
    etl.world.write_log(DAYS[1], event(time=f"{DAYS[1]}T11:00:00"))
    for asset in LOG_DAY_ASSETS:
        etl.world.load(DAYS[1], steps=[asset])
        stale = etl.stale()
        assert (days_of(stale), stale.songs) == ([DAYS[1]], False), asset


def test_rows_are_stale_until_every_check_has_seen_them(etl: EtlSteps) -> None:
    world = etl.world
    world.write_log(DAYS[1], event(time=f"{DAYS[1]}T11:00:00"))
    world.write_songs("A/A/B/TRAAB.json", song(song_id="SOOTHER"))
    world.load(DAYS[1])
    for day in world.pending():
        world.match_again(day)
    pending = world.warehouse.run("a test", pending_steps.read)
    assert {each.step for each in pending} == {
        "check_staging_events",
        "check_staging_songs",
        "check_songplays",
        "check_dimensions",
        "check_product",
        "queries_by_day",
        "report",
    }
    for each in pending:
        if not each.is_check:
            continue
        stale = etl.stale()
        assert stale.days or stale.songs
        world.warehouse.run("a test", partial(pending_steps.remove, seen=[each]))
    # Queries are stale, as their tables have changed, but neither days nor songs.
    assert summary(etl.stale()) == ([], False, True)


def test_the_following_steps_are_the_checks_of_the_definitions() -> None:
    """A table whose check is not in the list would be taken for checked."""
    steps: dict[str, set[str]] = {}
    for checks in defs.asset_checks or ():
        for key in checks.check_keys:
            steps.setdefault(key.asset_key.path[-1], set()).add(checks.node_def.name)
    following = {
        name: {*pending_steps.following_steps(name)} - {pending_steps.QUERIES_BY_DAY, pending_steps.REPORT}
        for name in steps
    }
    assert following == {name: of_table - {"check_queries"} for name, of_table in steps.items()}
    assert all(pending_steps.REPORT in pending_steps.following_steps(table.name) for table in READ_TABLES)


FEW_QUERIES = ("top_songs", "sessions_by_level", "match_rate_by_day", "errors_and_help")
# Without the note of its owner, tables count as somebody else's.
DROPPED = [table.fullname for table in metadata.sorted_tables if table.name != "schema_versions"]


@pytest.mark.slow
@pytest.mark.parametrize("table", DROPPED)
def test_a_table_that_somebody_drops_is_built_again(etl: EtlSteps, table: str) -> None:
    views = ("DROP VIEW staging.song_matches", "DROP VIEW staging.current_songs")
    etl.world.execute(*(views if table == "staging.staging_songs" else ()), f"DROP TABLE {table}")
    assert not etl.is_fresh()
    etl.run()
    assert etl.is_fresh()
    assert etl.world.everything() == etl.world.everything_from_scratch(DAYS[0], DAYS[-1])


@pytest.mark.slow
@pytest.mark.parametrize("table", [table.fullname for table in DAY_TABLES.values()])
def test_a_removed_file_is_not_forgotten_with_a_dropped_table(etl: EtlSteps, table: str) -> None:
    etl.world.write_log(DAYS[0], event(time=f"{DAYS[0]}T10:00:00", userId="77", sessionId=77))
    etl.run()
    (etl.world.folder / f"log_data/2018/11/{DAYS[0]}-events.json").unlink()
    etl.run(2)
    etl.world.execute(f"DROP TABLE {table}")
    etl.run()
    assert etl.is_fresh()
    assert etl.world.everything() == etl.world.everything_from_scratch(DAYS[0], DAYS[-1])


def test_a_result_that_somebody_drops_is_stale(etl: EtlSteps) -> None:
    etl.world.execute("DROP TABLE analytics.top_songs")
    assert summary(etl.stale()) == ([], False, True)
    etl.run()
    assert etl.is_fresh()


@pytest.mark.parametrize("table", EDITS)
def test_edited_sql_makes_its_table_stale_on_all_days(
    etl: EtlSteps, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    edit(monkeypatch, {table})
    stale = etl.stale()
    assert (days_of(stale), stale.songs) == (([], True) if table == "songs" else (ALL_DAYS, False))
    etl.run()
    assert etl.is_fresh()
    assert etl.world.star() == etl.world.from_scratch(DAYS[0], DAYS[-1]).star()


def test_days_that_an_edit_concerns_stay_stale_when_one_of_them_is_built(
    etl: EtlSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(monkeypatch, {"songplays"})
    etl.world.load(DAYS[1])
    assert days_of(etl.stale()) == ALL_DAYS
    etl.world.execute("DELETE FROM staging.pending_steps")
    assert days_of(etl.stale()) == [day for day in ALL_DAYS if day != DAYS[1]]


def test_an_edited_query_is_stale_and_nothing_else(etl: EtlSteps) -> None:
    etl.world.execute("UPDATE staging.analytics_refreshes SET version = 'of another SELECT' WHERE query = 'top_songs'")
    assert summary(etl.stale()) == ([], False, True)


def test_results_are_stale_until_they_are_compared_with_what_is_expected_now(etl: EtlSteps) -> None:
    world = etl.world
    world.write("expected/top_songs.csv", b"song,artist,plays,listeners\n")
    expected = ExpectedResults(location=str(world.folder / "expected"))

    def results_are_stale() -> bool:
        listing = world.source.list_log_files()
        return find_stale(
            etl.history, world.source, world.warehouse, world.limits, listing, expected=expected, report=None
        ).results

    def note_compared() -> None:
        world.execute(f"UPDATE staging.analytics_refreshes SET compared_with = '{expected.digest()}'")

    assert results_are_stale()
    note_compared()
    assert not results_are_stale()
    world.write("expected/top_songs.csv", b"song,artist,plays,listeners\nA,B,1,1\n")
    assert results_are_stale()
    note_compared()
    world.execute("UPDATE staging.analytics_refreshes SET compared_with = NULL WHERE query = 'top_songs'")
    assert results_are_stale()


def test_a_report_that_is_missing_or_older_than_a_table_is_stale(etl: EtlSteps) -> None:
    world, report = etl.world, etl.world.folder / "report.html"

    def results_are_stale() -> bool:
        listing = world.source.list_log_files()
        return find_stale(
            etl.history, world.source, world.warehouse, world.limits, listing, expected=None, report=str(report)
        ).results

    assert results_are_stale()
    report.touch()
    assert not results_are_stale()
    world.warehouse.run("a test", lambda connection: pending_steps.note(connection, ["songs"]))
    assert results_are_stale()


def test_what_the_run_history_has_never_seen_is_stale(etl: EtlSteps) -> None:
    etl.history = dg.DagsterInstance.ephemeral()
    assert summary(etl.stale()) == (ALL_DAYS, True, True)
    etl.history.report_runless_asset_event(dg.AssetMaterialization("songs"))
    assert summary(etl.stale()) == (ALL_DAYS, True, True)


def test_days_outside_the_window_are_left_alone(etl: EtlSteps) -> None:
    etl.world.write_log(DAYS[0], event(itemInSession=3))
    etl.world.write_log("2018-12-01", event(itemInSession=3, time="2018-12-01T10:00:00"))
    assert days_of(etl.stale()) == [DAYS[0]]


def test_rows_changed_by_hand_are_found_by_the_audit_and_make_nothing_stale(etl: EtlSteps) -> None:
    def changed() -> list[str]:
        return etl.world.warehouse.run("a test", table_versions.changed_by_hand)

    assert changed() == []
    etl.world.execute(
        "UPDATE songplays SET level = 'paid'",
        "INSERT INTO product.sessions SELECT * FROM product.sessions LIMIT 1",
        "DELETE FROM artists",
    )
    assert changed() == ["songplays", "artists", "product.sessions"]
    assert etl.is_fresh()
    etl.world.warehouse.run("a test", table_versions.forget)
    etl.run()
    assert changed() == []
    assert etl.world.everything() == etl.world.everything_from_scratch(DAYS[0], DAYS[-1])


def edit(monkeypatch: pytest.MonkeyPatch, tables: set[str]) -> None:
    """Lets some tables be built by another SELECT."""

    def edited(read: Callable[[str], str]) -> Callable[[str], str]:
        def select_sql(name: str) -> str:
            select = read(name)
            if name not in tables:
                return select
            assert EDITS[name][0] in select
            return select.replace(*EDITS[name])

        return select_sql

    for module in (sql_files, code_versions):
        monkeypatch.setattr(module, "select_sql", edited(module.select_sql))


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, Any]:
    kind = draw(
        st.sampled_from(["log", "log gone", "song", "song gone", "table dropped", "backup", "restored", "edited"])
    )
    match kind:
        case "log":
            return kind, (draw(st.sampled_from(DAYS)), draw(st.lists(st.integers(1, 6), max_size=3, unique=True)))
        case "log gone":
            return kind, draw(st.sampled_from(DAYS))
        case "song":
            return kind, (draw(st.sampled_from("AB")), draw(st.sampled_from(["S1", "S2"])), draw(st.booleans()))
        case "song gone":
            return kind, draw(st.sampled_from("AB"))
        case "table dropped":
            # Views stand in the way of staging_songs.
            dropped = [table for table in DROPPED if table != "staging.staging_songs"]
            return kind, draw(st.sampled_from([*dropped, "analytics.top_songs"]))
        case "edited":
            return kind, draw(st.sets(st.sampled_from(sorted(EDITS)), max_size=1))
    return kind, None


# A change, and after how many steps the command that follows is killed; None if it is not.
SCRIPTS = st.lists(st.tuples(changes(), st.one_of(st.none(), st.integers(0, 14))), min_size=3, max_size=6)


@pytest.mark.slow
@given(script=SCRIPTS)
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_stale_thing_is_never_taken_for_fresh(
    tmp_path_factory: pytest.TempPathFactory,
    built: Path,
    history: dg.DagsterInstance,
    script: list[tuple[tuple[str, Any], int | None]],
) -> None:
    world = write_days(World(tmp_path_factory.mktemp("random"), marts=True))
    etl = EtlSteps(world, history)
    backup = world.folder / "backup.duckdb"
    with pytest.MonkeyPatch.context() as patch:
        etl.run()
        shutil.copy(world.warehouse_file, backup)
        for (kind, what), killed_after in script:
            apply(world, backup, patch, kind, what)
            etl.run(killed_after)
        etl.run()
        assert etl.is_fresh(), script
        fresh = world.from_scratch(DAYS[0], DAYS[-1])
        assert world.everything() == fresh.everything()
        assert world.warehouse.run("a test", table_versions.changed_by_hand) == []
        EtlSteps(fresh, history).run()
        for name in FEW_QUERIES:
            assert world.rows(f"analytics.{name}") == fresh.rows(f"analytics.{name}"), name


def apply(world: World, backup: Path, patch: pytest.MonkeyPatch, kind: str, what: Any) -> None:
    match kind:
        case "log":
            day, items = what
            world.write_log(day, *(event(time=f"{day}T10:00:00", itemInSession=item) for item in items))
        case "log gone":
            (world.folder / f"log_data/{what[:4]}/{what[5:7]}/{what}-events.json").unlink(missing_ok=True)
        case "song":
            name, song_id, matches = what
            world.write_songs(f"{name}.json", song(song_id=song_id, **({} if matches else {"title": "Another"})))
        case "song gone":
            (world.folder / f"song_data/{what}.json").unlink(missing_ok=True)
        case "table dropped":
            world.execute(f"DROP TABLE IF EXISTS {what}")
        case "backup":
            shutil.copy(world.warehouse_file, backup)
        case "restored":
            # By a new file, as a backup is restored: the process sees that it is another one.
            world.warehouse_file.unlink()
            shutil.copy(backup, world.warehouse_file)
        case "edited":
            patch.undo()
            edit(patch, what)
