"""The Definitions object: assets, checks, jobs, schedules, sensors, resources and the executor."""

import dagster as dg

from sparkify_dagster.analytics.expected import ExpectedResults
from sparkify_dagster.analytics.query_folders import DEFS, has_other_definitions
from sparkify_dagster.assets import analytics, product, sources, staging, star
from sparkify_dagster.assets.broken_queries import broken_query_assets
from sparkify_dagster.assets.report import report_asset
from sparkify_dagster.automation import jobs
from sparkify_dagster.automation.failure_alerts import failure_alerts
from sparkify_dagster.automation.late_songs import late_songs
from sparkify_dagster.automation.log_files import log_files
from sparkify_dagster.automation.rejected_days import rejected_days
from sparkify_dagster.automation.schedules import daily_load
from sparkify_dagster.automation.song_files import song_files
from sparkify_dagster.checks.analytics_checks import check_queries
from sparkify_dagster.checks.product_checks import check_product
from sparkify_dagster.checks.staging_checks import check_staging_events, check_staging_songs
from sparkify_dagster.checks.star_checks import check_dimensions, check_songplays
from sparkify_dagster.config.run_tags import run_tags
from sparkify_dagster.config.settings import Settings
from sparkify_dagster.ingest.limits import Limits
from sparkify_dagster.partitions import WINDOW
from sparkify_dagster.presentation.code_references import with_code_links
from sparkify_dagster.presentation.links import with_links
from sparkify_dagster.report.location import ReportLocation
from sparkify_dagster.runtime.executor import watched_in_process_executor
from sparkify_dagster.sources.source import Source
from sparkify_dagster.warehouse.connect import create_warehouse

_settings = Settings.load()
# Of each run of the command line; a process with other settings does not execute it.
RUN_TAGS = run_tags(_settings)
_warehouse = create_warehouse(_settings)
_checks = [
    check_staging_events,
    check_staging_songs,
    check_songplays,
    check_dimensions,
    check_product,
    *([check_queries] if _settings.expected else []),
]
CHECK_SPECS = [spec for check in _checks for spec in check.check_specs]
_assets = [
    staging.staging_events,
    staging.staging_songs,
    star.songplays,
    star.users,
    star.songs,
    star.artists,
    star.time,
    *product.marts,
    analytics.queries,
    *broken_query_assets(),
    *([report_asset(CHECK_SPECS)] if _settings.report else []),
]

defs = dg.Definitions(
    assets=[
        sources.log_data,
        sources.log_json_path,
        sources.song_data,
        # If every asset of a run has this policy, any range of days is one run of the whole graph.
        *(
            asset.with_attributes(backfill_policy=dg.BackfillPolicy.single_run()).map_asset_specs(
                lambda spec: with_links(
                    spec.replace_attributes(kinds={*spec.kinds, _warehouse.kind}), WINDOW, jobs.load_all.name
                )
            )
            for asset in with_code_links(_assets, _settings.code_url)
        ),
    ],
    asset_checks=_checks,
    jobs=[
        jobs.load_all,
        jobs.load_songs,
        jobs.load_log_days,
        jobs.refresh_analytics,
        jobs.audit,
        jobs.maintain_warehouse,
        jobs.show_rejected_days,
    ],
    schedules=[daily_load],
    sensors=[log_files, song_files, late_songs, rejected_days, failure_alerts],
    resources={
        "source": Source(
            log_data=_settings.log_data,
            log_jsonpath=_settings.log_jsonpath,
            song_data=_settings.song_data,
            aws_endpoint_url=_settings.aws_endpoint_url,
            aws_region=_settings.aws_region,
            other_locations=[location for location in (_settings.expected, _settings.copy_staging) if location],
        ),
        "warehouse": _warehouse,
        **({"expected": ExpectedResults(location=_settings.expected)} if _settings.expected else {}),
        **({"report_location": ReportLocation(location=_settings.report)} if _settings.report else {}),
        "limits": Limits(
            max_load_errors=_settings.max_load_errors,
            max_inflated_bytes=_settings.max_inflated_bytes,
            min_match_rate=_settings.min_match_rate,
        ),
    },
    executor=watched_in_process_executor(RUN_TAGS),
)

# What `dg scaffold defs` has written, but for queries. Loading it adds a third to the time of importing this module.
if has_other_definitions():
    defs = dg.Definitions.merge(defs, dg.load_from_defs_folder(path_within_project=DEFS))
