"""``/openapi.json``: the API's own description, made from the signatures that are served right now."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response, url_for

from ..access import Permission, requires
from ..globals import current_carafe
from ..operations.openapi import openapi

blueprint = Blueprint("carafe_api", __name__)


@blueprint.get("/openapi.json")
@requires(Permission.READ)
def document() -> Response:
    """OpenAPI 3.1 of every model that has a signature."""
    current_carafe.at_first_need()
    root = url_for(".document", _external=True).removesuffix("/openapi.json")
    body = msgspec.json.encode(openapi(current_carafe, root))
    return Response(body, content_type="application/json", headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})
