"""The door ``flask``: ordinary views, so that an app's ``before_request``, login and error reporting keep guarding predictions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from flask import Blueprint, Flask, Request, Response, request, stream_with_context
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from ..access import Permission, requires
from ..config import show_size
from ..errors import BadRequest, TooLarge
from ..globals import found_carafe
from ..serving.table import Model
from ..state import CarafeState
from .blocking import headers_of, serve
from .native import NATIVE
from .protocol import Protocol
from .protocols import PROTOCOLS

blueprint = Blueprint("carafe_predict", __name__)
ADDING = threading.Lock()


def view_of(speak: Protocol) -> Callable[..., Response]:
    """The view that answers the rules of one protocol."""

    @requires(Permission.PREDICT)
    def predict(name: str | None = None, version: str | None = None) -> Response:
        state = found_carafe()
        return _respond(state, speak, lambda: state.table.resolve(name, version))

    return predict


for protocol in PROTOCOLS:
    for number, rule in enumerate(protocol.rules):
        blueprint.add_url_rule(rule, f"{protocol.name}_{number}", view_of(protocol), methods=protocol.methods)


def route_view(path: str) -> Callable[[], Response]:
    """The view of a path that some model declares for itself."""

    @requires(Permission.PREDICT)
    def declared() -> Response:
        state = found_carafe()
        return _respond(state, NATIVE, lambda: state.table.declared(path))

    return declared


def _respond(state: CarafeState, speak: Protocol, find: Callable[[], Model]) -> Response:
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]  # each look through the proxy costs
    status, headers, body = serve(state, speak, find, headers_of(asked.environ), lambda: read_body(asked, state), "flask")
    return Response(body if isinstance(body, bytes) else stream_with_context(body), status, headers)


def read_body(asked: Request, state: CarafeState) -> bytes:
    """The body of a request, at most ``max_body_bytes`` of it.

    :raises TooLarge: it is larger, or says so.
    :raises BadRequest: it ended before its Content-Length.
    """
    limit = state.settings.max_body_bytes
    own = asked.max_content_length
    if own is None or own > limit:
        asked.max_content_length = limit
    try:
        return asked.get_data(cache=False)
    except RequestEntityTooLarge as exc:
        raise TooLarge("The body", show_size(limit)) from exc
    except ClientDisconnected as exc:
        raise BadRequest("The body ended before its Content-Length.") from exc


def add_routes(app: Flask, routes: Mapping[str, Iterable[str]], prefix: str) -> None:
    """Hang the paths that models declare for themselves on ``app``, at any time; one that is there stays as it is.

    :param routes: model name -> its paths, without the prefix.
    """
    with ADDING:
        for paths in routes.values():
            for path in paths:
                endpoint = f"{blueprint.name}.route {path}"
                if endpoint not in app.view_functions:
                    app.view_functions[endpoint] = route_view(path)
                    app.url_map.add(app.url_rule_class(prefix + path, endpoint=endpoint, methods={"POST", "OPTIONS"}))
