"""A Kerberos ticket of nobody, with which libpq asks a server for encryption by GSSAPI before anything else."""

import struct
import time
from pathlib import Path

REALM = b"EXAMPLE.COM"
_FILE_VERSION = b"\x05\x04"
_NAME_TYPE, _AES256, _FORWARDABLE = 1, 18, 0x40000000


def write_ticket(file: Path) -> None:
    """Writes a credential cache as `kinit` leaves one; the ticket is valid for a day, as far as its holder can see."""
    user = _principal(b"loader")
    now = int(time.time())
    day = 86_400
    ticket = b"".join(
        [
            user,
            _principal(b"krbtgt", REALM),
            struct.pack(">H", _AES256) + _data(bytes(32)),
            struct.pack(">IIII", now, now, now + day, now + day),
            struct.pack(">?I", False, _FORWARDABLE),
            # No addresses and no authorization data.
            struct.pack(">II", 0, 0),
            _data(b"ticket") + _data(b""),
        ]
    )
    no_header = struct.pack(">H", 0)
    file.write_bytes(_FILE_VERSION + no_header + user + ticket)


def _principal(*parts: bytes) -> bytes:
    return struct.pack(">II", _NAME_TYPE, len(parts)) + b"".join(map(_data, (REALM, *parts)))


def _data(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content
