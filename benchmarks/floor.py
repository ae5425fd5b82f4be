"""Dagster's own price: the project's assets, checks and days with empty bodies, on a persisted instance."""

import sys
from collections.abc import Iterator
from datetime import date

import dagster as dg

from sparkify_dagster.automation.jobs import LOG_DAY_ASSETS, RESULTS, SONG_ASSETS
from sparkify_dagster.definitions import defs
from sparkify_dagster.partitions import range_tags


def empty_asset(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    @dg.multi_asset(specs=list(asset.specs), name=asset.node_def.name, partitions_def=asset.partitions_def)
    def empty(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        for spec in asset.specs:
            yield dg.MaterializeResult(asset_key=spec.key)

    return empty.with_attributes(backfill_policy=dg.BackfillPolicy.single_run())


def empty_check(check: dg.AssetChecksDefinition) -> dg.AssetChecksDefinition:
    specs = list(check.check_specs)

    @dg.multi_asset_check(name=check.node_def.name, specs=specs)
    def empty() -> Iterator[dg.AssetCheckResult]:
        for spec in specs:
            yield dg.AssetCheckResult(passed=True, asset_key=spec.asset_key, check_name=spec.name)

    return empty


def main(first_day: str, last_day: str) -> None:
    specs = [node for node in defs.assets or [] if isinstance(node, dg.AssetSpec)]
    assets = [empty_asset(node) for node in defs.assets or [] if isinstance(node, dg.AssetsDefinition)]
    checks = [empty_check(check) for check in defs.asset_checks or [] if isinstance(check, dg.AssetChecksDefinition)]
    empty = dg.Definitions(
        assets=[*specs, *assets],
        asset_checks=checks,
        jobs=[
            dg.define_asset_job("load_all", selection=dg.AssetSelection.assets(*LOG_DAY_ASSETS, *SONG_ASSETS, *RESULTS))
        ],
        executor=dg.in_process_executor,
    )
    with dg.DagsterInstance.from_config(".") as instance:
        # The one run of `sparkify etl`.
        result = empty.resolve_job_def("load_all").execute_in_process(
            instance=instance,
            tags=range_tags(date.fromisoformat(first_day), date.fromisoformat(last_day)),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        assert result.success


if __name__ == "__main__":
    main(*sys.argv[1:])
