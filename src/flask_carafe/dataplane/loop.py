"""The door ``loop``: predictions on the server's event loop (RSGI); everything else goes to Flask in a thread.

A waiting request costs no thread, so neither slow bodies nor slow models can use the server up.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from asyncio import current_task
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any

from flask import Flask

from ..config import show_size
from ..errors import BadRequest, CarafeError, TooLarge, TooMuchAtOnce
from ..operations.failures import checked
from ..serving.asking import ask
from ..serving.ids import request_id
from ..serving.media import write_table
from ..serving.table import Model
from ..signature import Rows
from ..signature.pending import Pending
from ..state import CarafeState
from .bridge import Bridge
from .cors import allow_origin
from .protocol import MOST_RATIO, Get, Headers, Protocol, Reply, Unwritten, is_trusted, timeout_s, unpacked, write_error
from .protocols import Route, Routes
from .stream import Sender, Telling

log = logging.getLogger(__name__)
LARGE_BYTES = 256 << 10
LIVE: Reply = (200, [("content-type", "application/json"), ("cache-control", "no-store")], b'{"status":"alive"}')


def watch(protocol: Any, waiting: asyncio.Task[Any] | None, leave: Callable[[], None] | None = None) -> None:
    """See from now on whether the client is still there, until the task that waits for its answer has ended; cancel that when it has left.

    :param leave: called then as well.
    """
    assert waiting is not None  # requests are answered in tasks

    async def gone() -> None:
        await protocol.client_disconnect()
        if leave is not None:
            leave()
        waiting.cancel()

    watcher = asyncio.get_running_loop().create_task(gone())
    waiting.add_done_callback(lambda _: watcher.cancel())


async def _say(reply: Reply, protocol: Any) -> None:
    protocol.response_bytes(*reply)


class LoopDoor:
    """An RSGI application in front of a Flask one.

    :param prefix: the path under which Carafe's routes hang.
    """

    def __init__(self, app: Flask, state: CarafeState, prefix: str = "") -> None:
        self.state, self.prefix = state, prefix
        self.trusted = state.settings.trusted_hosts
        self.bridge = Bridge(app, state.settings.threads)
        self.routes = Routes()
        self.reading_bytes = 0
        self.readers: dict[asyncio.Task[Any], float] = {}
        self.parent = os.getppid()

    # ---- life, called by the server

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.state.start(loop)
        self.state.engine.on_tick.append(self._tick)
        gc.collect()
        gc.freeze()  # what is here now stays: let no collection walk it while requests wait

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(self.state.engine.stop())
        self.bridge.stop()
        self.state.stop()

    def _tick(self, now: float) -> None:
        """End bodies that take too long, and this worker when its server has gone."""
        for task in [task for task, deadline in self.readers.items() if deadline < now]:
            task.cancel()
        if os.getppid() != self.parent:
            log.warning("The server's main process has gone; this worker goes too.")
            os._exit(1)

    # ---- requests

    def __rsgi__(self, scope: Any, protocol: Any) -> Coroutine[Any, Any, None]:
        """Answer one request; a plain function, since each coroutine more is a cost for each prediction."""
        path = scope.path
        if scope.method == "POST":
            if self.prefix:
                path = path[len(self.prefix) :] if path.startswith(self.prefix + "/") else ""
            route = self.routes.find(self.state.engine.table, path)
            if route is not None and (not self.trusted or is_trusted(scope.headers.get("host"), self.trusted)):
                return self._predict(route, path, scope, protocol)
        elif path == "/livez" and scope.method in ("GET", "HEAD"):
            return _say(LIVE, protocol)
        return self._to_flask(scope, protocol)

    async def _predict(self, route: Route, path: str, scope: Any, protocol: Any) -> None:
        began = monotonic()
        state, engine, get = self.state, self.state.engine, scope.headers.get
        speak, model = route
        prediction_id = state.ids.next()
        told = request_id(get("x-request-id"), prediction_id)
        leaving = partial(watch, protocol, current_task())
        try:
            patience = timeout_s(get("x-request-timeout-ms"), state.settings.predict_timeout_s)
            said = await self._read(get("content-length"), protocol)
            model = (self.routes.find(engine.table, path) or route).model  # a new version may have come while the body did
            encoding = get("content-encoding")
            if len(said) < LARGE_BYTES and not encoding:
                rows, memo = speak.read(model, get, said)
            else:
                rows, memo = await self._read_beside(speak, model, get, said, encoding)
            if memo is not None:
                patience = getattr(memo, "timeout_s", None) or patience
            deadline = monotonic() + patience
            if model.streams and (events := speak.events(model, get, memo, prediction_id, told)) is not None:
                leaving()
                sender = Sender(Telling(state, model, events, "loop", began), scope, protocol)
                return await self._stream(sender, rows, deadline, get("origin"))
            answer = await ask(engine, model, rows, deadline, leaving, prediction_id)
            if answer.errors:
                checked(model, answer)
            status, sent, written = speak.write(model, answer, rows, memo, prediction_id, told, get)
            if isinstance(written, Unwritten):
                written = await write_table(engine, model, written.records, written.format, deadline)
            body = written
            state.answered(model, "loop", answer.n, monotonic() - began, prediction_id)
        except CarafeError as error:
            state.failed(model, "loop", error, began)
            status, sent, body = speak.error(error, told)
        except asyncio.CancelledError:  # the client has left
            status, sent, body = 499, [], b""
        except Exception:  # the last resort: a fault of ours, answered as one
            state.failed(model, "loop", None, began)
            status, sent, body = speak.unexpected(told)
        if state.settings.cors_origins:
            allow_origin(state.settings.cors_origins, get("origin"), sent)
        protocol.response_bytes(status, sent, body)

    async def _stream(self, sender: Sender, rows: Rows | Pending, deadline: float, origin: str | None) -> None:
        """Send a streamed answer, as long as its client is there."""
        more: Headers = []
        if self.state.settings.cors_origins:
            allow_origin(self.state.settings.cors_origins, origin, more)
        await sender.send(rows, deadline, more)

    async def _read_beside(self, speak: Protocol, model: Model, get: Get, said: bytes, encoding: str | None) -> tuple[Rows | Pending, Any]:
        """Read a body that may take a while, or that must be unpacked, in a thread: the loop is everyone's."""
        most = self.state.settings.max_body_bytes
        with self._held(min(most, len(said) * MOST_RATIO) if encoding else len(said)):
            return await asyncio.to_thread(lambda: speak.read(model, get, unpacked(said, encoding, most) if encoding else said))

    async def _read(self, length: str | None, protocol: Any) -> bytes:
        """The body, under the limits: size, time, and bytes being read by all requests of this worker together."""
        settings = self.state.settings
        most = settings.max_body_bytes
        size = int(length) if length and length.isdigit() else 0
        if size > most:
            raise TooLarge("The body", show_size(most))
        if self.reading_bytes + size > settings.reading_bytes:
            raise TooMuchAtOnce
        task = current_task()
        assert task is not None
        self.readers[task] = monotonic() + settings.body_timeout_s
        self.reading_bytes += size
        try:
            if length is not None:
                body: bytes = await protocol()
                return body
            return await self._read_chunks(protocol, most)
        except RuntimeError as exc:  # as the server tells that the client has left
            raise BadRequest("The body ended before its Content-Length.") from exc
        except asyncio.CancelledError:
            if task.uncancel() or self.readers[task] > monotonic():
                raise
            raise BadRequest(f"The body did not arrive within {settings.body_timeout_s:g} s.") from None
        finally:
            self.reading_bytes -= size
            del self.readers[task]

    async def _read_chunks(self, protocol: Any, most: int) -> bytes:
        parts, size = [], 0
        try:
            async for part in protocol:
                size += len(part)
                self.reading_bytes += len(part)
                if size > most:
                    raise TooLarge("The body", show_size(most))
                if self.reading_bytes > self.state.settings.reading_bytes:
                    raise TooMuchAtOnce
                parts.append(part)
        finally:
            self.reading_bytes -= size
        return b"".join(parts)

    @contextmanager
    def _held(self, size: int) -> Iterator[None]:
        """Count ``size`` bytes that wait for a thread as if they were still being read: their number must have an end as well."""
        self.reading_bytes += size
        try:
            yield
        finally:
            self.reading_bytes -= size

    async def _to_flask(self, scope: Any, protocol: Any) -> None:
        try:
            length = scope.headers.get("content-length")
            has_body = length not in (None, "0") or scope.headers.get("transfer-encoding") is not None
            body = await self._read(length, protocol) if has_body else b""
        except TooLarge as error:
            if length is None:
                protocol.response_bytes(*write_error(error, self.state.ids.next()))
                return
            body = b""  # the page that is asked refuses it by its Content-Length, and looks as it should
        except CarafeError as error:
            protocol.response_bytes(*write_error(error, self.state.ids.next()))
            return
        with self._held(len(body)):
            await self.bridge.respond(scope, body, protocol)
