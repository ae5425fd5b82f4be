"""Rules for the keys of a source's objects, which hold for logs and songs."""


def is_hidden(key: str) -> bool:
    """Returns whether the key is a dot-file, or in a dot-folder. `.` and `..`, which S3 allows, do not count."""
    return any(part.startswith(".") and part not in (".", "..") for part in key.split("/"))


def is_folder_marker(key: str) -> bool:
    """Returns whether the key is a folder marker, as S3 consoles and Spark write it."""
    return key.endswith("/")


def has_no_text(key: str) -> bool:
    """Returns whether no warehouse can store the key: Python reads bytes that are not UTF-8 as surrogates."""
    return "\0" in key or (not key.isascii() and any("\ud800" <= character <= "\udfff" for character in key))


def printable(key: str) -> str:
    """Returns the key with everything escaped that is not printable text."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in key
    )
