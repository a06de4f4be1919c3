"""BentoML with its batching."""

import bentoml
import common

BATCH = {"batchable": True, "max_batch_size": 64, "max_latency_ms": 2000}


@bentoml.service(workers=1, traffic={"timeout": 60})
class Batch:
    def __init__(self):
        self.model = common.load()

    if common.NAME == "text":

        @bentoml.api(route="/predict", **BATCH)
        def predict(self, text: list[str]) -> list[dict]:
            return common.predict_rows(self.model, text)

    else:

        @bentoml.api(route="/predict", **BATCH)
        def predict(self, features: list[list[float]]) -> list[dict]:
            return common.predict_rows(self.model, features)
