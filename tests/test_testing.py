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


def successor(home, code: str):
    """The app of ``make_app`` as it comes again, with ``f`` of this code, beside a steward that still serves the old one."""
    (home / "new").mkdir()
    (home / "new" / "f.py").write_text(code)
    app = make_app(home)
    state = app.extensions["carafe"].state
    state.hosted = True
    state.sender.serve("f", f"{home}/new/f.py:f")
    return app, state


@pytest.mark.parametrize(
    ("code", "expected", "said"),
    [
        ("import time\ntime.sleep(1)\ndef f(x: int) -> int:\n    return x + 2\n", 3, ""),
        ("def f(x: int) -> int:\n    return never_defined\n", 2, "goes on with version 1; the one declared now is refused"),
    ],
)
def test_the_first_answer_of_an_app_that_comes_again_is_of_what_it_declares_now(tmp_path, caplog, code, expected, said):
    (tmp_path / "f.py").write_text("def f(x: int) -> int:\n    return x + 1\n")
    old = make_app(tmp_path)
    old.extensions["carafe"].state.sender.serve("f", f"{tmp_path}/f.py:f")
    with serving(old):
        app, state = successor(tmp_path, code)
        try:
            assert app.test_client().post("/carafe/models/f/predict", json={"x": 1}).json["prediction"] == expected
        finally:
            state.stop()
    told = {record.getMessage() for record in caplog.records if record.name == "flask_carafe.state"}  # each app logs it
    assert len(told) == bool(said) and all(said in line for line in told)


def test_a_declared_model_that_is_refused_is_told_once_in_the_apps_log(tmp_path, caplog):
    (tmp_path / "torn.joblib").write_bytes(b"\x80\x04\x95\xff")
    with pytest.raises(NotReady, match="torn"), serving(make_app(tmp_path, "torn.joblib")):
        pass
    told = [record.getMessage() for record in caplog.records if record.name == "flask_carafe.state"]
    assert len(told) == 1 and "Model 'torn' is refused: " in told[0]


def test_a_refused_model_is_answered_with_what_to_do_and_no_word_of_trying_again(tmp_path):
    (tmp_path / "torn.joblib").write_bytes(b"\x80\x04\x95\xff")
    app = make_app(tmp_path, "torn.joblib")
    state = app.extensions["carafe"].state
    with serving(make_app(tmp_path)):
        state.hosted = True
        try:
            answer = app.test_client().post("/carafe/models/torn/predict", json={"x": 1})
        finally:
            state.stop()
    assert answer.status_code == 503 and "Retry-After" not in answer.headers
    assert answer.json["code"] == "model_refused" and answer.json["hint"]
