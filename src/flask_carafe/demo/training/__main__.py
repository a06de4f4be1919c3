"""Train the demo's three models into a folder and write the ``carafe.yaml`` that serves them.

python -m flask_carafe.demo.training FOLDER [sentiment] [churn] [digits]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import joblib
import yaml

from .. import CONFIG, REVIEWS
from . import churn, digits, sentiment

Described = tuple[Any, Mapping[str, float], dict[str, Any]]

EXAMPLE = "I love it: well made, quiet and easy to clean."
FIELDS_OF_CHURN = {
    "tenure_months": {"description": "Months since the contract began", "example": 5},
    "monthly_fee": {"description": "What the customer pays a month", "example": 55.9},
    "contract": {"description": "How long the customer is bound", "example": "month to month"},
    "connection": {"description": "How the house is connected", "example": "fibre"},
    "payment": {"description": "How the bill is paid", "example": "invoice"},
    "support_calls": {"description": "Calls to support in the last half year", "example": 3},
    "age": {"description": "Age in years; may be left empty", "example": 29},
}


def train_sentiment(folder: Path) -> Described:
    model, scores = sentiment.train(REVIEWS)
    about = f"Says whether a product review is positive or negative. Learnt from {len(REVIEWS.read_text().splitlines())} short reviews."
    fields = {"text": {"kind": "text", "description": "A product review in English", "example": EXAMPLE}}
    return model, scores, {"description": about, "routes": ["/api"], "fields": fields}


def train_churn(folder: Path) -> Described:
    model, scores, sample = churn.train()
    sample.to_csv(folder / "churn-sample.csv", index=False)
    about = "Says whether a customer of an internet provider will leave. Learnt from 3,000 made-up customers."
    return model, scores, {"description": about, "sample": "churn-sample.csv", "fields": FIELDS_OF_CHURN}


def train_digits(folder: Path) -> Described:
    model, scores = digits.train()
    about = "Reads one handwritten digit from a picture or a drawing. Learnt from 1,437 scanned digits and 8,000 drawn ones."
    return model, scores, {"description": about, "input": f"image=image:{digits.SIZE}x{digits.SIZE}:L:invert:0-1"}


TRAININGS: dict[str, Callable[[Path], Described]] = {"sentiment": train_sentiment, "churn": train_churn, "digits": train_digits}


def save(model: Any, path: Path) -> None:
    """Write to a name beside it and rename, so that a reader never sees half a model."""
    part = path.with_name(path.name + ".part")
    joblib.dump(model, part)
    part.replace(path)


def main(folder: Path, names: list[str]) -> None:
    models = {}
    for name in names or list(TRAININGS):
        began = time.monotonic()
        model, scores, described = TRAININGS[name](folder)
        save(model, folder / f"{name}.joblib")
        models[name] = {"files": [f"{name}.joblib"], **described}
        figures = ", ".join(f"{key} {value:.1%}" for key, value in scores.items())
        print(f"{name}: {figures} ({time.monotonic() - began:.0f} s)", flush=True)
    text = yaml.safe_dump({"models": models}, sort_keys=False, allow_unicode=True, width=110)
    (folder / CONFIG).write_text("# Written by `carafe demo`.\n" + text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
