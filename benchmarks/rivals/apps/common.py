"""What every rival shares: the model, and one way from rows to answers, so that none does more work with it than another."""

import os

import joblib
import numpy as np

NAME = os.environ.get("MODEL", "")
KEY = "text" if NAME == "text" else "features"


def load():
    return joblib.load(os.path.join(os.environ["MODELS"], NAME + ".joblib"))


def answer(chances):
    """One row of ``predict_proba`` as the answer to a request."""
    found = chances.tolist()
    return {"prediction": found.index(max(found)), "probabilities": found}


def predict_rows(model, rows):
    """Several rows in one call."""
    return [answer(chances) for chances in model.predict_proba(rows if NAME == "text" else np.asarray(rows, dtype=np.float64))]


def predict_one(model, row):
    return predict_rows(model, [row])[0]
