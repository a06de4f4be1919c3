"""Will a customer of an internet provider leave? A made-up table with named columns of mixed kinds and gaps.

The rule that the data follow is :func:`leaving`; the model sees only the columns and which customers left. No person
stands behind any row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ("tenure_months", "monthly_fee", "support_calls", "age")
CATEGORIES = ("contract", "connection", "payment")
GAPS = {"age": 0.15, "monthly_fee": 0.03}  # how often a value is missing
CONTRACTS = {"month to month": 1.1, "one year": -0.2, "two years": -1.3}
CONNECTIONS = {"fibre": (52, -0.3), "cable": (41, 0.1), "DSL": (29, 0.4)}  # usual fee, weight
PAYMENTS = {"direct debit": -0.4, "card": 0.0, "invoice": 0.4}


def customers(count: int, rng: np.random.Generator) -> pd.DataFrame:
    """``count`` customers without gaps."""
    connection = rng.choice(list(CONNECTIONS), count, p=[0.4, 0.35, 0.25])
    usual = np.array([CONNECTIONS[name][0] for name in connection])
    contract = rng.choice(list(CONTRACTS), count, p=[0.5, 0.3, 0.2])
    tenure = np.minimum(rng.gamma(1.6, 16, count) + np.where(contract == "two years", 12, 0), 120)
    return pd.DataFrame({
        "tenure_months": tenure.round(),
        "monthly_fee": (usual + rng.normal(0, 6, count) - 0.05 * tenure).clip(12, 90).round(2),
        "contract": contract,
        "connection": connection,
        "payment": rng.choice(list(PAYMENTS), count, p=[0.5, 0.3, 0.2]),
        "support_calls": rng.poisson(np.where(connection == "DSL", 1.8, 1.0)).astype(float),
        "age": rng.normal(47, 16, count).clip(18, 92).round(),
    })  # fmt: skip


def leaving(table: pd.DataFrame) -> np.ndarray:
    """The log-odds of leaving: short tenure, a fee above the usual one, many calls and loose contracts drive people away."""
    usual = table["connection"].map({name: fee for name, (fee, _) in CONNECTIONS.items()})
    odds = -1.1 - 0.9 * np.log1p(table["tenure_months"] / 12) + 0.06 * (table["monthly_fee"] - usual) + 0.45 * table["support_calls"]
    odds += table["contract"].map(CONTRACTS) + table["payment"].map(PAYMENTS) + table["connection"].map({n: w for n, (_, w) in CONNECTIONS.items()})
    return np.asarray(odds + 0.25 * (table["age"] < 30))


def table(count: int = 4000, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Customers with gaps, and "leaves" or "stays" for each."""
    rng = np.random.default_rng(seed)
    whole = customers(count, rng)
    left = rng.random(count) < 1 / (1 + np.exp(-leaving(whole)))
    for name, share in GAPS.items():
        whole.loc[rng.random(count) < share, name] = np.nan
    return whole, np.where(left, "leaves", "stays")


def build() -> Any:
    """The unfitted pipeline: gaps filled, numbers scaled, categories spread; an unknown category is an error."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    spread = ColumnTransformer([("numbers", numbers, list(NUMBERS)), ("categories", OneHotEncoder(), list(CATEGORIES))])
    return make_pipeline(spread, LogisticRegression(max_iter=1000))


def train() -> tuple[Any, dict[str, float], pd.DataFrame]:
    """The fitted pipeline, its accuracy on a held-out quarter beside that of always saying "stays", and a sample of rows."""
    rows, answer = table()
    learn, held, learn_y, held_y = train_test_split(rows, answer, test_size=0.25, random_state=0, stratify=answer)
    model = build().fit(learn, learn_y)
    scores = {"accuracy": float(model.score(held, held_y)), "always stays": float((held_y == "stays").mean())}
    return model, scores, learn.head(300)
