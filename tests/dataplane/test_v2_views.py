"""V2 beside predictions: metadata, health, statistics, and the repository of models behind the admin token."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flask_carafe
from dataplane.conftest import Answer, Server

FLOWER = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}


def get(server: Server, path: str) -> Answer:
    return server.ask("GET", path)


def until(look: Callable[[], bool], seconds: float = 20.0) -> None:
    """Both workers come to know a thing within moments, not at once."""
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def test_the_server_says_what_it_is_with_a_slash_and_without(server):
    for path in ("/v2", "/v2/"):
        said = get(server, path)
        assert said.status == 200 and said.json["version"] == flask_carafe.__version__
        assert {"binary_tensor_data", "model_repository", "statistics"} <= set(said.json["extensions"])


def test_health_is_told_by_status_and_body(server):
    assert get(server, "/v2/health/live").json == {"live": True}
    until(lambda: all(get(server, "/v2/health/ready").json == {"ready": True} for _ in range(8)))
    assert get(server, "/v2/models/iris/ready").json == {"name": "iris", "ready": True}
    assert get(server, "/v2/models/iris/versions/1/ready").status == 200


def test_metadata_names_every_tensor(server):
    iris = get(server, "/v2/models/iris").json
    assert iris == get(server, "/v2/models/iris/versions/1").json
    assert iris["platform"] == "sklearn" and iris["versions"] == ["1"]
    assert iris["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}]
    assert iris["outputs"] == [
        {"name": "prediction", "datatype": "INT64", "shape": [-1]}, {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]},
    ]  # fmt: skip
    sentiment = get(server, "/v2/models/sentiment").json
    assert [one["datatype"] for one in sentiment["inputs"] + sentiment["outputs"]] == ["BYTES", "BYTES", "FP64"]
    assert [one["datatype"] for one in get(server, "/v2/models/echo").json["inputs"]] == ["INT64", "BYTES"]
    assert set(get(server, "/v2/models").json["models"]) == {"iris", "sentiment", "people", "echo", "slow", "picky"}


@pytest.mark.parametrize("path", ["", "/ready", "/stats", "/versions/1", "/versions/1/ready"])
def test_what_is_not_there_is_a_404_with_an_error_in_json(server, path):
    for name in ("nobody", "iris/versions/7"):
        if name == "nobody" or not path.startswith("/versions"):
            answer = get(server, f"/v2/models/{name}{path}")
            assert answer.status == 404 and isinstance(answer.json["error"], str)
    assert "error" in get(server, "/v2/no/such/thing").json


def test_statistics_count_over_all_workers(server):
    def counts() -> dict[str, Any]:
        stats = get(server, "/v2/models/iris/stats").json["model_stats"]
        assert len(stats) == 1 and (stats[0]["name"], stats[0]["version"]) == ("iris", "1")
        return stats[0]  # type: ignore[no-any-return]

    def told() -> tuple[int, int, int]:
        stats = counts()
        return stats["inference_count"], stats["inference_stats"]["success"]["count"], stats["inference_stats"]["fail"]["count"]

    rows, answered, failed = told()
    for _ in range(6):
        assert server.post("/v2/models/iris/infer", {"inputs": [FLOWER["inputs"][0] | {"shape": [2, 4], "data": [5, 3, 1, 0] * 2}]}).status == 200
    assert server.post("/v2/models/iris/infer", {"inputs": []}).status == 400
    until(lambda: told() == (rows + 12, answered + 6, failed + 1))
    after = counts()
    assert after["inference_stats"]["compute_infer"]["ns"] > 0 < after["execution_count"]
    assert len(get(server, "/v2/models/stats").json["model_stats"]) == 6


# ---- the repository


def index(server: Server, body: Any = b"", **headers: str) -> dict[str, str]:
    answer = server.post("/v2/repository/index", body, **headers)
    assert answer.status == 200, answer.body
    return {one["name"]: one["state"] for one in answer.json}


def test_the_index_takes_any_content_type_and_no_body(server):
    assert index(server)["iris"] == "READY"
    assert index(server, {"ready": True})["iris"] == "READY"
    assert index(server, b"", Content_Type="text/plain") == index(server, b'{"ready": false}', Content_Type="application/octet-stream")


def test_changing_what_is_served_needs_the_token_of_the_home(server):
    path = server.home / "admin_token"
    assert path.stat().st_mode & 0o777 == 0o600 and path.stat().st_uid == os.getuid()
    token = "Bearer " + path.read_text().strip()
    ask = "/v2/repository/models/iris/unload"
    refused = [
        (401, {}), (401, {"Authorization": "Bearer " + "x" * 43}), (401, {"Authorization": token.replace("Bearer", "Basic")}),
        (403, {"Authorization": token, "Host": "evil.example"}), (403, {"Authorization": token, "Origin": "https://evil.example"}),
        (403, {"Authorization": token, "Origin": "http://["}),
        (415, {"Authorization": token, "Content-Type": "text/plain"}),
    ]  # fmt: skip
    for status, headers in refused:
        answer = server.ask("POST", ask, b"{}", headers)
        assert answer.status == status and answer.json["error"], (headers, answer.body)
    load = "/v2/repository/models/iris/load"
    for parameters in ({"config": "{}"}, {"file:1/model.onnx": "AAAA", "config": "{}"}):
        assert server.ask("POST", load, json.dumps({"parameters": parameters}).encode(), {"Authorization": token}).status == 403
    assert server.ask("POST", "/v2/repository/models/nobody/load", b"", {"Authorization": token}).status == 404
    assert index(server)["iris"] == "READY"


def test_an_unloaded_model_answers_nowhere_until_it_is_loaded(start, tmp_path):
    """At both workers, in both protocols, over a steward that was killed; then again in the same version, or a new one if its file changed."""
    (tmp_path / "f.py").write_text("def f(x: int) -> int:\n    return x\n")
    (tmp_path / "g.py").write_text("def g(x: int) -> int:\n    return 10 * x\n")
    server: Server = start("f=f.py:f", "g=g.py:g", workers=2)
    token = {"Authorization": "Bearer " + (server.home / "admin_token").read_text().strip()}
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [4]}]}

    def told() -> set[tuple[int, ...]]:
        """What many connections, so both workers, say of ``f``: V2, native, ready."""
        def once() -> tuple[int, ...]:
            answers = server.post("/v2/models/f/infer", body), server.post("/models/f/predict", {"x": 4}), get(server, "/v2/models/f/ready")
            return tuple(answer.status for answer in answers)

        return {once() for _ in range(8)}

    until(lambda: told() == {(200, 200, 200)})
    assert server.ask("POST", "/v2/repository/models/f/unload", b"", token).status == 200
    assert told() == {(503, 503, 503)}
    assert "unloaded" in server.post("/v2/models/f/infer", body).json["error"]
    assert index(server) == {"f": "UNAVAILABLE", "g": "READY"} and index(server, {"ready": True}) == {"g": "READY"}
    assert server.post("/v2/models/g/infer", body).json["outputs"][0]["data"] == [40]

    kill_steward(server)
    assert told() == {(503, 503, 503)}

    assert server.ask("POST", "/v2/repository/models/f/load", b"", token).status == 200
    until(lambda: told() == {(200, 200, 200)})
    assert server.post("/v2/models/f/infer", body).json["model_version"] == "1"

    (tmp_path / "f.py").write_text("def f(x: int) -> int:\n    return -x\n")
    assert server.ask("POST", "/v2/repository/models/f/load", b"{}", token).status == 200
    answer = server.post("/v2/models/f/infer", body).json
    assert (answer["model_version"], answer["outputs"][0]["data"]) == ("2", [-4])

    (tmp_path / "f.py").write_text("def f(x: int) -> int:\n    raise SystemError('broken')\n")
    answer = server.ask("POST", "/v2/repository/models/f/load", b"", token)
    assert answer.status == 400 and answer.json["error"]
    assert server.post("/v2/models/f/infer", body).json["model_version"] == "2"


def kill_steward(server: Server) -> None:
    """End the steward as a crash would, and wait for its successor."""
    from flask_carafe.hosting.rundir import run_dir
    from flask_carafe.serving.control import ask_steward

    directory: Path = run_dir(server.home)
    pid = ask_steward(directory, {"op": "status"}, 10.0)["pid"]
    os.kill(pid, 9)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            status = ask_steward(directory, {"op": "status"}, 10.0)
            if status["pid"] != pid and any(link["role"] == "worker" for link in status["links"]):
                return
        except flask_carafe.errors.HostFault:
            pass
        time.sleep(0.1)
    raise AssertionError("no steward came after it")
