"""A supervisor in a folder of its own, on which models are tried one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flask_carafe.artifacts.spec import from_options
from flask_carafe.hosting.admission import Admission
from flask_carafe.hosting.handle import HostHandle
from flask_carafe.hosting.starting import start
from flask_carafe.hosting.supervisor import Supervisor
from flask_carafe.signature import Rows
from flask_carafe.signature.answer import Encoder
from flask_carafe.signature.decode import Decoder


class Bench:
    """``admit`` takes one model through the trial, ``answer`` asks it then; ``close`` ends all processes."""

    def __init__(self, folder: Path) -> None:
        (folder / "hosts").mkdir()
        self.runner = asyncio.Runner()
        self.home = folder / "home"
        self.supervisor = self.runner.run(self._supervisor(folder))

    async def _supervisor(self, folder: Path) -> Supervisor:
        return Supervisor(folder)

    def admit(self, *files: str | Path, **options: Any) -> Admission:
        return self.runner.run(self._admit(from_options("model", files=[str(file) for file in files], **options)))

    def answer(self, rows: list[dict[str, Any]], *files: str | Path, **options: Any) -> dict[str, Any]:
        """What a client would get for ``rows`` from a model that has passed its trial."""
        return self.runner.run(self._answer(rows, from_options("model", files=[str(file) for file in files], **options)))

    async def _admit(self, spec: Any) -> Admission:
        async with self._tried(spec) as (_, admission):
            return admission

    async def _answer(self, rows: list[dict[str, Any]], spec: Any) -> dict[str, Any]:
        async with self._tried(spec) as (handle, admission):
            ready = Decoder(admission.signature).value(rows)
            assert isinstance(ready, Rows)
            columns, errors = await handle.predict(admission.signature, ready, 60.0)
            assert not errors, errors
            return Encoder(admission.signature).body(columns, 0, ready.n, False)

    @asynccontextmanager
    async def _tried(self, spec: Any) -> AsyncIterator[tuple[HostHandle, Admission]]:
        started = await start(self.supervisor, spec, self.home)
        try:
            yield started.handle, started.admission
        finally:
            await self.supervisor.stop_host(started.handle)

    def close(self) -> None:
        self.runner.run(self.supervisor.stop())
        self.runner.close()
