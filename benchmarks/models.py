"""The three models of the benchmark, with rows to ask and the answers that are right.   python benchmarks/models.py FOLDER

``lr``: scaler and logistic regression on 30 numbers, the cheapest call. ``rf``: a forest of 100 trees, a dear one.
``text``: tf-idf over 20,000 words and logistic regression.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

NAMES = ("lr", "rf", "text")
ROWS = 50
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


def train() -> dict[str, tuple[Any, list[Any]]]:
    """Name -> fitted model and rows that it has not seen."""
    x, y = load_breast_cancer(return_X_y=True)
    learn, held, learn_y, _ = train_test_split(x, y, test_size=0.25, random_state=7, stratify=y)
    texts, labels = invented(8000, 20_000, np.random.default_rng(7))
    rows = held[:ROWS].tolist()
    return {
        "lr": (make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(learn, learn_y), rows),
        "rf": (RandomForestClassifier(100, n_jobs=1, random_state=7).fit(learn, learn_y), rows),
        "text": (make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(texts[ROWS:], labels[ROWS:]), texts[:ROWS]),
    }


def main(folder: Path) -> None:
    """Write NAME.joblib, NAME.bodies (a JSON body a line) and NAME.right.json (probabilities of each row asked alone)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (model, rows) in train().items():
        joblib.dump(model, folder / f"{name}.joblib")
        key = "text" if name == "text" else "features"
        (folder / f"{name}.bodies").write_text("".join(json.dumps({key: row}) + "\n" for row in rows))
        (folder / f"{name}.right.json").write_text(json.dumps([model.predict_proba([row])[0].tolist() for row in rows]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
