"""The command line's connection to the steward: declare, watch tables, ask; reconnected while a command runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..artifacts.spec import ModelSpec
from ..errors import HostFault
from ..hosting.ensure import ensure_steward

MOST_LINE_BYTES = 64 * 1024 * 1024
CONNECT_TRIES = 20
GREETING_S = 10.0


class StewardLink:
    """One connection; ``table`` is the last one pushed, ``changed`` is set when another came or the connection ended.

    ``log_to_stderr``: a steward that is started by this link logs to our stderr, not to its file.
    """

    def __init__(self, home: Path, *, log_to_stderr: bool = False) -> None:
        self.home, self._log_to_stderr = home, log_to_stderr
        self.table: dict[str, Any] = {}
        self.changed = asyncio.Event()
        self.ended = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._replies: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._asking = asyncio.Lock()

    async def connect(self) -> None:
        """Reach the steward, starting one where there is none, say hello and wait for its table.

        :raises HostFault: there is none and none can be started.
        """
        for _ in range(CONNECT_TRIES):
            path = await asyncio.to_thread(ensure_steward, self.home, log_to_stderr=self._log_to_stderr)
            try:
                reader, self._writer = await asyncio.open_unix_connection(path, limit=MOST_LINE_BYTES)
            except OSError:
                continue
            self.ended.clear()
            self.changed.clear()
            self._say({"op": "hello", "role": "cli", "pid": os.getpid(), "watch": True})
            self._task = asyncio.create_task(self._read(reader), name="carafe-steward-link")
            await self._greeted()
            if not self.ended.is_set():
                return  # else it was a steward that is dying: its socket took us in and nobody reads
            await asyncio.sleep(0.05)
        raise HostFault("The steward ends as soon as it is reached.")

    async def _greeted(self) -> None:
        """Wait for the first table, or the end of the connection; a steward that takes us in and says nothing is no steward."""
        try:
            await asyncio.wait_for(self.changed.wait(), GREETING_S)
        except TimeoutError as exc:
            await self.close()
            raise HostFault(f"The steward did not answer within {GREETING_S:g} s.") from exc

    def _say(self, message: dict[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(msgspec.json.encode(message) + b"\n")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                message = msgspec.json.decode(line, type=dict[str, Any])
                if message.get("op") == "table":
                    self.table = message["table"]
                    self.changed.set()
                else:
                    self._replies.put_nowait(message)
        except (OSError, ValueError):
            pass  # as good as its end
        finally:
            self.ended.set()
            self.changed.set()
            self._replies.put_nowait({"op": "error", "error": "The steward has ended."})
            if self._writer is not None:
                self._writer.close()

    async def ask(self, message: dict[str, Any], timeout_s: float = 10.0) -> dict[str, Any]:
        """Send ``message``; the steward's reply.

        :raises HostFault: the steward refused it, has ended, or did not answer in time.
        """
        async with self._asking:
            while not self._replies.empty():
                self._replies.get_nowait()
            if self.ended.is_set():
                raise HostFault("The steward has ended.")
            self._say(message)
            try:
                reply = await asyncio.wait_for(self._replies.get(), timeout_s)
            except TimeoutError as exc:
                raise HostFault(f"The steward did not answer within {timeout_s:g} s.") from exc
        if reply.get("op") == "error":
            raise HostFault(str(reply.get("error")))
        return reply

    async def declare(self, specs: Sequence[ModelSpec], default: str, *, fresh: bool = False) -> None:
        """Have ``specs`` served, in the place of what this command declared before.

        :param fresh: a person asks for them: what was unloaded comes back.
        """
        told = [msgspec.to_builtins(spec) for spec in specs]
        await self.ask({"op": "declare", "specs": told, "source": "serve", "replace": True, "default": default, "fresh": fresh})

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
