"""For tests of applications that use Carafe: real models for the length of a test, or stand-ins that need no process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask

from .cli.steward_link import StewardLink
from .errors import NotReady
from .hosting.ensure import is_steward_there
from .hosting.rundir import run_dir
from .serving.functions import declare
from .state import CarafeState


def stand_in(app: Flask, name: str, answer: Callable[..., Any], *, fields: Mapping[str, Any] | None = None) -> None:
    """Let ``answer`` play the model ``name`` in ``app``: no file, no process, the same checks and routes.

    :param answer: called with one row's values by name; its type hints are the signature unless ``fields`` is given.
    """
    _state(app).declare_function(declare(name, answer, fields=fields))


@contextlib.contextmanager
def serving(app: Flask, *, wait_s: float = 120.0) -> Iterator[Flask]:
    """Run the declared models of ``app`` in real hosts until the end of the block, ``TESTING`` or not.

    Give the app a home of its own (``CARAFE_HOME``), such as pytest's ``tmp_path``.

    :raises NotReady: a declared model was refused, or is not up within ``wait_s``.
    """
    state = _state(app)
    before, state.hosted = state.hosted, True
    try:
        state.start()
        _wait(state, time.monotonic() + wait_s)
        yield app
    finally:
        state.hosted = before
        state.stop()
        if is_steward_there(run_dir(state.settings.home)):
            _in_thread(_stop_steward(state))


def _wait(state: CarafeState, end: float) -> None:
    while True:
        models = [state.table.models.get(spec.name) for spec in state.specs]
        for model in models:
            if model is not None and model.entry.state == "refused":
                raise NotReady(model.entry.name, model.entry.reason)
        if all(model is not None and model.is_answering for model in models):
            return
        if time.monotonic() > end:
            raise NotReady(", ".join(spec.name for spec in state.specs), "still loading")
        time.sleep(0.02)


def _in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` on a loop of its own, whether or not this thread has one that runs already."""
    with ThreadPoolExecutor(1, thread_name_prefix="carafe-testing") as pool:
        pool.submit(asyncio.run, work).result()


async def _stop_steward(state: CarafeState) -> None:
    """End the steward of the app's home, and with it the hosts."""
    link = StewardLink(state.settings.home)
    await link.connect()
    await link.ask({"op": "stop"})
    await link.ended.wait()
    await link.close()


def _state(app: Flask) -> CarafeState:
    return app.extensions["carafe"].state  # type: ignore[no-any-return]
