"""The floor under `sparkify etl` with nothing to do: it imports the definitions, opens what that opens, and lists."""

from sparkify_dagster.cli.etl import persisted_instance
from sparkify_dagster.definitions import defs


def main() -> None:
    resources = defs.resources or {}
    with persisted_instance(), resources["warehouse"].connect("a benchmark"):
        resources["source"].list_log_files()
        resources["source"].list_song_files()


if __name__ == "__main__":
    main()
