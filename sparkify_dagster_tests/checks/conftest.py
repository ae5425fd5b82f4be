"""Runs single checks, as the UI's "Execute" does, on tables that a test has tampered with."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sparkify_dagster.analytics.comparison import MATCHES_EXPECTED
from sparkify_dagster.analytics.expected import ExpectedResults
from sparkify_dagster.definitions import defs
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.partitions import range_tags
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.outcome import Outcome, asset_key
from sparkify_dagster_tests.support.run_history import emptied_history
from sparkify_dagster_tests.support.world import World, thrown_away

DAYS = ("2018-11-01", "2018-11-03")


@dataclass
class Tables:
    """A loaded warehouse, to be tampered with and checked."""

    world: World

    def tamper(self, sql: str) -> None:
        """Changes rows behind the pipeline's back. Fails if no row is changed, since the test would prove nothing."""
        with self.world.warehouse.connect("a test") as engine, engine.begin() as connection:
            changed = connection.exec_driver_sql(sql).rowcount
        assert changed > 0, sql

    def allow_missing(self, table: str, column: str) -> None:
        self.world.execute(f"ALTER TABLE {table} ALTER {column} DROP NOT NULL")

    def check(
        self, asset: str, name: str, first_day: str | None = None, last_day: str | None = None, **limits: Any
    ) -> dg.AssetCheckEvaluation:
        """Runs one check, for the given days or for all."""
        return self.checks((asset, name), first_day=first_day, last_day=last_day, **limits).evaluations[asset, name]

    def checks(
        self, *names: tuple[str, str], first_day: str | None = None, last_day: str | None = None, **limits: Any
    ) -> Outcome:
        """Runs the named checks, or all checks."""
        keys = [dg.AssetCheckKey(asset_key(asset), name) for asset, name in names or ALL]
        tags = None
        if first_day is not None:
            tags = range_tags(date.fromisoformat(first_day), date.fromisoformat(last_day or first_day))
        job = defs.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection=set(), asset_check_selection=set(keys)
        )
        result = job.execute_in_process(
            resources={
                "source": self.world.source,
                "warehouse": self.world.warehouse,
                "limits": Limits(**limits),
                "expected": ExpectedResults(location=str(self.world.folder / "expected")),
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags=tags,
            instance=emptied_history(),
            raise_on_error=False,
        )
        return Outcome(result)


def _all_checks() -> Iterator[tuple[str, str]]:
    for key in sorted(defs.resolve_asset_graph().asset_check_keys):
        # The queries' checks have their own tests; the fixture does not materialize the queries.
        if key.name != MATCHES_EXPECTED:
            yield key.asset_key.to_user_string(), key.name


ALL = tuple(_all_checks())


def numbers(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    """Returns the metadata without tables."""
    return {
        name: value.value for name, value in evaluation.metadata.items() if not isinstance(value, dg.TableMetadataValue)
    }


def rows(evaluation: dg.AssetCheckEvaluation, name: str) -> list[dict[str, Any]]:
    table = evaluation.metadata[name]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with thrown_away(World(tmp_path)) as world:
        yield write_three_days(world)


def write_three_days(world: World) -> World:
    """Three days and two songs: valid lines, an error, a duplicate, plays with and without a match."""
    world.write_log(
        "2018-11-01",
        event(),
        event(),
        event(itemInSession=2, song="Not in the catalogue", time="2018-11-01T11:00:00"),
        event(itemInSession=3, page="Home", song=None, artist=None, length=None, time="2018-11-01T12:00:00"),
        "not JSON",
    )
    world.write_log("2018-11-02", event(userId="9", sessionId=140, time="2018-11-02T10:00:00"))
    world.write_log("2018-11-03", event(userId="", page="Login", song=None, artist=None, time="2018-11-03T10:00:00"))
    world.write_songs("A/A/A/TRAAA.json", song())
    world.write_songs(
        "A/A/B/TRAAB.json",
        song(song_id="SOOTHER", title="Another", artist_id="AROTHER", artist_name="Another"),
        song(song_id=None),
    )
    return world


@pytest.fixture(scope="session")
def loaded_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of such a world, with its days loaded, to be copied."""
    world = write_three_days(World(tmp_path_factory.mktemp("loaded"), marts=True))
    world.load(*DAYS)
    return world.folder


@pytest.fixture
def tables(loaded_days: Path, tmp_path: Path) -> Iterator[Tables]:
    with thrown_away(World(shutil.copytree(loaded_days, tmp_path / "loaded"))) as world:
        yield Tables(world)


@pytest.fixture(scope="session", params=[(None, None), DAYS], ids=["without days", "with days"])
def checked(request: pytest.FixtureRequest, loaded_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Every check of the loaded days, run at once: without days, and for all days."""
    folder = shutil.copytree(loaded_days, tmp_path_factory.mktemp("checked") / "loaded")
    first_day, last_day = request.param
    return Tables(World(folder)).checks(first_day=first_day, last_day=last_day)
