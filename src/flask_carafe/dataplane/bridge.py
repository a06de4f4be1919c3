"""From RSGI to WSGI: a request, whose body has been read, runs through Flask in a thread of a pool. Source: PEP 3333."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from .events import EVENT_STREAM
from .pace import Pace, SlowClient

MOST_AT_ONCE = 1 << 20  # answers up to this size leave in one piece


class _Response:
    """What a WSGI application says: status, headers, and its body as an iterator."""

    def __init__(self) -> None:
        self.status, self.headers = 500, [("content-type", "text/plain")]
        self.parts: Any = iter(())
        self.close: Callable[[], None] = lambda: None
        self.written: list[bytes] = []
        self.context = copy_context()

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """PEP 3333's ``start_response``."""
        self.status = int(status.split(" ", 1)[0])
        self.headers = [(name.lower(), value) for name, value in headers]
        return self.written.append

    def run(self, app: Callable[[dict[str, Any], Any], Iterable[bytes]], environ: dict[str, Any]) -> bytes | None:
        """Call the application. Its whole body if that is small, else None: then :meth:`next_part` gives it, and :attr:`close` ends it."""
        result = app(environ, self.start)
        self.parts, self.close = iter(result), getattr(result, "close", self.close)
        size = 0
        for part in self.parts:
            self.written.append(part)
            size += len(part)
            if size > MOST_AT_ONCE or self.is_stream:
                return None
        self.close()
        return b"".join(self.written)

    def next_part(self) -> bytes | None:
        """The next part of a long body; None at its end."""
        return next(self.parts, None)

    @property
    def is_stream(self) -> bool:
        """Each part is to leave at once."""
        return any(name == "content-type" and value.startswith(EVENT_STREAM) for name, value in self.headers)


class Bridge:
    """Runs a WSGI application for an RSGI server.

    :param threads: how many requests it works on at once; others wait their turn, and the loop goes on.
    """

    def __init__(self, app: Callable[[dict[str, Any], Any], Iterable[bytes]], threads: int) -> None:
        self.app = app
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="carafe-page")

    def stop(self) -> None:
        """Let the threads end."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    async def respond(self, scope: Any, body: bytes, protocol: Any) -> None:
        """Answer one request."""
        response = _Response()
        whole = await self._in_thread(response, response.run, self.app, environ(scope, body))
        if whole is not None:
            protocol.response_bytes(response.status, response.headers, b"" if scope.method == "HEAD" else whole)
            return
        pace = Pace(scope.client)
        try:
            await self._send(response, protocol.response_stream(response.status, response.headers), pace)
        finally:
            pace.close()
            await self._in_thread(response, response.close)

    async def _send(self, response: _Response, transport: Any, pace: Pace) -> None:
        """Send a long body as its client takes it."""
        part: bytes | None = b"".join(response.written)
        while part is not None:
            try:
                await transport.send_bytes(part)
                await pace.sent_bytes(len(part))
            except (RuntimeError, SlowClient):  # the client has left, or reads nothing
                return
            part = await self._in_thread(response, response.next_part)

    async def _in_thread(self, response: _Response, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do ``work`` in any thread, yet always in the one context of its response: Flask's hangs on that."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, response.context.run, work, *arguments)


def _as_latin(text: str) -> str:
    """Text whose characters are bytes, as WSGI has it."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def environ(scope: Any, body: bytes) -> dict[str, Any]:
    """The WSGI environment of an RSGI scope."""
    server, _, port = scope.server.rpartition(":")
    client, _, client_port = scope.client.rpartition(":")
    found: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": _as_latin(scope.path),
        "QUERY_STRING": _as_latin(scope.query_string),
        "SERVER_NAME": server,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": client,
        "REMOTE_PORT": client_port,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if "_" in name:  # X_Forwarded_For must not pass for X-Forwarded-For, nor content_length for Content-Length
            continue
        key = name.upper().replace("-", "_")
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            found[key] = value
        else:
            found["HTTP_" + key] = f"{found['HTTP_' + key]},{value}" if "HTTP_" + key in found else value
    if "HTTP_TRANSFER_ENCODING" in found:
        found["CONTENT_LENGTH"] = str(len(body))
        del found["HTTP_TRANSFER_ENCODING"]
    return found
