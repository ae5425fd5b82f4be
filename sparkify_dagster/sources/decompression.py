"""Decompresses gzip content within a limit. Content is gzip if it begins with gzip's magic bytes, whatever its name."""

import io
import zlib
from collections.abc import Iterable, Iterator

from sparkify_dagster.runtime.errors import SparkifyError

_MAGIC = b"\x1f\x8b"
# Large enough for few calls, small enough that a large file is never held twice.
_PIECE_BYTES = 16 << 20
_GZIP = zlib.MAX_WBITS | 16


class DecompressionError(SparkifyError):
    """Gzip content that is damaged, cut, or larger than allowed; the message says which."""


def is_gzip(content: bytes) -> bool:
    return content.startswith(_MAGIC)


def decompress(content: bytes, *, max_bytes: int) -> bytes:
    """Returns all members of gzip content, decompressed. Raises DecompressionError at the piece beyond the limit."""
    inflated = io.BytesIO()
    pieces = (content[start : start + _PIECE_BYTES] for start in range(0, len(content), _PIECE_BYTES))
    for piece in inflate(pieces):
        inflated.write(piece)
        if inflated.tell() > max_bytes:
            raise DecompressionError(
                f"inflates to more than {max_bytes:,} bytes, the limit of SPARKIFY_MAX_INFLATED_BYTES"
            )
    return inflated.getvalue()


def inflate(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yields all members of gzip content that comes piece by piece, decompressed. Raises DecompressionError."""
    member = zlib.decompressobj(_GZIP)
    try:
        for piece in pieces:
            remaining = piece
            while remaining:
                if member.eof:
                    # Zero bytes may pad a member, as gzip itself allows.
                    remaining = remaining.lstrip(b"\x00")
                    member = zlib.decompressobj(_GZIP) if remaining else member
                    continue
                yield member.decompress(remaining, _PIECE_BYTES)
                remaining = member.unused_data if member.eof else member.unconsumed_tail
        while not member.eof:
            inflated = member.decompress(b"", _PIECE_BYTES)
            if not inflated:
                raise DecompressionError("ends before its end-of-stream marker")
            yield inflated
    except zlib.error as error:
        raise DecompressionError(str(error)) from error
