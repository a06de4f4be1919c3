"""What we give to users' tests: real hosts for the length of a block, whatever the test runs in."""

from __future__ import annotations

import asyncio

import joblib
import pytest
from flask import Flask
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from flask_carafe import Carafe, model_loaded
from flask_carafe.errors import NotReady
from flask_carafe.testing import serving


def make_app(home, *files: str) -> Flask:
    app = Flask("tested", instance_path=str(home))
    app.config.update(TESTING=True, CARAFE_HOME=str(home / "home"))
    carafe = Carafe(app)
    for file in files:
        carafe.serve(file.partition(".")[0], home / file)
    return app


def test_declared_models_answer_in_real_hosts(tmp_path):
    x, y = load_iris(return_X_y=True)
    joblib.dump(LogisticRegression(max_iter=500).fit(x, y), tmp_path / "iris.joblib")
    app = make_app(tmp_path, "iris.joblib")
    refused = app.test_client().post("/carafe/models/iris/predict", json={"features": [5.1, 3.5, 1.4, 0.2]})
    assert refused.status_code == 503 and "flask_carafe.testing.serving" in refused.json["error"]  # TESTING starts nothing
    heard = []

    def hear(sender, **facts):
        heard.append(facts["model"])

    with model_loaded.connected_to(hear), serving(app):
        answer = app.test_client().post("/carafe/models/iris/predict", json={"features": [5.1, 3.5, 1.4, 0.2]})
        assert answer.json["prediction"] == [0]
    assert heard == ["iris"]


def test_a_refused_model_says_why(tmp_path):
    (tmp_path / "torn.joblib").write_bytes(b"\x80\x04\x95\xff")

    async def within_a_loop() -> None:
        with pytest.raises(NotReady, match="torn"), serving(make_app(tmp_path, "torn.joblib")):
            pass

    asyncio.run(within_a_loop())


def test_the_block_can_be_entered_again_and_starts_nothing_behind_it(tmp_path):
    (tmp_path / "f.py").write_text("def f(x: int) -> int:\n    return x + 1\n")
    app = make_app(tmp_path)
    app.extensions["carafe"].state.sender.serve("f", f"{tmp_path}/f.py:f")
    client = app.test_client()
    for _ in range(2):
        with serving(app):
            assert client.post("/carafe/models/f/predict", json={"x": 1}).json["prediction"] == 2
        refused = client.post("/carafe/models/f/predict", json={"x": 1})
        assert refused.status_code == 503 and "flask_carafe.testing.serving" in refused.json["error"]
