"""The clients in the field, unchanged: tritonclient, KServe's client, requests and curl ask a real server in V2."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import requests
from onnx import TensorProto, helper

from dataplane.conftest import Server, start_server, stop_server
from models.small import iris, save

HERE = Path(__file__).parent
JOINED = 'def joined(INPUT0: str, INPUT1: str) -> str:\n    return INPUT0 + "-" + INPUT1\n'


def simple(path: Path) -> None:
    """The model of Triton's examples: the sum and the difference of two rows of 16 whole numbers."""
    ports = [[helper.make_tensor_value_info(name + str(i), TensorProto.INT32, [None, 16]) for i in (0, 1)] for name in ("INPUT", "OUTPUT")]
    nodes = [helper.make_node(kind, ["INPUT0", "INPUT1"], [output]) for kind, output in (("Add", "OUTPUT0"), ("Sub", "OUTPUT1"))]
    graph = helper.make_graph(nodes, "simple", *ports)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("clients")
    simple(folder / "simple.onnx")
    save(iris(), folder / "iris.joblib")
    (folder / "joined.py").write_text(JOINED)
    server = start_server(folder, "iris=iris.joblib", "simple=simple.onnx", "joined=joined.py:joined", workers=1)
    yield server
    stop_server(server)


def run(python: str, script: str, *arguments: str) -> str:
    done = subprocess.run(
        [python, "-W", "ignore", str(HERE / script), *arguments], capture_output=True, text=True, timeout=100, check=False, cwd=HERE
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done.stdout


def test_triton_clients_examples_run_as_they_do_against_triton(served: Server, clients_python: str) -> None:
    token = (served.home / "admin_token").read_text().strip()
    assert run(clients_python, "triton.py", f"127.0.0.1:{served.port}", token).count("holds") == 7


def test_kserves_client_is_at_home(served: Server, clients_python: str) -> None:
    assert "kserve holds" in run(clients_python, "kserve_v2.py", f"http://127.0.0.1:{served.port}")


def test_requests_needs_three_lines(served: Server) -> None:
    rows = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
    body: Any = {"inputs": [{"name": "input", "shape": [2, 4], "datatype": "FP64", "data": rows}]}
    answer = requests.post(f"http://127.0.0.1:{served.port}/v2/models/iris/infer", json=body, timeout=30).json()
    assert answer["outputs"][0]["data"] == [0, 2]
    assert np.reshape(answer["outputs"][1]["data"], answer["outputs"][1]["shape"]).sum() == pytest.approx(2)


def test_curl_as_the_others_docs_show_it(served: Server, need: Any, tmp_path: Path) -> None:
    """With ``-d`` alone, which says that JSON is a form; and a tensor as a file, with nothing around it."""
    curl, url = need("curl"), f"http://127.0.0.1:{served.port}/v2/models/iris/infer"
    body = '{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]}'
    said = subprocess.run([curl, "-s", "-d", body, url], capture_output=True, timeout=60, check=True).stdout
    assert json.loads(said)["outputs"][0]["data"] == [0]
    (tmp_path / "row.bin").write_bytes(np.array([6.3, 3.3, 6.0, 2.5], dtype="<f8").tobytes())
    raw = ["-H", "Inference-Header-Content-Length: 0", "-H", "Content-Type: application/octet-stream", "--data-binary", f"@{tmp_path / 'row.bin'}"]
    said = subprocess.run([curl, "-s", *raw, url], capture_output=True, timeout=60, check=True).stdout
    assert json.loads(said[: said.index(b"]}") + 2])["outputs"][0]["parameters"]["binary_data_size"] == 8
