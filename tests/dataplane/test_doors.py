"""Three doors, one answer: loop (``carafe serve``), flask (views) and wsgi (middleware) agree byte for byte."""

from __future__ import annotations

import gzip
import re
import struct
import time
import zlib

import pytest

from dataplane.conftest import Server

FLOWER = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
JSON = {"Content-Type": "application/json"}
NDJSON = "application/x-ndjson"
V2 = b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}'
PART = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\ngreat\r\n--x--\r\n'
ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
CASES = {
    "one": ("POST", "/predict", FLOWER, JSON),
    "named": ("POST", "/models/iris/predict", b'{"feature_1":5.1,"feature_2":3.5,"feature_3":1.4,"feature_4":0.2}', JSON),
    "rows": ("POST", "/models/iris/versions/1/predict", b'{"features": [[5.1, 3.5, 1.4, 0.2], [6, 3, 4.8, 1.8]]}', JSON),
    "text": ("POST", "/api", b'{"text": "great and lovely"}', {}),
    "csv": ("POST", "/models/sentiment/predict", b"text\r\ngreat\r\nawful\r\n", {"Content-Type": "text/csv", "Accept": "text/csv"}),
    "ndjson": ("POST", "/models/sentiment/predict", b'{"text":"great"}\n', {"Content-Type": NDJSON, "Accept": NDJSON}),
    "form": ("POST", "/api", b"text=awful", {"Content-Type": "application/x-www-form-urlencoded"}),
    "multipart": ("POST", "/api", PART, {"Content-Type": "multipart/form-data; boundary=x"}),
    "broken": ("POST", "/predict", b"{", JSON),
    "wrong": ("POST", "/predict", b'{"features": [5.1, "x", null, 0.2]}', JSON),
    "twice": ("POST", "/predict", b'{"features": [1,1,1,1], "features": [1,1,1,1]}', JSON),
    "pickle": ("POST", "/predict", b"\x80\x04", {"Content-Type": "application/pickle"}),
    "empty": ("POST", "/predict", b"", JSON),
    "unknown": ("POST", "/models/nobody/predict", b"{}", JSON),
    "other version": ("POST", "/models/iris/versions/2/predict", FLOWER, JSON),
    "too many": ("POST", "/predict", b'{"features": [' + b"[1,1,1,1]," * 10_000 + b"[1,1,1,1]]}", JSON),
    "too large": ("POST", "/predict", b" " * (16 * 1024 * 1024 + 1), JSON),
    "raises": ("POST", "/models/picky/predict", b'{"number": 13}', JSON),
    "late": ("POST", "/models/slow/predict", b'{"seconds": 0.6}', {**JSON, "X-Request-Timeout-Ms": "100"}),
    "gzip": ("POST", "/predict", gzip.compress(FLOWER), {**JSON, "Content-Encoding": "gzip"}),
    "deflate": ("POST", "/predict", zlib.compress(FLOWER), {**JSON, "Content-Encoding": "deflate"}),
    "bare deflate": ("POST", "/predict", zlib.compress(FLOWER)[2:-4], {**JSON, "Content-Encoding": "deflate"}),
    "cut gzip": ("POST", "/predict", gzip.compress(FLOWER)[:-4], {**JSON, "Content-Encoding": "gzip"}),
    "bomb": ("POST", "/predict", gzip.compress(b" " * (17 << 20)), {**JSON, "Content-Encoding": "gzip"}),
    "brotli": ("POST", "/predict", FLOWER, {**JSON, "Content-Encoding": "br"}),
    "v2": ("POST", "/v2/models/iris/infer", V2, {}),
    "v2, packed": ("POST", "/v2/models/iris/versions/1/infer", gzip.compress(V2), {"Content-Encoding": "gzip"}),
    "v2, raw": ("POST", "/v2/models/iris/infer", struct.pack("<4d", 5.1, 3.5, 1.4, 0.2), {"Inference-Header-Content-Length": "0"}),
    "v2, wrong": ("POST", "/v2/models/iris/infer", V2.replace(b"0.2", b"null"), JSON),
    "v2, unknown": ("POST", "/v2/models/nobody/infer", V2, JSON),
    "mlflow": ("POST", "/invocations", b'{"inputs": [[5.1, 3.5, 1.4, 0.2]]}', JSON),
    "mlflow, csv": ("POST", "/invocations", b"a,b,c,d\n5.1,3.5,1.4,0.2\n", {"Content-Type": "text/csv"}),
    "mlflow, broken": ("POST", "/invocations", b"[]", JSON),
    "mlflow, wrong": ("POST", "/invocations", b'{"inputs": [[5.1, 3.5, NaN, 0.2]]}', JSON),
    "v1": ("POST", "/v1/models/iris:predict", b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}', {}),
    "v1, columns": ("POST", "/v1/models/iris/versions/1:predict", b'{"inputs": [[5.1, 3.5, 1.4, 0.2]]}', {"Content-Type": "text/plain"}),
    "v1, unknown": ("POST", "/v1/models/nobody:predict", b"{}", JSON),
    "v1, wrong": ("POST", "/v1/models/iris:classify", b'{"examples": [{"feature_1": "x"}]}', JSON),
    "torchserve": ("POST", "/predictions/sentiment", b"great", {}),
    "torchserve, put": ("PUT", "/predictions/iris/1.0", b"[5.1, 3.5, 1.4, 0.2]", {}),
    "torchserve, wrong": ("POST", "/predictions/iris", b"[5.1, 3.5, 1.4]", JSON),
    "torchserve, unknown": ("POST", "/predictions/nobody/2.0", b"[]", JSON),
    "impatient nonsense": ("POST", "/predict", FLOWER, {**JSON, "X-Request-Timeout-Ms": "-1"}),
}  # fmt: skip


def told(server: Server, case: str) -> tuple[object, ...]:
    """What is the same at every door: all but ids, the date, and who served."""
    method, path, body, headers = CASES[case]
    answer = server.ask(method, path, body, headers)
    names = ("content-type", "x-model-version", "retry-after", "x-carafe-unverified")
    assert "x-request-id" in answer.headers
    return (answer.status, [(name, answer.headers.get(name)) for name in names], ID.sub(b"ID", answer.body))


@pytest.mark.parametrize("case", CASES)
def test_every_door_says_the_same(server, flask_door, wsgi_door, case):
    try:
        first = told(server, case)
    except (BrokenPipeError, ConnectionResetError):
        assert case == "too large"  # the loop refused before reading, and the client was still sending
        return
    for other in (flask_door, wsgi_door):
        if "late" in case:
            time.sleep(0.7)  # else the model is still at work on the last door's row, and this one would be refused at once
        assert told(other, case) == first


@pytest.mark.parametrize(("case", "status"), [("gzip", 200), ("bare deflate", 200), ("cut gzip", 400), ("bomb", 413), ("brotli", 415)])
def test_a_packed_body_is_unpacked_within_the_limits(server, case, status):
    assert server.ask(*CASES[case]).status == status
