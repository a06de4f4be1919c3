"""Ray Serve with its batching, one replica."""

import os
import signal
import threading

import common
import ray
from ray import serve
from ray.serve.config import HTTPOptions

PASSED = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "PYTHONPATH", "LC_BENCH", "MODEL", "MODELS") if name in os.environ}
QUIET = {"enable_access_log": False}


@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=512, logging_config=QUIET)
class Batch:
    def __init__(self):
        self.model = common.load()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.0)
    async def predict(self, rows):
        return common.predict_rows(self.model, rows)

    async def __call__(self, request):
        return await self.predict((await request.json())[common.KEY])


if __name__ == "__main__":
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    ray.init(
        num_cpus=4, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": PASSED}, object_store_memory=200 * 1024 * 1024,
        _temp_dir=os.environ["WORK"],
    )  # fmt: skip
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=int(os.environ["PORT"])), logging_config=QUIET)
    serve.run(Batch.bind(), name="default", route_prefix="/predict")
    stop.wait()
    serve.shutdown()
    ray.shutdown()
