"""The wire under a channel: one Unix (or TCP) connection to a host, on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol, cast

from ..errors import HostFault
from ..hosting.frames import CONTROL, HEADER, REPLY, Header, pack_control, read_header
from .channel import Channel
from .lane import Lane

MOST_ANSWER_BYTES = 256 << 20
GREETING_S = 5.0  # beyond the hang limit


class Carrier(Protocol):
    """What a connection carries the frames of: a :class:`Channel`, or a stream."""

    def send(self, now: float) -> bytes | None: ...

    def answer(self, header: Header, body: bytes, now: float) -> None: ...

    def lost(self) -> None: ...


class Connection(asyncio.Protocol):
    """Speaks hello, then carries the frames of one :class:`Channel`.

    :param on_end: called once, with this connection and whether its host hung, when it is of no more use.
    """

    def __init__(self, lane: Lane, host_id: str, token: str, on_end: Callable[[Connection, bool], None]) -> None:
        self.lane, self.host_id, self.token, self.on_end = lane, host_id, token, on_end
        self.channel: Carrier | None = None
        self.buffer = bytearray()
        self.scheduled = False
        self.ended = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)  # uvloop has transports of its own kind
        if self.ended:  # it was given up while it was being made
            made.abort()
            return
        self.transport = made
        self.loop = asyncio.get_running_loop()
        hello = {"op": "hello", "role": "channel", "token": self.token, "protocol": 1}
        self.transport.write(pack_control(hello, 1, CONTROL))
        if self.channel is None:
            self.loop.call_later(self.lane.hang_limit_s + GREETING_S, self._give_up)

    def _give_up(self) -> None:
        """A host that is at work greets when it is done; one that never does is left, and tried again."""
        if self.channel is None and not self.ended:
            self.close()

    def wake(self) -> None:
        """Something waits: send it at the end of this turn of the loop, together with all else that came in it."""
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.pump)

    def pump(self) -> None:
        """Write the next frame, if there is one and none is under way."""
        self.scheduled = False
        if self.channel is not None:
            frame = self.channel.send(monotonic())
            if frame is not None and self.transport is not None:
                self.transport.write(frame)

    def data_received(self, data: bytes) -> None:
        try:
            self._received(data)
        except HostFault:
            self.close()

    def _received(self, data: bytes) -> None:
        if self.buffer:
            self.buffer += data
            data = bytes(self.buffer) if self._has_frame() else b""
        while len(data) >= HEADER.size:
            header = read_header(data, MOST_ANSWER_BYTES)
            end = HEADER.size + header.size
            if len(data) < end:
                break
            body, data = data[HEADER.size : end], data[end:]
            self.buffer.clear()
            if self.channel is None:
                self._greeted(header.kind)
            else:
                self.channel.answer(header, body, monotonic())
                self.pump()
        if data:
            self.buffer[:] = data

    def _has_frame(self) -> bool:
        buffer = self.buffer
        return len(buffer) >= HEADER.size and len(buffer) >= HEADER.size + read_header(buffer, MOST_ANSWER_BYTES).size

    def _greeted(self, kind: int) -> None:
        if kind != REPLY:
            raise HostFault("The host did not answer the greeting.")
        channel = self.channel = Channel(self.lane, self.host_id)
        channel.wake = self.wake
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(hung=False)

    def hung(self) -> None:
        """The channel ended at its hang limit."""
        self._end(hung=True)
        if self.transport is not None:
            self.transport.abort()

    def never_made(self) -> None:
        """There was nobody at the other end."""
        self._end(hung=False)

    def leave(self) -> None:
        """Close as soon as the frame under way has been answered; take no more."""
        if isinstance(self.channel, Channel) and self.channel.sent:
            self.channel.retire(self.close)
        else:
            self.close()

    def close(self) -> None:
        """Leave at once; what is under way gets :class:`~flask_carafe.errors.HostLost`."""
        self._end(hung=False)
        if self.transport is not None:
            self.transport.abort()

    def _end(self, hung: bool) -> None:
        if self.channel is not None:
            self.channel.lost()
        if not self.ended:
            self.ended = True
            self.on_end(self, hung)
