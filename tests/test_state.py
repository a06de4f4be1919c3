"""What one app holds: as new in a forked process, and after it was stopped or could not start."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from flask import Flask

from flask_carafe import Carafe
from flask_carafe.config import Settings
from flask_carafe.errors import ConfigError, NoDefaultModel, NotReady
from flask_carafe.serving.table import Entry, Model, RoutingTable, TableData
from flask_carafe.state import CarafeState
from flask_carafe.testing import stand_in


def in_a_fork(told) -> str:
    """What ``told()`` gives in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, told().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text


def test_workers_forked_from_one_process_make_ids_of_their_own(tmp_path: Path) -> None:
    state = CarafeState(Settings(home=tmp_path), hosted=False)

    def told() -> str:
        return state.ids.next()

    children = [in_a_fork(told) for _ in range(2)]
    parts = {made[15:23] + made[30:] for made in (*children, told())}  # without the time and the counter
    assert len(parts) == 3


def test_a_forked_process_still_knows_what_was_declared(tmp_path: Path) -> None:
    app = Flask("forked", instance_path=str(tmp_path))
    app.config["TESTING"] = True
    Carafe(app).serve("iris", tmp_path / "iris.joblib")
    client = app.test_client()

    def told() -> str:
        return str(client.post("/carafe/models/iris/predict", json={"x": 1}).status_code)

    assert told() == in_a_fork(told) == "503"


def test_a_start_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    monkeypatch.setenv("CARAFE_RUN_DIR", str(tmp_path / "run"))
    state = CarafeState(Settings(home=tmp_path))
    for _ in range(2):
        with pytest.raises((ConfigError, OSError)):
            state.start()
    assert not state.is_started and not state.engine.on_table


def test_of_several_models_none_is_the_default_one_whatever_came_first(tmp_path: Path) -> None:
    app = Flask("several", instance_path=str(tmp_path))
    app.config["TESTING"] = True
    Carafe(app)
    for name in ("first", "second"):
        stand_in(app, name, lambda x: x, fields={"x": "integer"})
    assert app.test_client().post("/carafe/predict", json={"x": 1}).status_code == 404


def test_the_apps_own_default_model_stands_above_the_stewards() -> None:
    data = TableData(default_model="theirs")
    assert RoutingTable(data, default="ours").default == "ours" and RoutingTable(data).default == "theirs"
    with pytest.raises(NoDefaultModel):
        RoutingTable(data, default="ours").resolve()


def test_a_stopped_state_refuses_and_does_not_fail(tmp_path: Path) -> None:
    state = CarafeState(Settings(home=tmp_path), hosted=False)
    with pytest.raises(NotReady):
        state.engine.hand_over(Model(Entry(name="m"), 10), None, 0.0, print)


def test_a_drain_that_a_killed_server_left_behind_does_not_count_for_ever(tmp_path):
    state = CarafeState(Settings(home=tmp_path))
    mark = state.run_dir / "draining"
    mark.touch()
    assert state.is_draining() and state.health()[1]["status"] == "draining"
    long_ago = time.time() - 3600
    os.utime(mark, (long_ago, long_ago))
    assert not state.is_draining()
