"""LitServe with its batching."""

import os

import common
import litserve


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = common.load()

    def decode_request(self, request):
        return request[common.KEY]

    def batch(self, inputs):
        return list(inputs)

    def predict(self, rows):
        return common.predict_rows(self.model, rows)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Api(max_batch_size=32, batch_timeout=0.001), accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", access_log=False, num_api_servers=1, generate_client_file=False)
