"""CORS for Carafe's own routes: exact origins, no credentials, nothing unless configured.

Source: Fetch standard, section 3.2 (HTTP CORS protocol).
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, request

METHODS = "GET, HEAD, POST, OPTIONS"
ALLOWED = "Accept, Authorization, Content-Type, Inference-Header-Content-Length, X-API-Key, X-Request-Id, X-Request-Timeout-Ms, X-Unit-Id"
EXPOSED = "Inference-Header-Content-Length, Retry-After, X-Carafe-Unverified, X-Model-Version, X-Prediction-Id, X-Request-Id"


def allow_origin(allowed: Sequence[str], origin: str | None, headers: list[tuple[str, str]]) -> bool:
    """Add to ``headers`` what lets a page of ``origin`` read the answer; True if it may."""
    headers.append(("vary", "Origin"))
    if not origin or not (origin in allowed or "*" in allowed):
        return False
    headers.append(("access-control-allow-origin", "*" if "*" in allowed else origin))
    headers.append(("access-control-expose-headers", EXPOSED))
    return True


def allow_preflight(headers: list[tuple[str, str]]) -> None:
    """Add to ``headers`` what a preflight asks: methods, headers, and an hour's rest before the next."""
    headers.append(("access-control-allow-methods", METHODS))
    headers.append(("access-control-allow-headers", ALLOWED))
    headers.append(("access-control-max-age", "3600"))


def register(app: Flask, blueprint: str, allowed: Sequence[str]) -> None:
    """Let pages of the ``allowed`` origins call the routes of one blueprint of ``app``; nothing else of it is touched."""
    if allowed:
        app.after_request_funcs.setdefault(blueprint, []).append(lambda response: _allow(response, allowed))


def _allow(response: Response, allowed: Sequence[str]) -> Response:
    headers: list[tuple[str, str]] = []
    if allow_origin(allowed, request.headers.get("Origin"), headers) and request.method == "OPTIONS":
        allow_preflight(headers)
    for name, value in headers:
        response.headers.add(name, value)
    return response
