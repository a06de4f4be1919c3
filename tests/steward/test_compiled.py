"""A compiled model under a steward: served as a graph, and back as a graph when its host has died or its steward begins anew."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from flask_carafe.artifacts.spec import from_options


def test_a_compiled_model_comes_back_as_the_graph_that_it_was(home: Any, tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    joblib.dump(LogisticRegression().fit(np.random.RandomState(0).normal(size=(40, 2)), [0, 1, 1, 1] * 10), tmp_path / "m.joblib")

    async def test() -> None:
        spec = from_options("m", files=[str(tmp_path / "m.joblib")], compile="onnx")
        await home.link.declare([spec], "m")
        first = await home.until(lambda entry: entry["state"] in ("ready", "refused"), 60.0, "m")
        assert first["state"] == "ready", first["reason"]
        assert first["runtime"].startswith("onnx") and "compiled from scikit-learn" in first["runtime"] and "largest difference" in first["compiled"]
        os.kill(first["hosts"][0]["pid"], signal.SIGKILL)
        again = await home.until(lambda entry: entry["state"] == "ready" and entry["restarts"] == 1, 60.0, "m")
        assert (again["version"], again["compiled"], again["signature"]) == (1, first["compiled"], first["signature"])

    home.drive(test)
