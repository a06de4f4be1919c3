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
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..errors import CarafeError, DeadlineExceeded, InvalidInput, ModelFailed, NotReady, OutputInvalid, Overloaded
from ..signature import Rows
from ..signature.unpack import values as unpacked
from .connection import Connection
from .functions import plain
from .host_stream import END, HostStream, StreamConnection
from .lane import Lane
from .request import told_s
from .table import HostAddress, Model

if TYPE_CHECKING:
    from .engine import Engine

log = logging.getLogger(__name__)
MOST_STREAMS = 64  # of one model at once, in one worker
NAP_S = 0.02


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

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.open_now: Counter[str] = Counter()  # by the model's name
        self.connections: dict[StreamConnection, str] = {}  # and that name
        engine.on_tick.append(self._tick)

    async def open(self, model: Model, rows: Rows, deadline: float) -> Stream:
        """Begin a stream of ``model``; a function runs when its first value is asked for. Whoever opened it closes it.

        :raises InvalidInput: more than one row.
        :raises Overloaded: as many as there may be are open.
        :raises NotReady: there is no host.
        """
        one_row(rows)
        name = model.entry.name
        if self.open_now[name] >= MOST_STREAMS:
            raise Overloaded(name, 1)
        self.open_now[name] += 1
        try:
            return await self._begun(model, rows, deadline)
        except BaseException:
            self._left(name)
            raise

    async def _begun(self, model: Model, rows: Rows, deadline: float) -> Stream:
        if model.call is not None:
            name, step_s = model.entry.name, model.entry.timeout_ms / 1000
            return LocalStream(self.engine.crew_of(model).pool, Steps(model, rows), deadline, step_s, lambda: self._left(name))
        while (host := self._least_busy(lane := self.engine.lane_of(model))) is None:  # it is being replaced
            if monotonic() >= deadline:
                raise model.unready("its host is being started")
            await asyncio.sleep(NAP_S)
        stream = HostStream(lane, rows, deadline, monotonic())
        connection = StreamConnection(stream, host, self._ended)
        self.connections[connection] = model.entry.name
        self.engine.spawn(self.engine.connect_to(connection, host))
        return stream

    def _least_busy(self, lane: Lane) -> HostAddress | None:
        """The host of ``lane`` with the fewest streams from here."""
        busy, wanted = Counter(connection.host_id for connection in self.connections), self.engine.wanted
        hosts = [wanted[lane, channel.host_id] for channel in lane.channels if (lane, channel.host_id) in wanted]
        return min(hosts, key=lambda host: busy[host.id], default=None)

    def _tick(self, now: float) -> None:
        for connection in list(self.connections):
            if connection.stream.tick(now):
                lane = connection.lane
                log.error("Model %s made no next value within %g s; its host %s is replaced.", lane.name, lane.hang_limit_s, connection.host_id)
                connection.hung()

    def _ended(self, connection: Connection, hung: bool) -> None:
        self._left(self.connections.pop(cast(StreamConnection, connection)))
        if hung and self.engine.link:
            self.engine.link.tell({"op": "hung", "host": connection.host_id})

    def _left(self, name: str) -> None:
        self.open_now[name] -= 1
        if not self.open_now[name]:
            del self.open_now[name]

    def stop(self) -> None:
        """End every stream of a host with 503."""
        for connection, name in list(self.connections.items()):
            connection.stream.end(NotReady(name, "the server is stopping"))
            connection.close()


def one_row(rows: Rows) -> None:
    """:raises InvalidInput: there are several."""
    if rows.n != 1:
        raise InvalidInput(f"This model answers one row at a time, value by value, and got {rows.n:,}.", (), "Send one row in each request.")
