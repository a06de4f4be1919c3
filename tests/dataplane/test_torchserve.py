"""TorchServe's ``/predictions``: a row as JSON, a file or a form, classes with their probabilities, and errors with its own names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flask_carafe.dataplane.dialects.torchserve import TorchServe
from flask_carafe.errors import BadRequest, CarafeError, InvalidInput, ModelNotFound, NotReady, VersionNotFound
from flask_carafe.serving.table import Entry, Model
from flask_carafe.signature import Field, Output, Rows, Signature
from flask_carafe.signature.kinds.image import blank_png
from flask_carafe.signature.pending import Pending

FLOWER = [5.1, 3.5, 1.4, 0.2]
PNG = blank_png(2, 2)
OUTPUTS = (Output(name="y"),)
NUMBERS = Signature(fields=tuple(Field(name=f"feature_{place}", kind="number") for place in (1, 2)), layout="matrix", outputs=OUTPUTS)
TEXT = Signature(fields=(Field(name="text", kind="text", dtype="text"),), outputs=OUTPUTS)
VECTOR = Signature(fields=(Field(name="values", kind="vector", shape=(2,)),), outputs=OUTPUTS)
PICTURE = Signature(fields=(Field(name="image", kind="image", dtype="float32", shape=(4,), options={"width": 2, "height": 2}),), outputs=OUTPUTS)


def read(signature: Signature, body: bytes, kind: str = "") -> Rows | Pending:
    rows, _ = TorchServe().read(Model(Entry(name="m", signature=signature), 10_000), {"content-type": kind}.get, body)
    return rows


def form(name: str, data: bytes, filename: str = "", kind: str = "") -> tuple[bytes, str]:
    """A body of one part and its Content-Type."""
    head = (
        f'Content-Disposition: form-data; name="{name}"'
        + (f'; filename="{filename}"' if filename else "")
        + (f"\r\nContent-Type: {kind}" if kind else "")
    )
    return b"--x\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("signature", "body", "native", "scalar"),
    [
        (NUMBERS, b"[1, 2]", {"features": [[1, 2]]}, True),
        (NUMBERS, b"[[1, 2], [3, 4]]", {"features": [[1, 2], [3, 4]]}, False),
        (NUMBERS, b'{"feature_1": 1, "feature_2": 2}', {"features": [[1, 2]]}, True),
        (NUMBERS, b'[{"feature_1": 1, "feature_2": 2}]', {"features": [[1, 2]]}, False),
        (VECTOR, b"[1, 2]", {"features": [[1, 2]]}, True),
        (VECTOR, b"[[1, 2], [3, 4]]", {"features": [[1, 2], [3, 4]]}, False),
        (TEXT, b'{"text": "great"}', {"texts": ["great"]}, True),
        (TEXT, b"great: [1]", {"texts": ["great: [1]"]}, True),
        (TEXT, b'["great", "awful"]', {"texts": ["great", "awful"]}, False),
    ],
)
@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded", "application/octet-stream"])
def test_a_body_is_json_where_it_looks_so_and_else_the_text_itself(signature, body, native, scalar, kind):
    expected = Model(Entry(name="m", signature=signature), 10).usable_decoder().json(json.dumps(native).encode())
    found = read(signature, body, kind)
    assert isinstance(found, Rows)
    assert isinstance(expected, Rows)
    assert (found.n, found.chunks, found.scalar) == (expected.n, expected.chunks, scalar)


def test_a_text_that_says_it_is_one_is_taken_as_it_is():
    found = read(TEXT, b'{"text": 1}', "text/plain")
    assert isinstance(found, Rows)
    assert found.chunks[0].data == b'{"text": 1}'


@pytest.mark.parametrize("body", [(PNG, ""), (PNG, "image/png"), form("data", PNG, "two.png", "image/png"), form("body", PNG, "two")])
def test_a_picture_comes_as_its_bytes_or_in_a_form(body):
    pending = read(PICTURE, *body)
    assert isinstance(pending, Pending)
    assert pending.media[0].blobs == [PNG]
    assert pending.scalar


@pytest.mark.parametrize("part", [form("data", b"great", "review.txt", "text/plain"), form("data", b"great"), form("text", b"great")])
def test_a_text_comes_in_a_form(part):
    found = read(TEXT, *part)
    assert isinstance(found, Rows)
    assert found.chunks[0].data == b"great"


@pytest.mark.parametrize(
    ("signature", "body", "error", "words"),
    [
        (NUMBERS, b"1, 2", BadRequest, "not JSON"),
        (NUMBERS, b"[1, 2", BadRequest, "not JSON"),
        (NUMBERS, b"[NaN, 2]", BadRequest, "NaN"),
        (NUMBERS, b"[]", InvalidInput, "no rows"),
        (NUMBERS, b"[1, 2, 3]", InvalidInput, "a row must have 2 values, got 3|A row must have 2 values, got 3"),
        (TEXT, b"\xff", BadRequest, "not UTF-8"),
        (PICTURE, b"kitten", InvalidInput, "image must be a picture"),
    ],
)
def test_what_is_refused_says_why(signature, body, error, words):
    with pytest.raises(error, match=words):
        read(signature, body)


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (ModelNotFound("m"), 404, "ModelNotFoundException"),
        (VersionNotFound("m", 2), 404, "ModelVersionNotFoundException"),
        (InvalidInput("x", ()), 400, "BadRequestException"),
        (NotReady("m", "it loads"), 503, "ServiceUnavailableException"),
        (CarafeError("x"), 500, "InternalServerException"),
    ],
)
def test_an_error_has_torchserves_names_and_a_text_called_error(error, status, name):
    found, _, body = TorchServe().error(error, "r")
    said = json.loads(body)
    assert (found, said["code"], said["type"]) == (status, status, name)
    assert said["message"] == said["error"] == str(error)


# ---- at a real server


def test_a_classifier_gives_its_classes_the_likeliest_first(server):
    native: Any = server.post("/predict", {"features": [FLOWER]}).json["probabilities"][0]
    for method, path in (
        ("POST", "/predictions/iris"),
        ("PUT", "/predictions/iris"),
        ("POST", "/predictions/iris/1"),
        ("PUT", "/predictions/iris/1.0"),
    ):
        answer = server.ask(method, path, json.dumps(FLOWER).encode(), {})
        assert answer.status == 200, answer.body
        assert answer.json == native
        assert list(answer.json.values()) == sorted(native.values(), reverse=True)


def test_a_text_goes_up_as_it_is_and_comes_back_as_it_is(server):
    assert server.ask("PUT", "/predictions/sentiment", b"great and lovely").json["positive"] > 0.5
    answer = server.post("/predictions/picky", {"number": 12})
    assert (answer.headers["content-type"], answer.body) == ("text/plain; charset=utf-8", b"fine")
    assert server.post("/predictions/echo", {"nonce": 7}).json == 7


def test_ping_answers_in_its_words_who_asks_for_json(server):
    assert server.ask("GET", "/ping", None, {"Accept": "application/json"}).json == {"status": "Healthy"}
    assert server.ask("GET", "/ping").body == b"\n"
