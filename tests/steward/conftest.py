"""A home with a steward of its own for each test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.artifacts.spec import ModelSpec, from_options
from flask_carafe.cli.steward_link import StewardLink
from flask_carafe.hosting.rundir import run_dir
from processes import nothing_left, run_base

TRIPLE = "def triple(x: float) -> float:\n    return 3 * x\n"
Told = dict[str, Any]


class Home:
    """A home with a models' folder beside it, and a connection to its steward."""

    def __init__(self, path: Path) -> None:
        self.path, self.run_dir = path / "home", run_dir(path / "home")
        self.models = path / "models"
        self.models.mkdir()
        self.link = StewardLink(self.path)

    def spec(self, name: str = "triple", code: str = TRIPLE, **options: Any) -> ModelSpec:
        (self.models / f"{name}.py").write_text(code)
        return from_options(name, files=f"{self.models}/{name}.py:{name}", **options)

    async def until(self, look: Callable[[Told], Any], seconds: float = 10.0, name: str = "triple") -> Told:
        """The entry of ``name`` as soon as ``look`` finds it right."""
        async with asyncio.timeout(seconds):
            while True:
                self.link.changed.clear()
                entry = next((entry for entry in self.link.table.get("models", []) if entry["name"] == name), None)
                if entry is not None and look(entry):
                    return entry
                if self.link.ended.is_set():
                    await self.link.connect()
                    continue
                await self.link.changed.wait()

    def drive(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run ``test`` on a loop with the link up."""

        async def run() -> None:
            await self.link.connect()
            try:
                await test()
            finally:
                await self.link.close()

        asyncio.run(run())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with run_base("s") as base:
        monkeypatch.setenv("CARAFE_RUN_DIR", str(base))
        monkeypatch.setenv("_CARAFE_STEWARD_IDLE_S", "1")
        monkeypatch.setenv("_CARAFE_HOST_IDLE_S", "3")
        yield Home(tmp_path)
        assert not nothing_left(base, tmp_path, within_s=10.0)
