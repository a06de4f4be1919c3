"""The web worker's line to the steward: routing tables come in, reports of lost hosts go out. JSON lines on a Unix socket."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import CarafeError
from ..hosting.ensure import steward_socket
from .table import RoutingTable, TableData

if TYPE_CHECKING:
    from .engine import Engine

log = logging.getLogger(__name__)
MOST_LINE_BYTES = 64 << 20
NAP_S = 0.2
RETRY_S = 1.0  # after a steward that could not be started


class Link:
    """Keeps a connection to the steward of one home, starting a steward where there is none.

    :param declare: what this application declares, told to each steward that is met (acting once per digest is its affair).
    """

    def __init__(self, engine: Engine, run_dir: Path, start_steward: Callable[[], Any], declare: Callable[[], list[Any]]) -> None:
        self.engine, self.run_dir, self.start_steward, self.declare = engine, run_dir, start_steward, declare
        self.writer: asyncio.StreamWriter | None = None
        self.is_heard = False  # the steward has taken in what this application declares

    @property
    def is_up(self) -> bool:
        """The steward is connected."""
        return self.writer is not None and not self.writer.is_closing()

    def tell(self, message: dict[str, Any]) -> None:
        """Say ``message`` to the steward if it is there."""
        if self.is_up and self.writer is not None:
            self.writer.write(msgspec.json.encode(message) + b"\n")

    def tell_declared(self) -> None:
        """Say what this application declares, be it nothing; it takes the place of what it declared before."""
        self.is_heard = False
        self.tell({"op": "declare", "specs": self.declare(), "source": "app", "replace": True})

    async def run(self) -> None:
        """Connect, listen, and begin again when the steward goes."""
        self._remember()
        while True:
            try:
                await self._session()
            except (OSError, asyncio.IncompleteReadError, ValueError) as exc:
                log.debug("No steward: %s", exc)
            except CarafeError as exc:
                log.error("The steward's table cannot be used: %s", exc)
            self.writer = None
            await asyncio.sleep(NAP_S)
            await self._start_one()

    async def _start_one(self) -> None:
        """Start a steward where there is none. A machine that is too busy for it now may not be so in a second."""
        try:
            await asyncio.get_running_loop().run_in_executor(None, self.start_steward)
        except (OSError, CarafeError) as exc:
            log.error("No steward: %s Predictions go on with the hosts that there are; it is tried again.", exc)
            await asyncio.sleep(RETRY_S)

    def _remember(self) -> None:
        """Go by the last table on disk until a steward says otherwise, so that predictions do not need one."""
        try:
            self._apply(msgspec.json.decode((self.run_dir / "table.json").read_bytes(), type=TableData))
        except (OSError, msgspec.MsgspecError, CarafeError):
            log.debug("No table of an earlier steward.")

    async def _session(self) -> None:
        reader, self.writer = await asyncio.open_unix_connection(str(steward_socket(self.run_dir)), limit=MOST_LINE_BYTES)
        try:
            await self._listen(reader)
        finally:
            self.writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        self.tell({"op": "hello", "role": "worker", "pid": os.getpid()})
        self.tell_declared()
        while line := await reader.readline():
            message = msgspec.json.decode(line, type=Message)
            self.is_heard |= message.op == "declared"
            if message.op == "table" and message.table is not None:
                self._apply(message.table)
                self.tell({"op": "ack", "revision": message.table.revision})

    def _apply(self, data: TableData) -> None:
        engine = self.engine
        engine.apply(RoutingTable(data, engine.limits.max_rows, engine.table, engine.local, engine.limits.default_model))


class Message(msgspec.Struct):
    """What the steward says; other keys are of no concern here."""

    op: str
    table: TableData | None = None
