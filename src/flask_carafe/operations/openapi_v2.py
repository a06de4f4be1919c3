"""The Open Inference Protocol V2 as OpenAPI: one path for all models, since what they take is told by their metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TAG = {"name": "v2", "description": "The Open Inference Protocol V2, for clients of KServe, Triton and MLServer."}
TEXT: Mapping[str, Any] = {"type": "string"}
NAME = {"name": "name", "in": "path", "required": True, "schema": TEXT, "description": "A model's name."}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/v2.{name}"}


_TENSOR = {"name": TEXT, "datatype": TEXT, "shape": _list({"type": "integer"})}
_PARAMETERS = {"type": "object"}
_SENT = {**_TENSOR, "parameters": _PARAMETERS, "data": _list({})}
SCHEMAS: Mapping[str, Any] = {
    "v2.Request": _object(
        "inputs", id=TEXT, parameters=_PARAMETERS, inputs=_list(_object("name datatype shape", **_SENT)),
        outputs=_list(_object("name", name=TEXT, parameters=_PARAMETERS)),
    ),
    "v2.Answer": _object(
        "model_name outputs", model_name=TEXT, model_version=TEXT, id=TEXT, parameters=_PARAMETERS,
        outputs=_list(_object("name datatype shape", **_SENT)),
    ),
    "v2.Model": _object(
        "name platform", name=TEXT, versions=_list(TEXT), platform=TEXT, properties={"type": "object"},
        inputs=_list(_object("name datatype shape", **_TENSOR)), outputs=_list(_object("name datatype shape", **_TENSOR)),
    ),
    "v2.Index": _list(_object("name state reason", name=TEXT, version=TEXT, state=TEXT, reason=TEXT)),
}  # fmt: skip
BINARY = {"schema": {"type": "string", "description": "JSON, and behind it the bytes of tensors; Inference-Header-Content-Length ends the JSON."}}
TOKEN: Mapping[str, Any] = {"adminToken": {"type": "http", "scheme": "bearer", "description": "The token in the file admin_token of Carafe's home."}}


def _answer(words: str, schema: Any = None) -> dict[str, Any]:
    return {"description": words} | ({"content": {"application/json": {"schema": schema}}} if schema else {})


def _call(operation: str, words: str, schema: Any = None, **more: Any) -> dict[str, Any]:
    """One operation; every other answer is an error in the shape of all others."""
    refusal = _answer("Refused: `error` says why.", {"$ref": "#/components/schemas/Error"})
    return {"operationId": operation, "summary": words, "tags": ["v2"], "responses": {"200": _answer(words, schema), "default": refusal}, **more}


_INFER = {
    "parameters": [NAME],
    "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("Request")}, "application/octet-stream": BINARY}},
}
_MANAGE = {"parameters": [NAME], "security": [{"adminToken": []}]}
PATHS: Mapping[str, Any] = {
    "/v2": {"get": _call("v2Server", "Name, version and extensions")},
    "/v2/health/live": {"get": _call("v2Live", "The process answers")},
    "/v2/health/ready": {"get": _call("v2Ready", "Predictions can be answered")},
    "/v2/models": {"get": _call("v2Models", "Names of all models")},
    "/v2/models/{name}": {"get": _call("v2Model", "What a model takes and gives", _ref("Model"), parameters=[NAME])},
    "/v2/models/{name}/ready": {"get": _call("v2ModelReady", "Whether a model answers", parameters=[NAME])},
    "/v2/models/{name}/stats": {"get": _call("v2Statistics", "What a model has answered so far", parameters=[NAME])},
    "/v2/models/{name}/infer": {"post": _call("v2Infer", "Ask a model by tensors", _ref("Answer"), **_INFER)},
    "/v2/repository/index": {"post": _call("v2Index", "All models and their states", _ref("Index"))},
    "/v2/repository/models/{name}/load": {"post": _call("v2Load", "Bring a model back", **_MANAGE)},
    "/v2/repository/models/{name}/unload": {"post": _call("v2Unload", "Take a model away", **_MANAGE)},
}
