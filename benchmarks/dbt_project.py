"""The star as a dbt project, with the SELECTs of the folder sql/, and an environment of its own to run it."""

import json
import os
import re
import shutil
import subprocess
import venv
from datetime import date
from importlib.metadata import version
from pathlib import Path

import tuned

DATABASE = "dbt.duckdb"
# Later ones download at their installation. DuckDB is the one that the others have.
PINNED = ("dbt-core==1.10.23", "dbt-duckdb==1.10.1", f"duckdb=={version('duckdb')}")
# dbt would put the target's schema before that of a model.
_SCHEMA_MACRO = """
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
"""


class NotInstalledError(Exception):
    """dbt cannot be installed here; the message is the last line of pip's."""


def installed(folder: Path) -> str:
    """Returns the path of dbt in a virtual environment in the folder, which is made if it is missing.

    Raises NotInstalledError.
    """
    environment, marker = folder / "dbt-environment", folder / "dbt-environment" / "installed.json"
    if not marker.exists() or json.loads(marker.read_text("utf-8")) != list(PINNED):
        shutil.rmtree(environment, ignore_errors=True)
        venv.create(environment, with_pip=True)
        pip = [str(environment / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *PINNED]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            raise NotInstalledError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
        marker.write_text(json.dumps(PINNED), "utf-8")
    return str(environment / "bin" / "dbt")


def write_project(folder: Path, source: Path, first_day: date, last_day: date) -> None:
    """Writes a project whose models are staging and the five tables of the star, and the profile that it needs."""
    models = {
        "staging/staging_events": tuned.read_events(f"{source}/log_data/**/*-events.json"),
        "staging/staging_songs": tuned.read_songs(f"{source}/song_data/**/*.json"),
        "star/touched_users": tuned.TOUCHED_USERS,
        **{file: tuned.select(file, first_day, last_day) for file in (*tuned.VIEWS, *tuned.STAR)},
    }
    names = [file.rpartition("/")[2] for file in models]
    for file, sql in models.items():
        path = folder / "models" / f"{file}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        # A SELECT stays verbatim: comments say to dbt what it reads.
        reads = [f"-- depends_on: {{{{ ref('{name}') }}}}\n" for name in names if _reads(sql, name)]
        path.write_text("".join(reads) + sql, "utf-8")
    (folder / "macros").mkdir()
    (folder / "macros" / "schema.sql").write_text(_SCHEMA_MACRO, "utf-8")
    project = {
        "name": "sparkify",
        "version": "1.0",
        "profile": "sparkify",
        "flags": {"send_anonymous_usage_stats": False},
        "models": {
            "sparkify": {
                "+materialized": "table",
                "staging": {
                    "+schema": "staging",
                    **{file.rpartition("/")[2]: {"+materialized": "view"} for file in tuned.VIEWS},
                },
            }
        },
    }
    output = {
        "type": "duckdb",
        "path": DATABASE,
        "threads": len(os.sched_getaffinity(0)),
        "settings": {"preserve_insertion_order": False},
    }
    # JSON is YAML.
    (folder / "dbt_project.yml").write_text(json.dumps(project), "utf-8")
    (folder / "profiles.yml").write_text(
        json.dumps({"sparkify": {"target": "here", "outputs": {"here": output}}}), "utf-8"
    )


def _reads(sql: str, name: str) -> bool:
    return re.search(rf"\b(FROM|JOIN) (staging\.)?{name}\b", sql) is not None
