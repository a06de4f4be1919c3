"""The wait for an answer: who waits too long is told how long, and what has not begun by then never does."""

from __future__ import annotations

import asyncio
import time
from time import monotonic

import pytest

from flask_carafe.errors import DeadlineExceeded
from flask_carafe.serving.asking import ask
from flask_carafe.serving.engine import Engine, Limits
from flask_carafe.serving.functions import declare, function_model


def test_a_slow_function_of_the_app_is_waited_for_as_long_as_the_request_says() -> None:
    called = []

    def slow(x: int) -> int:
        called.append(x)
        time.sleep(0.3)
        return x

    model = function_model(declare("slow", slow), 10)

    async def run() -> None:
        engine = Engine(Limits(threads=1))
        waits = [ask(engine, model, model.usable_decoder().value({"x": x}), monotonic() + 0.1) for x in range(3)]
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        engine.pool.shutdown()
        assert all(isinstance(outcome, DeadlineExceeded) and outcome.args[0] == pytest.approx(0.1, abs=0.05) for outcome in outcomes)

    asyncio.run(run())
    assert called == [0]
