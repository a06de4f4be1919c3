"""Send a streamed answer: on the loop as its client takes it, from a thread as the server asks for the next piece."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Any

from ..errors import CarafeError
from ..serving.streaming import open_stream
from ..serving.streams import END, Stream
from ..serving.table import Model
from ..signature import Rows
from ..signature.pending import Pending
from ..state import CarafeState
from .events import Events
from .pace import Pace, SlowClient
from .protocol import Headers

log = logging.getLogger(__name__)


class Sender:
    """Sends one streamed answer through an RSGI server."""

    def __init__(self, state: CarafeState, model: Model, events: Events, scope: Any, protocol: Any) -> None:
        self.state, self.model, self.events, self.protocol = state, model, events, protocol
        self.pace = Pace(scope.client)
        self.transport: Any = None  # held here alone: the answer ends when it is let go

    async def send(self, rows: Rows | Pending, deadline: float, began: float, more: Headers) -> None:
        """Send all of it. Cancel this to stop the model.

        :param more: headers beside those of the events.
        :raises CarafeError: there is not even a first value; nothing was sent.
        """
        stream = await open_stream(self.state.engine, self.model, rows, deadline)
        try:
            first = await stream.next()
            self.transport = self.protocol.response_stream(200, [*self.events.headers(), *more])
            await self._hand(await self._values(stream, first, began))
        finally:
            self.transport = None
            stream.close()
            self.pace.close()

    async def _values(self, stream: Stream, value: Any, began: float) -> bytes:
        """Send the values; the last event is given back."""
        state, model = self.state, self.model
        try:
            while value is not END:
                await self._hand(self.events.value(value))
                value = await stream.next()
        except CarafeError as error:
            state.failed(model, "loop", error, began)
            return self.events.error(error)
        except SlowClient:
            log.warning("A client of %s was sent as much as one may be that cannot be seen to read.", model.entry.name)
            raise asyncio.CancelledError from None
        except Exception:  # the last resort: a fault of ours, told as one
            state.failed(model, "loop", None, began)
            return self.events.unexpected()
        state.answered(model, "loop", 1, monotonic() - began, self.events.prediction_id)
        return self.events.end()

    async def _hand(self, event: bytes) -> None:
        """Hand one event to the server, and wait until the client has room for the next."""
        try:
            await self.transport.send_bytes(event)
        except RuntimeError as exc:  # as the server tells that the client has left
            raise asyncio.CancelledError from exc
        await self.pace.sent_bytes(len(event))
