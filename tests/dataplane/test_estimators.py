"""Every scikit-learn estimator with ``predict``: fitted small, saved, served all at once by ``carafe serve``, asked over HTTP."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from dataplane.conftest import Server, start_server, stop_server
from models import estimators

TABLE = Path(__file__).parents[2] / "docs" / "unservable.md"
UNSERVABLE = re.findall(r"^\| `(\w+)` \|", TABLE.read_text(), re.MULTILINE)
NAMES = [name for name in estimators.names() if name not in UNSERVABLE]


@pytest.fixture(scope="module")
def fitted() -> dict[str, estimators.Fitted]:
    return {name: estimators.fit(name) for name in NAMES}


@pytest.fixture(scope="module")
def shelf(fitted: dict[str, estimators.Fitted], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("shelf")
    for name, one in fitted.items():
        joblib.dump(one.estimator, folder / f"{name}.joblib")
    (folder / "carafe.yaml").write_text("models:\n" + "".join(f"  {name}: {name}.joblib\n" for name in NAMES))
    server = start_server(folder, workers=1, wait_s=300)
    yield server
    stop_server(server)


def test_the_table_of_unservable_estimators_is_short() -> None:
    assert len(UNSERVABLE) <= 5


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_over_http_is_the_estimators_own(name: str, shelf: Server, fitted: dict[str, estimators.Fitted]) -> None:
    estimator, rows = fitted[name].estimator, fitted[name].rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.asarray(estimator.predict(rows))
        probabilities = estimator.predict_proba(rows) if hasattr(estimator, "predict_proba") else None
    answer = shelf.post(f"/models/{name}/predict", {"features": rows.tolist()})
    assert answer.status == 200, answer.body
    _compare(answer.json["prediction"], expected)
    single = shelf.post(f"/models/{name}/predict", {"features": rows[0].tolist()}).json
    _compare(single["prediction"], expected[:1])
    if probabilities is not None and not isinstance(probabilities, list) and name != "ClassifierChain":
        keys = list(answer.json["probabilities"][0])
        got = np.array([[row[key] for key in keys] for row in answer.json["probabilities"]])
        if got.shape == np.shape(probabilities):
            np.testing.assert_allclose(got, probabilities, rtol=1e-12, atol=1e-15)


def _compare(got: Any, expected: np.ndarray) -> None:
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(np.array(got, dtype=float).reshape(expected.shape), expected, rtol=1e-12, atol=1e-15)
    else:
        assert np.array(got).tolist() == expected.tolist()
