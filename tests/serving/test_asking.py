"""The wait for an answer: who waits too long is told how long, what has not begun by then never does, and no model takes all threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from flask_carafe.errors import CarafeError, DeadlineExceeded, Overloaded
from flask_carafe.serving import asking as room
from flask_carafe.serving.asking import ask, ask_blocking
from flask_carafe.serving.engine import Engine, Limits
from flask_carafe.serving.functions import declare, function_model
from flask_carafe.serving.request import Answer
from flask_carafe.serving.table import Model
from processes import until
from serving.test_engine import Host, drive, rows, table
from serving.test_engine import until as until_on_loop


def test_a_slow_function_of_the_app_is_waited_for_as_long_as_the_request_says() -> None:
    called = []

    def slow(x: int) -> int:
        called.append(x)
        time.sleep(0.3)
        return x

    model = function_model(declare("slow", slow), 10)

    async def run() -> None:
        engine = Engine(Limits(threads=2))
        waits = [ask(engine, model, model.usable_decoder().value({"x": x}), monotonic() + 0.1) for x in range(3)]
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        engine.crew_of(model).pool.shutdown()
        assert all(isinstance(outcome, DeadlineExceeded) and outcome.args[0] == pytest.approx(0.1, abs=0.05) for outcome in outcomes)

    asyncio.run(run())
    assert called == [0]


def functions(**bodies: Callable[..., Any]) -> dict[str, Model]:
    return {name: function_model(declare(name, body), 10) for name, body in bodies.items()}


def one(x: int) -> int:
    return x


def test_a_function_that_hangs_holds_half_of_the_threads_beside_the_loop_and_others_are_answered() -> None:
    go = threading.Event()

    def hangs(x: int) -> int:
        go.wait(30)
        return x

    models = functions(hangs=hangs, quick=one)
    row = models["quick"].usable_decoder().value({"x": 7})

    async def run() -> None:
        engine = Engine(Limits(threads=8))
        try:
            stuck = [asyncio.create_task(ask(engine, models["hangs"], row, monotonic() + 30)) for _ in range(4)]
            await asyncio.sleep(0.5)
            began = monotonic()
            with pytest.raises(Overloaded):
                await ask(engine, models["hangs"], row, monotonic() + 0.5)  # it has been stuck for as long already
            assert monotonic() - began < 0.25
            assert (await ask(engine, models["quick"], row, monotonic() + 30)).columns[0].values == [7]
            go.set()
            assert len(await asyncio.gather(*stuck)) == 4
            assert (await ask(engine, models["hangs"], row, monotonic() + 30)).columns[0].values == [7]
        finally:
            go.set()
            for crew in engine.crews.values():
                crew.pool.shutdown()

    asyncio.run(run())


def test_the_client_of_a_slow_function_is_looked_after_and_its_call_dropped_when_it_left() -> None:
    called, go = [], threading.Event()

    def slow(x: int) -> int:
        called.append(x)
        go.wait(30)
        return x

    model = functions(slow=slow)["slow"]

    async def run() -> None:
        engine, watched = Engine(Limits(threads=2)), asyncio.Event()
        rows = [model.usable_decoder().value({"x": x}) for x in range(2)]
        first, second = [asyncio.create_task(ask(engine, model, row, monotonic() + 30, lambda leave: watched.set())) for row in rows]
        await asyncio.wait_for(watched.wait(), 10)
        second.cancel()  # as the watch does when the client has left
        await asyncio.sleep(0)
        go.set()
        assert (await first).columns[0].values == [0]
        engine.crews["slow"].pool.shutdown()
        assert called == [0]

    asyncio.run(run())


def test_calls_of_a_function_that_would_be_too_late_are_refused_and_the_rest_are_answered_in_time() -> None:
    def naps(x: int) -> int:
        time.sleep(0.05)
        return x

    models = functions(naps=naps)
    row = models["naps"].usable_decoder().value({"x": 7})

    async def run() -> None:
        engine = Engine(Limits(threads=2))
        await ask(engine, models["naps"], row, monotonic() + 30)
        waits = [ask(engine, models["naps"], row, monotonic() + 2.0) for _ in range(100)]
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        engine.crews["naps"].pool.shutdown()
        refused = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
        assert 65 <= len(refused) <= 85 and all(outcome.retry_after_s >= 1 for outcome in refused)  # 1.2 s are trusted: some 24 calls
        assert len([outcome for outcome in outcomes if isinstance(outcome, Answer)]) >= 20

    asyncio.run(run())


def in_threads(n: int, ask_one: Callable[[], Any]) -> list[Any]:
    """What ``n`` threads that ask at once get: answers and errors, in the order in which they came."""
    got: list[Any] = []

    def run() -> None:
        try:
            got.append(ask_one())
        except CarafeError as error:
            got.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(n)]
    for thread in threads:
        thread.start()
    return got


def test_a_function_that_hangs_in_the_servers_own_threads_holds_half_of_them() -> None:
    go = threading.Event()

    def hangs(x: int) -> int:
        go.wait(30)
        return x

    models, engine = functions(hangs=hangs, quick=one), Engine(Limits(threads=8))
    row = models["quick"].usable_decoder().value({"x": 7})
    got = in_threads(8, lambda: ask_blocking(engine, models["hangs"], row, 30.0))
    until(lambda: len(got) == 4, 10)
    assert all(isinstance(outcome, Overloaded) for outcome in got)
    began = monotonic()
    with pytest.raises(Overloaded):
        ask_blocking(engine, models["hangs"], row, 30.0)
    assert monotonic() - began < 0.2
    assert ask_blocking(engine, models["quick"], row, 30.0).columns[0].values == [7]
    go.set()
    until(lambda: len(got) == 8, 10)
    assert ask_blocking(engine, models["hangs"], row, 30.0).columns[0].values == [7]


def test_a_host_that_hangs_holds_half_of_the_servers_threads_and_a_quick_one_may_have_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, stop, world = threading.Event(), threading.Event(), {}

    async def test(engine: Engine, start: Callable[[str], Awaitable[Host]]) -> None:
        engine.share = 4
        world["host"], world["engine"] = await start("h"), engine
        engine.apply(table(1, world["host"]))
        world["model"] = engine.table.resolve("m")
        await until_on_loop(lambda: world["model"].is_answering)
        started.set()
        await asyncio.to_thread(stop.wait, 60)

    loop_thread = threading.Thread(target=drive, args=(tmp_path, test))
    loop_thread.start()
    try:
        assert started.wait(30)
        engine, host, model = world["engine"], world["host"], world["model"]

        def ask_one() -> Any:
            return ask_blocking(engine, model, rows(3.0), 30.0)

        engine.loop.call_soon_threadsafe(host.go.set)
        with monkeypatch.context() as patient:
            patient.setattr(room, "GUEST_S", 20.0)  # so that a busy machine is no hung model
            quick = in_threads(12, ask_one)
            until(lambda: len(quick) == 12, 20)
        assert all(isinstance(outcome, Answer) for outcome in quick)
        engine.loop.call_soon_threadsafe(host.go.clear)
        got = in_threads(12, ask_one)
        until(lambda: len(got) == 8, 10)
        assert all(isinstance(outcome, Overloaded) for outcome in got)
        began = monotonic()
        with pytest.raises(Overloaded):
            ask_one()
        assert monotonic() - began < 0.2
        engine.loop.call_soon_threadsafe(host.go.set)
        until(lambda: len(got) == 12, 10)
        assert all(isinstance(outcome, Answer) for outcome in got[8:])
    finally:
        stop.set()
        loop_thread.join(30)
