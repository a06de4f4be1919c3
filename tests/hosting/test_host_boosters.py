"""The files that LightGBM, XGBoost and CatBoost write themselves, answered as their own wrappers for scikit-learn answer."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from flask_carafe.artifacts.names import LIBRARIES
from flask_carafe.errors import LoadFailed, UnknownFormat
from flask_carafe.hosting.host.libraries import ALLOWED
from flask_carafe.signature import Chunk, Rows
from hosting.bench import Bench
from hosting.host_client import Zygote

RNG = np.random.RandomState(0)
N = 200
CITIES = ["Lagos", "Lima", "Oslo"]
FRAME = pd.DataFrame({
    "age": RNG.uniform(18, 80, N), "rooms": RNG.randint(1, 6, N), "city": pd.Categorical(RNG.choice(CITIES, N)), "flag": RNG.rand(N) > 0.5,
})  # fmt: skip
NUMBERS = FRAME[["age", "rooms"]]
BINARY = ((FRAME["age"] > 40) & (FRAME["city"] == "Oslo")).astype(int)
THREE = FRAME["rooms"] % 3
ROWS = [
    {"age": 41.5, "rooms": 3, "city": "Oslo", "flag": 1}, {"age": 20, "rooms": 1, "city": "Lagos", "flag": 0}, {"rooms": 5, "city": "Lima"},
    {"age": 70, "rooms": 5, "flag": 1},
]  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="carafe-b") as folder:
        made = Bench(Path(folder))
        yield made
        made.close()


@pytest.fixture(scope="module")
def lightgbm() -> Any:
    return pytest.importorskip("lightgbm")


@pytest.fixture(scope="module")
def xgboost() -> Any:
    return pytest.importorskip("xgboost")


@pytest.fixture(scope="module")
def catboost(need: Callable[..., str]) -> Any:
    return pytest.importorskip(need(module="catboost"))


def asked(*names: str) -> pd.DataFrame:
    """``ROWS`` as a table with the types of the training."""
    frame = pd.DataFrame(ROWS, columns=list(FRAME.columns))
    frame["city"] = pd.Categorical(frame["city"], categories=CITIES)
    return frame.assign(flag=frame["flag"].astype(float))[list(names or FRAME.columns)]


def rows_of(*names: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name in names} for row in ROWS]


def saved(model: Any, folder: Path) -> Path:
    model.booster_.save_model(folder / "model.txt")
    return folder / "model.txt"


def probabilities(body: dict[str, Any]) -> np.ndarray:
    return np.array([list(row.values()) for row in body["probabilities"]])


@pytest.mark.parametrize("target", [BINARY, THREE], ids=["two classes", "three classes"])
def test_lightgbm_tells_classes_apart_as_its_wrapper_does(lightgbm: Any, bench: Bench, tmp_path: Path, target: pd.Series) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=8, verbose=-1).fit(FRAME, target)
    body = bench.answer(ROWS, saved(model, tmp_path))
    assert body["prediction"] == model.predict(asked()).tolist()
    np.testing.assert_allclose(probabilities(body), model.predict_proba(asked()), rtol=0, atol=1e-15)


@pytest.mark.parametrize("objective", ["regression", "poisson", "lambdarank"])
def test_lightgbm_gives_numbers_and_scores_as_its_wrapper_does(lightgbm: Any, bench: Bench, tmp_path: Path, objective: str) -> None:
    more = {"group": [100, 100]} if objective == "lambdarank" else {}
    kind = lightgbm.LGBMRanker if more else lightgbm.LGBMRegressor
    model = kind(objective=objective, n_estimators=5, verbose=-1).fit(NUMBERS, THREE, **more)
    body = bench.answer(rows_of("age", "rooms"), saved(model, tmp_path))
    np.testing.assert_allclose(body["prediction"], model.predict(asked("age", "rooms")), rtol=1e-15)


def test_lightgbm_tells_names_ranges_and_categories(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    path = saved(lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(FRAME, BINARY), tmp_path)
    admission = bench.admit(path, labels={"0": "stays", "1": "leaves"})
    fields = {field.name: field for field in admission.signature.fields}
    assert list(fields) == list(FRAME.columns) and all(field.nullable for field in fields.values())
    assert (fields["rooms"].low, fields["rooms"].high) == (1, 5)
    assert (fields["city"].kind, fields["city"].choices) == ("category", tuple(CITIES))
    assert admission.description["runtime"] == "lightgbm" and "binary, 3 trees" in admission.description["estimator"]
    assert admission.prediction["prediction"] in ("stays", "leaves")


def test_lightgbm_on_an_array_takes_codes_and_has_no_names(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    codes = np.column_stack([FRAME["age"], FRAME["city"].cat.codes])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = saved(lightgbm.LGBMRegressor(n_estimators=3, verbose=-1).fit(codes, BINARY, categorical_feature=[1]), tmp_path)
    admission = bench.admit(path, fields=["age", "city"])
    assert [(field.name, field.choices) for field in admission.signature.fields] == [("age", ()), ("city", (0, 1, 2))]


def test_a_custom_objective_gives_scores_that_may_be_logits(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    def logistic(true: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given = 1 / (1 + np.exp(-raw))
        return given - true, given * (1 - given)

    path = saved(lightgbm.LGBMClassifier(objective=logistic, n_estimators=5, verbose=-1).fit(NUMBERS, BINARY), tmp_path)
    assert any("raw scores" in warning for warning in bench.admit(path).warnings)
    raw = np.array(bench.answer(rows_of("age", "rooms"), path)["prediction"])
    body = bench.answer(rows_of("age", "rooms"), path, outputs="logits")
    np.testing.assert_allclose(probabilities(body)[:, 1], 1 / (1 + np.exp(-raw)), rtol=1e-12)


def test_categories_that_cannot_be_told_apart_are_refused(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    frame = FRAME.assign(grade=pd.Categorical(RNG.choice(["low", "high"], N), categories=["low", "high"], ordered=True))
    path = saved(lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(frame, BINARY), tmp_path)
    with pytest.raises(LoadFailed, match="2 lists of categories"):
        bench.admit(path)


def test_a_file_that_was_cut_short_is_refused_before_it_is_loaded(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    path = saved(lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(NUMBERS, BINARY), tmp_path)
    data = path.read_bytes()
    for share in (0.05, 0.3, data.index(b"end of trees") / len(data)):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises((LoadFailed, UnknownFormat), match=r"^model\.txt is not whole"):
            bench.admit(path)


@pytest.mark.parametrize("ending", ["json", "ubj"])
@pytest.mark.parametrize("target", [BINARY, THREE], ids=["two classes", "three classes"])
def test_xgboost_tells_classes_apart_as_its_wrapper_does(xgboost: Any, bench: Bench, tmp_path: Path, target: pd.Series, ending: str) -> None:
    model = xgboost.XGBClassifier(n_estimators=5, enable_categorical=True).fit(FRAME, target)
    model.save_model(tmp_path / f"model.{ending}")
    body = bench.answer(true_or_false(ROWS), tmp_path / f"model.{ending}")
    assert body["prediction"] == model.predict(asked()).tolist()
    np.testing.assert_array_equal(probabilities(body).astype(np.float32), model.predict_proba(asked()))


def true_or_false(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"flag": bool(row["flag"])} if "flag" in row else row for row in rows]


def test_xgboost_tells_names_types_and_categories(xgboost: Any, bench: Bench, tmp_path: Path) -> None:
    frame = FRAME.assign(grade=pd.Categorical(RNG.choice([2, 9, 5], N), categories=[5, 2, 9]))
    xgboost.XGBClassifier(n_estimators=3, enable_categorical=True).fit(frame, BINARY).save_model(tmp_path / "m.ubj")
    admission = bench.admit(tmp_path / "m.ubj", labels=["stays", "leaves"])
    fields = {field.name: (field.kind, field.dtype, field.choices, field.nullable) for field in admission.signature.fields}
    assert fields == {
        "age": ("number", "float32", (), True), "rooms": ("integer", "float32", (), True), "flag": ("boolean", "float32", (), True),
        "city": ("category", "text", tuple(CITIES), True), "grade": ("category", "int64", (5, 2, 9), True),
    }  # fmt: skip
    assert admission.prediction["prediction"] in ("stays", "leaves") and admission.verdict.state == "unrecorded"


@pytest.mark.parametrize("options", [
    {}, {"objective": "count:poisson"}, {"booster": "gblinear"}, {"booster": "dart"}, {"objective": "binary:logistic"},
])  # fmt: skip
def test_xgboost_gives_numbers_as_its_wrapper_does(xgboost: Any, bench: Bench, tmp_path: Path, options: dict[str, str]) -> None:
    model = xgboost.XGBRegressor(n_estimators=5, **options).fit(NUMBERS, BINARY)
    model.save_model(tmp_path / "m.json")
    rows = [row for row in rows_of("age", "rooms") if "age" in row or options.get("booster") != "gblinear"]
    body = bench.answer([row | {"rooms": row.get("rooms", 3)} for row in rows], tmp_path / "m.json")
    frame = pd.DataFrame(rows, columns=["age", "rooms"])
    np.testing.assert_allclose(body["prediction"], model.predict(frame), rtol=1e-6)


def test_xgboost_leaves_out_what_came_after_the_best_round(xgboost: Any, bench: Bench, tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2, eval_metric="logloss")
    model.fit(NUMBERS[:100], BINARY[:100], eval_set=[(NUMBERS[100:], 1 - BINARY[100:])], verbose=False)
    assert model.best_iteration < model.get_booster().num_boosted_rounds() - 1
    model.save_model(tmp_path / "m.json")
    body = bench.answer(rows_of("age", "rooms"), tmp_path / "m.json")
    np.testing.assert_array_equal(probabilities(body).astype(np.float32), model.predict_proba(asked("age", "rooms")))


def test_xgboost_with_softmax_still_gives_probabilities(xgboost: Any, bench: Bench, tmp_path: Path) -> None:
    rows = xgboost.DMatrix(NUMBERS, THREE)
    xgboost.train({"objective": "multi:softmax", "num_class": 3}, rows, 4).save_model(tmp_path / "m.json")
    soft = xgboost.train({"objective": "multi:softprob", "num_class": 3}, rows, 4)
    body = bench.answer(rows_of("age", "rooms"), tmp_path / "m.json")
    np.testing.assert_allclose(probabilities(body), soft.predict(xgboost.DMatrix(asked("age", "rooms"))), atol=1e-6)


def test_xgboost_with_several_labels_answers_each(xgboost: Any, bench: Bench, tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=4).fit(NUMBERS, np.column_stack([BINARY, THREE > 1]))
    model.save_model(tmp_path / "m.json")
    body = bench.answer(rows_of("age", "rooms"), tmp_path / "m.json")
    assert body["prediction"] == model.predict(asked("age", "rooms")).astype(int).tolist()


def test_categories_that_xgboost_has_lost_are_refused(xgboost: Any, bench: Bench, tmp_path: Path) -> None:
    frame = FRAME.assign(city=FRAME["city"].cat.rename_categories({"Lima": "Lomé"}))
    xgboost.XGBClassifier(n_estimators=2, enable_categorical=True).fit(frame, BINARY).save_model(tmp_path / "m.json")
    with pytest.raises(LoadFailed, match="beyond ASCII"):
        bench.admit(tmp_path / "m.json")


@pytest.mark.parametrize("name", ["m.json", "m.ubj"])
def test_an_xgboost_file_that_was_cut_short_is_refused(xgboost: Any, bench: Bench, tmp_path: Path, name: str) -> None:
    xgboost.XGBRegressor(n_estimators=3).fit(NUMBERS, BINARY).save_model(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    for cut in (data[:-2], data[: len(data) // 2], data[: data.index(b"}") + 1]):
        (tmp_path / name).write_bytes(cut)
        with pytest.raises(LoadFailed, match=r"not whole|XGBoost cannot read"):
            bench.admit(tmp_path / name)


def cats(catboost: Any, kind: str, **options: Any) -> Any:
    return getattr(catboost, f"CatBoost{kind}")(iterations=8, verbose=False, allow_writing_files=False, thread_count=1, **options)


def test_catboost_tells_classes_apart_by_name_as_its_wrapper_does(catboost: Any, bench: Bench, tmp_path: Path) -> None:
    frame = FRAME.assign(city=FRAME["city"].astype(str), grade=RNG.randint(0, 3, N))[["age", "city", "grade"]]
    model = cats(catboost, "Classifier", cat_features=["city", "grade"]).fit(frame, np.where(BINARY, "leaves", "stays"))
    model.set_probability_threshold(0.6)
    model.save_model(tmp_path / "m.cbm")
    rows = [{"age": 41.5, "city": "Oslo", "grade": 1}, {"age": 20, "city": "Bergen", "grade": "2"}, {"city": "Lima", "grade": 0.0}]
    frame = pd.DataFrame([[41.5, "Oslo", "1"], [20, "Bergen", "2"], [np.nan, "Lima", "0"]], columns=["age", "city", "grade"])
    body = bench.answer(rows, tmp_path / "m.cbm")
    assert body["prediction"] == model.predict(frame).tolist()
    np.testing.assert_allclose(probabilities(body), model.predict_proba(frame), rtol=1e-12)
    fields = {field.name: (field.kind, field.nullable) for field in bench.admit(tmp_path / "m.cbm").signature.fields}
    assert fields == {"age": ("number", True), "city": ("category", False), "grade": ("category", False)}


@pytest.mark.parametrize("loss", ["RMSE", "Poisson", "MultiClass", "MultiRMSE"])
def test_catboost_answers_as_its_wrapper_does(catboost: Any, bench: Bench, tmp_path: Path, loss: str) -> None:
    target = np.column_stack([THREE, BINARY]) if loss == "MultiRMSE" else THREE
    model = cats(catboost, "Classifier" if loss == "MultiClass" else "Regressor", loss_function=loss).fit(NUMBERS, target)
    model.save_model(tmp_path / "m.cbm")
    body = bench.answer(rows_of("age", "rooms"), tmp_path / "m.cbm")
    np.testing.assert_allclose(body["prediction"], np.squeeze(model.predict(asked("age", "rooms"))), rtol=1e-12)


def test_a_catboost_file_that_was_cut_short_is_refused(catboost: Any, bench: Bench, tmp_path: Path) -> None:
    cats(catboost, "Regressor").fit(NUMBERS, BINARY).save_model(tmp_path / "m.cbm")
    data = (tmp_path / "m.cbm").read_bytes()
    for cut in (data[:6], data[: len(data) // 2], data[:-9]):
        (tmp_path / "m.cbm").write_bytes(cut)
        with pytest.raises(LoadFailed, match=r"not whole|CatBoost cannot read"):
            bench.admit(tmp_path / "m.cbm")


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_host_forked_after_the_import_computes_on_several_threads(library: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    module = pytest.importorskip(library)
    if library == "lightgbm":
        module.LGBMRegressor(n_estimators=5, verbose=-1).fit(NUMBERS, THREE).booster_.save_model(path)
    else:
        module.XGBRegressor(n_estimators=5).fit(NUMBERS.to_numpy(), THREE).save_model(path.with_suffix(".json"))
        path = path.with_suffix(".json")
    zygote = Zygote(tmp_path, modules=[library])
    try:
        assert zygote.imported["threads"] == 1
        for threads in (2, 1):
            with zygote.host() as host:
                host.ready((path, library), options={"threads": threads})
                answer, errors = host.predict(matrix(64, "<f8" if library == "lightgbm" else "<f4"))
                assert len(answer[0].values) == 64 and not errors
    finally:
        zygote.end()


def matrix(n: int, dtype: str) -> Rows:
    return Rows(n=n, chunks=(Chunk(data=NUMBERS.to_numpy(dtype=dtype)[:n].tobytes()),))


def test_zygotes_may_import_what_pickles_are_known_by() -> None:
    assert LIBRARIES <= ALLOWED


def wrapped(library: str, module: Any) -> Any:
    if library == "catboost":
        return cats(module, "Classifier", cat_features=["city"])
    if library == "lightgbm":
        return module.LGBMClassifier(n_estimators=5, verbose=-1)
    return module.XGBClassifier(n_estimators=5, enable_categorical=True)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_a_pickled_wrapper_answers_rows_with_categories(request: pytest.FixtureRequest, bench: Bench, tmp_path: Path, library: str) -> None:
    module = request.getfixturevalue(library)
    as_text = {"city": str} if library == "catboost" else {}
    model = wrapped(library, module).fit(FRAME.drop(columns="flag").astype(as_text), BINARY)
    joblib.dump(model, tmp_path / "m.joblib")
    body = bench.answer(rows_of("age", "rooms", "city")[:3], tmp_path / "m.joblib")
    frame = asked("age", "rooms", "city")[:3].astype(as_text)
    np.testing.assert_allclose(probabilities(body), model.predict_proba(frame), rtol=1e-6)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_a_pipeline_that_ends_in_a_wrapper_answers_as_it_does(request: pytest.FixtureRequest, bench: Bench, tmp_path: Path, library: str) -> None:
    module = request.getfixturevalue(library)
    last = cats(module, "Classifier") if library == "catboost" else wrapped(library, module)
    columns = make_column_transformer((StandardScaler(), ["age", "rooms"]), (OneHotEncoder(handle_unknown="ignore"), ["city"]))
    model = make_pipeline(columns, last).fit(FRAME.astype({"city": object}), BINARY)
    joblib.dump(model, tmp_path / "m.joblib")
    rows = [row for row in ROWS if "age" in row and "city" in row]
    body = bench.answer(rows, tmp_path / "m.joblib")
    np.testing.assert_allclose(probabilities(body), model.predict_proba(pd.DataFrame(rows)), rtol=1e-6)


def test_a_bare_booster_is_told_how_to_be_saved(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    joblib.dump(lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(NUMBERS, BINARY).booster_, tmp_path / "m.joblib")
    with pytest.raises(LoadFailed, match=r"booster\.save_model\('model\.txt'\)"):
        bench.admit(tmp_path / "m.joblib")
