"""What the doors with threads do when a fault is ours."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from flask_carafe.config import Settings
from flask_carafe.dataplane import blocking
from flask_carafe.dataplane.blocking import serve
from flask_carafe.dataplane.native import Native
from flask_carafe.serving.functions import declare
from flask_carafe.state import CarafeState


class Broken(Native):
    def write(self, *args: object) -> object:  # type: ignore[override]
        raise ZeroDivisionError("a fault of ours")


def twice(x: int) -> int:
    return 2 * x


def test_a_fault_of_ours_is_answered_logged_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = CarafeState(Settings(home=tmp_path), hosted=False)
    state.declare_function(declare("twice", twice))
    with caplog.at_level(logging.ERROR):
        status, _, body = serve(state, Broken(), lambda: state.table.resolve("twice"), lambda name: None, lambda: b'{"x": 2}', "wsgi")
    assert status == 500 and b"internal_error" in body and b"ours" not in body
    assert "a fault of ours" in caplog.text
    page = state.metrics_page("")[0].decode()
    assert 'carafe_requests_total{code="internal_error",door="wsgi",model="twice",version="1"} 1.0' in page


def test_a_slow_body_takes_nothing_of_the_time_to_write_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = CarafeState(Settings(home=tmp_path, predict_timeout_s=5.0), hosted=False)
    state.declare_function(declare("twice", twice))
    deadlines: list[float] = []
    arrived: list[float] = []

    def write(engine: object, model: object, records: object, format: str, deadline: float) -> bytes:
        deadlines.append(deadline)
        return b"PAR1"

    def body() -> bytes:
        time.sleep(0.05)
        arrived.append(time.monotonic())
        return b'{"x": 2}'

    monkeypatch.setattr(blocking, "write_table_blocking", write)
    accept = {"accept": "application/vnd.apache.parquet"}
    assert serve(state, Native(), lambda: state.table.resolve("twice"), accept.get, body, "wsgi")[2] == b"PAR1"
    assert deadlines[0] >= arrived[0] + 5.0
