"""Errors of the views of a dialect, in its own shape whatever application they hang in."""

from __future__ import annotations

from flask import Blueprint, Response, request

from ...errors import CarafeError
from ...globals import current_carafe
from ...serving.ids import request_id
from ..protocol import Protocol


def tell_errors(blueprint: Blueprint, speak: Protocol) -> None:
    """Have what the views of ``blueprint`` raise on purpose told as ``speak`` tells it."""

    def tell(error: CarafeError) -> Response:
        status, headers, body = speak.error(error, request_id(request.headers.get("X-Request-Id"), current_carafe.ids.next()))
        return Response(body, status, headers)

    blueprint.register_error_handler(CarafeError, tell)
