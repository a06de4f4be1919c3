"""Errors as pages for people and as JSON for programs: on our own routes always, for a whole application only where it is ours."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge
from werkzeug.wrappers import Response as BaseResponse

from ..config import show_size
from ..errors import CarafeError, ModelNotFound, Overloaded
from ..globals import current_carafe
from ..operations.failures import log_failure
from ..serving.ids import request_id
from .headers import guard
from .rendering import render

log = logging.getLogger(__name__)
HEALTH_PATHS = ("/livez", "/readyz", "/healthz", "/health", "/ping", "/version", "/metrics")
API_PATHS = ("/api/", "/v1/", "/v2/", "/openapi.json", "/invocations", "/predictions/", *HEALTH_PATHS)
TITLES = {
    400: "This request cannot be read", 401: "Sign in first", 403: "Not permitted", 404: "There is nothing here", 405: "Not this way",
    409: "Somebody else was faster", 413: "Too large", 415: "Not a kind that is read here", 422: "This cannot be answered as it is",
    429: "Too many are waiting", 500: "The fault is on our side", 503: "Not ready", 504: "No answer in time",
}  # fmt: skip
CODES = {400: "malformed", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "wrong_media_type", 500: "internal_error"}
WORDS = {
    404: "The address is not that of a page or a model. Names are kept when versions change, so an old link to a model still works.",
    500: "Something went wrong here, and not in your request. The log has the story under the request id.",
}
NEVER = "Names are kept when versions change, so an old link to a model still works; this one leads nowhere."
HINTS = {404: "The page / lists the models, and /docs their calls."}


def new_request_id() -> str:
    """The client's own id of this request, or one of ours."""
    made: str = request.environ.setdefault("carafe.request_id", current_carafe.ids.next())
    return request_id(request.headers.get("X-Request-Id"), made)


def wants_page() -> bool:
    """True for a browser; programs that say nothing, or ``*/*``, get JSON."""
    if request.path.endswith(".json") or any(request.path.startswith(path) for path in API_PATHS):
        return False
    accepted = request.accept_mimetypes
    return accepted["text/html"] > 0 and "text/html" in accepted.values() and accepted["text/html"] >= accepted["application/json"]


def on_carafe_error(error: CarafeError) -> Response:
    """What we raise on purpose."""
    told = new_request_id()
    if error.status >= 500:
        log_failure(error, told)
    response = _reply(error.status, error.as_json(told), _nearest(error))
    if isinstance(error, Overloaded):
        response.headers["Retry-After"] = str(error.retry_after_s)
    elif error.status == 503:
        response.headers["Retry-After"] = "1"
    return response


def on_http_error(error: HTTPException) -> Response | BaseResponse:
    """What Werkzeug raises: no such address, another method, a body that is too large."""
    status = error.code or 500
    if status < 400 or error.response is not None:
        return error.get_response()
    body = {"error": _words(error, status), "code": CODES.get(status, "http_error")}
    if status in HINTS:
        body["hint"] = HINTS[status]
    response = _reply(status, body | {"request_id": new_request_id()}, "")
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "www-authenticate"):
            response.headers[name] = value
    return response


def _words(error: HTTPException, status: int) -> str:
    if isinstance(error, RequestEntityTooLarge):
        return f"The body is larger than the limit of {show_size(current_carafe.settings.max_body_bytes)}."
    if status == 405:
        allowed = ", ".join(sorted(set(getattr(error, "valid_methods", None) or ()) - {"HEAD", "OPTIONS"}))
        return f"{request.method} is not a method of this address{'; it takes ' + allowed if allowed else ''}."
    return WORDS.get(status) or error.description or TITLES.get(status, error.name)


def on_unexpected(error: InternalServerError) -> Response | BaseResponse:
    """Our own fault; Flask has logged the traceback. The request id ties the two."""
    log.error("An unexpected error.", exc_info=error.original_exception, extra={"request_id": new_request_id(), "code": "internal_error"})
    return on_http_error(error)


def _reply(status: int, body: dict[str, Any], nearest: str) -> Response:
    if not wants_page():
        response = Response(msgspec.json.encode(body), status, content_type="application/json")
    else:
        title = f"There is no model called “{nearest_asked()}”" if body["code"] == "model_not_found" else TITLES.get(status, "This did not work")
        text = NEVER if body["code"] == "model_not_found" else body["error"]
        page = render(
            "error.html", here="", status=status, title=title, text=text, hint="" if status == 404 else body.get("hint", ""),
            code=body["code"], request_id=body.get("request_id", ""), nearest=nearest,
        )  # fmt: skip
        response = Response(page, status, content_type="text/html; charset=utf-8")
    response.headers["X-Request-Id"] = body.get("request_id", "")
    return guard(response)


def nearest_asked() -> str:
    """The name in the address, as it was asked for."""
    return str((request.view_args or {}).get("name", ""))[:80]


def _nearest(error: CarafeError) -> str:
    if not isinstance(error, ModelNotFound):
        return ""
    return next(iter(get_close_matches(nearest_asked(), list(current_carafe.table.models), n=1)), "")


def register_on(blueprint: Blueprint) -> None:
    """Errors of our own routes."""
    blueprint.register_error_handler(CarafeError, on_carafe_error)
    blueprint.register_error_handler(HTTPException, on_http_error)
    blueprint.register_error_handler(InternalServerError, on_unexpected)


def register(app: Flask) -> None:
    """Errors of a whole application: for the ready-made one alone, never for an app that is somebody else's."""
    app.register_error_handler(CarafeError, on_carafe_error)
    app.register_error_handler(HTTPException, on_http_error)
    app.register_error_handler(InternalServerError, on_unexpected)
