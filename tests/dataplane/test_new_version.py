"""A request whose body came slowly is answered by the version that is live when it is there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Flask

from flask_carafe.config import Settings
from flask_carafe.dataplane.loop import LoopDoor
from flask_carafe.serving.functions import declare
from flask_carafe.state import CarafeState


def old(x: int) -> str:
    return "old"


def new(x: int) -> str:
    return "new"


class Asked:
    """What the server gives for one request: a body that comes when it is let, and a place for the answer."""

    def __init__(self) -> None:
        self.let, self.said = asyncio.Event(), b""

    async def __call__(self) -> bytes:
        await self.let.wait()
        return b'{"x": 1}'

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()

    def response_bytes(self, status: int, headers: Any, body: bytes) -> None:
        self.said = body


def test_a_slow_body_meets_the_new_version_though_others_have_asked_it_already(tmp_path: Path) -> None:
    async def run() -> tuple[bytes, bytes]:
        state = CarafeState(Settings.load(command_line={"home": tmp_path}, environ={}, directory=tmp_path), hosted=False)
        door = LoopDoor(Flask("x"), state)
        state.declare_function(declare("m", old))
        state.start(asyncio.get_running_loop())
        scope = SimpleNamespace(path="/models/m/predict", method="POST", headers={"content-length": "8"})
        slow, quick = Asked(), Asked()
        waiting = asyncio.create_task(door.__rsgi__(scope, slow))
        await asyncio.sleep(0.01)
        state.declare_function(declare("m", new))
        quick.let.set()
        await asyncio.create_task(door.__rsgi__(scope, quick))
        slow.let.set()
        await waiting
        await state.engine.stop()
        door.bridge.stop()
        state.stop()
        return slow.said, quick.said

    for said in asyncio.run(run()):
        assert b'"prediction":"new"' in said
