"""Streamed predictions: the values of a model that yields, one after the other, never far ahead of whoever reads them.

The request's deadline counts up to the first value; from then on each value may take as long as the hang limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from ..errors import CarafeError, DeadlineExceeded, InvalidInput, ModelFailed, OutputInvalid, Overloaded
from ..signature import Rows
from ..signature.unpack import values as unpacked
from .functions import plain
from .request import told_s
from .table import Model

log = logging.getLogger(__name__)
MOST_STREAMS = 64  # of one model at once, in one worker
END: Any = object()  # in place of a value: there is none any more


class Stream(Protocol):
    """One streamed prediction, read on the loop by one reader."""

    async def next(self) -> Any:
        """The next value, or :data:`END`.

        :raises CarafeError: what became of it; there are no more values.
        """

    def close(self) -> None:
        """Read no more: the model's generator is closed, so that its ``finally`` runs. Safe to call at any time."""


class Steps:
    """A function of the app that yields, stepped in whatever thread asks for the next value."""

    def __init__(self, model: Model, rows: Rows) -> None:
        self.model, self.rows = model, rows
        self.values: Iterator[Any] | None = None

    def next(self) -> Any:
        """The next value, or :data:`END`.

        :raises ModelFailed: the function raised.
        :raises OutputInvalid: it yielded what JSON cannot say.
        """
        name = self.model.entry.name
        try:
            if self.values is None:
                self.values = self._begin()
            value = next(self.values, END)
        except CarafeError:
            raise
        except Exception as exc:  # the edge round a user's model
            raise ModelFailed(name) from exc
        try:
            return value if value is END else plain(value)
        except (ValueError, RecursionError) as exc:
            raise OutputInvalid(name, str(exc)) from exc

    def _begin(self) -> Iterator[Any]:
        signature, call = self.model.signature, self.model.call
        assert call is not None and signature is not None
        return iter(call(unpacked(signature, self.rows, native=True)))

    def close(self) -> None:
        """Close the generator; what it raises meanwhile concerns nobody but the log."""
        try:
            getattr(self.values, "close", int)()
        except Exception:  # the edge round a user's model
            log.exception("Model %s raised while its stream was closed.", self.model.entry.name)


class LocalStream:
    """:class:`Steps` in a pool of threads, one step at a time, each when its value is wanted.

    :param step_s: seconds that each value after the first may take.
    :param on_end: called on the loop, once, when nothing of it runs any more.
    """

    def __init__(self, pool: ThreadPoolExecutor, steps: Steps, deadline: float, step_s: float, on_end: Callable[[], None]) -> None:
        self.pool, self.steps, self.step_s, self.on_end = pool, steps, step_s, on_end
        self.patience = max(0.0, deadline - monotonic())
        self.loop = asyncio.get_running_loop()
        self.step: Future[Any] | None = None
        self.is_closed = False

    async def next(self) -> Any:
        self.step = self.pool.submit(self.steps.next)
        try:
            async with asyncio.timeout(self.patience):
                return await asyncio.wrap_future(self.step)
        except TimeoutError:
            raise DeadlineExceeded(told_s(self.patience)) from None
        finally:
            self.patience = self.step_s

    def close(self) -> None:
        """A step that is under way cannot be stopped: the generator is closed after it."""
        if self.is_closed:
            return
        self.is_closed = True
        if self.step is None:
            self.on_end()
        else:
            self.step.add_done_callback(self._close_beside)

    def _close_beside(self, step: Future[Any]) -> None:
        with suppress(RuntimeError):  # the pool has ended, and the process is about to
            self.pool.submit(self._close)

    def _close(self) -> None:
        self.steps.close()
        with suppress(RuntimeError):  # as has the loop
            self.loop.call_soon_threadsafe(self.on_end)


class Streams:
    """The streams of one worker, counted while they last."""

    def __init__(self, pool_of: Callable[[Model], ThreadPoolExecutor]) -> None:
        self.pool_of = pool_of
        self.open_now: Counter[str] = Counter()

    async def open(self, model: Model, rows: Rows, deadline: float) -> Stream:
        """Begin a stream of ``model``. A function runs when its first value is asked for.

        :raises InvalidInput: more than one row.
        :raises Overloaded: as many as there may be are open.
        """
        one_row(rows)
        name = model.entry.name
        if self.open_now[name] >= MOST_STREAMS:
            raise Overloaded(name, 1)
        self.open_now[name] += 1
        return LocalStream(self.pool_of(model), Steps(model, rows), deadline, model.entry.timeout_ms / 1000, lambda: self._ended(name))

    def _ended(self, name: str) -> None:
        self.open_now[name] -= 1
        if not self.open_now[name]:
            del self.open_now[name]


def one_row(rows: Rows) -> None:
    """:raises InvalidInput: there are several."""
    if rows.n != 1:
        raise InvalidInput(f"This model answers one row at a time, value by value, and got {rows.n:,}.", (), "Send one row in each request.")
