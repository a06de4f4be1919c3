"""An event loop in a thread, for servers that have none: started at the first need, dropped by a fork, ended with the process."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from .engine import Engine

START_S = 10.0


class LoopThread:
    """Runs an :class:`Engine` on a loop of its own. A daemon thread: a server that ends is never held up by it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run, name="carafe-loop", daemon=True)

    def start(self) -> None:
        """Return when the engine is running."""
        self.thread.start()
        self.started.wait(START_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(self._begin)
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def _begin(self) -> None:
        self.engine.start(self.loop)
        self.started.set()

    def stop(self) -> None:
        """End the engine and wait for the thread."""
        if not self.thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(START_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(START_S)

    async def _end(self) -> Any:
        await self.engine.stop()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
