"""The Open Inference Protocol V2 at a real server: what a request may look like, what comes back, and what is refused in which words."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from typing import Any

import pytest

from dataplane.conftest import Answer, Server

FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
IRIS, SENTIMENT = "/v2/models/iris/infer", "/v2/models/sentiment/infer"


def tensor(data: Any, shape: list[int], datatype: str = "FP64", name: str = "input", **parameters: Any) -> dict[str, Any]:
    one = {"name": name, "shape": shape, "datatype": datatype, "data": data}
    return one | ({"parameters": parameters} if parameters else {})


def infer(server: Server, path: str, *inputs: dict[str, Any], **more: Any) -> Answer:
    return server.post(path, {"inputs": list(inputs), **more})


def outputs(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    return {one["name"]: one["data"] for one in answer.json["outputs"]}


def binary(server: Server, path: str, inputs: list[dict[str, Any]], blobs: list[bytes], **more: Any) -> Answer:
    """A request whose tensors come as blobs behind the JSON."""
    for one, blob in zip(inputs, blobs, strict=True):
        del one["data"]
        one.setdefault("parameters", {})["binary_data_size"] = len(blob)
    head = json.dumps({"inputs": inputs, **more}).encode()
    return server.ask("POST", path, b"".join([head, *blobs]), {"Inference-Header-Content-Length": str(len(head))})


def blobs(answer: Answer) -> dict[str, bytes]:
    """The outputs of a binary answer."""
    at = size = int(answer.headers["inference-header-content-length"])
    found = {}
    for one in json.loads(answer.body[:size])["outputs"]:
        found[one["name"]] = answer.body[at : at + one["parameters"]["binary_data_size"]]
        at += len(found[one["name"]])
    assert at == len(answer.body)
    return found


@pytest.fixture(scope="module")
def native(server: Server) -> dict[str, Any]:
    """What the native protocol says of the two flowers."""
    return server.post("/predict", {"features": FLOWERS}).json  # type: ignore[no-any-return]


def test_a_matrix_comes_flat_or_nested_under_any_name(server, native):
    flat = [value for row in FLOWERS for value in row]
    for data, name in ((FLOWERS, "x"), (flat, "input-0")):
        answer = infer(server, IRIS, tensor(data, [2, 4], name=name))
        found = outputs(answer)
        assert found["prediction"] == native["prediction"]
        assert found["probabilities"] == [value for row in native["probabilities"] for value in row.values()]
        assert answer.json["model_name"] == "iris" and answer.json["model_version"] == "1"
        assert answer.json["id"] == answer.json["parameters"]["prediction_id"] == answer.headers["x-prediction-id"]
    shapes = [(one["name"], one["datatype"], one["shape"]) for one in answer.json["outputs"]]
    assert shapes == [("prediction", "INT64", [2]), ("probabilities", "FP64", [2, 3])]


def test_columns_go_by_their_names_in_any_order(server, native):
    columns = [tensor([row[at] for row in FLOWERS], [2, 1], name=f"feature_{at + 1}") for at in (2, 0, 3, 1)]
    assert outputs(infer(server, IRIS, *columns))["prediction"] == native["prediction"]


def test_columns_of_a_model_without_names_go_by_their_place(server, native):
    columns = [tensor([row[at] for row in FLOWERS], [2], name=f"sepal {at}") for at in range(4)]
    assert outputs(infer(server, IRIS, *columns))["prediction"] == native["prediction"]


def test_texts_come_and_go_as_bytes(server):
    answer = infer(server, SENTIMENT, tensor([["great and lovely"], ["awful: broken"]], [2, 1], "BYTES", content_type="str"))
    assert outputs(answer)["prediction"] == ["positive", "negative"]
    encoded = tensor(["Z3JlYXQ=", "YXdmdWw="], [2], "BYTES", content_type="base64")
    assert outputs(infer(server, SENTIMENT, encoded))["prediction"] == ["positive", "negative"]


def test_binary_tensors_go_both_ways(server, native):
    blob = struct.pack("<8d", *FLOWERS[0], *FLOWERS[1])
    answer = binary(server, IRIS, [tensor([], [2, 4])], [blob], parameters={"binary_data_output": True})
    assert answer.status == 200 and answer.headers["content-type"] == "application/octet-stream"
    found = blobs(answer)
    assert list(struct.unpack("<2q", found["prediction"])) == native["prediction"]
    expected = [value for row in native["probabilities"] for value in row.values()]
    assert struct.unpack("<6d", found["probabilities"]) == pytest.approx(expected, abs=1e-12)
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"great", b"awful"))
    wanted = [{"name": "prediction", "parameters": {"binary_data": True}}]
    answer = binary(server, SENTIMENT, [tensor([], [2], "BYTES")], [texts], outputs=wanted)
    assert blobs(answer)["prediction"] == b"\x08\0\0\0positive\x08\0\0\0negative"


def test_single_and_half_floats_are_the_numbers_that_they_stand_for(server):
    """0.1 as 32 bits is not 0.1: JSON and binary of one tensor must mean the same, and a half holds 0.5 exactly."""
    flat = [0.1, 3.5, 1.4, 0.2]
    as_json = outputs(infer(server, IRIS, tensor(flat, [1, 4], "FP32")))["probabilities"]
    as_bytes = binary(server, IRIS, [tensor([], [1, 4], "FP32")], [struct.pack("<4f", *flat)])
    assert outputs(as_bytes)["probabilities"] == as_json != outputs(infer(server, IRIS, tensor(flat, [1, 4])))["probabilities"]
    halves = [5.5, 3.5, 1.5, 0.25]
    whole = outputs(infer(server, IRIS, tensor(halves, [1, 4])))["probabilities"]
    assert outputs(binary(server, IRIS, [tensor([], [1, 4], "FP16")], [struct.pack("<4e", *halves)]))["probabilities"] == whole
    upper = b"".join(struct.pack("<f", value)[2:] for value in halves)
    assert outputs(binary(server, IRIS, [tensor([], [1, 4], "BF16")], [upper]))["probabilities"] == whole


def test_a_raw_body_is_the_one_tensor_and_all_outputs_are_binary(server, native):
    raw = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
    found = blobs(server.ask("POST", IRIS, struct.pack("<4d", *FLOWERS[1]), raw))
    assert struct.unpack("<q", found["prediction"]) == (native["prediction"][1],)
    assert blobs(server.ask("POST", SENTIMENT, b"great and lovely", raw))["prediction"] == b"\x08\0\0\0positive"


def test_generate_takes_one_row_and_loses_none(server):
    several = server.post("/v2/models/iris/generate", {"features": FLOWERS})
    assert several.status == 400 and "one row, got 2" in several.json["error"]
    assert server.post("/v2/models/iris/generate", {"features": FLOWERS[1]}).json["prediction"] == 2


def test_outputs_are_those_asked_in_that_order_and_the_id_comes_back(server):
    asked = [{"name": "probabilities", "parameters": {"classification": 2}}, {"name": "predict"}]
    answer = infer(server, IRIS, tensor(FLOWERS, [2, 4]), outputs=asked, id="42")
    assert answer.json["id"] == "42" and [one["name"] for one in answer.json["outputs"]] == ["probabilities", "predict"]
    top = answer.json["outputs"][0]
    assert top["datatype"] == "BYTES" and top["shape"] == [2, 2]
    assert [text.split(":")[1:] for text in top["data"][::2]] == [["0", "0"], ["2", "2"]]


def test_bodies_are_unpacked_and_answers_packed_for_who_asks(server):
    body = json.dumps({"inputs": [tensor(FLOWERS * 100, [200, 4])]}).encode()
    for name, pack, unpack in (("gzip", gzip.compress, gzip.decompress), ("deflate", zlib.compress, zlib.decompress)):
        answer = server.ask("POST", IRIS, pack(body), {"Content-Encoding": name, "Accept-Encoding": f"{name}, br;q=0.5"})
        assert answer.status == 200 and answer.headers["content-encoding"] == name
        assert json.loads(unpack(answer.body))["outputs"][0]["shape"] == [200]
    for refused in ("", "identity", "gzip;q=0"):
        assert "content-encoding" not in server.ask("POST", IRIS, body, {"Accept-Encoding": refused}).headers


def test_functions_answer_as_their_hints_say(server):
    nonces = tensor([2**53 + 1, 2], [2], "INT64", "nonce")
    answer = infer(server, "/v2/models/echo/infer", nonces, tensor(["a", None], [2], "BYTES", "note"))
    assert answer.json["outputs"][0] == {"name": "prediction", "datatype": "INT64", "shape": [2], "data": [2**53 + 1, 2]}


def test_the_deadline_in_the_body_is_the_requests_own(server):
    answer = infer(server, "/v2/models/slow/infer", tensor([0.6], [1], name="seconds"), parameters={"timeout": 100_000})
    assert answer.status in (429, 504)  # refused at once where it is known by now how slow this model is
    answer = infer(server, "/v2/models/slow/infer", tensor([2.2], [1], name="seconds"), parameters={"timeout": 15_000_000, "priority": 1})
    assert answer.status == 200


def test_a_wrong_value_is_told_with_its_row_and_field(server):
    answer = infer(server, IRIS, tensor([1, 2, 3, 4, 5, "x", 7, 8], [2, 4]))
    assert answer.status == 400 and answer.json["error"] == "Row 1: feature_2 must be a number (FP64), got 'x'."
    assert answer.json["details"] == [{"field": "feature_2", "expected": "number", "got": "'x'", "row": 1}]


@pytest.mark.parametrize("name", ["iris", "people", "sentiment"])
def test_the_hint_for_bad_json_is_a_request_that_is_answered(server, name):
    path = f"/v2/models/{name}/infer"
    hint = server.ask("POST", path, b"{", {"Content-Type": "application/json"}).json["hint"]
    example = hint.removeprefix("Send a JSON object, for example ").removesuffix(".")
    assert server.ask("POST", path, example.encode(), {"Content-Type": "application/json"}).status == 200


def test_a_tensor_that_is_wrong_as_a_whole_has_no_row(server):
    (detail,) = infer(server, IRIS, tensor([1, 2, 3], [1, 3])).json["details"]
    assert detail == {"field": "input", "expected": "shape [n, 4]", "got": "[1, 3]"}


REFUSED = {
    "ragged": (tensor([[1, 2, 3], [1, 2, 3, 4]], [2, 4]), "nested as its shape"),
    "count": (tensor([1, 2, 3], [1, 4]), "input must have 4 values, as its shape [1, 4] says, got 3"),
    "width": (tensor([1, 2, 3], [1, 3]), "input must have the shape [n, 4], a row for each prediction, got [1, 3]"),
    "no batch": (tensor([1, 2, 3, 4], [4]), "[n, 4]"),
    "no shape": (tensor([1], []), "the batch first"),
    "shape": (tensor([1], [-1, 4]), "the batch first"),
    "datatype": (tensor([1, 2, 3, 4], [1, 4], "FLOAT"), "a datatype that is known here"),
    "another type": (tensor([1, 2.5, 3, 4], [1, 4], "INT64"), "Row 0: feature_2 must be an integer from -9223372036854775808"),
    "out of range": (tensor([1, 2, 300, 4], [1, 4], "UINT8"), "integer from 0 to 255"),
    "texts": (tensor(["1", "2", "3", "4"], [1, 4], "BYTES"), "feature_1 must be a number, got '1'"),
    "booleans": (tensor([True, False, True, False], [1, 4], "BOOL"), "feature_1 must be a number, got true"),
    "missing": (tensor([1, None, 3, 4], [1, 4]), "feature_2 is missing"),
    "halves in JSON": (tensor([1, 2, 3, 4], [1, 4], "FP16"), "binary form"),
    "no data": ({"name": "input", "shape": [1, 4], "datatype": "FP64"}, "must have data"),
    "no rows": (tensor([], [0, 4]), "no rows"),
    "content type": (tensor([1, 2, 3, 4], [1, 4], content_type="hg_json"), "content_type"),
    "shared memory": (tensor([1, 2, 3, 4], [1, 4], shared_memory_region="a"), "shared memory"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_tensor_that_is_not_right_is_told_with_what_was_expected(server, case):
    one, words = REFUSED[case]
    answer = infer(server, IRIS, one)
    assert answer.status == 400 and words in answer.json["error"], answer.body


def test_requests_that_are_none_are_told_so(server):
    flower = tensor(FLOWERS, [2, 4])
    cases: list[tuple[Any, str]] = [
        ({"inputs": []}, "inputs is empty"),
        ({"input": [flower]}, "`inputs`"),
        ({"inputs": [flower | {"shape": "2x4"}]}, "$.inputs[0].shape"),
        ({"inputs": [flower, flower]}, "stand once"),
        ({"inputs": [flower], "outputs": [{"name": "logits"}]}, "no output 'logits'"),
        ({"inputs": [flower], "outputs": [{"name": "prediction"}] * 2}, "once among the outputs"),
        ({"inputs": [flower], "outputs": [{"name": "prediction", "parameters": {"classification": 1}}]}, "probabilities"),
        ({"inputs": [flower], "parameters": {"sequence_id": 7, "sequence_start": True}}, "sequence_id"),
        ({"inputs": [flower], "parameters": {"timeout": "soon"}}, "microseconds"),
        (b'{"inputs": [], "inputs": []}', "stands twice"),
        (b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [NaN, 1, 1, 1]}]}', "NaN"),
    ]
    for body, words in cases:
        answer = server.post(IRIS, body)
        assert answer.status == 400 and words in answer.json["error"], answer.body
    assert server.ask("POST", IRIS, b"<x/>", {"Content-Type": "text/xml"}).status == 415
    columns = [tensor([1.0], [1], name="feature_1"), tensor([1.0], [1], name="feature_22")]
    assert infer(server, IRIS, *columns).json["hint"] == "Did you mean 'feature_2'?"


def test_binary_requests_that_do_not_add_up_are_refused(server):
    blob = struct.pack("<4d", *FLOWERS[0])
    for body, length, words in ((blob, "9", "not JSON"), (blob, "1000", "up to the body's 32"), (blob, "-1", "up to"), (blob[:-1], "0", "32 bytes")):
        answer = server.ask("POST", IRIS, body, {"Inference-Header-Content-Length": length})
        assert answer.status == 400 and words in answer.json["error"], answer.body
    head = json.dumps({"inputs": [tensor(FLOWERS, [2, 4])]}).encode()
    answer = server.ask("POST", IRIS, head + blob, {"Inference-Header-Content-Length": str(len(head))})
    assert answer.status == 400 and "0 bytes behind the JSON, got 32" in answer.json["error"]
    answer = server.ask("POST", IRIS, struct.pack("<4d", 1, 2, float("nan"), 4), {"Inference-Header-Content-Length": "0"})
    assert answer.status == 400 and "feature_3 must be a finite number" in answer.json["error"]
    answer = binary(server, SENTIMENT, [tensor([], [1], "BYTES")], [b"\xff\xff\xff\xff" + b"great"])
    assert answer.status == 400 and "after its length" in answer.json["error"]
    answer = binary(server, SENTIMENT, [tensor([], [1], "BYTES")], [b"\x01\0\0\0\xff"])
    assert answer.status == 400 and "UTF-8" in answer.json["error"]
