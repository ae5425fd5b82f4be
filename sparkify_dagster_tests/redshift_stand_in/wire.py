"""Messages of the PostgreSQL wire protocol, version 3: one byte for the kind, four for the length, the rest."""

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

SSL_REQUEST = 80877103
CANCEL_REQUEST = 80877102
GSS_REQUEST = 80877104
PROTOCOL_3_0 = 196608


class Closed(Exception):
    """The other side is gone."""


@dataclass(frozen=True)
class Message:
    kind: bytes
    content: bytes

    @property
    def encoded(self) -> bytes:
        return self.kind + struct.pack("!i", len(self.content) + 4) + self.content

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields of an error or a notice."""
        parts = (part for part in self.content.split(b"\0") if part)
        return {chr(part[0]): part[1:].decode("utf-8", "replace") for part in parts}

    @property
    def row(self) -> Sequence[str | None]:
        """The values of a row, which the simple protocol gives as text."""
        values: list[str | None] = []
        place = 2
        for _ in range(struct.unpack_from("!h", self.content)[0]):
            (length,) = struct.unpack_from("!i", self.content, place)
            place += 4
            values.append(None if length < 0 else self.content[place : place + length].decode())
            place += max(length, 0)
        return values


class Channel:
    """A socket that speaks in messages."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._read_ahead = bytearray()

    def send(self, *messages: Message) -> None:
        self.send_bytes(b"".join(message.encoded for message in messages))

    def send_bytes(self, content: bytes) -> None:
        try:
            self.socket.sendall(content)
        except OSError as error:
            raise Closed from error

    def receive(self) -> Message:
        kind = self._read(1)
        return Message(kind, self._read(struct.unpack("!i", self._read(4))[0] - 4))

    def until_ready(self) -> Iterator[Message]:
        """All messages up to and with the one that says that a next query may come."""
        while True:
            message = self.receive()
            yield message
            if message.kind == b"Z":
                return

    def receive_startup(self) -> tuple[int, bytes]:
        """A first message has no kind, but a code."""
        length, code = struct.unpack("!ii", self._read(8))
        return code, self._read(length - 8)

    def close(self) -> None:
        # Another thread may wait in recv, which close alone does not wake.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _read(self, length: int) -> bytes:
        while len(self._read_ahead) < length:
            try:
                received = self.socket.recv(1 << 16)
            except OSError as error:
                raise Closed from error
            if not received:
                raise Closed
            self._read_ahead += received
        result = bytes(self._read_ahead[:length])
        del self._read_ahead[:length]
        return result


def query(sql: str) -> Message:
    return Message(b"Q", sql.encode() + b"\0")


def error(sqlstate: str, message: str, severity: str = "ERROR") -> Message:
    return _report(b"E", severity, sqlstate, message)


def info(message: str) -> Message:
    return _report(b"N", "INFO", "00000", message)


def complete(tag: str) -> Message:
    return Message(b"C", tag.encode() + b"\0")


def startup(parameters: Mapping[str, str]) -> bytes:
    content = struct.pack("!i", PROTOCOL_3_0)
    content += b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return struct.pack("!i", len(content) + 4) + content


def startup_parameters(content: bytes) -> Mapping[str, str]:
    words = content.decode().split("\0")
    return {name: value for name, value in zip(words[::2], words[1::2], strict=False) if name}


def _report(kind: bytes, severity: str, sqlstate: str, message: str) -> Message:
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": message}
    return Message(kind, b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0")
