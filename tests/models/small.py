"""Five-line models for tests of every room, built on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np


def points(n: int = 80, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ``k`` numbers and one of two overlapping classes each."""
    random = np.random.RandomState(3)
    rows = random.normal(size=(n, k))
    return rows, (rows[:, 0] + random.normal(size=n) / 2 > 0).astype(int)


def logistic(k: int = 4) -> Any:
    """A classifier of numbers without names."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(*points(k=k))


def iris() -> Any:
    """The flowers: four numbers without names, three classes."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))


def texts() -> tuple[list[str], list[str]]:
    """Short reviews and what they say."""
    good = ["a great phone", "great sound and good light", "good value", "I love it, great", "works well, good"]
    bad = ["a bad phone", "terrible sound", "bad value, broke", "I hate it, terrible", "broke at once, bad"]
    return good + bad, ["positive"] * 5 + ["negative"] * 5


def sentiment() -> Any:
    """A pipeline from text to a named class."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(*texts())


def people() -> Any:
    """A DataFrame with numbers, texts and holes in both, and whether each one bought."""
    import pandas as pd

    frame = pd.DataFrame({
        "age": [22.0, 38.0, None, 35.0, 54.0, 2.0, 27.0, None], "city": ["Lagos", "Paris", "Paris", None, "Lagos", "Accra", "Accra", "Paris"],
        "visits": [1, 4, 2, 8, 5, 7, 0, 3], "member": [True, False, True, True, False, False, True, False],
    })
    return frame, np.array([0, 1, 1, 1, 0, 0, 1, 1])


def mixed() -> Any:
    """A ColumnTransformer over named columns: imputed numbers, one-hot cities."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    cities = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    parts = ColumnTransformer([("n", numbers, ["age", "visits"]), ("c", cities, ["city"]), ("m", "passthrough", ["member"])])
    frame, target = people()
    return make_pipeline(parts, LogisticRegression()).fit(frame.assign(city=frame["city"].astype(object)), target)


def save(model: Any, path: Path) -> Path:
    """``model`` at ``path`` by joblib."""
    joblib.dump(model, path)
    return path
