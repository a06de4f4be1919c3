"""Connections to the steward: JSON lines over a Unix socket, this user only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from ..errors import CarafeError
from ..hosting.process import peer_uid

log = logging.getLogger(__name__)
MOST_LINE_BYTES = 64 * 1024 * 1024
CLOSE_S = 2.0
ROLES = frozenset({"worker", "cli"})
Handler = Callable[["Link", dict[str, Any]], Awaitable[dict[str, Any] | None]]


class Link:
    """One connected worker or command."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.role, self.pid, self.watches, self.acked = "", 0, False, 0
        self.declared: set[str] = set()
        self._writer = writer

    def send(self, line: bytes) -> None:
        """Queue one line; a peer that reads nothing is cut off before it costs memory."""
        if self._writer.is_closing():
            return
        self._writer.write(line)
        if self._writer.transport.get_write_buffer_size() > MOST_LINE_BYTES:
            self._writer.transport.abort()

    def cut(self) -> None:
        self._writer.close()


class Links:
    """All connections, and the socket that they come in by."""

    def __init__(self, handle: Handler, on_count: Callable[[], None]) -> None:
        self._handle, self._on_count = handle, on_count
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None
        self._acked = asyncio.Condition()

    async def listen(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path, limit=MOST_LINE_BYTES)
        path.chmod(0o600)

    @property
    def greeted(self) -> list[Link]:
        """Connections that have said who they are."""
        return [link for link in self._links if link.role]

    def broadcast(self, line: bytes) -> None:
        for link in self.greeted:
            if link.role == "worker" or link.watches:
                link.send(line)

    async def wait_acked(self, revision: int, timeout_s: float) -> bool:
        """Wait until every worker has acknowledged ``revision``; False when one has not in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._acked:
                await self._acked.wait_for(lambda: all(link.acked >= revision for link in self.greeted if link.role == "worker"))
            return True
        return False

    async def note_ack(self, link: Link, revision: int) -> None:
        async with self._acked:
            link.acked = max(link.acked, revision)
            self._acked.notify_all()

    async def close(self) -> None:
        """Take no more connections and cut those that are."""
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.cut()
        if self._server is not None:
            with contextlib.suppress(TimeoutError):  # a peer that reads nothing keeps its connection half closed
                await asyncio.wait_for(self._server.wait_closed(), CLOSE_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if peer_uid(writer.get_extra_info("socket")) != os.getuid():
            writer.close()
            return
        link = Link(writer)
        self._links.add(link)
        try:
            while line := await reader.readline():
                await self._answer(link, line)
        except ValueError:
            log.warning("The %s with pid %d sent a line over %d bytes and was cut off.", link.role or "stranger", link.pid, MOST_LINE_BYTES)
        except OSError:
            pass  # a process that was killed; its end is all that matters
        except asyncio.CancelledError:
            pass  # the steward leaves
        finally:
            self._links.discard(link)
            writer.close()
            self._on_count()
            with contextlib.suppress(RuntimeError):
                async with self._acked:
                    self._acked.notify_all()

    async def _answer(self, link: Link, line: bytes) -> None:
        try:
            message = msgspec.json.decode(line, type=dict[str, Any])
            reply = await self._handle(link, message)
        except CarafeError as exc:
            reply = {"op": "error", **exc.as_json()}
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError) as exc:
            reply = {"op": "error", "error": f"The message cannot be understood: {exc}", "code": "malformed"}
        if reply is not None:
            link.send(json_line(reply))
        self._on_count()


def json_line(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(message) + b"\n"
