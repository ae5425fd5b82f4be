"""Ports for servers that have to be given one before they start."""

import errno
import secrets
import socket
from contextlib import ExitStack

# Below those that Linux and macOS give to clients and to servers that ask for any: between the choice and the start of
# a server, nothing else on a busy machine takes one of these.
_PORTS = range(20_000, 32_768)


def free_ports(number: int) -> list[int]:
    """Returns different ports of loopback that are free at the moment."""
    found: list[int] = []
    with ExitStack() as listening:
        while len(found) < number:
            # Not a generator of numbers that a test has seeded, as each process might.
            port = secrets.choice(_PORTS)
            try:
                listening.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                found.append(port)
    return found
