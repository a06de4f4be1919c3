"""TensorFlow Serving and KServe V1: rows in both formats, the answers that either client reads, and what both are told of models."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from dataplane.conftest import Server
from flask_carafe.dataplane.dialects.v1 import V1, Classify, Predict, Regress
from flask_carafe.dataplane.dialects.v1_views import status_of
from flask_carafe.errors import BadRequest, CarafeError, InvalidInput
from flask_carafe.serving.table import Entry, Model
from flask_carafe.signature import Field, Output, Rows, Signature
from flask_carafe.signature.kinds.image import blank_png
from flask_carafe.signature.pending import Pending

FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
IRIS = "/v1/models/iris"
PRICE = (Output(name="y"),)
NUMBERS = Signature(fields=tuple(Field(name=f"feature_{place}", kind="number") for place in (1, 2)), layout="matrix", outputs=PRICE)
PEOPLE = Signature(fields=(Field(name="age", kind="number", nullable=True), Field(name="city", kind="text", dtype="text")), outputs=PRICE, named=True)
SENSORS = Signature(fields=(Field(name="tag", kind="text", dtype="text"), Field(name="signal", kind="vector", shape=(3,))), outputs=PRICE, named=True)
TEXT = Signature(fields=(Field(name="text", kind="text", dtype="text"),), outputs=PRICE)
PICTURE = Signature(fields=(Field(name="image", kind="image", dtype="float32", shape=(4,), options={"width": 2, "height": 2}),), outputs=PRICE)


def model_of(signature: Signature) -> Model:
    return Model(Entry(name="m", signature=signature), 10_000)


def read(signature: Signature, body: Any, speak: V1 | None = None) -> Rows | Pending:
    """What the protocol makes of a request to a model of ``signature``."""
    text = body if isinstance(body, str) else json.dumps(body)
    rows, _ = (speak or Predict()).read(model_of(signature), {}.get, text.encode())
    return rows


def same(signature: Signature, body: Any, native: Any, speak: V1 | None = None) -> bool:
    """Whether a request holds the rows of a native one."""
    expected, found = model_of(signature).usable_decoder().json(json.dumps(native).encode()), read(signature, body, speak)
    assert isinstance(expected, Rows)
    assert isinstance(found, Rows)
    return (found.n, found.chunks) == (expected.n, expected.chunks)


@pytest.mark.parametrize(
    ("signature", "body", "native"),
    [
        (NUMBERS, {"instances": [[1, 2], [3, 4]]}, {"features": [[1, 2], [3, 4]]}),
        (NUMBERS, {"inputs": [[1, 2], [3, 4]]}, {"features": [[1, 2], [3, 4]]}),
        (NUMBERS, {"instances": [{"dense_input": [1, 2]}]}, {"features": [[1, 2]]}),
        (NUMBERS, {"inputs": {"dense_input": [[1, 2], [3, 4]]}}, {"features": [[1, 2], [3, 4]]}),
        (PEOPLE, {"instances": [{"age": [41], "city": ["Lagos"]}]}, {"rows": [{"age": 41, "city": "Lagos"}]}),
        (PEOPLE, {"inputs": {"age": [[41], [None]], "city": ["a", "b"]}}, {"rows": [{"age": 41, "city": "a"}, {"city": "b"}]}),
        (PEOPLE, '{"instances": [{"age": NaN, "city": "a"}]}', {"rows": [{"city": "a"}]}),
        (SENSORS, {"instances": [{"tag": "foo", "signal": [1, 2, 3]}]}, {"rows": [{"tag": "foo", "signal": [1, 2, 3]}]}),
        (SENSORS, {"inputs": {"tag": ["foo"], "signal": [[1, 2, 3]]}}, {"rows": [{"tag": "foo", "signal": [1, 2, 3]}]}),
        (TEXT, {"instances": ["foo", "bar"]}, {"texts": ["foo", "bar"]}),
        (TEXT, {"instances": [{"b64": b64encode("für".encode()).decode()}]}, {"texts": ["für"]}),
    ],
)  # fmt: skip
def test_rows_come_in_row_and_in_column_format(signature, body, native):
    assert same(signature, body, native)


@pytest.mark.parametrize("row", [{"b64": b64encode(blank_png(2, 2)).decode()}, {"image_bytes": {"b64": b64encode(blank_png(2, 2)).decode()}}])
def test_a_picture_comes_as_b64_alone_or_under_any_name(row):
    pending = read(PICTURE, {"instances": [row]})
    assert isinstance(pending, Pending)
    assert pending.media[0].blobs == [blank_png(2, 2)]


def test_examples_take_the_features_of_their_context():
    body = {"signature_name": "tensorflow/serving/regress", "context": {"city": "Lagos"}, "examples": [{"age": 41}, {"age": [42]}]}
    assert same(PEOPLE, body, {"rows": [{"age": 41, "city": "Lagos"}, {"age": 42, "city": "Lagos"}]}, Regress())


@pytest.mark.parametrize(
    ("speak", "body", "error", "words"),
    [
        (Predict(), '{"instances": [[1, 2]], "inputs": [[1, 2]]}', BadRequest, "either instances or inputs, got both"),
        (Predict(), "{}", BadRequest, "got neither"),
        (Predict(), "[[1, 2]]", BadRequest, "must be a JSON object, got a list"),
        (Predict(), '{"instances": [[1, Infinity]]}', BadRequest, "Infinity"),
        (Predict(), '{"instances": [[1, -Infinity]]}', BadRequest, "Infinity"),
        (Predict(), '{"instances": [[1, 2]], "instances": []}', BadRequest, "stands twice"),
        (Predict(), '{"instances": [{"b64": "?"}]}', BadRequest, "does not hold base64"),
        (Predict(), '{"instances": [{"b64": "/w=="}]}', BadRequest, "no text in UTF-8"),
        (Predict(), '{"instances": [[1, 2]], "signature_name": "probabilities"}', BadRequest, "must be serving_default, got 'probabilities'"),
        (Predict(), '{"instances": [[1, 2]], "signature_name": ["x"]}', BadRequest, "got a list of 1"),
        (Predict(), '{"instances": [[1, "x"]]}', InvalidInput, "feature_2 must be a number, got 'x'"),
        (Predict(), '{"instances": {"a": [1]}}', InvalidInput, "instances must be a list of rows, got an object"),
        (Predict(), '{"inputs": {"feature_1": [1], "feature_2": [1, 2]}}', InvalidInput, "feature_2 must be as long as feature_1"),
        (Regress(), '{"instances": [[1, 2]]}', BadRequest, "must have examples"),
        (Regress(), '{"examples": [[1, 2]]}', InvalidInput, "Example 0 must be an object of features, got a list of 2"),
        (Regress(), '{"examples": [{"a": 1}], "context": {"a": 1}}', InvalidInput, "'a' stands in the context as well"),
        (Regress(), '{"examples": [{"a": 1}], "context": [1]}', BadRequest, "context must be an object"),
        (Classify(), '{"examples": [{"feature_1": 1, "feature_2": 2}]}', InvalidInput, "no probabilities of classes"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why(speak, body, error, words):
    with pytest.raises(error, match=words):
        read(NUMBERS, body, speak)


def test_a_wrong_value_is_a_400_with_a_text_called_error():
    status, _, body = Predict().error(InvalidInput("age is missing.", ()), "r")
    assert (status, json.loads(body)["error"]) == (400, "age is missing.")
    assert Predict().error(CarafeError("x"), "r")[0] == 500


# ---- at a real server


@pytest.fixture(scope="module")
def native(server: Server) -> dict[str, Any]:
    """What the native protocol says of the two flowers."""
    return server.post("/predict", {"features": FLOWERS}).json  # type: ignore[no-any-return]


def test_predictions_are_bare_and_their_probabilities_can_be_asked_for(server, native):
    for path in (f"{IRIS}:predict", f"{IRIS}/versions/1:predict"):
        assert server.post(path, {"instances": FLOWERS}).json == {"predictions": native["prediction"]}
    assert server.post(f"{IRIS}:predict", {"inputs": FLOWERS}).json == {"outputs": native["prediction"]}
    scores = [list(row.values()) for row in native["probabilities"]]
    assert server.post(f"{IRIS}:predict", {"instances": FLOWERS, "signature_name": "probabilities"}).json == {"predictions": scores}


def test_a_body_sent_by_curl_is_read_as_json(server, native):
    body = json.dumps({"instances": FLOWERS}).encode()
    answer = server.ask("POST", f"{IRIS}:predict", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.json == {"predictions": native["prediction"]}


def test_classify_gives_each_class_with_its_score(server, native):
    examples = [{f"feature_{place + 1}": value for place, value in enumerate(row)} for row in FLOWERS]
    answer = server.post(f"{IRIS}:classify", {"examples": examples})
    assert answer.json == {"results": [[[name, score] for name, score in row.items()] for row in native["probabilities"]]}
    assert server.post(f"{IRIS}:regress", {"examples": examples}).json["error"] == "This model predicts no single number."
    assert server.post("/v1/models/echo:regress", {"examples": [{"nonce": 7}]}).json == {"results": [7]}


def test_the_state_of_a_model_is_the_union_of_both_servers(server):
    listed = server.ask("GET", "/v1/models").json["models"]
    assert {"iris", "sentiment"} <= set(listed)
    told = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in (IRIS, f"{IRIS}/versions/1"):
        answer = server.ask("GET", path)
        assert (answer.status, answer.json) == (200, {"name": "iris", "ready": True, "model_version_status": [told]})


def test_the_metadata_describes_inputs_and_outputs_as_tensors(server):
    found = server.ask("GET", f"{IRIS}/metadata").json
    assert found["model_spec"] == {"name": "iris", "signature_name": "", "version": "1"}
    defined = found["metadata"]["signature_def"]["signature_def"]
    assert set(defined) == {"serving_default", "probabilities"}
    assert [one["dtype"] for one in defined["serving_default"]["inputs"].values()] == ["DT_DOUBLE"] * 4
    assert defined["serving_default"]["outputs"]["prediction"]["dtype"] == "DT_INT64"
    assert defined["probabilities"]["outputs"]["probabilities"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}, {"size": "3", "name": ""}]
    assert server.ask("GET", "/v1/models/sentiment/metadata").json["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"] == {
        "text": {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}, "name": "text:0"}
    }


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "/v1/models/nobody:predict", "There is no model 'nobody'."),
        ("POST", f"{IRIS}:explain", "There is no verb 'explain'."),
        ("POST", f"{IRIS}/versions/9:predict", "Model 'iris' has no version 9."),
        ("POST", f"{IRIS}/labels/stable:predict", "Model 'iris' has no label 'stable'."),
        ("GET", "/v1/models/nobody", "There is no model 'nobody'."),
        ("GET", f"{IRIS}/versions/9/metadata", "Model 'iris' has no version 9."),
        ("GET", f"{IRIS}/labels/stable", "Model 'iris' has no label 'stable'."),
    ],
)
def test_what_is_not_there_is_a_404_that_says_so(server, method, path, words):
    answer = server.ask(method, path, {"instances": FLOWERS} if method == "POST" else None)
    assert (answer.status, answer.json["error"]) == (404, words)


def test_a_model_that_is_refused_or_loading_says_so_in_both_ways():
    refused = status_of(Model(Entry(name="m", state="refused", reason="no classes"), 10))
    loading = status_of(Model(Entry(name="m"), 10))
    assert [one["model_version_status"][0]["state"] for one in (refused, loading)] == ["END", "LOADING"]
    assert "no classes" in refused["error"]
    assert not refused["ready"]
    assert not loading["ready"]
