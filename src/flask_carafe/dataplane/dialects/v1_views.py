"""What TensorFlow Serving and KServe V1 tell of models: one address for both, whose answer is the union of the two."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from ...access import Permission, requires
from ...errors import LabelNotFound, NotFound
from ...globals import current_carafe
from ...serving.table import Model
from ...signature import Output, Signature
from .rows import has_probabilities
from .telling import tell_errors
from .v1 import DEFAULT, PROBABILITIES, Predict

blueprint = Blueprint("carafe_v1", __name__)
tell_errors(blueprint, Predict())
STATES = {"refused": "END"}  # any other that does not answer is still on its way
TYPES = {"float64": "DT_DOUBLE", "float32": "DT_FLOAT", "int64": "DT_INT64", "bool": "DT_BOOL"}  # texts, bytes and JSON are strings
METHOD = "tensorflow/serving/predict"


@blueprint.get("/v1/models")
@requires(Permission.READ)
def models() -> Response:
    """The names of all models, as KServe lists them."""
    current_carafe.start()
    return jsonify({"models": list(current_carafe.table.models)})


@blueprint.get("/v1/models/<name>", endpoint="status")
@blueprint.get("/v1/models/<name>/versions/<version>", endpoint="version_status")
@requires(Permission.READ)
def status(name: str, version: str | None = None) -> Response:
    """Whether a model answers; 503 while it does not, so that probes of either server can use it."""
    current_carafe.start()  # and no wait: what is not ready says so
    model = current_carafe.table.resolve(name, version)
    response = jsonify(status_of(model))
    if not model.is_answering:
        response.status_code = 503
    return response


@blueprint.get("/v1/models/<name>/metadata", endpoint="metadata")
@blueprint.get("/v1/models/<name>/versions/<version>/metadata", endpoint="version_metadata")
@requires(Permission.READ)
def metadata(name: str, version: str | None = None) -> Response:
    """What a model takes and gives, as TensorFlow describes a saved one.

    :raises NotReady: no version of it has been tried yet.
    """
    current_carafe.at_first_need()
    model = current_carafe.table.resolve(name, version)
    signature = model.usable_decoder().signature
    spec = {"name": model.entry.name, "signature_name": "", "version": model.version_text}
    return jsonify({"model_spec": spec, "metadata": {"signature_def": {"signature_def": signature_defs(model, signature)}}})


@blueprint.route("/v1/models/<name>/labels/<label>", endpoint="label")
@blueprint.route("/v1/models/<name>/labels/<label>/metadata", endpoint="label_metadata")
@blueprint.post("/v1/models/<name>/labels/<label>", endpoint="label_call")
@requires(Permission.READ)
def label(name: str, label: str) -> Response:
    """Labels of versions: there are none yet.

    :raises LabelNotFound: always.
    """
    raise LabelNotFound(name, label.partition(":")[0])


@blueprint.post("/v1/models/<name>:<verb>", endpoint="verb")
@blueprint.post("/v1/models/<name>/versions/<version>:<verb>", endpoint="version_verb")
@requires(Permission.READ)
def verb(name: str, verb: str, version: str | None = None) -> Response:
    """A call that there is not; those that there are have views of their own.

    :raises NotFound: always.
    """
    current_carafe.start()
    current_carafe.table.resolve(name, version)
    error = NotFound(f"verb {verb[:40]!r}")
    error.hint = "The verbs are predict, classify and regress."
    raise error


def status_of(model: Model) -> dict[str, Any]:
    """TensorFlow Serving's list of versions beside KServe's name and readiness; ``error`` where there is one to tell."""
    if model.is_answering:
        return {"name": model.entry.name, "ready": True, "model_version_status": [version_status(model, "AVAILABLE", "OK", "")]}
    error = model.unready("it is not answering yet")
    state = STATES.get(model.entry.state, "LOADING")
    told = version_status(model, state, "FAILED_PRECONDITION" if state == "END" else "UNAVAILABLE", str(error))
    return {"name": model.entry.name, "ready": False, "error": str(error), "model_version_status": [told]}


def version_status(model: Model, state: str, code: str, message: str) -> dict[str, Any]:
    return {"version": model.version_text, "state": state, "status": {"error_code": code, "error_message": message}}


def signature_defs(model: Model, signature: Signature) -> dict[str, Any]:
    """The signatures that ``:predict`` takes as ``signature_name``."""
    inputs = {field.name: tensor(field.name, field.dtype, field.shape) for field in signature.fields}
    plain = {key_of(output): output_tensor(output) for output in signature.outputs if output.role != "probabilities"}
    found = {DEFAULT: {"inputs": inputs, "outputs": plain, "method_name": METHOD}}
    if has_probabilities(model):
        scores = {key_of(output): output_tensor(output) for output in signature.outputs if output.role == "probabilities"}
        found[PROBABILITIES] = {"inputs": inputs, "outputs": scores, "method_name": METHOD}
    return found


def key_of(output: Output) -> str:
    return output.name if output.role == "extra" else output.role


def output_tensor(output: Output) -> dict[str, Any]:
    """Classes are described as what they are sent as: texts, unless all are numbers or all are truths."""
    shown = {type(label) for label in output.shown} if output.role == "prediction" else set()
    dtype: str = output.dtype
    if shown:
        dtype = "bool" if shown == {bool} else "int64" if shown == {int} else "float64" if shown <= {int, float} else "text"
    return tensor(key_of(output), dtype, (output.width,) if output.width > 1 or output.vector else ())


def tensor(name: str, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """A ``TensorInfo``, its numbers as texts as protobuf's JSON has them; the first dimension is that of the rows."""
    dims = [{"size": str(size), "name": ""} for size in (-1, *shape)]
    return {"dtype": TYPES.get(dtype, "DT_STRING"), "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": f"{name}:0"}
