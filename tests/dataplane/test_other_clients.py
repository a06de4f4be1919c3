"""The clients that people have: MLflow's and KServe's own, requests and curl, each against a server that it takes for its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dataplane.conftest import Server

MLFLOW = """
import json, sys, types
import numpy, pandas
sys.modules["scipy"] = types.ModuleType("scipy")  # mlflow-skinny does without scipy.sparse, but not without scipy
sys.modules["scipy"].__path__ = []
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

client = ScoringServerClient("127.0.0.1", int(sys.argv[1]))
client.wait_server_ready(timeout=10)
rows = numpy.array(json.loads(sys.argv[2]))
named = pandas.DataFrame(rows, columns=["sepal length", "sepal width", "petal length", "petal width"])
said = [client.invoke(data).get_predictions().iloc[:, 0].tolist() for data in (rows, named, rows.tolist())]
try:
    client.invoke(named.assign(petal=1))
except Exception as error:
    said.append(str(error))
print(json.dumps([client.get_version(), *said]))
"""
KSERVE = """
import asyncio, json, sys
from kserve import InferenceRESTClient, RESTConfig

async def main():
    url, rows = "http://127.0.0.1:" + sys.argv[1], json.loads(sys.argv[2])
    client = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
    said = [await client.is_server_live(url), await client.is_model_ready(url, "iris")]
    said.append(await client.infer(url, {"instances": rows}, model_name="iris"))
    try:
        await client.infer(url, {"instances": [["x"]]}, model_name="iris")
    except Exception as error:
        said.append(str(error))
    await client.close()
    print(json.dumps(said))

asyncio.run(main())
"""
REQUESTS = """
import json, sys, requests
url, rows = "http://127.0.0.1:" + sys.argv[1], json.loads(sys.argv[2])
answers = [
    requests.post(url + "/invocations", json={"inputs": rows}),
    requests.post(url + "/v1/models/iris:predict", data=json.dumps({"instances": rows})),
    requests.post(url + "/predictions/sentiment", files={"data": b"great and lovely"}),
    requests.get(url + "/v1/models/iris"),
]
print(json.dumps([answer.json() for answer in answers]))
"""
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]


def run(python: str, script: str, server: Server) -> Any:
    """What a script prints that knows the port and the flowers; in an interpreter that has the client."""
    command = [python, "-W", "ignore", "-c", script, str(server.port), json.dumps(FLOWERS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def labels(server: Server) -> Any:
    return server.post("/predict", {"features": FLOWERS}).json["prediction"]


def test_mlflows_client_sends_arrays_frames_and_lists(server, clients_python, labels):
    version, *said, refused = run(clients_python, MLFLOW, server)
    assert version == server.ask("GET", "/version").body.decode()
    assert said == [labels] * 3
    assert "error code 400" in refused
    assert "there is no field 'sepal length'" in refused


def test_kserves_client_speaks_v1(server, clients_python, labels):
    live, ready, said, refused = run(clients_python, KSERVE, server)
    assert (live, ready, said) == (True, True, {"predictions": labels})
    assert "must have 4 values, got 1" in refused


def test_requests_speaks_each_dialect(server, clients_python, labels):
    mlflow, v1, torchserve, status = run(clients_python, REQUESTS, server)
    assert mlflow == v1 == {"predictions": labels}
    assert torchserve["positive"] > torchserve["negative"]
    assert status["ready"]


def test_curl_uploads_a_file_and_posts_json_under_its_own_content_type(server, need, labels, tmp_path):
    def curl(*arguments: str) -> Any:
        done = subprocess.run([need("curl"), "-s", "-f", *arguments], capture_output=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    url, review = f"http://127.0.0.1:{server.port}", Path(tmp_path / "review.txt")
    review.write_text("great and lovely")
    body = json.dumps({"instances": FLOWERS})
    assert curl("-d", body, f"{url}/v1/models/iris:predict") == {"predictions": labels}
    assert curl("-H", "Content-Type: application/json", "-d", body, f"{url}/invocations") == {"predictions": labels}
    assert curl(f"{url}/predictions/sentiment", "-T", str(review)) == curl(f"{url}/predictions/sentiment", "-F", f"data=@{review}")
