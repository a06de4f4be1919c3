"""From a file to an answer through the real signature room: what a host describes is inferred, configured, decoded and encoded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from flask_carafe.signature.answer import Encoder
from flask_carafe.signature.decode import Decoder
from flask_carafe.signature.infer import infer
from hosting.host_client import Peer
from models import estimators, small


def ask(host: Peer, request: Any) -> dict[str, Any]:
    """Configure ``host`` as its own description is inferred, and answer one JSON request."""
    description = host.load_description
    signature = infer(description)
    host.configure(msgspec.to_builtins(signature), description["outputs"])
    rows = Decoder(signature).json(json.dumps(request).encode())
    columns, errors = host.predict(rows)
    assert not errors
    answer: dict[str, Any] = json.loads(msgspec.json.encode(Encoder(signature).body(columns, 0, rows.n, rows.scalar)))
    return answer


@pytest.fixture
def loaded(host: Peer, tmp_path: Path) -> Any:
    def load(model: Any) -> Peer:
        reply = host.load(small.save(model, tmp_path / "m.joblib"))
        assert reply["ok"], reply
        host.load_description = reply["description"]
        return host

    return load


def test_a_list_of_numbers(loaded: Any) -> None:
    model, rows = small.logistic(), small.points()[0]
    answer = ask(loaded(model), {"features": rows[:3].tolist()})
    assert answer["prediction"] == model.predict(rows[:3]).tolist()
    assert [list(row.values()) for row in answer["probabilities"]] == model.predict_proba(rows[:3]).tolist()


def test_one_row_of_named_columns_with_a_hole(loaded: Any) -> None:
    answer = ask(loaded(small.mixed()), {"member": 1, "city": "Paris", "age": None, "visits": 4})
    assert answer["prediction"] in (0, 1) and sum(answer["probabilities"].values()) == pytest.approx(1)


def test_one_text(loaded: Any) -> None:
    assert ask(loaded(small.sentiment()), {"text": "a great phone"})["prediction"] == "positive"


def test_objects_without_names(loaded: Any) -> None:
    rows = np.array([["red", 1], ["blue", 2], ["red", 3], ["blue", 1]], dtype=object)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(rows, ["a", "b", "a", "b"])
    assert ask(loaded(model), {"feature_1": "red", "feature_2": 3})["prediction"] == "a"


def test_records(loaded: Any) -> None:
    seen = [{"city": "Lagos", "age": 3.0}, {"city": "Paris", "age": 5.0}]
    model = make_pipeline(DictVectorizer(), LogisticRegression()).fit(seen, ["low", "high"])
    assert ask(loaded(model), {"city": "Paris", "age": 5.0})["prediction"] == "high"


def test_several_targets(loaded: Any) -> None:
    rows, target = small.points()
    both = np.stack([target, np.where(target, "y", "n")], axis=1).astype(object)
    model = MultiOutputClassifier(DecisionTreeClassifier(max_depth=2)).fit(rows, both)
    answer = ask(loaded(model), {"features": rows[0].tolist()})
    assert answer["prediction"] == [model.predict(rows[:1])[0].tolist()] and set(answer["probabilities"][0]) == {"output_1", "output_2"}


@pytest.mark.parametrize("name", ["KMeans", "IsolationForest", "PLSRegression", "MultiTaskLasso", "MLPRegressor", "GaussianMixture", "SVC"])
def test_all_kinds_of_answers(loaded: Any, name: str) -> None:
    fitted = estimators.fit(name)
    answer = ask(loaded(fitted.estimator), {"features": fitted.rows[:2].tolist()})
    np.testing.assert_array_equal(np.array(answer["prediction"]), fitted.estimator.predict(fitted.rows[:2]))
