"""Reads `dwh.cfg` and keeps the line number of each key for error messages."""

import configparser
import re
from dataclasses import dataclass, field

from sparkify_dagster.config.keys import SettingsError


@dataclass(frozen=True)
class ConfigFile:
    """Values and line numbers of `dwh.cfg`, by section and key in lower case."""

    shown_path: str
    values: dict[tuple[str, str], str] = field(default_factory=dict)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)
    quoted: set[tuple[str, str]] = field(default_factory=set)
    """Keys whose value stands in quotes as a whole, so that nothing in it can be a comment."""
    sections: dict[str, int] = field(default_factory=dict)
    """The line of each section."""

    def place_of(self, line: int | None) -> str:
        """Returns the file, with the line number if it is known, for messages."""
        return f"{self.shown_path}, line {line}" if line else self.shown_path


def parse_config_file(shown_path: str, text: str) -> ConfigFile:
    parser = configparser.RawConfigParser(default_section="")
    try:
        # In capitals, so that [s3] is [S3], and both in one file are a duplicate section.
        parser.read_string(re.sub(r"(?m)^\s*\[.+\]", lambda header: header[0].upper(), text))
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as error:
        raise SettingsError(f"{shown_path}, line {error.lineno}: a section or key is there twice") from None
    except configparser.ParsingError as error:
        # configparser's own message repeats the line, which may hold a secret.
        line = getattr(error, "lineno", None) or error.errors[0][0]
        raise SettingsError(f"{shown_path}, line {line}: is neither [SECTION] nor KEY = value") from None
    file = ConfigFile(shown_path)
    for section in parser.sections():
        for option, value in parser.items(section):
            # Quotes in quotes are part of the value, but not where a comment follows them: 'a' # as in 'b'.
            in_quotes = re.fullmatch(r"""(['"])((?!.*\1\s+[#;]).*)\1""", value, flags=re.DOTALL)
            file.values[place(section, option)] = in_quotes[2] if in_quotes else value
            if in_quotes:
                file.quoted.add(place(section, option))
    section = ""
    for number, line_text in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[(.+)\]", line_text):
            section = header[1]
            file.sections.setdefault(section.strip().lower(), number)
        elif option_text := re.match(r"\s*([^=:#;\s][^=:]*)[=:]", line_text):
            file.lines.setdefault(place(section, option_text[1]), number)
    return file


def place(section: str, option: str) -> tuple[str, str]:
    return section.strip().lower(), option.strip().lower()
