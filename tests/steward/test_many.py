"""Fifty models at once from one zygote, and the helper that reads pictures."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from flask_carafe.artifacts.spec import from_options

MIB = 1 << 20


def private_bytes(pid: int) -> int:
    """Memory that only this process has: what is shared with the zygote costs nothing more."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private"))


@pytest.mark.load
def test_fifty_models_are_ready_within_5_s_of_the_zygotes_import_and_cost_at_most_20_mib_each(home: Any, tmp_path: Path) -> None:
    x, y = load_iris(return_X_y=True)
    for number in range(50):
        model = RandomForestClassifier(20, random_state=number) if number % 2 else LogisticRegression(max_iter=500, C=1.0 + number)
        joblib.dump(model.fit(x, y), tmp_path / f"m{number}.joblib")
    specs = [from_options(f"m{number}", files=str(tmp_path / f"m{number}.joblib")) for number in range(50)]

    async def test() -> None:
        await home.link.declare(specs[:2], "")
        await all_ready(home, 2, 60)
        began = time.monotonic()
        await home.link.declare(specs, "")
        await all_ready(home, 50, 30)
        took = time.monotonic() - began
        costs = [private_bytes(model["hosts"][0]["pid"]) for model in home.link.table["models"]]
        assert max(costs) <= 20 * MIB
        assert took < 5.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))

    home.drive(test)


async def all_ready(home: Any, count: int, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while sum(model["state"] == "ready" for model in home.link.table["models"]) < count:
            assert not [model["reason"] for model in home.link.table["models"] if model["state"] == "refused"]
            home.link.changed.clear()
            await home.link.changed.wait()


def test_pictures_have_a_host_of_their_own_which_is_replaced_when_it_dies(home: Any) -> None:
    async def test() -> None:
        code = "def bright(picture) -> float:\n    return float(sum(picture))\n"
        await home.link.declare([home.spec("bright", code, fields={"picture": {"kind": "image"}}, input="picture=image:2x2:L")], "")
        await home.until(lambda entry: entry["state"] == "ready", name="bright")
        first = await media_host(home, None)
        assert resource.prlimit(first, resource.RLIMIT_AS) == (4 << 30, 4 << 30)
        os.kill(first, signal.SIGKILL)
        assert await media_host(home, first) != first

    home.drive(test)


async def media_host(home: Any, other_than: int | None) -> int:
    async with asyncio.timeout(10):
        while True:
            hosts = (home.link.table.get("media") or {}).get("hosts", [])
            if hosts and hosts[0]["pid"] != other_than:
                return int(hosts[0]["pid"])
            home.link.changed.clear()
            await home.link.changed.wait()
