"""The steps of `sparkify etl` without days, in this process, so that a test can stop after each of them.

The command itself is tested in cli/test_commands.py; here Dagster's runs are left out, at a tenth of the price.
"""

from collections.abc import Iterator, Sequence
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
            for number, _ in enumerate(self._steps(one_by_one=steps is not None)):
                if number == steps:
                    return

    def _steps(self, *, one_by_one: bool) -> Iterator[None]:
        """Does one step, and pauses before the next; or all steps of a run at once, at half the price."""

        def split(assets: Sequence[str]) -> list[Sequence[str]]:
            return [[asset] for asset in assets] if one_by_one else [assets]

        world, stale = self.world, self.stale()
        yield
        blocks = [(str(first), str(last)) for first, last in contiguous_blocks(stale.days, MAX_GAP_DAYS)]
        for block in blocks:
            for steps in split(LOG_DAY_ASSETS):
                world.load(*block, steps=steps)
                yield
        if stale.songs:
            for steps in split(SONG_ASSETS):
                world.load(steps=steps)
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
