"""Errors of the views of a dialect, in its own shape whatever application they hang in."""

from __future__ import annotations

from flask import Blueprint, Response, request

from ...errors import CarafeError
from ...globals import current_carafe
from ...serving.ids import request_id
from ..protocol import Protocol, Reply


def tell_errors(blueprint: Blueprint, speak: Protocol) -> None:
    """Have what the views of ``blueprint`` raise on purpose told as ``speak`` tells it, and our own faults as well."""

    blueprint.register_error_handler(CarafeError, lambda error: _response(speak.error(error, _told())))
    blueprint.register_error_handler(500, lambda _: _response(speak.unexpected(_told())))


def _response(reply: Reply) -> Response:
    status, headers, body = reply
    return Response(body, status, headers)


def _told() -> str:
    return request_id(request.headers.get("X-Request-Id"), current_carafe.ids.next())
