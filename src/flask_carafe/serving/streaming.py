"""Read a streamed prediction: value by value on the loop or from a thread, or all of them as one answer."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import msgspec

from ..errors import AnswerTooLong
from ..hosting.frames import DTYPES, Column
from ..signature import Rows
from ..signature.pending import Pending
from .engine import Engine
from .media import decode_media
from .request import Answer
from .streams import END, Steps, Stream, one_row
from .table import Model

MOST_VALUES = 10_000  # of a stream that is collected into one answer
MOST_BYTES = 16 << 20


async def open_stream(engine: Engine, model: Model, rows: Rows | Pending, deadline: float) -> Stream:
    """Begin a stream; on the loop. Whoever opened it closes it.

    :raises CarafeError: it cannot be begun.
    """
    if isinstance(rows, Pending):
        rows = await decode_media(engine, model, rows, deadline)
    return await engine.streams.open(model, rows, deadline)


def iterate(engine: Engine, model: Model, rows: Rows, timeout_s: float) -> Generator[Any, None, None]:
    """The values of a stream, for a thread that may wait; close the iterator to stop the model.

    :raises Overloaded: the threads that the model may hold are taken.
    :raises CarafeError: what became of it in place of the next value.
    """
    one_row(rows)
    steps, seats = Steps(model, rows), engine.seats_of(model)
    seats.wait(timeout_s)
    try:
        while (value := steps.next()) is not END:
            yield value
    finally:
        steps.close()
        seats.leave()


async def collect(engine: Engine, model: Model, rows: Rows, deadline: float, watch: Callable[[], None] | None = None) -> Answer:
    """All values of a stream as one answer: the prediction of its row is their list.

    :raises AnswerTooLong: there are more than 10,000, or than 16 MiB.
    """
    collected = Collected(model)
    stream = await engine.streams.open(model, rows, deadline)
    try:
        if watch is not None:
            watch()
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
