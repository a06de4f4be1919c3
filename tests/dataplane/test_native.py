"""The native protocol over real HTTP: what classic clients send, what they get, and what is refused."""

from __future__ import annotations

import re
import socket
import time

import pytest

FLOWER = [5.1, 3.5, 1.4, 0.2]


def test_flat_features_give_a_list_of_one(server):
    answer = server.post("/predict", {"features": FLOWER})
    assert answer.status == 200
    assert answer.json["prediction"] == [0]
    assert answer.json["model"] == "iris" and answer.json["version"] == 1
    assert answer.headers["x-prediction-id"] == answer.json["id"]
    assert answer.headers["x-model-version"] == "1"


def test_a_text_at_its_own_route_gives_a_label(server):
    answer = server.post("/api", {"text": "great and lovely"})
    assert answer.json["prediction"] == "positive"
    assert set(answer.json["probabilities"]) == {"negative", "positive"}


def test_a_client_without_content_type_is_read_as_json(server):
    request = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(request)
    said = server.raw(head + request)
    assert said.startswith(b"HTTP/1.1 200") and b'"prediction":[0]' in said


@pytest.mark.parametrize(
    "body",
    [
        {"rows": [FLOWER, FLOWER]},
        {"features": [FLOWER, FLOWER]},
        {"columns": ["feature_1", "feature_2", "feature_3", "feature_4"], "data": [FLOWER, FLOWER]},
        {"rows": [{f"feature_{i + 1}": value for i, value in enumerate(FLOWER)}] * 2},
    ],
)
def test_rows_come_in_several_shapes_with_one_answer(server, body):
    answer = server.post("/models/iris/predict", body)
    assert answer.status == 200, answer.body
    assert answer.json["prediction"] == [0, 0]
    assert len(answer.json["probabilities"]) == 2


def test_columns_go_by_name_and_not_by_order(server):
    row = {"feature_4": 0.2, "feature_1": 5.1, "feature_3": 1.4, "feature_2": 3.5}
    assert server.post("/predict", row).json["probabilities"] == server.post("/predict", {"features": FLOWER}).json["probabilities"][0]


def test_csv_comes_in_and_goes_out(server):
    rows = b"feature_2,feature_1,feature_3,feature_4\r\n3.5,5.1,1.4,0.2\r\n3.0,6.0,4.8,1.8\r\n"
    answer = server.post("/predict", rows, Content_Type="text/csv", Accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.body.decode().splitlines()
    assert lines[0].startswith("prediction,probability_0") and [line[0] for line in lines[1:]] == ["0", "2"]


def test_ndjson_comes_in_and_goes_out(server):
    answer = server.post("/predict", b"[5.1,3.5,1.4,0.2]\n[6.0,3.0,4.8,1.8]\n", Content_Type="application/x-ndjson", Accept="application/x-ndjson")
    assert [line.split(b",")[0] for line in answer.body.splitlines()] == [b'{"prediction":0', b'{"prediction":2']


def test_a_form_is_one_row(server):
    answer = server.post("/api", b"text=great+and+lovely", Content_Type="application/x-www-form-urlencoded")
    assert answer.json["prediction"] == "positive"


def test_json_called_a_form_is_told_how_to_say_so(server):
    answer = server.post("/predict", b'{"features": [1,2,3,4]}', Content_Type="application/x-www-form-urlencoded")
    assert answer.status == 415 and "application/json" in answer.json["hint"]


def test_every_wrong_value_is_listed_with_its_field(server):
    answer = server.post("/predict", {"rows": [{"feature_1": "forty", "feature_2": None, "feature_3": 1, "featur_4": 1}]})
    assert answer.status == 422 and answer.json["code"] == "invalid_value"
    assert {detail["field"] for detail in answer.json["details"]} >= {"feature_1", "feature_2"}
    assert "featur_4" in answer.json["error"] and "feature_4" in answer.json["hint"]
    assert server.post("/predict", {"features": ["forty", 1, 1, 1]}).json["error"] == "feature_1 must be a number, got 'forty'."


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"null", 400), (b"7", 400), (b'"x"', 400), (b"[" * 100_000, 400), (b'{"a":' * 50_000, 400),
        (b'{"features": [NaN, 1, 1, 1]}', 400), (b'{"features": [1e999, 1, 1, 1]}', 400), (b'{"features": [Infinity, 1, 1, 1]}', 400),
        (b'{"features": [1,1,1,1], "features": [2,2,2,2]}', 400), (b'{"text": "\\ud800"}', 400), (b"\xff\xfe{}", 400), (b"\x80\x04}.", 400),
        (b'{"features": [' + b"9" * 5000 + b",1,1,1]}", 422), (b'{"features": [9007199254740993,1,1,1]}', 422),
        (b'{"features": ["1.0",1,1,1]}', 422), (b'{"features": [true,1,1,1]}', 422), (b'{"features": [[1,1],[1,1,1,1]]}', 422),
        (b'{"features": []}', 422), (b'{"rows": []}', 422), (b'{"features": [[[1,1,1,1]]]}', 422), (b'{"features": [1,1,1]}', 422),
        (b'{"features": [1,1,1,1,1]}', 422), (b"{}", 422), (b'{"feature_1": 1}', 422), (b'{"columns": ["feature_1"], "data": [[1]]}', 422),
    ],
)  # fmt: skip
def test_bad_bodies_are_refused_in_the_one_shape(server, body, status):
    answer = server.post("/predict", body, Content_Type="application/json")
    assert answer.status in ({400, 422} if len(body) > 4000 else {status}), answer.body
    assert set(answer.json) <= {"error", "code", "hint", "details", "request_id"} and answer.json["request_id"] == answer.headers["x-request-id"]
    assert not re.search(rb"Traceback|site-packages|\.py\b|0x[0-9a-f]{6}", answer.body)


@pytest.mark.parametrize(
    "kind", ["application/pickle", "text/plain", "application/json; charset=utf-7", "application/x-python-serialize", "nonsense"]
)
def test_a_wrong_content_type_is_415_and_never_guessed(server, kind):
    assert server.post("/predict", b'{"features": [5.1, 3.5, 1.4, 0.2]}', Content_Type=kind).status == 415


def test_too_many_rows_get_a_413_that_says_how_many(server):
    answer = server.post("/predict", {"features": [FLOWER] * 10_001})
    assert answer.status == 413 and answer.json["code"] == "too_many_rows" and "10,001" in answer.json["error"]


def test_many_rows_are_answered_in_order(server):
    answer = server.post("/models/echo/predict", {"rows": [{"nonce": i} for i in range(5000)]})
    assert answer.json["prediction"] == list(range(5000))


def test_a_large_body_is_413_before_it_is_read(server):
    said = server.raw(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n", wait=3)
    assert b" 413 " in said.split(b"\r\n")[0]


def test_a_large_chunked_body_is_413_at_the_limit(server):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    try:
        said = server.raw(head + chunk * 300, wait=3)
    except (BrokenPipeError, ConnectionResetError):
        return  # it answered and closed while we were still sending
    assert b" 413 " in said.split(b"\r\n")[0]


def test_a_model_that_raises_is_a_500_without_its_words(server, folder):
    answer = server.post("/models/picky/predict", {"number": 13}, X_Request_Id="case-13")
    assert answer.status == 500 and answer.json["code"] == "model_error" and answer.json["request_id"] == "case-13"
    assert b"secret" not in answer.body
    log = (folder / "serve.log").read_text()
    assert "case-13" in log and "the secret is in /etc/passwd" in log and "Traceback" in log


def test_a_bad_row_fails_alone_among_strangers(server):
    assert server.post("/models/picky/predict", {"number": 12}).json["prediction"] == "fine"
    answer = server.post("/models/picky/predict", {"rows": [{"number": 1}, {"number": 13}, {"number": 2}]})
    assert answer.status == 500 and [detail["row"] for detail in answer.json["details"]] == [1]


def test_a_request_has_its_own_deadline(server):
    answer = server.post("/models/slow/predict", {"seconds": 1.0}, X_Request_Timeout_Ms="100")
    assert answer.status == 504 and answer.json["code"] == "deadline_exceeded" and "X-Request-Timeout-Ms" in answer.json["hint"]
    for sent in ("soon", "3600001", "0000000000019999999999", "1" + "0" * 5000):
        assert server.post("/predict", {"features": FLOWER}, X_Request_Timeout_Ms=sent).status == 400


def test_an_encoding_that_is_not_read_is_named(server):
    answer = server.post("/predict", {"features": FLOWER}, Content_Encoding="br")
    assert answer.status == 415 and answer.json["error"] == "Content-Encoding br is not understood here."
    assert answer.json["hint"] == "Send gzip, deflate or none."


def test_unknown_models_versions_and_methods_say_so(server):
    assert server.post("/models/irsi/predict", {"x": 1}).json["hint"] == "Did you mean 'iris'?"
    assert server.post("/models/nobody/predict", {"x": 1}).json["code"] == "model_not_found"
    assert server.post("/models/iris/versions/9/predict", {"features": FLOWER}).json["code"] == "version_not_found"
    assert server.post("/models/iris/versions/1/predict", {"features": FLOWER}).status == 200
    refused = server.ask("GET", "/predict", headers={"Accept": "application/json"})
    assert refused.status == 405 and "POST" in refused.headers["allow"]
    for method in ("TRACE", "FOO", "DELETE"):
        assert server.ask(method, "/predict").status == 405 == server.ask(method, "/livez").status


@pytest.mark.parametrize("sent", ["x" * 10_000, "a b", "caf\xe9", "<script>"])
def test_a_request_id_that_cannot_stand_in_a_log_is_replaced(server, sent):
    answer = server.post("/predict", {"features": FLOWER}, X_Request_Id=sent)
    assert answer.status == 200 and answer.headers["x-request-id"] == answer.json["id"]


@pytest.mark.parametrize("path", ["/..%2fpredict", "/%252e%252e/predict", "/predict%00", "/models/" + "x" * 5000 + "/predict", "/models/%ff/predict"])
def test_strange_paths_are_not_found(server, path):
    assert server.post(path, {"features": FLOWER}).status in {400, 404, 414}


def test_a_part_without_a_name_is_no_form(server):
    part = b"--x\r\nContent-Disposition: form-data%s\r\n\r\nv\r\n--x--\r\n"
    for more in (b"", b'; filename="a.txt"'):
        assert server.post("/api", part % more, Content_Type="multipart/form-data; boundary=x").status == 400


def test_a_query_may_hold_bytes_beyond_ascii(server):
    said = server.raw("GET /?q=☃ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert b" 200 " in said.split(b"\r\n")[0] and "☃".encode() in said


def test_an_underscore_in_a_headers_name_makes_it_no_other_header(server):
    said = server.raw(b"GET /docs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent_Length: x\r\nContent_Type: text/css\r\n\r\n")
    assert b" 200 " in said.split(b"\r\n")[0]


def test_metrics_are_told_to_whoever_asks_for_a_strange_version(server):
    assert server.ask("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=abc"}).status == 200


def test_a_client_that_leaves_within_its_body_is_no_error_of_ours(server, folder):
    before = (folder / "serve.log").read_text().count("Traceback")
    for path in (b"/predict", b"/models/iris"):
        server.raw(b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{", wait=0.2)
    assert server.post("/predict", {"features": FLOWER}).status == 200
    assert (folder / "serve.log").read_text().count("Traceback") == before


def test_chunked_bodies_count_against_the_budget_of_a_worker(start, tmp_path):
    (tmp_path / "f.py").write_text("def f(x: int) -> int:\n    return x\n")
    server = start("f=f.py:f", workers=1, CARAFE_READING_BYTES="100000")
    half = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n" + b" " * 60_000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as first:
        first.sendall(half)
        time.sleep(0.2)
        assert b" 429 " in server.raw(half, wait=2).split(b"\r\n")[0]
        first.sendall(b'7\r\n{"x":1}\r\n0\r\n\r\n')
        assert b" 200 " in first.recv(100).split(b"\r\n")[0]
    assert server.post("/predict", b" " * 60_000 + b'{"x": 1}').status == 200
