"""Send a streamed answer: on the loop as its client takes it, from a thread as the server asks for the next piece."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from time import monotonic
from typing import Any

from ..errors import CarafeError
from ..hosting.frames import DTYPES, Column
from ..serving.asking import ready_rows
from ..serving.host_stream import END
from ..serving.request import Answer
from ..serving.streaming import iterate
from ..serving.streams import Stream
from ..serving.table import Model
from ..signature import Rows
from ..signature.pending import Pending
from ..state import CarafeState
from .events import Events
from .pace import Pace, SlowClient
from .protocol import Headers

log = logging.getLogger(__name__)
KEPT_BYTES = 1 << 20  # of an answer's events; of a longer one the journal has the number of values


class Telling:
    """The events of one answer, and what others are told of it: metrics, the journal, the log.

    :param began: on the clock of :func:`time.monotonic`.
    """

    def __init__(self, state: CarafeState, model: Model, events: Events, door: str, began: float) -> None:
        self.state, self.model, self.events, self.door, self.began = state, model, events, door, began
        self.kept, self.kept_bytes = list[Any](), 0

    def value(self, value: Any) -> bytes:
        """The event of one value.

        :raises OutputInvalid: it is no JSON.
        """
        event = self.events.value(value)
        self.kept_bytes += len(event)
        if self.kept_bytes <= KEPT_BYTES:
            self.kept.append(value)
        return event

    def end(self, rows: Rows) -> bytes:
        """The last event of an answer that is whole."""
        state, model, events = self.state, self.model, self.events
        if state.engine.on_call is not None:
            values: Any = self.kept if len(self.kept) == events.count else {"values": events.count}
            state.engine.on_call(model, events.prediction_id, rows, Answer([Column(DTYPES["json"], 1, [values])], 0, 1, (), 1), self.began)
        state.answered(model, self.door, 1, monotonic() - self.began, events.prediction_id)
        return events.end()

    def error(self, error: CarafeError) -> bytes:
        """The last event of an answer that breaks off."""
        self.state.failed(self.model, self.door, error, self.began)
        return self.events.error(error)

    def unexpected(self) -> bytes:
        """The last event where the fault is our own; called while the exception is being handled."""
        self.state.failed(self.model, self.door, None, self.began)
        return self.events.unexpected()


class Sender:
    """Sends one streamed answer through an RSGI server."""

    def __init__(self, telling: Telling, scope: Any, protocol: Any) -> None:
        self.telling, self.protocol = telling, protocol
        self.pace = Pace(scope.client)
        self.transport: Any = None  # held here alone: the answer ends when it is let go

    async def send(self, rows: Rows | Pending, deadline: float, more: Headers) -> None:
        """Send all of it. Cancel this to stop the model.

        :param more: headers beside those of the events.
        :raises CarafeError: there is not even a first value; nothing was sent.
        """
        telling = self.telling
        engine, model = telling.state.engine, telling.model
        rows = await ready_rows(engine, model, rows, deadline)
        stream = await engine.streams.open(model, rows, deadline)
        try:
            first = await stream.next()
            self.transport = self.protocol.response_stream(200, [*telling.events.headers(), *more])
            await self._hand(await self._values(stream, first, rows))
        finally:
            self.transport = None
            stream.close()
            self.pace.close()

    async def _values(self, stream: Stream, value: Any, rows: Rows) -> bytes:
        """Send the values; the last event is given back."""
        telling = self.telling
        try:
            while value is not END:
                await self._hand(telling.value(value))
                value = await stream.next()
            return telling.end(rows)
        except CarafeError as error:
            return telling.error(error)
        except Exception:  # the last resort: a fault of ours, told as one
            return telling.unexpected()

    async def _hand(self, event: bytes) -> None:
        """Hand one event to the server, and wait until the client has room for the next."""
        try:
            await self.transport.send_bytes(event)
            await self.pace.sent_bytes(len(event))
        except RuntimeError as exc:  # as the server tells that the client has left
            raise asyncio.CancelledError from exc
        except SlowClient:
            log.warning("A client of %s does not read; its stream was ended.", self.telling.model.entry.name)
            raise asyncio.CancelledError from None


class EventBody:
    """A streamed answer as the body that a WSGI server asks for piece by piece. Closing it stops the model.

    :raises CarafeError: there is not even a first value.
    """

    def __init__(self, telling: Telling, rows: Rows, timeout_s: float) -> None:
        self.telling, self.rows = telling, rows
        self.values: Generator[Any, None, None] = iterate(telling.state.engine, telling.model, rows, timeout_s)
        self.first = [next(self.values, END)]
        self.is_over = False

    def __iter__(self) -> EventBody:
        return self

    def __next__(self) -> bytes:
        if self.is_over:
            raise StopIteration
        try:
            value = self.first.pop() if self.first else next(self.values, END)
            if value is not END:
                return self.telling.value(value)
            last = self.telling.end(self.rows)
        except CarafeError as error:
            last = self.telling.error(error)
        except Exception:  # the last resort: a fault of ours, told as one
            last = self.telling.unexpected()
        self.is_over = True
        return last

    def close(self) -> None:
        """Nobody asks for more."""
        self.values.close()
