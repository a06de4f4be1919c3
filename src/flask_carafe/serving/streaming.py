"""Read a streamed prediction: value by value on the loop or from a thread, or all of them as one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from concurrent.futures import CancelledError
from contextlib import closing
from time import monotonic
from typing import Any

import msgspec

from ..errors import AnswerTooLong, NotReady
from ..hosting.frames import DTYPES, Column
from ..signature import Rows
from .engine import Engine
from .host_stream import END
from .request import Answer, Watch
from .streams import Steps, one_row
from .table import Model

MOST_VALUES = 10_000  # of a stream that is collected into one answer
MOST_BYTES = 16 << 20


def iterate(engine: Engine, model: Model, rows: Rows, timeout_s: float) -> Generator[Any, None, None]:
    """The values of a stream, for a thread that may wait; close the iterator to stop the model.

    :raises Overloaded: the threads that the model may hold are taken.
    :raises CarafeError: what became of it in place of the next value.
    """
    one_row(rows)
    seats = engine.seats_of(model)
    seats.wait(timeout_s)
    try:
        yield from _iterate_here(model, rows) if model.call is not None else _iterate_hosted(engine, model, rows, monotonic() + timeout_s)
    finally:
        seats.leave()


def _iterate_here(model: Model, rows: Rows) -> Generator[Any, None, None]:
    steps = Steps(model, rows)  # in this thread: the function may want the app
    try:
        while (value := steps.next()) is not END:
            yield value
    finally:
        steps.close()


def _iterate_hosted(engine: Engine, model: Model, rows: Rows, deadline: float) -> Generator[Any, None, None]:
    loop = engine.loop
    if loop is None:
        raise NotReady(model.entry.name, "no host is running")

    def wait(work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(work, loop).result()
        except CancelledError:
            raise NotReady(model.entry.name, "the server is stopping") from None

    stream = wait(engine.streams.open(model, rows, deadline))
    try:
        while (value := wait(stream.next())) is not END:
            yield value
    finally:
        loop.call_soon_threadsafe(stream.close)


async def collect(engine: Engine, model: Model, rows: Rows, deadline: float, watch: Watch | None = None) -> Answer:
    """All values of a stream as one answer: the prediction of its row is their list.

    :raises AnswerTooLong: there are more than 10,000, or than 16 MiB.
    """
    collected = Collected(model)
    stream = await engine.streams.open(model, rows, deadline)
    try:
        if watch is not None:
            watch(None)
        while (value := await stream.next()) is not END:
            collected.add(value)
    finally:
        stream.close()
    return collected.answer()


def collect_blocking(engine: Engine, model: Model, rows: Rows, timeout_s: float) -> Answer:
    """The same from any thread but the loop's."""
    collected = Collected(model)
    with closing(iterate(engine, model, rows, timeout_s)) as values:
        for value in values:
            collected.add(value)
    return collected.answer()


class Collected:
    """Values of one stream, gathered within limits."""

    def __init__(self, model: Model) -> None:
        self.model, self.values, self.size = model, list[Any](), 0

    def add(self, value: Any) -> None:
        """:raises AnswerTooLong: that is too many."""
        self.values.append(value)
        self.size += len(msgspec.json.encode(value))
        if len(self.values) > MOST_VALUES:
            raise AnswerTooLong(self.model.entry.name, f"{MOST_VALUES:,} values")
        if self.size > MOST_BYTES:
            raise AnswerTooLong(self.model.entry.name, f"{MOST_BYTES >> 20} MiB")

    def answer(self) -> Answer:
        """One row, whose prediction is the list."""
        return Answer([Column(DTYPES["json"], 1, [self.values])], 0, 1, (), 1)
