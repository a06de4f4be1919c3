"""What the keepers of hosts need of their steward, and how a host stands in the table."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol

from ..hosting.handle import HostHandle
from ..hosting.supervisor import Supervisor
from .bringup import Recipe


class Owner(Protocol):
    """What a keeper needs of its steward."""

    home: Path
    supervisor: Supervisor
    loading: asyncio.Semaphore

    @property
    def is_watched(self) -> bool: ...

    def publish(self) -> None: ...

    def note_recipe(self, name: str, recipe: Recipe) -> None: ...

    async def published(self, timeout_s: float = 2.0) -> bool: ...


def host_entry(handle: HostHandle) -> dict[str, Any]:
    """Where a worker finds a host, and the word that it wants to hear."""
    return {"id": handle.id, "address": handle.address, "token": handle.token, "pid": handle.pid}
