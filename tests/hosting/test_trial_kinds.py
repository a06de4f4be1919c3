"""The trial over other kinds of models: ONNX, hosted Python, pictures, one-hot columns, skops."""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from skl2onnx import to_onnx
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from flask_carafe.errors import ArtifactRefused, LoadFailed, TrialFailed
from flask_carafe.hosting import media_needs
from hosting.bench import Bench

RNG = np.random.RandomState(0)
X = RNG.randn(40, 3).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="carafe-t") as folder:
        made = Bench(Path(folder))
        yield made
        made.close()


def test_onnx(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(to_onnx(LogisticRegression().fit(X, Y), X[:1], options={"zipmap": False}).SerializeToString())
    admission = bench.admit(path)
    assert admission.description["runtime"].startswith("onnx")
    assert admission.verdict.state == "unrecorded"
    assert [field.nullable for field in admission.signature.fields] == [False] * 3 or admission.prediction


def test_skops(bench: Bench, tmp_path: Path) -> None:
    skops.io.dump(LogisticRegression().fit(X, Y), tmp_path / "model.skops")
    assert bench.admit(tmp_path / "model.skops").verdict.state == "same"


def test_a_function_of_a_file(bench: Bench, tmp_path: Path) -> None:
    code = tmp_path / "shop.py"
    code.write_text("def price(age: float, city: str = 'Lagos') -> float:\n    return age * 2\n")
    admission = bench.admit(f"{code}:price")
    assert [field.name for field in admission.signature.fields] == ["age", "city"]
    assert "prediction" in admission.prediction
    with pytest.raises(LoadFailed):
        bench.admit(f"{code}:absent")


def test_pictures(bench: Bench, tmp_path: Path) -> None:
    digits = load_digits()
    joblib.dump(LogisticRegression(max_iter=50, tol=0.1).fit(digits.data[:300], digits.target[:300]), tmp_path / "digits.joblib")
    admission = bench.admit(tmp_path / "digits.joblib", input="image:8x8:L:invert:0-16")
    assert [(field.kind, field.nullable) for field in admission.signature.fields] == [("image", False)]
    assert admission.prediction["prediction"] in range(10)


def test_pictures_without_what_reads_them(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joblib.dump(LogisticRegression().fit(RNG.randn(20, 4), [0, 1] * 10), tmp_path / "squares.joblib")
    monkeypatch.setattr(media_needs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrialFailed, match="takes a picture, and Pillow is not installed here") as refused:
        bench.admit(tmp_path / "squares.joblib", input="image:2x2:L")
    assert refused.value.hint == "pip install 'Flask-Carafe[images]'"


def test_a_table_with_categories_and_gaps(bench: Bench, tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": [30.0, np.nan, 50.0, 41.0] * 5, "city": np.array(["Lagos", "Oslo"] * 10, dtype=object)})
    columns = make_column_transformer((SimpleImputer(), ["age"]), (OneHotEncoder(), ["city"]))
    joblib.dump(make_pipeline(columns, LogisticRegression()).fit(frame, [0, 1] * 10), tmp_path / "table.joblib")
    admission = bench.admit(tmp_path / "table.joblib")
    found = {field.name: (field.kind, field.nullable, field.choices) for field in admission.signature.fields}
    assert found == {"age": ("number", True, ()), "city": ("category", False, ("Lagos", "Oslo"))}


def test_one_hot_columns_beside_the_model(bench: Bench, tmp_path: Path) -> None:
    frame = pd.get_dummies(pd.DataFrame({"age": RNG.randn(20), "city": ["Lagos", "Oslo", "Lima", "Oslo"] * 5}))
    joblib.dump(LogisticRegression().fit(frame.to_numpy(dtype=float), [0, 1] * 10), tmp_path / "m.pkl")
    (tmp_path / "columns.json").write_text(json.dumps(list(frame.columns)))
    admission = bench.admit(tmp_path / "m.pkl", columns=str(tmp_path / "columns.json"))
    assert {field.name: field.kind for field in admission.signature.fields} == {"age": "number", "city": "category"}
    (tmp_path / "columns.json").write_text(json.dumps(["age"]))
    with pytest.raises(ArtifactRefused):
        bench.admit(tmp_path / "m.pkl", columns=str(tmp_path / "columns.json"))


def test_a_pickled_list_of_columns_is_looked_at_too(bench: Bench, tmp_path: Path) -> None:
    joblib.dump(LogisticRegression().fit(X, Y), tmp_path / "m.pkl")
    (tmp_path / "columns.pkl").write_bytes(pickle.dumps(["a", "b_x", "b_y"]))
    assert bench.admit(tmp_path / "m.pkl", columns=str(tmp_path / "columns.pkl"))
    (tmp_path / "columns.pkl").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "canary").encode() + b"'\ntR.")
    with pytest.raises(ArtifactRefused, match=r"columns\.pkl runs code"):
        bench.admit(tmp_path / "m.pkl", columns=str(tmp_path / "columns.pkl"))
    assert not (tmp_path / "canary").exists()
