"""Static files: read once, named by the hash of their bytes, so that a browser may keep them for ever."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from flask import Response, abort, request
from werkzeug.wrappers import Response as BaseResponse

FOLDER = Path(__file__).parent / "static"
STYLES = ("tokens", "ground", "layout", "controls", "status", "surfaces", "data", "charts", "navigation", "code", "answer", "drawing", "media")
SCRIPTS = ("copy", "tabs", "range", "count", "drop", "pad", "ask")
FOR_EVER = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    body: bytes
    content_type: str
    version: str


def _asset(body: bytes, content_type: str) -> Asset:
    return Asset(body, content_type, hashlib.sha256(body).hexdigest()[:12])


def _joined(folder: str, names: tuple[str, ...], ending: str) -> bytes:
    return b"\n".join((FOLDER / folder / f"{name}.{ending}").read_bytes() for name in names)


def load_assets() -> dict[str, Asset]:
    """All files that a page may ask for; the sheets, and the scripts, travel as one file each."""
    return {
        "carafe.css": _asset(_joined("css", STYLES, "css"), "text/css; charset=utf-8"),
        "carafe.js": _asset(_joined("js", SCRIPTS, "js"), "text/javascript; charset=utf-8"),
        "logo.svg": _asset((FOLDER / "logo.svg").read_bytes(), "image/svg+xml"),
    }


def send_asset(assets: dict[str, Asset], name: str) -> BaseResponse:
    """One file; kept for a year when asked for by its version, asked again otherwise."""
    asset = assets.get(name) or abort(404)
    response = Response(asset.body, content_type=asset.content_type)
    response.set_etag(asset.version)
    response.headers["Cache-Control"] = FOR_EVER if request.args.get("v") == asset.version else "no-cache"
    return response.make_conditional(request)
