"""Unknown names of environment variables and in `dwh.cfg`: misspelled settings are errors, others are reported."""

from collections.abc import Iterable, Mapping

from sparkify_dagster.config.dwh_cfg import ConfigFile
from sparkify_dagster.config.keys import KEYS, OTHER_VARIABLES, SettingsError

_PREFIX = "SPARKIFY_"
_MAX_EDITS = 2
# Two edits turn any name of three letters into another: [DWH], of the original course, would be close to [AWS].
_MIN_EDITED_SECTION_LENGTH = 4

_VARIABLES = sorted({name for key in KEYS for name in key.env if name.startswith(_PREFIX)})
_OPTIONS = [(section, option) for key in KEYS for section, option in key.cfg_names]
_SECTIONS = list(dict.fromkeys(section for section, _ in _OPTIONS))


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Returns the SPARKIFY_ variables that no setting reads. Raises SettingsError for one that resembles a known one.

    Others may be legitimate: for a service named sparkify, Kubernetes adds SPARKIFY_SERVICE_HOST,
    SPARKIFY_PORT_80_TCP and more.
    """
    known = {*_VARIABLES, *OTHER_VARIABLES}
    unknown = sorted(name for name in environ if name not in known and name.upper().startswith(_PREFIX[:-1]))
    for name in unknown:
        if meant := _closest(name, _VARIABLES):
            raise SettingsError(f"{name}: there is no such setting; write {meant} (environment variable)")
    return [name for name in unknown if name.startswith(_PREFIX)]


def unknown_options(file: ConfigFile) -> list[tuple[str, int | None]]:
    """Returns the sections and keys that no setting reads, with their lines.

    Raises SettingsError for one that resembles a known one.
    """
    unknown: list[tuple[str, int | None]] = []
    for section, section_line in file.sections.items():
        if section.upper() not in _SECTIONS:
            long_enough = [known for known in _SECTIONS if len(known) >= _MIN_EDITED_SECTION_LENGTH]
            if meant := _closest(section.upper(), long_enough) or _equal(section.upper(), _SECTIONS):
                raise SettingsError(
                    f"[{section.upper()}]: there is no such section; write [{meant}] ({file.place_of(section_line)})"
                )
            unknown.append((f"[{section.upper()}]", section_line))
    for place in file.values:
        section, option = place[0].upper(), place[1].upper()
        known_options = [known for known_section, known in _OPTIONS if known_section == section]
        if not known_options or option in known_options:
            continue
        line = file.lines.get(place)
        # The cluster's own settings are called DB_..., a prefix that people leave out.
        if meant := _equal(option, known_options, "DB_") or _closest(option, known_options):
            raise SettingsError(
                f"[{section}] {option}: there is no such setting; write {meant} ({file.place_of(line)})"
            )
        unknown.append((f"[{section}] {option}", line))
    return unknown


def _closest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that is equal up to case and underscores, or else the closest one within two edits."""
    if equal := _equal(name, known):
        return equal
    edits = {other: _edits(name, other) for other in known if abs(len(other) - len(name)) <= _MAX_EDITS}
    closest = min(edits, key=lambda other: edits[other], default=None)
    return closest if closest is not None and edits[closest] <= _MAX_EDITS else None


def _equal(name: str, known: Iterable[str], prefix: str = "") -> str | None:
    return next((other for other in known if _bare(other.removeprefix(prefix)) == _bare(name)), None)


def _bare(name: str) -> str:
    return name.replace("_", "").upper()


def _edits(one: str, other: str) -> int:
    """Returns the number of letters to insert, delete or replace (Levenshtein distance)."""
    distances = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        previous, distances[0] = distances[0], row
        for column, other_letter in enumerate(other, start=1):
            previous, distances[column] = (
                distances[column],
                min(distances[column] + 1, distances[column - 1] + 1, previous + (letter != other_letter)),
            )
    return distances[-1]
