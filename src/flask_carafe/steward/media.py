"""Keeps the host that decodes pictures and documents, while some model wants it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from ..errors import CarafeError
from ..hosting.backoff import Backoff
from ..hosting.handle import HostHandle
from . import bringup
from .owner import Owner, host_entry

log = logging.getLogger(__name__)
MEDIA_LIBRARIES = ("PIL", "PIL.Image", "pypdf", "docx2txt")
MOST_ADDRESS_BYTES = 4 << 30  # a file that unpacks without end fails alone and takes no machine with it; libraries take some 400 MiB


class MediaKeeper:
    """The host that decodes pictures and documents, kept from the first model on that wants it."""

    name = "media"

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._handle: HostHandle | None = None
        self._backoff = Backoff()
        self._task: asyncio.Task[None] | None = None
        self._wanted = False

    @property
    def wanted(self) -> bool:
        return self._wanted

    @wanted.setter
    def wanted(self, value: bool) -> None:
        self._wanted = value
        if value and self._task is None:
            self._task = asyncio.create_task(self._run(), name="carafe-keep-media")

    def adopt(self, handle: HostHandle) -> None:
        """Go on with the media host of a steward before this one."""
        self._handle = handle

    def entry(self) -> dict[str, Any] | None:
        """Its part of the routing table; None while nobody wants it."""
        if not self._wanted:
            return None
        handle = self._handle if self._handle and not self._handle.closed.is_set() else None
        return {"hosts": [host_entry(handle)] if handle else []}

    def kill(self, host_id: str, why: str) -> bool:
        return self._handle is not None and self._handle.id == host_id and self._handle.kill()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            if self._handle is None or self._handle.closed.is_set():
                await self._start()
            else:
                await self._handle.closed.wait()
                self._owner.publish()
                await asyncio.sleep(self._backoff.after_crash(time.monotonic()))

    async def _start(self) -> None:
        try:
            handle = await self._loaded()
        except CarafeError as exc:
            delay = max(0.5, self._backoff.after_crash(time.monotonic()))
            log.error("No host for pictures and documents: %s It is tried again in %g s.", exc, delay)
            await asyncio.sleep(delay)
            return
        self._handle = handle
        self._backoff.started(time.monotonic())
        self._owner.publish()

    async def _loaded(self) -> HostHandle:
        supervisor = self._owner.supervisor
        handle = await supervisor.start_host(MEDIA_LIBRARIES, limits={"address_bytes": MOST_ADDRESS_BYTES})
        try:
            await bringup.asked(handle, {"op": "load", "files": [], "options": {"runtime": "media"}}, bringup.LOAD_TIMEOUT_S)
        except CarafeError:
            await supervisor.stop_host(handle)
            raise
        return handle
