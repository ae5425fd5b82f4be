"""Reads `dwh.cfg`, and remembers the line of each key for what errors say."""

import configparser
import re
from dataclasses import dataclass, field

from sparkify_dagster.settings_keys import SettingsError


@dataclass(frozen=True)
class ConfigFile:
    """The values and line numbers of `dwh.cfg`, by section and key in small letters."""

    shown_path: str
    values: dict[tuple[str, str], str] = field(default_factory=dict)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)


def parse_config_file(shown_path: str, text: str) -> ConfigFile:
    parser = configparser.RawConfigParser(default_section="")
    try:
        # In capitals, so that [s3] is [S3], and both in one file are a section that is there twice.
        parser.read_string(re.sub(r"(?m)^\s*\[.+\]", lambda header: header[0].upper(), text))
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as error:
        raise SettingsError(f"{shown_path}, line {error.lineno}: a section or key is there twice") from None
    except configparser.ParsingError as error:
        # configparser's own text repeats the line, which may hold a secret.
        line = getattr(error, "lineno", None) or error.errors[0][0]
        raise SettingsError(f"{shown_path}, line {line}: is neither [SECTION] nor KEY = value") from None
    file = ConfigFile(shown_path)
    for section in parser.sections():
        for option, value in parser.items(section):
            file.values[place(section, option)] = re.sub(r"""^(['"])(.*)\1$""", r"\2", value, flags=re.DOTALL)
    section = ""
    for number, line_text in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[(.+)\]", line_text):
            section = header[1]
        elif option_text := re.match(r"\s*([^=:#;\s][^=:]*)[=:]", line_text):
            file.lines.setdefault(place(section, option_text[1]), number)
    return file


def place(section: str, option: str) -> tuple[str, str]:
    return section.strip().lower(), option.strip().lower()
