"""The line to the steward: whatever happens at its other end, the worker keeps asking for one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from flask_carafe.errors import HostFault
from flask_carafe.serving import link as room
from flask_carafe.serving.engine import Engine, Limits
from flask_carafe.serving.link import Link


def test_a_steward_that_cannot_be_started_is_tried_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(room, "NAP_S", 0.0)
    monkeypatch.setattr(room, "RETRY_S", 0.0)
    tries = []

    def start_steward() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise [HostFault("The steward could not be started: it said nothing"), OSError("no more processes")][len(tries) - 1]

    async def until_the_third_try() -> None:
        engine = Engine(Limits())
        running = asyncio.create_task(Link(engine, tmp_path, start_steward, list).run())
        async with asyncio.timeout(5):
            while len(tries) < 3:
                assert not running.done(), running.exception()
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(until_the_third_try())
