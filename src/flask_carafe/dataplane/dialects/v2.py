"""The Open Inference Protocol V2 over HTTP, with binary tensors: what KServe, Triton and MLServer speak.

Source: https://github.com/kserve/open-inference-protocol, inference_rest.md; Triton's extensions binary_tensor_data, classification.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import AnswerTooLong, BadRequest, CarafeError, InvalidInput, WrongMediaType
from ...operations.openapi import example_row
from ...serving.request import Answer
from ...serving.table import Model
from ...signature import Rows, Signature
from ...signature.kinds import spell
from ...signature.pending import Pending
from ..protocol import JSON, Get, Protocol, Reply, answer_headers, encode, packed, write_error
from . import v2_request
from .v2_columns import input_specs, is_matrix, to_rows
from .v2_outputs import Wanted, to_tensor, wanted
from .v2_request import Call
from .v2_tensors import BYTES, Tensor, to_blob, to_json

BINARY = "application/octet-stream"
TYPES = (JSON, BINARY, "application/x-www-form-urlencoded")  # the last is what `curl -d` says of JSON
LENGTH = "inference-header-content-length"
LONGEST = 600  # characters of an example


class Memo(msgspec.Struct):
    """What the answer needs of the request."""

    id: str
    wanted: list[Wanted]
    timeout_s: float | None


class V2(Protocol):
    """``POST /v2/models/<name>/infer``."""

    name = "v2"
    rules = ("/v2/models/<name>/infer", "/v2/models/<name>/versions/<version>/infer")

    def read(self, model: Model, get: Get, body: bytes) -> tuple[Rows | Pending, Memo]:
        """See :meth:`Protocol.read`."""
        kind = (get("content-type") or JSON).partition(";")[0].strip().lower()
        if kind not in TYPES and not kind.endswith("+json"):
            refused = WrongMediaType(kind[:100])
            refused.hint = f"Send {JSON}, or {BINARY} with Inference-Header-Content-Length."
            raise refused
        signature = model.usable_decoder().signature
        header = get(LENGTH)
        if header == "0":
            call = _raw(input_specs(signature), body)
        else:
            try:
                call = v2_request.read(body, header, signature.fields)
            except BadRequest as exc:
                exc.hint = exc.hint or _hint(model, signature)
                raise
        memo = Memo(call.id, wanted(signature, call), call.timeout_s)
        return to_rows(model, call.inputs), memo

    def write(  # noqa: PLR0917
        self, model: Model, answer: Answer, rows: Rows | Pending, memo: Memo, prediction_id: str, request_id: str, get: Get
    ) -> Reply:
        """See :meth:`Protocol.write`."""
        outputs: list[dict[str, Any]] = []
        blobs: list[bytes] = []
        for one in memo.wanted:
            outputs.append(_written(to_tensor(model, answer, one), one.is_binary, blobs))
        said: dict[str, Any] = {"model_name": model.entry.name, "model_version": model.version_text, "id": memo.id or prediction_id}
        said["parameters"] = {"prediction_id": prediction_id}
        if model.entry.unverified:
            said["parameters"]["unverified"] = model.entry.unverified
        said["outputs"] = outputs
        body = encode(said)
        headers = answer_headers(model, JSON, prediction_id, request_id)
        if blobs:
            headers[0] = ("content-type", BINARY)
            headers.append((LENGTH, str(len(body))))
            body = b"".join([body, *blobs])
        return 200, headers, packed(body, get("accept-encoding"), headers)

    def error(self, error: CarafeError, request_id: str) -> Reply:
        """As everywhere, but what the protocol knows as bad input is a 400."""
        if isinstance(error, AnswerTooLong):
            error.hint = f"Take its values as they come: POST /v2/models/{error.args[0]}/generate_stream, or infer_stream."
        status, headers, body = write_error(error, request_id)
        return 400 if status == 422 else status, headers, body


def _hint(model: Model, signature: Signature) -> str:
    """A request that this model answers, where it is short enough to be read."""
    inputs, values = input_specs(signature), list(example_row(model).values())
    for one in inputs:
        one["shape"][0] = 1
    if is_matrix(signature):
        inputs[0]["data"] = values
    else:
        for one, value in zip(inputs, values, strict=True):
            one["data"] = [value if isinstance(value, str) or one["datatype"] != BYTES else spell(value)]
    example = encode({"inputs": inputs}).decode()
    if len(example) > LONGEST:
        return f"Send a JSON object with inputs; GET /v2/models/{model.entry.name} tells which."
    return f"Send a JSON object, for example {example}."


def _raw(inputs: list[dict[str, Any]], body: bytes) -> Call:
    """A body without JSON: the bytes of the model's one input."""
    if len(inputs) != 1:
        raise InvalidInput(f"A raw request holds one tensor, and this model has {len(inputs)} inputs.", (), "Send JSON, with or without blobs.")
    return v2_request.raw(inputs[0]["name"], inputs[0]["datatype"], inputs[0]["shape"], body)


def _written(tensor: Tensor, is_binary: bool, blobs: list[bytes]) -> dict[str, Any]:
    """A tensor as JSON; its bytes go to ``blobs`` if they were asked for so."""
    said: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if is_binary:
        blobs.append(to_blob(tensor.datatype, tensor.values))
        said["parameters"] = {"binary_data_size": len(blobs[-1])}
    else:
        said["data"] = to_json(tensor.datatype, tensor.values)
    return said
