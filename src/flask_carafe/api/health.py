"""Health, open to all and true at all times; metrics, with a permission."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from .. import __version__
from ..access import Permission, requires
from ..globals import current_carafe

blueprint = Blueprint("carafe_health", __name__)
NO_STORE = {"Cache-Control": "no-store"}


@blueprint.get("/livez")
@requires(Permission.OPEN)
def livez() -> Response:
    """This process answers."""
    return _said({"status": "alive"})


@blueprint.get("/readyz", endpoint="readyz")
@blueprint.get("/healthz", endpoint="healthz")
@blueprint.get("/health", endpoint="health")
@requires(Permission.OPEN)
def readyz() -> Response:
    """200 while predictions can be answered; 503 while draining, or while a required model has no host."""
    current_carafe.start()  # and no wait: what is not ready says so
    status, facts = current_carafe.health()
    return _said(facts, status)


@blueprint.get("/ping")
@requires(Permission.OPEN)
def ping() -> Response:
    """As ``/readyz``: in TorchServe's words for who asks for JSON by name, else the empty line that MLflow and SageMaker send."""
    current_carafe.start()
    status, _ = current_carafe.health()
    if "application/json" in request.accept_mimetypes.values():
        return _said({"status": "Healthy" if status == 200 else "Unhealthy"}, status)
    return Response("\n", status, NO_STORE, "application/json")


@blueprint.get("/version")
@requires(Permission.OPEN)
def version() -> Response:
    """Carafe's version as bare text, where MLflow's server tells its own."""
    return Response(__version__, 200, NO_STORE, "text/plain")


@blueprint.get("/metrics")
@requires(Permission.METRICS)
def metrics() -> Response:
    """All workers' counters, as text that Prometheus reads (and OpenMetrics where asked for)."""
    body, content_type = current_carafe.metrics_page(request.headers.get("Accept", ""))
    return Response(body, content_type=content_type, headers=NO_STORE)


def _said(facts: dict[str, object], status: int = 200) -> Response:
    response = jsonify(facts)
    response.status_code = status
    response.headers.update(NO_STORE)
    return response
