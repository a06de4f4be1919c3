"""The supervising side of one host: an asyncio connection that asks and gets answers by frame id.

The web workers' side is :mod:`flask_carafe.serving`; it has its own channel. This one is for the steward, ``check``
and ``predict FILE``: load, configure, the trial's predictions, status, stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from typing import Any

import msgspec

from ..errors import HostFault, HostLost
from ..signature import Rows, Signature
from ..signature.layout import columns
from .frames import ANSWER, DTYPES, HEADER, REPLY, Column, RowError, pack_control, pack_predict, read_answer, read_header
from .process import Process, peer_uid

PROTOCOL = 1
Answer = tuple[list[Column], list[RowError]]


class FrameStream:
    """Frames both ways over one connection: each request waits for the frame that carries its id."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self.name = name
        self.closed = asyncio.Event()
        self._reader, self._writer = reader, writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[Any, bytes]]] = {}
        self._task = asyncio.create_task(self._read(), name=f"carafe-frames-{name}")

    async def ask(self, message: Any, timeout_s: float) -> dict[str, Any]:
        """Send a control message; the reply as a dict.

        :raises HostLost: the other end is gone.
        :raises HostFault: no answer within ``timeout_s``, or one that cannot be read.
        """
        frame_id = next(self._ids)
        header, body = await self._exchange(frame_id, pack_control(message, frame_id), timeout_s)
        if header.kind != REPLY:
            raise HostFault(f"{self.name} answered a control message with a frame of kind {header.kind}.")
        try:
            reply = msgspec.json.decode(body)
        except (ValueError, RecursionError) as exc:
            raise HostFault(f"{self.name} sent a reply that cannot be read.") from exc
        if not isinstance(reply, dict):
            raise HostFault(f"{self.name} sent a reply that is no object.")
        return reply

    async def predict(self, signature: Signature, rows: Rows, timeout_s: float) -> Answer:
        """One frame of rows; the answer's columns and the errors of single rows."""
        shape = columns(signature)
        dtypes = [DTYPES[dtype] for dtype, _ in shape]
        frame_id = next(self._ids)
        frame = pack_predict(frame_id, [rows], dtypes, [width for _, width in shape])
        header, body = await self._exchange(frame_id, frame, timeout_s)
        if header.kind == REPLY:
            raise HostFault(f"{self.name} refused the frame: {_message(body)}")
        if header.kind != ANSWER or header.rows != rows.n:
            raise HostFault(f"{self.name} answered {header.rows} rows in place of {rows.n}.")
        return read_answer(header, body, signature.outputs)

    async def _exchange(self, frame_id: int, frame: bytes, timeout_s: float) -> tuple[Any, bytes]:
        if self.closed.is_set():
            raise HostLost(self.name)
        future: asyncio.Future[tuple[Any, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[frame_id] = future
        try:
            self._writer.write(frame)
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError as exc:
            raise HostFault(f"{self.name} did not answer within {timeout_s:g} s.") from exc
        finally:
            self._waiting.pop(frame_id, None)

    async def _read(self) -> None:
        error: Exception = HostLost(self.name)
        try:
            while True:
                header = read_header(await self._reader.readexactly(HEADER.size))
                body = await self._reader.readexactly(header.size)
                future = self._waiting.get(header.frame_id)
                if future is not None and not future.done():
                    future.set_result((header, body))
        except (asyncio.IncompleteReadError, OSError):
            pass
        except HostFault as exc:
            error = exc
        finally:
            self._end(error)

    def _end(self, error: Exception) -> None:
        self.closed.set()
        self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)

    async def close(self) -> None:
        """Close the connection and wait until the reader has ended."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class HostHandle:
    """One running host as its supervisor sees it.

    ``address`` is ``unix:/path``; ``closed`` is set when the control connection has ended, which means that the host has.
    """

    def __init__(self, host_id: str, address: str, token: str, *, process: Process, stream: FrameStream, state: str) -> None:
        self.id, self.address, self.token = host_id, address, token
        self.process, self.state = process, state
        self._stream = stream

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def closed(self) -> asyncio.Event:
        return self._stream.closed

    async def request(self, message: dict[str, Any], timeout_s: float = 10.0) -> dict[str, Any]:
        """Ask over the control connection: load, configure, status, stop.

        :raises HostLost: the host has ended.
        :raises HostFault: no answer within ``timeout_s``, or nonsense.
        """
        return await self._stream.ask(message, timeout_s)

    async def predict(self, signature: Signature, rows: Rows, timeout_s: float = 10.0) -> Answer:
        """Run ``rows`` (packed as ``signature`` says); columns and row errors as :func:`frames.read_answer` gives them."""
        return await self._stream.predict(signature, rows, timeout_s)

    def kill(self) -> bool:
        """SIGKILL to this very process; False when it is gone already."""
        return self.process.kill()

    async def stop(self, timeout_s: float = 2.0) -> None:
        """Let the frame at hand finish, then end; killed when it has not ended after ``timeout_s``."""
        with contextlib.suppress(HostFault, HostLost):
            await self.request({"op": "stop"}, timeout_s)
        if not await self.process.gone(timeout_s):
            self.kill()
            await self.process.gone(timeout_s)
        await self._stream.close()

    async def let_go(self) -> None:
        """Close the control connection and leave the host running."""
        await self._stream.close()


async def connect(address: str, token: str, *, role: str = "control", timeout_s: float = 5.0) -> HostHandle:
    """Connect to a host's socket and say hello.

    :raises HostFault: nobody there, someone else's process, another protocol, or the token was refused.
    """
    path = address.removeprefix("unix:")
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_unix_connection(path), timeout_s)
    except (OSError, TimeoutError) as exc:
        raise HostFault(f"The host at {os.path.basename(path)} cannot be reached: {exc}") from exc
    if peer_uid(writer.get_extra_info("socket")) != os.getuid():
        writer.close()
        raise HostFault(f"The process at {os.path.basename(path)} belongs to another user.")
    stream = FrameStream(reader, writer, os.path.basename(path).removesuffix(".sock"))
    try:
        return await _greet(stream, address, token, role, timeout_s)
    except (HostFault, HostLost, KeyError, TypeError, ValueError, OverflowError) as exc:
        await stream.close()
        raise HostFault(f"The host at {os.path.basename(path)} did not return the greeting: {exc}") from exc


async def _greet(stream: FrameStream, address: str, token: str, role: str, timeout_s: float) -> HostHandle:
    reply = await stream.ask({"op": "hello", "role": role, "token": token, "protocol": PROTOCOL}, timeout_s)
    if not reply.get("ok") or reply.get("protocol") != PROTOCOL:
        raise HostFault(str(reply.get("error", "another protocol")))
    process = Process(int(reply["pid"]), int(reply["started"]))
    return HostHandle(str(reply["id"]), address, token, process=process, stream=stream, state=str(reply.get("state", "empty")))


def _message(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body).get("error", "no reason given"))
    except (ValueError, RecursionError, AttributeError):
        return "no reason given"
