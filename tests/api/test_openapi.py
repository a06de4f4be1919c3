"""The OpenAPI document: whole, typed, and true of the models that are served."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from console.conftest import answers, make_app
from console.models import entries

__all__ = ["answers"]
READY = [name for name, (entry, _) in entries().items() if entry.signature is not None]


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    return make_app(tmp_path).test_client().get("/openapi.json").json  # type: ignore[no-any-return]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for found in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))):
        at: Any = document
        for part in found.removeprefix("#/").split("/"):
            at = at[part]
        assert at


def test_each_model_has_its_path_types_and_an_example_that_it_takes(document: dict[str, Any], tmp_path: Path) -> None:
    table = make_app(tmp_path).extensions["carafe"].state.table
    assert document["openapi"] == "3.1.0"
    for name in READY:
        call = document["paths"][f"/models/{name}/predict"]["post"]
        assert set(call["responses"]) >= {"200", "400", "413", "415", "422", "429", "500", "503", "504"}
        for example in call["requestBody"]["content"]["application/json"]["examples"].values():
            table.models[name].decoder.json(json.dumps(example["value"]).encode())
    assert "/api" in document["paths"] and "/models/old/predict" not in document["paths"]


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(ids)) == len(ids)


def test_the_default_model_answers_at_predict(tmp_path: Path) -> None:
    app = make_app(tmp_path, names={"loan"}, prefix="/ml")
    app.extensions["carafe"].state.engine.table.default = "loan"
    document = app.test_client().get("/ml/openapi.json").json
    assert "/predict" in document["paths"] and document["servers"] == [{"url": "http://localhost/ml"}]


def test_examples_and_schemas_agree(document: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for name in READY:
        call = document["paths"][f"/models/{name}/predict"]["post"]
        schema = {"components": document["components"], "$ref": f"#/components/schemas/{name}.Answer"}
        jsonschema.validate(call["responses"]["200"]["content"]["application/json"]["examples"]["row"]["value"], schema)
        schema = {"components": document["components"], "$ref": f"#/components/schemas/{name}.Request"}
        for example in call["requestBody"]["content"]["application/json"]["examples"].values():
            jsonschema.validate(example["value"], schema)


def test_the_page_says_the_same_to_people(tmp_path: Path) -> None:
    client: FlaskClient = make_app(tmp_path).test_client()
    page = client.get("/docs").text
    assert all(f"/models/{name}/predict" in page for name in READY) and "openapi.json" in page
