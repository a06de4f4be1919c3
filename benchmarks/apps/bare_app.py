"""A bare Flask view: the body is read, and the answer is always the same."""

from flask import Flask, Response, request

BODY = b'{"prediction": [1], "probabilities": [[0.25, 0.75]]}'
app = Flask(__name__)


@app.post("/predict")
def predict() -> Response:
    request.get_data()
    return Response(BODY, mimetype="application/json")
