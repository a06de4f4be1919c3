"""A keeper and its own mistakes: what answers goes on answering. Its hosts and its steward are stand-ins."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.artifacts.spec import ModelSpec, from_options
from flask_carafe.steward import bringup, keeper
from flask_carafe.steward.keeper import ModelKeeper


class Handle:
    """A host that is there until it is said to be closed."""

    def __init__(self, number: int) -> None:
        self.id, self.address, self.token, self.pid = f"h{number}", f"unix:/h{number}.sock", "t", number
        self.closed = asyncio.Event()
        self.connections = 2  # the steward's, and a worker's

    async def request(self, message: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        assert message == {"op": "status"} and timeout_s == 8.0
        return {"ok": True, "connections": self.connections}


class Owner:
    """A steward and its supervisor: notes which hosts were stopped, and how long they were given."""

    def __init__(self, home: Path) -> None:
        self.home, self.supervisor, self.loading, self.is_watched = home, self, asyncio.Semaphore(4), False
        self.stopped: list[tuple[str, float]] = []

    def publish(self) -> None: ...

    def note_recipe(self, name: str, recipe: Any) -> None: ...

    async def published(self, timeout_s: float = 2.0) -> bool:
        return True

    async def stop_host(self, handle: Handle, timeout_s: float = 2.0) -> None:
        self.stopped.append((handle.id, timeout_s))


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    (tmp_path / "triple.py").write_text("def triple(x: float) -> float:\n    return 3 * x\n")
    return from_options("triple", files=f"{tmp_path}/triple.py:triple", timeout_ms=8000)


async def until(look: Any) -> None:
    async with asyncio.timeout(5):
        while not look():
            await asyncio.sleep(0.01)


def test_a_mistake_of_ours_with_a_new_version_leaves_the_live_one_serving(
    tmp_path: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = iter((1, 2))

    async def bring_up(*_: Any) -> bringup.Loaded:
        number = next(numbers)
        if number == 2:
            raise KeyError("a mistake of ours")
        return bringup.Loaded(Handle(number), {"signature": {"fields": []}, "runtime": "python", "estimator": "", "memory_bytes": 0}, None)  # type: ignore[arg-type]

    async def run() -> None:
        monkeypatch.setattr(bringup, "bring_up", bring_up)
        kept = ModelKeeper(Owner(tmp_path), "triple")  # type: ignore[arg-type]
        kept.want(spec)
        await until(lambda: kept.entry()["state"] == "ready")
        kept.want(spec, again=True)
        await until(lambda: "Keeping model" in caplog.text)
        assert (kept.entry()["state"], kept.entry()["hosts"][0]["id"]) == ("ready", "h1")
        await kept.close()

    asyncio.run(run())


def test_an_old_host_goes_when_the_workers_have_left_it_and_has_time_for_its_last_frame(
    tmp_path: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Handle(1), Handle(2)
    handles = iter((old, new))

    async def bring_up(*_: Any) -> bringup.Loaded:
        facts = {"signature": {"fields": []}, "runtime": "python", "estimator": "", "memory_bytes": 0}
        return bringup.Loaded(next(handles), facts, None)  # type: ignore[arg-type]

    async def run() -> None:
        monkeypatch.setattr(bringup, "bring_up", bring_up)
        monkeypatch.setattr(keeper, "LOOK_S", 0.01)
        owner = Owner(tmp_path)
        kept = ModelKeeper(owner, "triple")  # type: ignore[arg-type]
        kept.want(spec)
        await until(lambda: kept.entry()["state"] == "ready")
        kept.want(spec, again=True)
        await until(lambda: kept.entry()["version"] == 2)
        await asyncio.sleep(0.1)
        assert not owner.stopped
        old.connections = 1
        await until(lambda: owner.stopped)
        assert owner.stopped == [("h1", 8.0)]
        await kept.close()

    asyncio.run(run())
