"""The supervising side of a zygote: import libraries once, fork hosts from it.

The zygote holds no model and no control connection of a host; when it ends, its hosts live on.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import HostFault
from .handle import FrameStream
from .process import clean_environment, spawn

SCRIPT = Path(__file__).with_name("host") / "__main__.py"
IMPORT_TIMEOUT_S = 120.0  # scientific libraries from a cold disk
FORK_TIMEOUT_S = 10.0


class CannotFork(Exception):
    """The zygote will not fork (it has threads, or the system has no fork); start the host fresh."""


class Zygote:
    """One process of the interpreter ``python`` that hosts are forked from."""

    def __init__(self, process: subprocess.Popen[bytes], stream: FrameStream) -> None:
        self._process, self._stream = process, stream
        self.imported: set[str] = set()
        self.threads = 1

    @classmethod
    async def start(cls, python: str, log: Path, environment: Mapping[str, str] | None = None) -> Zygote:
        """Start a zygote; its output and that of its hosts before they have their own goes to ``log``."""
        ours, theirs = socket.socketpair()
        try:
            arguments = [python, str(SCRIPT), "--zygote", "--fd", str(theirs.fileno())]
            process = spawn(arguments, log=log, env=environment or clean_environment(), fds=[theirs.fileno()], cwd="/")
        except OSError as exc:
            ours.close()
            raise HostFault(f"The interpreter {python} cannot be started: {exc}") from exc
        finally:
            theirs.close()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return cls(process, FrameStream(reader, writer, "the zygote"))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def closed(self) -> asyncio.Event:
        return self._stream.closed

    async def import_modules(self, modules: Sequence[str]) -> None:
        """Import what is not imported yet; modules that fail are left to the host, which says why in its own words."""
        new = [module for module in modules if module not in self.imported]
        if not new:
            return
        reply = await self._stream.ask({"op": "import", "modules": new}, IMPORT_TIMEOUT_S)
        self.imported.update(new)
        self.threads = int(reply.get("threads", 1))

    async def fork(self, order: Mapping[str, Any]) -> tuple[int, int]:
        """Fork one host; its pid and start time.

        :raises CannotFork: start it fresh instead.
        :raises HostFault: it could not be started.
        """
        reply = await self._stream.ask({"op": "fork", **order}, FORK_TIMEOUT_S)
        if reply.get("ok"):
            return int(reply["pid"]), int(reply["started"])
        error = reply.get("error") or {}
        if error.get("code") in {"threads", "no_fork"}:
            raise CannotFork(str(error.get("message", "")))
        raise HostFault(f"The zygote could not start a host: {error.get('message', 'no reason given')}")

    async def close(self) -> None:
        """End the zygote (it leaves when its stream ends) and reap it."""
        await self._stream.close()
        try:
            await asyncio.to_thread(self._process.wait, 2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
