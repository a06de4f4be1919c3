"""KServe's own InferenceRESTClient asks Carafe in V2, in the environment of clients: ``python kserve_v2.py URL``."""

from __future__ import annotations

import asyncio
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])


async def main(url: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30))
    assert await client.is_server_live(url) is True and await client.is_server_ready(url) is True
    assert await client.is_model_ready(url, "iris") is True and await client.is_model_ready(url, "nobody") is False
    for binary in (True, False):
        one = InferInput("input-0", list(FLOWERS.shape), "FP64")
        one.set_data_from_numpy(FLOWERS, binary_data=binary)
        answer = await client.infer(url, InferRequest("iris", [one], request_id="9"), model_name="iris")
        assert answer.id == "9" and answer.model_name == "iris"
        assert answer.outputs[0].as_numpy().tolist() == [0, 2] and answer.outputs[1].as_numpy().shape == (2, 3)
    many = np.repeat(FLOWERS, 300, axis=0)
    one.shape = list(many.shape)
    one.set_data_from_numpy(many, binary_data=True)
    request = InferRequest("iris", [one], parameters={"binary_data_output": True})  # long enough to come back packed
    assert (await client.infer(url, request, model_name="iris")).outputs[1].as_numpy().shape == (600, 3)
    try:
        await client.infer(url, {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}, model_name="iris")
    except httpx.HTTPStatusError as exc:
        assert exc.response.status_code == 400 and "[n, 4]" in str(exc)
    else:
        raise AssertionError("it was not refused")
    await client.close()


asyncio.run(main(sys.argv[1]))
print("kserve holds")
