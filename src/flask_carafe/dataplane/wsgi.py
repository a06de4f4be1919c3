"""The door ``wsgi``: middleware before Flask, for speed under a foreign server. It looks at no cookie and no session."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from ..config import show_size
from ..errors import BadRequest, TooLarge
from ..state import CarafeState
from .blocking import serve

NAMES = {"content-type": "CONTENT_TYPE", "accept": "HTTP_ACCEPT", "x-request-id": "HTTP_X_REQUEST_ID"}
NAMES["x-request-timeout-ms"] = "HTTP_X_REQUEST_TIMEOUT_MS"
Start = Callable[..., Any]


class WsgiDoor:
    """Answers ``POST`` on the paths of predictions; everything else goes on to the application.

    :param prefix: the path under which Carafe's routes hang.
    """

    def __init__(self, app: Callable[[dict[str, Any], Start], Iterable[bytes]], state: CarafeState, prefix: str) -> None:
        self.app, self.state, self.prefix = app, state, prefix

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(self.prefix):
            return self.app(environ, start_response)
        self.state.at_first_need()
        model = self.state.table.paths.get(path[len(self.prefix) :])
        if model is None:
            return self.app(environ, start_response)
        status, headers, body = serve(self.state, lambda: model, lambda name: environ.get(NAMES[name]), lambda: self._body(environ), "wsgi")
        start_response(f"{status} {HTTPStatus(status).phrase}", [*headers, ("content-length", str(len(body)))])
        return [body]

    def _body(self, environ: dict[str, Any]) -> bytes:
        limit = self.state.settings.max_body_bytes
        length = environ.get("CONTENT_LENGTH") or ""
        if length and (not length.isascii() or not length.isdigit()):
            raise BadRequest("Content-Length is not a number.")
        if length and int(length) > limit:
            raise TooLarge("The body", show_size(limit))
        if not length and not environ.get("wsgi.input_terminated"):
            return b""
        body: bytes = environ["wsgi.input"].read(int(length) if length else limit + 1)
        if len(body) > limit:
            raise TooLarge("The body", show_size(limit))
        if length and len(body) < int(length):
            raise BadRequest("The body ended before its Content-Length.")
        return body
