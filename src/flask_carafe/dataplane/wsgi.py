"""The door ``wsgi``: middleware before Flask, for speed under a foreign server. It looks at no cookie and no session."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from ..config import show_size
from ..errors import BadRequest, TooLarge
from ..state import CarafeState
from .blocking import headers_of, serve
from .cors import allow_origin
from .protocol import is_trusted
from .protocols import Routes

Start = Callable[..., Any]


class WsgiDoor:
    """Answers ``POST`` on the paths of predictions; everything else goes on to the application.

    :param prefix: the path under which Carafe's routes hang.
    """

    def __init__(self, app: Callable[[dict[str, Any], Start], Iterable[bytes]], state: CarafeState, prefix: str) -> None:
        self.app, self.state, self.prefix = app, state, prefix
        self.routes = Routes()

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        state, path = self.state, environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(self.prefix):
            return self.app(environ, start_response)
        state.at_first_need()
        path = path[len(self.prefix) :]
        route = self.routes.find(state.table, path)
        if route is None or not is_trusted(environ.get("HTTP_HOST"), state.settings.trusted_hosts):
            return self.app(environ, start_response)
        status, headers, body = serve(
            state, route.protocol, lambda: (self.routes.find(state.table, path) or route).model,
            headers_of(environ), lambda: self._body(environ), "wsgi",
        )  # fmt: skip
        if state.settings.cors_origins:
            allow_origin(state.settings.cors_origins, environ.get("HTTP_ORIGIN"), headers)
        if isinstance(body, bytes):
            headers.append(("content-length", str(len(body))))
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body] if isinstance(body, bytes) else body

    def _body(self, environ: dict[str, Any]) -> bytes:
        limit = self.state.settings.max_body_bytes
        length = environ.get("CONTENT_LENGTH") or ""
        if length and (not length.isascii() or not length.isdigit()):
            raise BadRequest("Content-Length is not a number.")
        if length and int(length) > limit:
            raise TooLarge("The body", show_size(limit))
        if not length and not environ.get("wsgi.input_terminated"):
            return b""
        try:
            body: bytes = environ["wsgi.input"].read(int(length) if length else limit + 1)
        except OSError as exc:  # as servers tell that the client has left
            raise BadRequest("The body cannot be read to its end.") from exc
        if len(body) > limit:
            raise TooLarge("The body", show_size(limit))
        if length and len(body) < int(length):
            raise BadRequest("The body ended before its Content-Length.")
        return body
