"""The steps of `sparkify etl` without days, in this process, so that a test can stop after each of them.

The command itself is tested in cli/test_commands.py; here Dagster's runs are left out, at a tenth of the price.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg

from sparkify_dagster.analytics import refresh
from sparkify_dagster.analytics.query import all_queries
from sparkify_dagster.automation.jobs import LOG_DAY_ASSETS, RESULTS, SONG_ASSETS
from sparkify_dagster.cli.etl import MAX_GAP_DAYS
from sparkify_dagster.cli.staleness import Staleness, find_stale
from sparkify_dagster.days import contiguous_blocks
from sparkify_dagster.sources.source import Listing
from sparkify_dagster.warehouse import pending_steps
from sparkify_dagster.warehouse.pending_steps import QUERIES_BY_DAY
from sparkify_dagster_tests.support.world import World, kept_open


def seen_history() -> dg.DagsterInstance:
    """Returns a run history that knows every asset."""
    instance = dg.DagsterInstance.ephemeral()
    for name in (*LOG_DAY_ASSETS, *SONG_ASSETS, *RESULTS):
        instance.report_runless_asset_event(dg.AssetMaterialization(name))
    return instance


@dataclass
class EtlSteps:
    """The command, on a world with marts."""

    world: World
    history: dg.DagsterInstance = field(default_factory=seen_history)

    def stale(self) -> Staleness:
        listing = self.world.source.list_log_files()
        # One that is opened for each look costs more than the look.
        with kept_open(self.world):
            return self._find_stale(listing)

    def _find_stale(self, listing: Listing) -> Staleness:
        return find_stale(
            self.history,
            self.world.source,
            self.world.warehouse,
            self.world.limits,
            listing,
            expected=None,
            report=None,
        )

    def is_fresh(self) -> bool:
        stale = self.stale()
        return not (stale.days or stale.songs or stale.results or self.world.pending())

    def run(self, steps: int | None = None) -> None:
        """Does what the command does, or only so many steps of it, as a command that is killed."""
        with kept_open(self.world):
            for number, _ in enumerate(self._steps()):
                if number == steps:
                    return

    def _steps(self) -> Iterator[None]:
        """Does one step, and pauses before the next."""
        world, stale = self.world, self.stale()
        yield
        blocks = [(str(first), str(last)) for first, last in contiguous_blocks(stale.days, MAX_GAP_DAYS)]
        for block in blocks:
            for step in LOG_DAY_ASSETS:
                world.load(*block, steps=[step])
                yield
        for step in SONG_ASSETS if stale.songs else ():
            world.load(steps=[step])
            yield
        for day in world.pending():
            world.match_again(day)
            yield
        with world.warehouse.connect("a test") as engine:
            results, failed = refresh.refresh(world.warehouse, engine, list(all_queries().values()))
        assert results
        assert not failed
        yield
        # The checks, which only look.
        world.warehouse.run(
            "a test",
            lambda connection: pending_steps.remove(
                connection, [each for each in pending_steps.read(connection) if each.step != QUERIES_BY_DAY]
            ),
        )
        yield
