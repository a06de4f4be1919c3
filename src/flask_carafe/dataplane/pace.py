"""How fast a client takes what is sent to it: Granian takes any amount at once, so the socket itself is asked.

What the kernel holds for the client is what it has not acknowledged (``SIOCOUTQ``). Where that cannot be told, a stream has
a limit in bytes instead, so that a client that does not read can fill no memory.
"""

from __future__ import annotations

import asyncio
import os
import socket
from ipaddress import ip_address
from struct import unpack
from time import monotonic

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ as SIOCOUTQ  # one number for both: "man 7 tcp"
except ImportError:  # pragma: no cover - not a system that this runs on
    ioctl = None  # type: ignore[assignment]

FREE_BYTES = 64 << 10  # so much is sent before we look
MOST_QUEUED = 256 << 10  # bytes that the kernel may hold for a client
MOST_UNSEEN = 64 << 20  # bytes of one stream where we cannot look
PATIENCE_S = 30.0  # that a client may read nothing while its stream waits for it
NAP_S, LONGEST_NAP_S = 0.002, 0.05


class SlowClient(Exception):
    """A client took nothing for long, or was sent all that may be sent to one of whom we cannot see that it reads."""


class Pace:
    """Lets a sender wait until its client has room.

    :param client: address and port, as an RSGI scope has them.
    """

    def __init__(self, client: str) -> None:
        self.client, self.sent = client, 0
        self.connection: socket.socket | None = None
        self.has_looked = False

    async def sent_bytes(self, size: int) -> None:
        """``size`` bytes were handed over; return when more may be.

        :raises SlowClient: it does not read, or that cannot be seen and it was sent very much.
        """
        self.sent += size
        if self.sent < FREE_BYTES:
            return
        if not self.has_looked:
            self.has_looked = True
            self.connection = await asyncio.to_thread(connection_to, self.client)
        if self.connection is None:
            if self.sent > MOST_UNSEEN:
                raise SlowClient
            return
        nap, least, moved_at = NAP_S, self.sent, monotonic()
        while (queued := queued_bytes(self.connection)) > MOST_QUEUED:
            if queued < least:
                least, moved_at = queued, monotonic()
            elif monotonic() - moved_at > PATIENCE_S:
                raise SlowClient
            await asyncio.sleep(nap)
            nap = min(2 * nap, LONGEST_NAP_S)

    def close(self) -> None:
        """Let go of the connection."""
        if self.connection is not None:
            self.connection.close()


def queued_bytes(connection: socket.socket) -> int:
    """Bytes sent on ``connection`` that its peer has not acknowledged."""
    try:
        return int(unpack("i", ioctl(connection.fileno(), SIOCOUTQ, b"\0\0\0\0"))[0])
    except OSError:  # it is closed
        return 0


def connection_to(client: str) -> socket.socket | None:
    """This process's TCP connection to ``client``, as a descriptor of its own; None where it cannot be found."""
    host, _, port = client.rpartition(":")
    try:
        wanted, descriptors = (ip_address(host.strip("[]")), int(port)), [int(name) for name in os.listdir("/proc/self/fd")]
    except (OSError, ValueError):
        return None
    for descriptor in descriptors:
        found = _socket(descriptor)
        if found is not None:
            if _peer(found) == wanted:
                return found
            found.close()
    return None


def _socket(descriptor: int) -> socket.socket | None:
    try:
        copy = os.dup(descriptor)
    except OSError:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def _peer(found: socket.socket) -> tuple[object, int] | None:
    try:
        return (ip_address(found.getpeername()[0]), int(found.getpeername()[1])) if found.family in (socket.AF_INET, socket.AF_INET6) else None
    except (OSError, ValueError):
        return None
