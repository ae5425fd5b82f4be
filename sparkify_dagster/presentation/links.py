"""Links in the descriptions of assets, to the pages of the UI where a person goes on."""

from datetime import timedelta
from typing import Final
from urllib.parse import quote

import dagster as dg

from sparkify_dagster.days import Window

# The name of the code location in workspace.yaml.
LOCATION: Final = "sparkify_dagster"
# A window without an end grows, and nobody means to load years of days by a click.
LINKED_DAYS: Final = 30


def with_links(spec: dg.AssetSpec, window: Window, job: str) -> dg.AssetSpec:
    """Returns the spec with a link to the job, and for a daily asset to its dialog with days chosen and to its checks.

    Opened otherwise, the dialog of a daily asset has no day chosen and its button is disabled. The link itself opens no
    dialog, for which Dagster has no address: the page looks as before.
    """
    name = spec.key.to_user_string()
    materialize = f"[the whole pipeline](/locations/{LOCATION}/jobs/{job})"
    if spec.partitions_def is None or window.last_day is None:
        return spec.replace_attributes(description=f"{spec.description}\n\nMaterialize {materialize}.")
    first_day, chosen = window.start, "all days"
    if window.end is None:
        first_day = max(window.start, window.last_day - timedelta(days=LINKED_DAYS - 1))
        chosen = f"the last {LINKED_DAYS} days"
    days = quote(f"[{first_day}...{window.last_day}]")
    return spec.replace_attributes(
        description=f"{spec.description}\n\n"
        f"Choose [{chosen}](/assets/{name}?view=overview&default_range={days}), then **Materialize** at the top, to "
        f"build this table; or materialize {materialize}. "
        f"When a day is red, its [checks](/assets/{name}?view=checks) say why and what to do."
    )
