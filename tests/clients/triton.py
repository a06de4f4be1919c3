"""What Triton's published HTTP examples do, asked of Carafe by the real tritonclient, in the environment of clients.

``python triton.py HOST:PORT TOKEN``
Each function is one of the examples, told in our words; it raises where a client would notice a difference.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
from tritonclient import http
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

CONNECTIONS = 4


def tensor(name, array, binary=True):
    one = http.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    one.set_data_from_numpy(array, binary_data=binary)
    return one


def whole_numbers():
    """Two inputs of 16 numbers each."""
    return np.arange(16, dtype=np.int32).reshape(1, 16), np.full((1, 16), 3, dtype=np.int32)


def infer(client):
    """simple_http_infer_client: sum and difference, in JSON, binary and mixed, packed both ways, all outputs or some."""
    first, second = whole_numbers()
    for binary in (True, False):
        inputs = [tensor("INPUT0", first, binary), tensor("INPUT1", second, not binary)]
        outputs = [http.InferRequestedOutput("OUTPUT0", binary_data=binary), http.InferRequestedOutput("OUTPUT1", binary_data=not binary)]
        for asked in (outputs, None):
            result = client.infer("simple", inputs, outputs=asked, request_id="7", query_params={"test": 1})
            assert result.get_response()["id"] == "7" and result.get_response()["model_name"] == "simple"
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), first + second)
            np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), first - second)
    for packing in ("gzip", "deflate"):
        result = client.infer("simple", inputs, request_compression_algorithm=packing, response_compression_algorithm=packing)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), first + second)
    only = client.infer("simple", inputs, outputs=[http.InferRequestedOutput("OUTPUT1")], priority=1, timeout=10_000_000)
    assert only.as_numpy("OUTPUT0") is None and only.as_numpy("OUTPUT1").shape == (1, 16)


def strings(client):
    """simple_http_string_infer_client: texts go in and come out, in JSON and in binary; bytes beyond ASCII as well."""
    first, second = np.array(["a", "größer"], dtype=np.object_), np.array(["b", "日本"], dtype=np.object_)
    for binary in (True, False):
        inputs = [tensor("INPUT0", first, binary), tensor("INPUT1", second, binary)]
        outputs = [http.InferRequestedOutput("prediction", binary_data=binary)]
        found = client.infer("joined", inputs, outputs=outputs).as_numpy("prediction")
        assert [text.decode() if isinstance(text, bytes) else text for text in found] == ["a-b", "größer-日本"]


def health_and_metadata(client):
    """simple_http_health_metadata: alive, ready, who it is, what the model takes; an unknown model is an error in words."""
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("simple") and client.is_model_ready("simple", "1")
    assert not client.is_model_ready("nobody")
    assert "model_repository" in client.get_server_metadata()["extensions"]
    model = client.get_model_metadata("simple", query_params={"test_1": 1})
    assert [one["name"] for one in model["inputs"] + model["outputs"]] == ["INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1"]
    assert client.get_inference_statistics("simple")["model_stats"][0]["inference_stats"]["success"]["count"] > 0
    said = refused(lambda: client.get_model_metadata("nobody"))
    assert said.status() == "404" and "nobody" in said.message()


def model_control(client, token):
    """simple_http_model_control: list, unload, load; and what is not to be had is refused in words."""
    headers = {"Authorization": "Bearer " + token}
    states = {one["name"]: one["state"] for one in client.get_model_repository_index()}
    assert states["simple"] == "READY"
    assert refused(lambda: client.unload_model("simple")).status() == "401"
    client.unload_model("simple", headers=headers)
    assert not client.is_model_ready("simple")
    first, second = whole_numbers()
    assert "unloaded" in refused(lambda: client.infer("simple", [tensor("INPUT0", first), tensor("INPUT1", second)])).message()
    client.load_model("simple", headers=headers)
    assert client.is_model_ready("simple")
    assert refused(lambda: client.load_model("wrong_name", headers=headers)).status() == "404"
    assert refused(lambda: client.load_model("simple", headers=headers, config="{}")).status() == "403"


def many_at_once(client):
    """simple_http_async_infer_client: requests side by side, each with its own answer."""
    first, second = whole_numbers()
    asked = [client.async_infer("simple", [tensor("INPUT0", first + i), tensor("INPUT1", second)]) for i in range(20)]
    for i, one in enumerate(asked):
        np.testing.assert_array_equal(one.get_result().as_numpy("OUTPUT0"), first + i + second)


async def on_asyncio(url):
    """simple_http_aio_infer_client."""
    first, second = whole_numbers()
    async with aio.InferenceServerClient(url) as client:
        results = await asyncio.gather(*[client.infer("simple", [tensor("INPUT0", first + i), tensor("INPUT1", second)]) for i in range(10)])
        for i, result in enumerate(results):
            np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), first + i - second)


def classification(client):
    """The classification extension, as image_client asks it."""
    asked = [http.InferRequestedOutput("probabilities", class_count=2)]
    rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])
    found = client.infer("iris", [tensor("input", rows)], outputs=asked).as_numpy("probabilities")
    assert found.shape == (2, 2) and [text.decode().split(":")[1] for text in found[:, 0]] == ["0", "2"]


def mistakes(client):
    """What a client sees of a request that is wrong."""
    wide = np.zeros((1, 15), dtype=np.int32)
    said = refused(lambda: client.infer("simple", [tensor("INPUT0", wide), tensor("INPUT1", wide)]))
    assert said.status() == "400" and "INPUT0" in said.message() and "[n, 16]" in said.message()
    missing = np.array([[5.1, np.nan, 1.4, 0.2]], dtype=np.float32)
    assert "finite" in refused(lambda: client.infer("iris", [tensor("input", missing)])).message()
    assert "sequence" in refused(lambda: client.infer("iris", [tensor("input", missing)], sequence_id=5, sequence_start=True)).message()


def refused(ask):
    try:
        ask()
    except InferenceServerException as exc:
        return exc
    raise AssertionError("it was not refused")


if __name__ == "__main__":
    url, token = sys.argv[1:]
    with http.InferenceServerClient(url, concurrency=CONNECTIONS) as connected:
        for example in (infer, strings, health_and_metadata, many_at_once, classification, mistakes):
            example(connected)
            print(example.__name__, "holds")
        asyncio.run(on_asyncio(url))
        model_control(connected, token)
        print("model_control holds")
