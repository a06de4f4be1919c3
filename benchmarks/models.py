"""The models of the benchmark, with requests and the answers that are right.   python benchmarks/models.py FOLDER

``lr``: scaler and logistic regression on 30 numbers, the cheapest call. ``rf``: a forest of 100 trees, a dear one.
``text``: tf-idf over 20,000 words and logistic regression. ``named``: columns by name, made ready by a ColumnTransformer over a data frame.
``many``: ``lr`` again, asked 100 rows at a time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROWS = 50  # that are asked in turn
MANY = 100  # rows in a request to ``many``
GOOD, BAD = ["great", "love", "perfect", "happy", "sturdy", "quick"], ["awful", "hate", "broken", "sad", "flimsy", "slow"]


def invented(count: int, words: int, rng: np.random.Generator) -> tuple[list[str], list[int]]:
    """Texts of made-up words, frequent and rare as in a language, and a few that tell the label."""
    consonants, vowels = list("bcdfghjklmnprstvwz"), list("aeiou")
    syllables = [a + b for a in consonants for b in vowels]
    lexicon = np.array(["".join(rng.choice(syllables, rng.integers(2, 5))) for _ in range(words)])
    weights = 1 / np.arange(10, words + 10)
    texts, labels = [], []
    for _ in range(count):
        label = int(rng.random() < 0.5)
        told = [str(rng.choice(GOOD if (rng.random() < 0.85) == bool(label) else BAD)) for _ in range(rng.integers(1, 4))]
        text = [*rng.choice(lexicon, rng.integers(8, 40), p=weights / weights.sum()), *told]
        rng.shuffle(text)
        texts.append(" ".join(text))
        labels.append(label)
    return texts, labels


def passengers(count: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    """People on a ship as in the Titanic's list, made up: two words, three numbers, ages that are missing; who lived hangs on all of it."""
    frame = pd.DataFrame({
        "pclass": rng.integers(1, 4, count), "sex": rng.choice(["female", "male"], count), "age": rng.normal(30, 13, count).clip(1, 80).round(),
        "fare": rng.gamma(2, 16, count).round(2), "embarked": rng.choice(["C", "Q", "S"], count, p=[0.2, 0.1, 0.7]),
    })  # fmt: skip
    odds = 1.5 - 0.8 * frame["pclass"] + 2.2 * (frame["sex"] == "female") - 0.02 * frame["age"] + 0.01 * frame["fare"]
    lived = rng.random(count) < 1 / (1 + np.exp(-odds))
    frame.loc[rng.random(count) < 0.2, "age"] = np.nan
    return frame, lived.astype(int)


def named(rng: np.random.Generator) -> tuple[Any, list[dict[str, Any]]]:
    """The model of columns by name, and rows for it."""
    frame, lived = passengers(900, rng)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = [("numbers", numbers, ["pclass", "age", "fare"]), ("words", OneHotEncoder(handle_unknown="ignore"), ["sex", "embarked"])]
    model = make_pipeline(ColumnTransformer(columns), LogisticRegression(max_iter=1000)).fit(frame[ROWS:], lived[ROWS:])
    rows = [{name: None if value != value else value for name, value in row.items()} for row in frame[:ROWS].to_dict("records")]
    return model, rows


def train() -> dict[str, tuple[Any, list[Any]]]:
    """Name -> fitted model, and what is asked: rows that it has not seen, as they stand in the body of a request."""
    x, y = load_breast_cancer(return_X_y=True)
    learn, held, learn_y, _ = train_test_split(x, y, test_size=0.25, random_state=7, stratify=y)
    texts, labels = invented(8000, 20_000, np.random.default_rng(7))
    rows = [{"features": row} for row in held[:ROWS].tolist()]
    lr = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(learn, learn_y)
    text = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(texts[ROWS:], labels[ROWS:])
    many = [{"features": np.roll(held, -turn, axis=0)[:MANY].tolist()} for turn in range(ROWS)]
    return {
        "lr": (lr, rows),
        "rf": (RandomForestClassifier(100, n_jobs=1, random_state=7).fit(learn, learn_y), rows),
        "text": (text, [{"text": text} for text in texts[:ROWS]]),
        "named": named(np.random.default_rng(7)),
        "many": (lr, many),
    }


def right(name: str, model: Any, body: dict[str, Any]) -> list[float]:
    """The probabilities of a request's first row, asked alone."""
    row = pd.DataFrame([body]).astype({"age": float}) if name == "named" else [body["features"][0]] if name == "many" else list(body.values())
    chances: list[float] = model.predict_proba(row)[0].tolist()
    return chances


def main(folder: Path) -> None:
    """Write NAME.joblib, NAME.bodies (a JSON body a line) and NAME.right.json (see :func:`right`)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (model, bodies) in train().items():
        joblib.dump(model, folder / f"{name}.joblib")
        (folder / f"{name}.bodies").write_text("".join(json.dumps(body) + "\n" for body in bodies))
        (folder / f"{name}.right.json").write_text(json.dumps([right(name, model, body) for body in bodies]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
