"""Components of `dg`: the queries of a team, which need no Python."""

import re
from typing import Any

import dagster as dg

from sparkify_dagster.analytics.query_folders import QueryFolderAttributes
from sparkify_dagster.schema import sql_files

_EXAMPLE = sql_files.FOLDER / "examples" / "query_of_a_team.sql"


class QueriesScaffolder(dg.Scaffolder[Any]):
    """Writes a folder with a defs.yaml, of which the folder's name is the group and the owner, and an example query."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        team = re.sub("[^a-z0-9_]", "_", request.target_path.name.lower())
        dg.scaffold_component(request, {"folder": ".", "group": team, "owners": [f"team:{team}"]})
        example = request.target_path / f"{team}_example.sql"
        example.write_text(_EXAMPLE.read_text("utf-8"), "utf-8")


@dg.scaffold_with(QueriesScaffolder)
class Queries(QueryFolderAttributes, dg.Component, dg.Resolvable):
    """A folder of SQL files with a team's queries: each is an asset, and part of all jobs, checks and commands."""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns nothing: all queries are refreshed in one step, so assets/analytics.py defines them."""
        return dg.Definitions()
