"""Pipelines over public tables with named mixed columns and holes: a host answers what pandas and scikit-learn answer."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from flask_carafe.signature import Chunk, Rows
from hosting.host_client import Peer, texts
from models import small


def table(path: Path) -> pd.DataFrame:
    """A CSV as pandas 2 would read it: texts are objects, holes are NaN."""
    frame = pd.read_csv(path)
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].astype(object).where(frame[name].notna(), np.nan)
    return frame


def model(frame: pd.DataFrame, target: pd.Series, last: Any) -> Any:
    categories = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    of_text, of_numbers = make_column_selector(dtype_include=object), make_column_selector(dtype_include="number")
    parts = ColumnTransformer([("c", categories, of_text), ("n", SimpleImputer(strategy="median"), of_numbers)])
    return make_pipeline(parts, last).fit(frame, target)


def packed(frame: pd.DataFrame, columns: list[dict[str, Any]]) -> Rows:
    chunks = []
    for column in columns:
        values = frame[column["name"]].tolist()
        if column["dtype"] == "text":
            chunks.append(texts([value if isinstance(value, str) else None for value in values]))
        else:
            chunks.append(Chunk(data=struct.pack(f"<{len(values)}d", *values)))
    return Rows(n=len(frame), chunks=tuple(chunks))


def compare(host: Peer, fitted: Any, frame: pd.DataFrame, path: Path) -> dict[str, Any]:
    description = host.ready(small.save(fitted, path))
    answer, errors = host.predict(packed(frame, description["input"]["columns"]))
    assert not errors
    classes = description["outputs"][0]["classes"]
    assert [classes[place] for place in answer[0].values] == fitted.predict(frame).tolist()
    np.testing.assert_allclose(np.reshape(answer[1].values, (len(frame), -1)), fitted.predict_proba(frame), rtol=1e-12)
    return {column["name"]: column for column in description["input"]["columns"]}


def test_the_titanic_with_holes_in_ages_and_harbours(host: Peer, tmp_path: Path, data: Callable[[str], Path]) -> None:
    frame = table(data("titanic/titanic.csv"))
    used = frame[["Pclass", "Sex", "Age", "Fare", "Embarked"]]
    found = compare(host, model(used, frame["Survived"], RandomForestClassifier(20, random_state=0)), used, tmp_path / "m.joblib")
    assert found["Sex"]["choices"] == ["female", "male"] and found["Embarked"]["choices"] == ["C", "Q", "S"]
    assert found["Age"]["nullable"] and found["Age"]["default"] == 28.0 and found["Pclass"]["kind"] == "number"


def test_churn_with_blanks_and_many_categories(host: Peer, tmp_path: Path, data: Callable[[str], Path]) -> None:
    frame = table(data("telco-churn/telco_churn_a.csv")).head(1000)
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
    used = frame.drop(columns=["customerID", "Churn"])
    found = compare(host, model(used, frame["Churn"], RandomForestClassifier(20, random_state=0)), used, tmp_path / "m.joblib")
    assert len(found) == 19 and found["Contract"]["choices"] == ["Month-to-month", "One year", "Two year"]
    assert found["TotalCharges"]["nullable"] and found["SeniorCitizen"]["kind"] == "number"


def test_boosting_over_ordinal_codes(host: Peer, tmp_path: Path, data: Callable[[str], Path]) -> None:
    frame = table(data("titanic/titanic.csv"))
    used = frame[["Sex", "Age", "Embarked"]]
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    parts = ColumnTransformer([("c", codes, ["Sex", "Embarked"])], remainder="passthrough")
    fitted = make_pipeline(parts, HistGradientBoostingClassifier(max_iter=10)).fit(used, frame["Survived"])
    found = compare(host, fitted, used, tmp_path / "m.joblib")
    assert found["Embarked"]["nullable"] and not found["Embarked"]["closed"]
