"""V2 beside predictions: what server and models are, whether they are ready, what they have done, and the repository of models.

Source: Open Inference Protocol, inference_rest.md; Triton's extensions model_repository and statistics.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from ... import __version__
from ...access import Permission, requires
from ...errors import InvalidInput, NotPermitted
from ...globals import current_carafe
from ...monitor.totals import totals
from ...operations import admin, repository
from ...serving.table import Model
from ...signature import strict
from ..protocol import JSON, encode
from ..views import read_body
from .telling import tell_errors
from .v2 import V2
from .v2_columns import input_specs
from .v2_outputs import output_specs

blueprint = Blueprint("carafe_v2", __name__)
tell_errors(blueprint, V2())
NAME = "carafe"
EXTENSIONS = ("binary_tensor_data", "classification", "generate", "model_repository", "statistics")
PLATFORMS = {"scikit-learn": "sklearn", "onnx": "onnx_onnxv1", "torch": "pytorch_torchscript"}


def said(body: Any, status: int = 200) -> Response:
    return Response(encode(body), status, {"Cache-Control": "no-store"}, content_type=JSON)


# ---- server and models


@blueprint.get("/v2", strict_slashes=False)
@blueprint.get("/v2/", endpoint="slash")
@requires(Permission.OPEN)
def server() -> Response:
    """Name, version and what is spoken beyond the protocol itself."""
    return said({"name": NAME, "version": __version__, "extensions": EXTENSIONS})


@blueprint.get("/v2/health/live")
@requires(Permission.OPEN)
def live() -> Response:
    """This process answers."""
    return said({"live": True})


@blueprint.get("/v2/health/ready")
@requires(Permission.OPEN)
def ready() -> Response:
    """As ``/readyz``: 200 while predictions can be answered."""
    current_carafe.start()  # and no wait: what is not ready says so
    status, _ = current_carafe.health()
    return said({"ready": status == 200}, status)


@blueprint.get("/v2/models")
@requires(Permission.READ)
def models() -> Response:
    """Names of all models."""
    current_carafe.at_first_need()
    return said({"models": list(current_carafe.table.models)})


@blueprint.get("/v2/models/<name>")
@blueprint.get("/v2/models/<name>/versions/<version>", endpoint="version")
@requires(Permission.READ)
def model(name: str, version: str | None = None) -> Response:
    """What a model takes and gives."""
    return said(metadata(_find(name, version)))


@blueprint.get("/v2/models/<name>/ready")
@blueprint.get("/v2/models/<name>/versions/<version>/ready", endpoint="version_ready")
@requires(Permission.READ)
def model_ready(name: str, version: str | None = None) -> Response:
    """Whether a model answers now."""
    found = _find(name, version)
    return said({"name": name, "ready": found.is_answering}, 200 if found.is_answering else 503)


def _find(name: str, version: str | None) -> Model:
    current_carafe.at_first_need()
    return current_carafe.table.resolve(name, version)


def metadata(found: Model) -> dict[str, Any]:
    """Name, versions, platform, inputs and outputs. :raises NotReady: it is not known yet what the model takes."""
    signature = found.usable_decoder().signature
    told = found.entry.runtime.partition(",")[0]  # without what it was compiled from
    runtime = told.rpartition(" ")[0] or told
    properties = {"runtime": found.entry.runtime, "estimator": found.entry.estimator, "description": found.entry.description}
    return {
        "name": found.entry.name,
        "versions": [found.version_text],
        "platform": PLATFORMS.get(runtime, runtime.lower() or "custom"),
        "inputs": input_specs(signature),
        "outputs": output_specs(signature),
        "properties": {key: value for key, value in properties.items() if value},
    }


# ---- statistics


@blueprint.get("/v2/models/stats")
@blueprint.get("/v2/models/<name>/stats", endpoint="model_stats")
@blueprint.get("/v2/models/<name>/versions/<version>/stats", endpoint="version_stats")
@requires(Permission.METRICS)
def statistics(name: str | None = None, version: str | None = None) -> Response:
    """What models have answered so far, summed over all web workers."""
    current_carafe.at_first_need()
    found = [_find(name, version)] if name is not None else list(current_carafe.table.models.values())
    values = current_carafe.recorder.read()
    return said({"model_stats": [_stats(one, totals(values, one.entry.name, one.version_text)) for one in found]})


def _stats(found: Model, sums: Any) -> dict[str, Any]:
    """Times in nanoseconds. What is not measured apart - the wait, the packing - is 0, and there is no cache."""
    none = _duration(0, 0.0)
    frames = _duration(sums.frames, sums.frames_s)
    stats = {"success": _duration(sums.answered, sums.answered_s), "fail": _duration(sums.failed, sums.failed_s), "compute_infer": frames}
    stats |= dict.fromkeys(("queue", "compute_input", "compute_output", "cache_hit", "cache_miss"), none)
    counts = {"last_inference": 0, "inference_count": sums.rows, "execution_count": sums.frames}
    return {"name": found.entry.name, "version": found.version_text, **counts, "inference_stats": stats, "batch_stats": []}


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}


# ---- the repository


@blueprint.post("/v2/repository/index")
@requires(Permission.READ)
def index() -> Response:
    """All models and their states; with ``{"ready": true}`` those alone that answer. Any Content-Type, and no body, will do."""
    current_carafe.at_first_need()
    only_ready = _asked().get("ready") is True
    found = []
    for one in current_carafe.table.models.values():
        state, reason = repository.state_of(one)
        if state == "READY" or not only_ready:
            found.append({"name": one.entry.name, "version": one.version_text, "state": state, "reason": reason})
    return said(found)


@blueprint.post("/v2/repository/models/<name>/load")
@requires(Permission.MANAGE)
def load(name: str) -> Response:
    """Bring a model back from its declaration."""
    parameters = _managing()
    if any(key == "config" or str(key).startswith("file:") for key in parameters):
        raise NotPermitted("models are loaded as they were declared; file: and config are not taken")
    repository.load(current_carafe, name)
    return said({"name": name, "load": True})


@blueprint.post("/v2/repository/models/<name>/unload")
@requires(Permission.MANAGE)
def unload(name: str) -> Response:
    """Take a model away; no model here depends on another."""
    _managing()
    repository.unload(current_carafe, name)
    return said({"name": name, "unload": True})


def _managing() -> dict[str, Any]:
    """The parameters of a call that changes what is served, once it may."""
    body = read_body(request, current_carafe)
    admin.check_manager(current_carafe, request.headers.get, bool(body))
    current_carafe.at_first_need()
    parameters = _asked(body).get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidInput("parameters must be an object.", ())
    return parameters


def _asked(body: bytes | None = None) -> dict[str, Any]:
    body = read_body(request, current_carafe) if body is None else body
    asked = strict.parse(body) if body.strip() else {}
    if not isinstance(asked, dict):
        raise InvalidInput("The body must be a JSON object, or nothing.", ())
    return asked
