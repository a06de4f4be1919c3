"""Health, open to all and true at all times; metrics, with a permission."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

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
    """As ``/readyz``, with the empty line that MLflow's and SageMaker's clients read."""
    current_carafe.start()
    status, _ = current_carafe.health()
    return Response("\n", status, NO_STORE, "application/json")


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
