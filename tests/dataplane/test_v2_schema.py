"""Our answers against the protocol's published OpenAPI file (open_inference_rest.yaml), whose facts stand here as JSON Schema.

Stricter than the file in one thing: where it leaves a tensor's data untyped, ours must be as long as its shape says.
"""

from __future__ import annotations

from math import prod
from typing import Any

import pytest

from dataplane.conftest import Server

jsonschema = pytest.importorskip("jsonschema")

TEXT, TEXTS, PARAMETERS = {"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "object"}
SHAPE = {"type": "array", "items": {"type": "integer"}}
DATA = {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/data"}, {"type": "number"}, TEXT, {"type": "boolean"}]}}


def an_object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "$defs": {"data": DATA}}


TENSOR = an_object(["name", "datatype", "shape"], name=TEXT, datatype=TEXT, shape=SHAPE)
TENSORS = {"type": "array", "items": TENSOR}
OUTPUT = an_object(["name", "shape", "datatype", "data"], name=TEXT, shape=SHAPE, datatype=TEXT, parameters=PARAMETERS, data=DATA)
SERVER = an_object(["name", "version", "extensions"], name=TEXT, version=TEXT, extensions=TEXTS)
MODEL = an_object(["name", "platform"], name=TEXT, versions=TEXTS, platform=TEXT, inputs=TENSORS, outputs=TENSORS)
ANSWER = an_object(
    ["model_name", "outputs"], model_name=TEXT, model_version=TEXT, id=TEXT, parameters=PARAMETERS, outputs={"type": "array", "items": OUTPUT}
)
ERROR = an_object(["error"], error=TEXT)

EXAMPLES = {"FP64": 1.5, "FP32": 1.5, "INT64": 1, "BOOL": True, "BYTES": "Lagos"}


def test_metadata_is_as_published(server: Server) -> None:
    jsonschema.validate(server.ask("GET", "/v2").json, SERVER)
    for name in server.ask("GET", "/v2/models").json["models"]:
        jsonschema.validate(server.ask("GET", f"/v2/models/{name}").json, MODEL)


@pytest.mark.parametrize("name", ["iris", "sentiment", "people", "echo"])
def test_a_client_that_knows_the_metadata_alone_gets_an_answer_as_published(server: Server, name: str) -> None:
    """Tensors of two rows are made up from names, datatypes and shapes; what comes back is as the metadata promised."""
    model = server.ask("GET", f"/v2/models/{name}").json
    inputs = []
    for one in model["inputs"]:
        shape = [2, *one["shape"][1:]]
        inputs.append({"name": one["name"], "datatype": one["datatype"], "shape": shape, "data": [EXAMPLES[one["datatype"]]] * prod(shape)})
    answer = server.post(f"/v2/models/{name}/infer", {"inputs": inputs})
    assert answer.status == 200, answer.body
    jsonschema.validate(answer.json, ANSWER)
    for promised, one in zip(model["outputs"], answer.json["outputs"], strict=True):
        assert (one["name"], one["datatype"], one["shape"]) == (promised["name"], promised["datatype"], [2, *promised["shape"][1:]])
        assert len(one["data"]) == prod(one["shape"])


def test_errors_are_as_published(server: Server) -> None:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ["a"]}
    unlucky = tensor | {"shape": [1], "data": [13]}
    for path, body in (("iris", {"inputs": [tensor]}), ("iris", b"{"), ("nobody", {}), ("picky", {"inputs": [unlucky]})):
        answer = server.post(f"/v2/models/{path}/infer", body)
        assert answer.status in (400, 404, 500)
        jsonschema.validate(answer.json, ERROR)
