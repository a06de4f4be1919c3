"""Flask by hand: the model on top, a view below."""

import common
from flask import Flask, jsonify, request

model = common.load()
app = Flask(__name__)


@app.post("/predict")
def predict():
    return jsonify(common.predict_one(model, request.get_json()[common.KEY]))
