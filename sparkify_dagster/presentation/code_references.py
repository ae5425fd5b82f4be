"""Links from an asset's page to its code: the asset function and, for star and analytics tables, the SELECT.

Dagster marks this API as beta; no other module uses it.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path

import dagster as dg

from sparkify_dagster.analytics.query import all_queries, broken_queries
from sparkify_dagster.schema import sql_files

_REPOSITORY = Path(__file__).parents[2]
_KEY = "dagster/code_references"


def with_code_links(assets: Iterable[dg.AssetsDefinition], code_url: str | None) -> list[dg.AssetsDefinition]:
    """Adds links to the repository at `code_url`, or to the files on this machine if there is no URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return [
            asset.map_asset_specs(lambda spec: _with_links(spec, code_url))
            for asset in dg.with_source_code_references(list(assets))
            if isinstance(asset, dg.AssetsDefinition)
        ]


def _with_links(spec: dg.AssetSpec, code_url: str | None) -> dg.AssetSpec:
    select = _select_file(spec.key.path[-1])
    links = list(spec.metadata[_KEY].code_references)
    if select:
        links.append(dg.LocalFileCodeReference(file_path=str(select), label=select.name))
    if code_url:
        links = [_url_reference(link, code_url.rstrip("/")) for link in links]
    return spec.merge_attributes(metadata={_KEY: dg.CodeReferencesMetadataValue(code_references=links)})


def _select_file(table: str) -> Path | None:
    query = all_queries().get(table) or broken_queries().get(table)
    return query.path if query else sql_files.sql_path(table)


def _url_reference(link: dg.LocalFileCodeReference, code_url: str) -> dg.UrlCodeReference | dg.LocalFileCodeReference:
    file = Path(link.file_path)
    if not file.is_relative_to(_REPOSITORY):
        # A team's folder may be elsewhere.
        return link
    path = file.relative_to(_REPOSITORY).as_posix()
    line = f"#L{link.line_number}" if link.line_number else ""
    return dg.UrlCodeReference(url=f"{code_url}/{path}{line}", label=link.label or Path(path).name)
