"""Models served as ONNX graphs made from them: the same fields, the same answers at every split, or a refusal that says where."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from flask_carafe.artifacts.spec import from_options
from flask_carafe.errors import CompileRefused, ConfigError
from flask_carafe.hosting import compile_rows, compiling
from flask_carafe.hosting.compile_compare import Comparison
from flask_carafe.hosting.frames import Column, RowError
from flask_carafe.signature import Field, Output, Signature
from hosting.bench import Bench

RNG = np.random.RandomState(0)
X = RNG.normal(size=(150, 3)) * [1.0, 100.0, 1e-3]
Y = (X[:, 0] + X[:, 1] / 100 > 0).astype(int)
FRAME = pd.DataFrame({
    "age": np.where(RNG.rand(150) < 0.1, np.nan, RNG.uniform(1, 80, 150)), "fare": RNG.gamma(2, 20, 150),
    "port": RNG.choice(np.array(["S", "C", "Q", np.nan], dtype=object), 150), "deck": RNG.randint(1, 4, 150),
})  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    pytest.importorskip("onnxmltools")
    with tempfile.TemporaryDirectory(prefix="carafe-c") as folder:
        made = Bench(Path(folder))
        yield made
        made.close()


def saved(model: Any, folder: Path) -> Path:
    joblib.dump(model, folder / "m.joblib")
    return folder / "m.joblib"


def table() -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    return make_column_transformer((numbers, ["age", "fare"]), (words, ["port"]), (OneHotEncoder(handle_unknown="ignore"), ["deck"]))


def splits(model: Any) -> np.ndarray:
    """Rows with one value exactly where some tree splits, or one step of a float64 to a side, in the units of the input."""
    scaler, forest = model.named_steps["standardscaler"], model[-1]
    rows = []
    for tree in (tree.tree_ for tree in forest.estimators_[:6]):
        for feature, value in zip(tree.feature, tree.threshold, strict=True):
            if feature >= 0:
                inside = np.zeros(3)
                inside[feature] = value
                exact = scaler.inverse_transform([inside])[0][feature]
                rows += [np.where(np.arange(3) == feature, near, X[0]) for near in (exact, np.nextafter(exact, np.inf), np.nextafter(exact, -np.inf))]
    return np.array(rows)


def test_a_forest_behind_a_scaler_splits_where_it_did(bench: Bench, tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), RandomForestClassifier(12, random_state=0)).fit(X, Y)
    rows = splits(model)
    asked = [dict(zip("abc", map(float, row), strict=True)) for row in rows]
    body = bench.answer(asked, saved(model, tmp_path), fields=["a", "b", "c"], compile="onnx")
    assert body["prediction"] == model.predict(rows).tolist()
    given = np.array([list(row.values()) for row in body["probabilities"]])
    np.testing.assert_allclose(given, model.predict_proba(rows), atol=1e-7)


def test_a_table_with_gaps_and_categories_has_the_same_fields_and_answers(bench: Bench, tmp_path: Path) -> None:
    path = saved(make_pipeline(table(), LogisticRegression()).fit(FRAME, Y), tmp_path)
    rows = [{"age": 30, "fare": 12.5, "port": "S", "deck": 2}, {"fare": 400, "deck": 3}, {"age": 2, "fare": 0, "port": "Z", "deck": 1}]
    native, compiled = bench.admit(path), bench.admit(path, compile="onnx")
    assert compiled.signature == native.signature
    assert compiled.description["runtime"] == "onnx" and {"onnxruntime", "scikit-learn"} <= set(compiled.libraries)
    report = compiled.compiled
    assert report is not None and report.rows > 1000 and report.largest < 1e-9 and set(report.native_us) == set(report.graph_us) == {"1", "64"}
    one, other = bench.answer(rows, path), bench.answer(rows, path, compile="onnx")
    assert one["prediction"] == other["prediction"]
    assert one["probabilities"] == [pytest.approx(row, abs=1e-12) for row in other["probabilities"]]


def lightgbm_text(folder: Path) -> Path:
    lightgbm = pytest.importorskip("lightgbm")
    frame = FRAME.assign(port=pd.Categorical(FRAME["port"]))
    lightgbm.LGBMClassifier(n_estimators=8, verbose=-1).fit(frame, Y).booster_.save_model(folder / "m.txt")
    return folder / "m.txt"


def xgboost_json(folder: Path) -> Path:
    xgboost = pytest.importorskip("xgboost")
    xgboost.XGBClassifier(n_estimators=8).fit(FRAME[["age", "fare", "deck"]], Y).save_model(folder / "m.json")
    return folder / "m.json"


def xgboost_wrapper(folder: Path) -> Path:
    xgboost = pytest.importorskip("xgboost")
    return saved(xgboost.XGBClassifier(n_estimators=8).fit(FRAME[["age", "fare"]], Y), folder)


MADE: dict[str, Callable[[Path], Path]] = {
    "LightGBM's text": lightgbm_text, "XGBoost's JSON": xgboost_json, "XGBoost's wrapper": xgboost_wrapper,
    "histogram boosting": lambda folder: saved(HistGradientBoostingClassifier(max_iter=8).fit(X, Y), folder),
    "boosting": lambda folder: saved(GradientBoostingRegressor(n_estimators=8).fit(X, X[:, 1]), folder),
    "forest": lambda folder: saved(RandomForestRegressor(8).fit(X, X[:, 1]), folder),
    "ridge": lambda folder: saved(Ridge().fit(X, X[:, 1]), folder),
    "forest over a table": lambda folder: saved(make_pipeline(table(), RandomForestClassifier(8)).fit(FRAME, np.where(Y, "yes", "no")), folder),
}  # fmt: skip


@pytest.mark.parametrize("name", [name if number < 2 else pytest.param(name, marks=pytest.mark.slow) for number, name in enumerate(MADE)])
def test_it_is_compiled_to_float64_and_differs_by_rounding_alone(bench: Bench, tmp_path: Path, name: str) -> None:
    admission = bench.admit(MADE[name](tmp_path), compile="onnx")
    assert admission.compiled is not None and admission.compiled.width == "float64"
    assert admission.compiled.largest < 1e-6 and "speed" in admission.compiled.in_words


def test_what_passed_is_kept_and_made_anew_only_where_it_is_damaged(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(LogisticRegression().fit(X, Y), tmp_path)
    first = bench.admit(path, compile="onnx")
    with monkeypatch.context() as patch:
        patch.delattr(compiling, "Compiling")
        again = bench.admit(path, compile="onnx")
    assert msgspec.json.encode(again) == msgspec.json.encode(first)
    spec = from_options("model", files=[str(path)], compile="onnx")
    kept = compiling.read_kept(spec, bench.home)
    assert kept is not None
    Path(kept.file.path).chmod(0o600)
    Path(kept.file.path).write_bytes(b"damaged")
    assert compiling.read_kept(spec, bench.home) is None
    assert bench.admit(path, compile="onnx").compiled is not None and compiling.read_kept(spec, bench.home) is not None


def test_what_passed_serves_where_it_cannot_be_written_down(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiling, "keep", full)
    assert bench.admit(saved(Ridge().fit(X, X[:, 1] * 3), tmp_path), compile="onnx").compiled is not None


@pytest.mark.parametrize("edges", [[[0]], [["a", 1.0]], 7, [[1e308, 1e308, 1]]])
def test_places_that_are_none_are_refused(edges: Any) -> None:
    with pytest.raises(CompileRefused, match="told places that are none"):
        compiling._checked_edges(edges, NUMBER)


@pytest.mark.parametrize(("model", "words"), [
    (make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good", "bad"] * 10, [1, 0] * 10), "its field text is text, and such models"),
    (RandomForestRegressor(8).fit(np.where(RNG.rand(*X.shape) < 0.1, np.nan, X), X[:, 1]), "ask whether a value is missing"),
])  # fmt: skip
def test_what_cannot_be_converted_is_refused_with_a_reason(bench: Bench, tmp_path: Path, model: Any, words: str) -> None:
    with pytest.raises(CompileRefused, match=words) as refusal:
        bench.admit(saved(model, tmp_path), compile="onnx")
    assert "Leave compile out" in refusal.value.hint


def test_a_python_function_is_refused_as_such(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "shout.py").write_text("def shout(text: str) -> str:\n    return text.upper()\n")
    with pytest.raises(CompileRefused, match="a Python function or class is not converted"):
        bench.admit(f"{tmp_path / 'shout.py'}:shout", compile="onnx")


def test_a_model_of_pictures_is_refused_with_a_reason(bench: Bench, tmp_path: Path) -> None:
    path = saved(LogisticRegression().fit(RNG.rand(20, 64), [0, 1] * 10), tmp_path)
    with pytest.raises(CompileRefused, match="is image, and such models are not converted"):
        bench.admit(path, input="image:8x8:L", compile="onnx")


SIGNATURE = Signature(fields=(Field(name="age", kind="number"),), outputs=(
    Output(name="prediction", kind="category", dtype="int64", classes=("no", "yes")),
    Output(name="probabilities", role="probabilities", width=2, classes=("no", "yes")),
))  # fmt: skip
NUMBER = Signature(fields=SIGNATURE.fields, outputs=(Output(name="prediction"),))


def classes(place: int, second: float) -> tuple[list[Column], list[RowError]]:
    return [Column(3, 1, [place]), Column(1, 2, [1 - second, second])], []


@pytest.mark.parametrize(("native", "compiled", "words"), [
    (classes(1, 0.6), classes(0, 0.6), r"where age 41\.5: it answers 'no', the model 'yes'"),
    (classes(1, 0.6), classes(1, 0.60002), r"the probability of no is 0\.39998, which the model says is 0\.4"),
    (classes(1, 0.6), classes(1, float("nan")), "the probability of no is nan"),
    (classes(1, 0.6), (classes(1, 0.6)[0], [RowError(0, "model_error", "Trace\nValueError: no")]), "the compiled one fails alone, with ValueError"),
])  # fmt: skip
def test_a_row_that_is_answered_otherwise_is_told(native: Any, compiled: Any, words: str) -> None:
    with pytest.raises(CompileRefused, match=words):
        Comparison(SIGNATURE).add(native, compiled, [[41.5]], 0)
    with pytest.raises(CompileRefused, match="in row 8 of the sample") as refusal:
        Comparison(SIGNATURE).add(native, compiled, None, 7)
    assert "41.5" not in str(refusal.value)


def test_numbers_are_judged_by_the_usual_size_of_the_answers() -> None:
    comparison = Comparison(NUMBER)
    for want, got in ((100.0, 100.0005), (1e-9, 2e-9), (-120.0, -120.0)):
        comparison.add(([Column(1, 1, [want])], []), ([Column(1, 1, [got])], []), [[1.0]], 0)
    comparison.finish()
    assert comparison.rows == 3 and comparison.largest == pytest.approx(5e-6)
    comparison.add(([Column(1, 1, [100.0])], []), ([Column(1, 1, [100.01])], []), [[1.0]], 0)
    with pytest.raises(CompileRefused, match=r"it answers 100\.01, the model 100"):
        comparison.finish()


def test_rows_reach_every_corner_that_a_field_has() -> None:
    signature = Signature(fields=(
        Field(name="age", kind="number", low=0, high=10, nullable=True),
        Field(name="city", kind="category", dtype="text", choices=("a", "b"), closed=False),
    ))  # fmt: skip
    rows = list(compile_rows.corners(signature, []))
    assert {row[1] for row in rows} == {"a", "b", compile_rows.UNSEEN}
    assert {None, 0.0, 5.0, 10.0, 1e-9, 10000.0} <= {row[0] for row in rows}
    near = {row[0] for row in compile_rows.at_splits(signature, [[0, 1.1]])}
    assert {1.1, float(np.nextafter(1.1, 2)), float(np.nextafter(1.1, 0))} <= near and len(near) == 5
    chance = list(compile_rows.by_chance(signature, [], 400))
    assert any(row[0] is None for row in chance) and all(row[0] is None or -1 <= row[0] <= 11 for row in chance)


def test_a_wide_model_is_asked_at_corners_of_some_of_its_inputs() -> None:
    signature = Signature(fields=tuple(Field(name=f"x{place}", kind="number") for place in range(1000)))
    assert sum(1 for _ in compile_rows.corners(signature, [])) == 5 + 8 * compile_rows.MOST_CORNERED


def test_a_row_that_fails_without_words_in_one_of_them_is_told() -> None:
    comparison = Comparison(Signature(fields=(Field(name="x", kind="number"),), outputs=(Output(name="prediction", kind="number"),)))
    column = [Column(1, 1, [1.0])]
    with pytest.raises(CompileRefused, match="the compiled one fails alone, with model_error"):
        comparison.add((column, []), (column, [RowError(0, "model_error", "")]), [[1.0]], 0)


def test_only_onnx_is_compiled_to() -> None:
    with pytest.raises(ConfigError, match="compile: got 'tensorrt', expected onnx"):
        from_options("m", files=["m.joblib"], compile="tensorrt")
