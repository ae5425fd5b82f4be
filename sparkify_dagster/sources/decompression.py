"""Decompresses gzip content within a limit. Content is gzip if it begins with gzip's magic bytes, whatever its name."""

import io
import zlib

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
    """Returns all members of gzip content, decompressed. Raises DecompressionError before the limit is exceeded."""
    inflated = io.BytesIO()
    remaining = content
    try:
        while remaining:
            member = zlib.decompressobj(_GZIP)
            while not member.eof:
                piece = member.decompress(remaining, min(_PIECE_BYTES, max_bytes + 1 - inflated.tell()))
                remaining = member.unconsumed_tail
                if not piece and not remaining and not member.eof:
                    raise DecompressionError("ends before its end-of-stream marker")
                inflated.write(piece)
                if inflated.tell() > max_bytes:
                    raise DecompressionError(
                        f"inflates to more than {max_bytes:,} bytes, the limit of SPARKIFY_MAX_INFLATED_BYTES"
                    )
            # Zero bytes may pad a member, as gzip itself allows.
            remaining = member.unused_data.lstrip(b"\x00")
    except zlib.error as error:
        raise DecompressionError(str(error)) from error
    return inflated.getvalue()
