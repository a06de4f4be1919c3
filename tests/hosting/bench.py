"""A supervisor in a folder of its own, on which models are tried one after the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from flask_carafe.artifacts.spec import from_options
from flask_carafe.hosting import trial
from flask_carafe.hosting.supervisor import Supervisor


class Bench:
    """``admit`` takes one model through the trial; ``close`` ends all processes."""

    def __init__(self, folder: Path) -> None:
        (folder / "hosts").mkdir()
        self.runner = asyncio.Runner()
        self.home = folder / "home"
        self.supervisor = self.runner.run(self._supervisor(folder))

    async def _supervisor(self, folder: Path) -> Supervisor:
        return Supervisor(folder)

    def admit(self, *files: str | Path, **options: Any) -> trial.Admission:
        return self.runner.run(self._admit(from_options("model", files=[str(file) for file in files], **options)))

    async def _admit(self, spec: Any) -> trial.Admission:
        examined = trial.examine(spec, self.home)
        handle = await self.supervisor.start_host(examined.modules)
        try:
            return await trial.admit(handle, spec, examined)
        finally:
            await self.supervisor.stop_host(handle)

    def close(self) -> None:
        self.runner.run(self.supervisor.stop())
        self.runner.close()
