"""What can be called, as OpenAPI 3.1: one path per model, typed by its signature. Two faces show it, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps
from typing import Any

from .. import __version__
from ..config import show_size
from ..errors import Detail, InvalidInput
from ..serving.media import TABLES
from ..serving.table import Model
from ..signature import Output, Signature
from ..signature.kinds import kind_of, spell
from ..signature.schema import answer_schema, request_schema
from ..state import CarafeState
from . import openapi_v2

ERRORS = {
    "400": "The bytes cannot be parsed: broken JSON, NaN, a key twice.",
    "404": "There is no such model or version.",
    "413": "More bytes or rows than one request may have.",
    "415": "A Content-Type that is not understood here; none at all is read as JSON.",
    "422": "Parsed, but a value is wrong, missing or unknown; `details` names up to 20 of them.",
    "429": "Too many requests are waiting; `Retry-After` says when to come again. Nothing was run.",
    "500": "The model raised, or gave an answer that cannot be used.",
    "503": "The model is not ready, or was refused when it was tried.",
    "504": "No answer within the request's deadline.",
}
LONGEST_EXAMPLE = 20_000  # characters of JSON
EVENT_STREAM = "text/event-stream"
EVENTS = (
    "Server-sent events: one without a name for each value, its `data` a line of JSON. The last is `end`, with the model, its version and the "
    "prediction's id, or `error`, with an error as elsewhere."
)
ANSWER_HEADERS = {
    "X-Prediction-Id": "The id of this prediction.",
    "X-Model-Version": "The version that answered.",
    "X-Request-Id": "The id of this request, yours if you sent one.",
}


def openapi(state: CarafeState, root: str) -> dict[str, Any]:
    """The document.

    :param root: where the API hangs, without a slash at the end.
    """
    table = state.table
    ready = [model for model in table.models.values() if model.entry.signature is not None]
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Error": ERROR_SCHEMA}
    for model in ready:
        name = component(model)
        signature = signature_of(model)
        schemas[f"{name}.Request"] = request_schema(signature, state.settings.max_rows)
        schemas[f"{name}.Answer"] = answer_schema(signature)
        own = [f"/models/{model.entry.name}/predict", *model.entry.routes]
        for path in own + ["/predict"] * (model.entry.name == table.default and "/predict" not in own):
            paths[path] = {"post": operation(model, path, name)}
    paths |= {**openapi_v2.PATHS, **HEALTH}
    schemas |= openapi_v2.SCHEMAS
    return {
        "openapi": "3.1.0",
        "info": {"title": "Models served by Carafe", "version": __version__, "description": about(state)},
        "servers": [{"url": root or "/"}],
        "tags": [{"name": model.entry.name, "description": model.entry.description} for model in ready] + [openapi_v2.TAG, {"name": "health"}],
        "paths": paths,
        "components": {
            "schemas": schemas, "responses": {f"E{status}": error_response(words) for status, words in ERRORS.items()},
            "securitySchemes": openapi_v2.TOKEN,
        },
    }  # fmt: skip


def about(state: CarafeState) -> str:
    """What holds for every call."""
    settings = state.settings
    return (
        f"A body may be {show_size(settings.max_body_bytes)} and hold {settings.max_rows:,} rows. A request waits at most "
        f"{settings.predict_timeout_s:g} s, or what its header X-Request-Timeout-Ms says."
    )


def signature_of(model: Model) -> Signature:
    """The signature of a model that has one: no other is described."""
    signature: Signature | None = model.entry.signature
    assert signature is not None
    return signature


def component(model: Model) -> str:
    """The name of a model's schemas; names of models hold nothing that is not allowed there."""
    return str(model.entry.name)


def operation(model: Model, path: str, name: str) -> dict[str, Any]:
    """One way to ask one model."""
    entry = model.entry
    words = f"Unverified: {entry.unverified}" if entry.unverified else entry.description
    headers = {header: {"description": words, "schema": {"type": "string"}} for header, words in ANSWER_HEADERS.items()}
    answer: dict[str, Any] = {
        "description": "The predictions, in the order of the rows.", "headers": headers,
        "content": {"application/json": {"schema": ref(f"{name}.Answer"), "examples": {"row": example(example_answer(model))}}},
    }  # fmt: skip
    own: dict[str, Any] = {}
    if model.streams:
        answer["description"] = "The values of the prediction, as they come; with `Accept: application/json` all of them at once."
        events = {"schema": {"type": "string", "description": EVENTS}, "example": example_events(model)}
        answer["content"] = {EVENT_STREAM: events} | answer["content"]
        own = {"406": error_response("The values are too many for one JSON answer.")}
    return {
        "operationId": "predict" + path.replace("/", "_").replace("{", "").replace("}", ""),
        "summary": f"Ask {entry.name}",
        "description": words or f"Ask version {entry.version} of {entry.name}.",
        "tags": [entry.name],
        "parameters": [TIMEOUT, REQUEST_ID],
        "requestBody": {"required": True, "content": contents(model, name)},
        "responses": {"200": answer} | own | {status: {"$ref": f"#/components/responses/E{status}"} for status in ERRORS},
    }


def contents(model: Model, name: str) -> dict[str, Any]:
    """The kinds of body that a model takes."""
    signature = signature_of(model)
    examples = {key: example(value) for key, value in shapes(model).items()}
    found: dict[str, Any] = {"application/json": {"schema": ref(f"{name}.Request"), "examples": examples}}
    files = [field for field in signature.fields if field.kind in ("image", "document")]
    if model.streams and not files:
        return found
    if files:
        properties = {field.name: {"type": "string", "format": "binary"} if field in files else {"type": "string"} for field in signature.fields}
        required = [field.name for field in signature.fields if not field.nullable]
        found["multipart/form-data"] = {"schema": {"type": "object", "properties": properties, "required": required}}
    else:
        found["text/csv"] = {"schema": {"type": "string", "description": "A header line with the fields' names, then one row a line."}}
        found["application/x-ndjson"] = {"schema": {"type": "string", "description": "One row a line, as a JSON object."}}
    words = "A table, its columns named as the fields; where the server has the extra [arrow]."
    if not model.streams:
        found |= {kind: {"schema": {"type": "string", "format": "binary", "description": words}} for kind in TABLES.values()}
    return found


def example(value: Any) -> dict[str, Any]:
    """An example of a body; of one that is too long to read only that it is."""
    length = len(dumps(value))
    return {"value": value} if length <= LONGEST_EXAMPLE else {"summary": f"Not shown: {length:,} characters of JSON; the schema says its shape"}


def example_row(model: Model) -> dict[str, Any]:
    """One row that the model takes."""
    known = model.entry.example if isinstance(model.entry.example, dict) else {}
    return {field.name: known.get(field.name, kind_of(field).example(field)) for field in signature_of(model).fields}


def shapes(model: Model) -> dict[str, Any]:
    """The native shapes of a request, by name."""
    row = example_row(model)
    if model.streams:
        return {"row": row}
    found: dict[str, Any] = {"row": row, "rows": {"rows": [row, row]}}
    if all(field.kind == "number" and not field.shape for field in signature_of(model).fields):
        found["features"] = {"features": list(row.values())}
    return found


def example_answer(model: Model) -> dict[str, Any]:
    """What the version answered to :func:`example_row` in its trial; else one of the right shape, its figures made up."""
    signature = signature_of(model)
    answer: dict[str, Any] = dict(model.entry.answer)
    for output in signature.outputs if not answer else ():
        if output.role == "probabilities":
            chances = _chances(output)
            answer["probabilities"] = answer.get("probabilities", {}) | {output.target: chances} if output.target else chances
        else:
            answer["prediction" if output.role == "prediction" else output.name] = [_value(output)] * 2 if signature.streams else _value(output)
    answer |= {"model": model.entry.name, "version": model.entry.version, "id": "0199a6c4-7be1-7d3a-8f10-5c2e9d41b7aa"}
    return answer | ({"unverified": model.entry.unverified} if model.entry.unverified else {})


def example_events(model: Model) -> str:
    """How :func:`example_answer` comes as events."""
    answer = example_answer(model)
    values = answer.pop("prediction")
    parts = [f"data: {dumps(value, ensure_ascii=False)}\n\n" for value in values]
    return "".join([*parts, f"event: end\ndata: {dumps(answer | {'values': len(values)}, ensure_ascii=False)}\n\n"])


def _chances(output: Output) -> dict[str, float]:
    rest = round(0.2 / max(1, len(output.shown) - 1), 4)
    return {spell(name): 0.8 if index == 0 else rest for index, name in enumerate(output.shown)}


def _value(output: Output) -> Any:
    if output.target_classes:
        return [classes[0] if classes else 0 for classes in output.target_classes]
    one = output.shown[0] if output.shown else MADE_UP.get(output.kind, 12.5)
    return [one] * output.width if output.width > 1 or output.vector else one


MADE_UP: Mapping[str, Any] = {"text": "some text", "integer": 3, "boolean": True, "datetime": "2026-03-01T12:30:00Z"}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def error_response(words: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": ref("Error")}}}


_DETAIL = {
    "type": "object",
    "properties": {"row": {"type": "integer"}, "field": {"type": "string"}, "expected": {"type": "string"}, "got": {"type": "string"}},
}
ERROR_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {
        "error": {"type": "string", "description": "What is wrong, in a sentence."},
        "code": {"type": "string", "description": "The same, for a program."},
        "hint": {"type": "string", "description": "What to do about it."},
        "details": {"type": "array", "maxItems": 20, "items": _DETAIL},
        "request_id": {"type": "string"},
    },
    "examples": [
        InvalidInput("age must be a number, got 'forty'.", [Detail(field="age", expected="number", got="'forty'")]).as_json("0199a6c4-7be1-7d3a-8f10")
    ],
}
TIMEOUT = {
    "name": "X-Request-Timeout-Ms",
    "in": "header",
    "description": "How long this request may wait, in milliseconds.",
    "schema": {"type": "integer", "minimum": 1},
}
REQUEST_ID = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "Your own id of this request; it comes back.",
    "schema": {"type": "string", "maxLength": 128},
}


def _health(words: str, status: str, otherwise: str) -> dict[str, Any]:
    responses = {"200": {"description": words}, "503": {"description": otherwise}}
    return {"get": {"operationId": status, "summary": words, "tags": ["health"], "responses": responses}}


HEALTH: Mapping[str, Any] = {
    "/livez": _health("The process answers", "livez", "It does not"),
    "/readyz": _health("Predictions can be answered", "readyz", "Draining, or a required model has no host"),
}
