"""Rules for the keys of a source's objects, of whatever kind they are."""


def is_hidden(key: str) -> bool:
    """Returns whether the key is a dot-file's, or lies under a dot-folder. `.` and `..`, which S3 allows, are none."""
    return any(part.startswith(".") and part not in (".", "..") for part in key.split("/"))


def is_folder_marker(key: str) -> bool:
    """Returns whether the key is one that S3 consoles and Spark write for a folder."""
    return key.endswith("/")


def has_no_text(key: str) -> bool:
    """Returns whether no warehouse can hold the key: Python reads bytes that are not UTF-8 as surrogates."""
    return "\0" in key or (not key.isascii() and any("\ud800" <= character <= "\udfff" for character in key))


def printable(key: str) -> str:
    """The key with everything escaped that is not text on one line."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in key
    )
