"""Every scikit-learn estimator with ``predict`` goes through a real host, and answers what it answers directly."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from flask_carafe.signature import Chunk, Rows
from hosting.host_client import Peer, Zygote
from models import estimators

TABLE = Path(__file__).parents[2] / "docs" / "unservable.md"
MOST_UNSERVABLE = 5


def unservable() -> list[str]:
    """Names in the first column of the table."""
    return re.findall(r"^\| `(\w+)` \|", TABLE.read_text(), re.MULTILINE)


def decoded(description: dict[str, Any], columns: list[Any], n: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Predictions as the model spells them, and probabilities, one array per output."""
    first = description["outputs"][0]
    values = np.array(columns[0].values, dtype=object).reshape(n, -1)
    classes = [first["classes"]] if first.get("classes") else first.get("target_classes")
    if classes:
        values = np.array([[classes[j][value] for j, value in enumerate(row)] for row in values.tolist()], dtype=object)
    shape = (n, first["width"]) if first.get("vector") else (n,)
    return values.reshape(shape), [np.array(column.values).reshape(n, -1) for column in columns[1:]]


def direct(estimator: Any, rows: np.ndarray) -> tuple[np.ndarray, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = estimator.predict_proba(rows) if hasattr(estimator, "predict_proba") else None
        return np.asarray(estimator.predict(rows)), given


def test_the_table_of_unservable_estimators_is_short_and_knows_only_estimators_that_exist() -> None:
    assert len(unservable()) <= MOST_UNSERVABLE
    assert set(unservable()) <= set(estimators.names())


@pytest.mark.parametrize("name", [name for name in estimators.names() if name not in unservable()])
def test_a_host_answers_what_the_estimator_answers(name: str, zygote: Zygote, tmp_path: Path) -> None:
    fitted = estimators.fit(name)
    joblib.dump(fitted.estimator, tmp_path / "model.joblib")
    expected, probabilities = direct(fitted.estimator, fitted.rows)
    with zygote.host() as host:
        _compare(name, fitted, host, tmp_path, expected, probabilities)


def _compare(name: str, fitted: estimators.Fitted, host: Peer, tmp_path: Path, expected: np.ndarray, probabilities: Any) -> None:
    description = host.ready(tmp_path / "model.joblib")
    assert len(description["input"]["columns"]) == fitted.rows.shape[1]
    columns, errors = host.predict(Rows(n=len(fitted.rows), chunks=(Chunk(data=fitted.rows.tobytes()),)))
    assert not errors
    values, wide = decoded(description, columns, len(fitted.rows))
    assert values.shape == expected.shape
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(values.astype(float), expected, rtol=1e-12, atol=1e-15)
    else:
        assert values.tolist() == expected.tolist()
    if probabilities is None:
        assert not wide
    else:
        listed = probabilities if isinstance(probabilities, list) else [probabilities]
        if name == "ClassifierChain":
            listed = [np.stack([1 - one, one], axis=1) for one in listed[0].T]
        for got, want in zip(wide, listed, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)
    _singles_equal_the_batch(host, fitted.rows, columns)


def _singles_equal_the_batch(host: Peer, rows: np.ndarray, columns: list[Any]) -> None:
    for place in (0, len(rows) - 1):
        single, errors = host.predict(Rows(n=1, chunks=(Chunk(data=rows[place : place + 1].tobytes()),)))
        assert not errors
        for one, many in zip(single, columns, strict=True):
            np.testing.assert_allclose(one.values, many.values[place * many.width : (place + 1) * many.width], rtol=1e-12, atol=1e-12)


def test_what_the_table_names_really_cannot_be_served(zygote: Zygote, tmp_path: Path) -> None:
    for name in unservable():
        with pytest.raises(Exception):  # noqa: B017  (fitting, saving, loading or answering: whichever the table names)
            test_a_host_answers_what_the_estimator_answers(name, zygote, tmp_path)
