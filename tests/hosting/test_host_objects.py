"""Fitted objects in a host: what they say about themselves, chains, labels, one-hot columns, and what cannot be loaded."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import pickle
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder, MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from flask_carafe.hosting import frames
from flask_carafe.signature import Chunk, Rows
from hosting.host_client import Peer, Zygote, jsons, texts
from models import small


def columns(*chunks: Chunk, n: int) -> Rows:
    return Rows(n=n, chunks=chunks)


def floats(*values: float) -> Chunk:
    return Chunk(data=struct.pack(f"<{len(values)}d", *values))


def labels(description: dict[str, Any], answer: list[frames.Column]) -> list[Any]:
    classes = description["outputs"][0]["classes"]
    return [classes[place] for place in answer[0].values]


def matrix(rows: np.ndarray) -> Rows:
    return Rows(n=len(rows), chunks=(Chunk(data=np.ascontiguousarray(rows, dtype=np.float64).tobytes()),))


# what a model says about itself


def test_columns_of_a_frame_keep_their_names_kinds_and_choices(host: Peer, tmp_path: Path) -> None:
    description = host.ready(small.save(small.mixed(), tmp_path / "m.joblib"))
    assert description["input"]["build"] == "dataframe" and description["input"]["named"]
    found = {column["name"]: column for column in description["input"]["columns"]}
    assert list(found) == ["age", "city", "visits", "member"]
    assert found["city"]["kind"] == "category" and found["city"]["choices"] == ["Accra", "Lagos", "Paris"] and found["city"]["closed"]
    assert found["age"]["kind"] == "number" and found["age"]["nullable"] and found["age"]["default"] == 31.0
    assert description["estimator"] == "Pipeline(ColumnTransformer, LogisticRegression)" and description["runtime"] == "scikit-learn"
    assert description["libraries"]["scikit-learn"] and description["libraries"]["python"] == sys.version.split()[0]


def test_a_frame_with_holes_is_answered_as_pandas_would(host: Peer, tmp_path: Path) -> None:
    model, (frame, _) = small.mixed(), small.people()
    description = host.ready(small.save(model, tmp_path / "m.joblib"))
    frame = frame.assign(city=frame["city"].astype(object).where(frame["city"].notna(), np.nan))
    cities = texts([city if isinstance(city, str) else None for city in frame["city"]])
    rows = columns(floats(*frame["age"]), cities, floats(*frame["visits"]), floats(*frame["member"]), n=8)
    answer, errors = host.predict(rows)
    assert not errors
    assert labels(description, answer) == model.predict(frame).tolist()
    np.testing.assert_allclose(np.reshape(answer[1].values, (8, 2)), model.predict_proba(frame), rtol=1e-12)


def test_fields_may_come_in_another_order_than_the_columns(host: Peer, tmp_path: Path) -> None:
    model = small.mixed()
    description = host.load(small.save(model, tmp_path / "m.joblib"))["description"]
    fields = [{"name": "member", "kind": "boolean", "dtype": "bool"}, {"name": "city", "kind": "category", "dtype": "text"},
              {"name": "visits", "kind": "integer", "dtype": "int64"}, {"name": "age", "kind": "number"}]
    host.configure({"fields": fields, "layout": "columns"}, description["outputs"])
    answer, errors = host.predict(columns(Chunk(data=b"\1"), texts(["Lagos"]), Chunk(data=struct.pack("<q", 3)), floats(40.0), n=1))
    row = pd.DataFrame({"age": [40.0], "city": pd.Series(["Lagos"], dtype=object), "visits": [3], "member": [True]})
    assert not errors
    np.testing.assert_allclose(answer[1].values, model.predict_proba(row)[0], rtol=1e-12)


def test_an_unknown_category_fails_its_row_alone(host: Peer, tmp_path: Path) -> None:
    host.ready(small.save(small.mixed(), tmp_path / "m.joblib"))
    _, errors = host.predict(columns(floats(1, 2, 3), texts(["Lagos", "Rome", "Paris"]), floats(1, 2, 3), floats(0, 1, 0), n=3))
    assert [(error.row, error.code) for error in errors] == [(1, "model_error")]


def test_numbers_with_names_travel_as_one_matrix(host: Peer, tmp_path: Path) -> None:
    rows, target = small.points()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(pd.DataFrame(rows, columns=list("abcd")), target)
    description = host.ready(small.save(model, tmp_path / "m.joblib"))
    assert description["input"]["build"] == "array" and [column["name"] for column in description["input"]["columns"]] == list("abcd")
    assert description["input"]["columns"][0]["default"] == pytest.approx(rows[:, 0].mean())
    assert description["input"]["columns"][0]["low"] < description["input"]["columns"][0]["high"]
    answer, _ = host.predict(matrix(rows))
    np.testing.assert_allclose(np.reshape(answer[1].values, (-1, 2)), model.predict_proba(pd.DataFrame(rows, columns=list("abcd"))), rtol=1e-12)


def test_a_search_over_a_text_pipeline_takes_one_text(host: Peer, tmp_path: Path) -> None:
    said, target = small.texts()
    model = GridSearchCV(small.sentiment(), {"logisticregression__C": [0.5, 1.0]}, cv=2).fit(said, target)
    description = host.ready(small.save(model, tmp_path / "m.joblib"))
    assert description["input"]["build"] == "texts" and description["input"]["columns"][0]["kind"] == "text"
    answer, errors = host.predict(columns(texts(["great", "terrible, broke", ""]), n=3))
    assert not errors and labels(description, answer) == model.predict(["great", "terrible, broke", ""]).tolist()


def test_steps_that_clean_the_text_stand_before_a_vectorizer(host: Peer, tmp_path: Path) -> None:
    import cloudpickle

    said, target = small.texts()
    model = make_pipeline(FunctionTransformer(lambda texts: [text.lower() for text in texts]), TfidfVectorizer(), MultinomialNB()).fit(said, target)
    (tmp_path / "m.pkl").write_bytes(cloudpickle.dumps(model))
    description = host.ready(tmp_path / "m.pkl")
    assert description["input"]["build"] == "texts"
    answer, errors = host.predict(columns(texts(["GREAT", "BAD"]), n=2))
    assert not errors and labels(description, answer) == ["positive", "negative"]


def test_a_text_column_among_others_is_text(host: Peer, tmp_path: Path) -> None:
    frame = pd.DataFrame({"title": small.texts()[0], "stars": range(10)})
    parts = ColumnTransformer([("t", TfidfVectorizer(), "title"), ("n", "passthrough", ["stars"])])
    model = make_pipeline(parts, LogisticRegression()).fit(frame, small.texts()[1])
    description = host.ready(small.save(model, tmp_path / "m.joblib"))
    assert [column["kind"] for column in description["input"]["columns"]] == ["text", "number"]
    answer, errors = host.predict(columns(texts(list(frame["title"])), floats(*frame["stars"]), n=10))
    assert not errors and labels(description, answer) == model.predict(frame).tolist()


def test_encoders_on_arrays_without_names_get_objects(host: Peer, tmp_path: Path) -> None:
    rows = np.array([["red", 1], ["blue", 2], ["red", 3], ["blue", 1]], dtype=object)
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(rows, [0, 1, 0, 1])
    description = host.ready(small.save(model, tmp_path / "m.joblib"))
    assert description["input"]["build"] == "objects"
    colour, size = description["input"]["columns"]
    assert (colour["choices"], colour["closed"], colour["dtype"]) == (["blue", "red"], False, "text")
    assert (size["choices"], size["dtype"]) == ([1, 2, 3], "int64")
    answer, errors = host.predict(columns(texts(["red", "green"]), Chunk(data=struct.pack("<2q", 1, 2)), n=2))
    assert not errors
    wanted = model.predict_proba(np.array([["red", 1], ["green", 2]], dtype=object))
    np.testing.assert_allclose(np.reshape(answer[1].values, (2, 2)), wanted, rtol=1e-12)


def test_columns_that_the_model_drops_may_be_left_out(host: Peer, tmp_path: Path) -> None:
    frame, target = small.people()
    parts = ColumnTransformer([("n", StandardScaler(), ["visits"])])
    model = make_pipeline(parts, LogisticRegression()).fit(frame, target)
    description = host.load(small.save(model, tmp_path / "m.joblib"))["description"]
    nullable = {column["name"]: column["nullable"] for column in description["input"]["columns"]}
    assert nullable == {"age": True, "city": True, "visits": None, "member": True}


def test_a_dict_vectorizer_takes_its_names(host: Peer, tmp_path: Path) -> None:
    seen = [{"city": "Lagos", "age": 3.0}, {"city": "Paris", "age": 5.0}, {"city": "Lagos", "age": 9.0}]
    model = make_pipeline(DictVectorizer(), LogisticRegression()).fit(seen, [0, 1, 0])
    description = host.ready(small.save(model, tmp_path / "m.joblib"))
    found = {column["name"]: column for column in description["input"]["columns"]}
    assert description["input"]["build"] == "records" and found["city"]["choices"] == ["Lagos", "Paris"] and found["age"]["kind"] == "number"
    chunks = {"city": texts(["Paris", None]), "age": floats(4.0, float("nan"))}
    answer, errors = host.predict(columns(*[chunks[name] for name in found], n=2))
    assert not errors
    np.testing.assert_allclose(np.reshape(answer[1].values, (2, 2)), model.predict_proba([{"city": "Paris", "age": 4.0}, {}]), rtol=1e-12)


def test_nan_gets_an_error_and_never_a_class(host: Peer, tmp_path: Path) -> None:
    host.ready(small.save(small.logistic(), tmp_path / "m.joblib"))
    rows = small.points()[0][:3].copy()
    rows[1, 2] = np.nan
    answer, errors = host.predict(matrix(rows))
    assert [(error.row, error.code) for error in errors] == [(1, "model_error")]
    assert answer[1].values[:2] == small.logistic().predict_proba(rows[:1])[0].tolist()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_fails_its_row_alone(host: Peer, tmp_path: Path, wrong: float) -> None:
    rows = np.array([[0.0], [1.0], [2.0]])
    model = DecisionTreeRegressor().fit(rows, [1.0, 2.0, 3.0])
    model.tree_.value[model.apply([[1.0]])[0]] = wrong
    host.ready(small.save(model, tmp_path / "m.joblib"))
    answer, errors = host.predict(matrix(rows))
    assert [(error.row, error.code) for error in errors] == [(1, "model_output_invalid")]
    assert (answer[0].values[0], answer[0].values[2]) == (1.0, 3.0)


def test_pandas_categories_are_taken_as_their_values(host: Peer, tmp_path: Path) -> None:
    frame = pd.DataFrame({"city": pd.Categorical(["Lagos", "Paris", None, "Accra"] * 10), "age": range(40)})
    model = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2, categorical_features="from_dtype").fit(frame, [0, 1, 0, 1] * 10)
    description = host.ready(small.save(model, tmp_path / "m.joblib"))
    assert description["input"]["columns"][0]["choices"] == ["Accra", "Lagos", "Paris"] and description["input"]["build"] == "dataframe"
    answer, errors = host.predict(columns(texts(["Paris", None, "Lagos"]), floats(1, 2, 3), n=3))
    wanted = model.predict_proba(pd.DataFrame({"city": pd.Categorical(["Paris", None, "Lagos"]), "age": [1, 2, 3]}))
    assert not errors
    np.testing.assert_allclose(np.reshape(answer[1].values, (3, 2)), wanted, rtol=1e-12)


def test_several_targets_with_classes_of_their_own(host: Peer, tmp_path: Path) -> None:
    rows, target = small.points()
    both = np.stack([np.where(target, "yes", "no"), np.array(["a", "b", "c"])[np.arange(len(rows)) % 3]], axis=1)
    model = MultiOutputClassifier(DecisionTreeClassifier(max_depth=3)).fit(rows, both)
    description = host.ready(small.save(model, tmp_path / "m.joblib"))
    first, *wide = description["outputs"]
    assert (first["width"], first["targets"], first["target_classes"]) == (2, ["output_1", "output_2"], [["no", "yes"], ["a", "b", "c"]])
    assert [(word["target"], word["width"]) for word in wide] == [("output_1", 2), ("output_2", 3)]
    answer, _ = host.predict(matrix(rows))
    got = [[first["target_classes"][j][place] for j, place in enumerate(pair)] for pair in np.reshape(answer[0].values, (-1, 2)).tolist()]
    assert got == model.predict(rows).tolist()
    for got_one, want in zip(answer[1:], model.predict_proba(rows), strict=True):
        assert np.reshape(got_one.values, want.shape).tolist() == want.tolist()


def test_rows_whose_probabilities_meet_get_the_class_that_predict_says(host: Peer, tmp_path: Path) -> None:
    model = LogisticRegression().fit([[0.0], [1.0], [2.0]], [0, 1, 2])
    model.coef_, model.intercept_ = np.array([[1e-12], [2e-12], [0.0]]), np.zeros(3)
    description = host.ready(small.save(model, tmp_path / "m.joblib"))
    rows = np.array([[-1.0], [0.0], [1.0], [3.0]])
    answer, _ = host.predict(matrix(rows))
    assert labels(description, answer) == model.predict(rows).tolist()


def test_nested_jobs_are_set_to_one(host: Peer, tmp_path: Path) -> None:
    rows, target = small.points()
    model = make_pipeline(StandardScaler(), RandomForestClassifier(10, n_jobs=-1)).fit(rows, target)
    host.ready(small.save(model, tmp_path / "m.joblib"))
    host.predict(matrix(rows))
    threads = Path(f"/proc/{host.hello['pid']}/task")
    assert len(list(threads.iterdir())) == 1


def test_a_model_may_be_given_more_threads(host: Peer, tmp_path: Path) -> None:
    host.ready(small.save(small.logistic(), tmp_path / "m.joblib"), options={"threads": 2})
    answer, errors = host.predict(matrix(small.points()[0]))
    assert not errors and len(answer[0].values) == 80


def test_a_model_that_writes_into_its_input_answers_the_same_twice(host: Peer, tmp_path: Path) -> None:
    rows, target = small.points()
    code = tmp_path / "writes.py"
    code.write_text(
        "from sklearn.linear_model import LogisticRegression\n"
        "class Writes(LogisticRegression):\n"
        "    def predict(self, X):\n        X *= 2\n        return super().predict(X)\n"
        "    def predict_proba(self, X):\n        X *= 2\n        return super().predict_proba(X)\n"
    )
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(code.read_text(), space)
    plain = LogisticRegression().fit(rows, target)
    (tmp_path / "m.pkl").write_bytes(_as_main(space["Writes"], plain))
    description = host.ready(tmp_path / "m.pkl", code=str(code))
    for _ in range(2):
        answer, errors = host.predict(matrix(rows))
        assert not errors
        assert labels(description, answer) == plain.predict(2 * rows).tolist()
        np.testing.assert_allclose(np.reshape(answer[1].values, (-1, 2)), plain.predict_proba(2 * rows), rtol=1e-12)


def _as_main(cls: Any, fitted: Any) -> bytes:
    """A pickle of ``fitted`` as an instance of ``cls`` of ``__main__``, as a notebook would have written it."""
    made = cls()
    made.__dict__.update(fitted.__dict__)
    main = sys.modules["__main__"]
    setattr(main, cls.__name__, cls)
    try:
        return pickle.dumps(made)
    finally:
        delattr(main, cls.__name__)


# chains


def test_a_vectorizer_and_a_model_are_served_as_one(host: Peer, tmp_path: Path) -> None:
    said, target = small.texts()
    vectorizer = TfidfVectorizer().fit(said)
    model = MultinomialNB().fit(vectorizer.transform(said), target)
    description = host.ready(small.save(vectorizer, tmp_path / "v.joblib"), small.save(model, tmp_path / "m.joblib"))
    assert description["input"]["build"] == "texts" and description["estimator"] == "TfidfVectorizer -> MultinomialNB"
    answer, _ = host.predict(columns(texts(["great", "bad"]), n=2))
    np.testing.assert_allclose(np.reshape(answer[1].values, (2, 2)), model.predict_proba(vectorizer.transform(["great", "bad"])), rtol=1e-12)


def test_a_model_given_first_is_put_last_and_that_is_said(host: Peer, tmp_path: Path) -> None:
    rows, target = small.points()
    scaler = MinMaxScaler().fit(rows)
    model = LogisticRegression().fit(scaler.transform(rows), target)
    description = host.ready(small.save(model, tmp_path / "m.joblib"), small.save(scaler, tmp_path / "s.joblib"))
    assert description["warnings"] == ["m.joblib predicts, so it was put last"]
    assert description["input"]["columns"][0]["low"] == rows[:, 0].min()
    answer, _ = host.predict(matrix(rows))
    assert labels(description, answer) == model.predict(scaler.transform(rows)).tolist()


def test_names_come_from_the_model_when_the_scaler_kept_none(host: Peer, tmp_path: Path) -> None:
    rows, target = small.points()
    scaler = StandardScaler().fit(rows)
    model = LogisticRegression().fit(pd.DataFrame(scaler.transform(rows), columns=list("abcd")), target)
    description = host.ready(small.save(scaler, tmp_path / "s.joblib"), small.save(model, tmp_path / "m.joblib"))
    assert [column["name"] for column in description["input"]["columns"]] == list("abcd") and description["input"]["build"] == "array"


def test_a_label_encoder_behind_the_model_names_its_classes(host: Peer, tmp_path: Path) -> None:
    rows, _ = small.points()
    encoder = LabelEncoder().fit(["ham", "spam"])
    description = host.ready(small.save(small.logistic(), tmp_path / "m.joblib"), small.save(encoder, tmp_path / "le.joblib"))
    assert description["outputs"][0]["classes"] == ["ham", "spam"]
    answer, _ = host.predict(matrix(rows))
    assert labels(description, answer) == encoder.inverse_transform(small.logistic().predict(rows)).tolist()


@pytest.mark.parametrize(("first", "code", "text"), [
    ({"a": 1}, "no_transform", "dict"), (["a_x", "a_y"], "no_transform", "--columns"), (LabelEncoder().fit(["a"]), "no_transform", "give it last"),
    (StandardScaler().fit(np.zeros((2, 3))), "chain_mismatch", "gives 3 columns"), (LogisticRegression, "no_predict", "not a fitted object"),
])
def test_what_cannot_stand_in_front_is_told(host: Peer, tmp_path: Path, first: Any, code: str, text: str) -> None:
    reply = host.load(small.save(first, tmp_path / "first.joblib"), small.save(small.logistic(), tmp_path / "m.joblib"))
    assert reply["error"]["code"] == code and text in reply["error"]["message"]


def test_nothing_that_predicts_is_told(host: Peer, tmp_path: Path) -> None:
    reply = host.load(small.save({"model": 1, "scaler": 2}, tmp_path / "first.joblib"))
    wanted = "nothing here can predict: first.joblib holds a dict with 'model', 'scaler': save the fitted model itself"
    assert (reply["error"]["code"], reply["error"]["message"]) == ("no_predict", wanted)
    assert host.request({"op": "status"})["state"] == "empty"


# one-hot columns beside the model


def one_hot(tmp_path: Path) -> tuple[Any, list[str], Path]:
    frame = pd.DataFrame({"age": [20, 30, 40, 50.0], "city": ["Lagos", "Paris", "Accra", "Paris"], "plan_type": ["a_1", "b", "a_1", "b"]})
    wide = pd.get_dummies(frame, dtype=float)
    model = LinearRegression().fit(wide.to_numpy(), [1.0, 2.0, 3.0, 5.0])
    return model, list(wide.columns), small.save(model, tmp_path / "m.joblib")


@pytest.mark.parametrize("form", ["json", "pickle", "joblib"])
def test_one_hot_columns_become_the_fields_they_came_from(host: Peer, tmp_path: Path, form: str) -> None:
    model, names, path = one_hot(tmp_path)
    file = tmp_path / "columns"
    if form == "json":
        file.write_text(json.dumps(names))
    elif form == "pickle":
        file.write_bytes(pickle.dumps(pd.Index(names)))
    else:
        joblib.dump(names, file, compress=3)
    description = host.ready(path, columns=str(file))
    found = {column["name"]: column["choices"] for column in description["input"]["columns"]}
    assert found == {"age": [], "city": ["Accra", "Lagos", "Paris"], "plan_type": ["a_1", "b"]}
    answer, errors = host.predict(columns(floats(33.0, 44.0, 1.0), texts(["Paris", "Rome", "Accra"]), texts(["a_1", "b", "b"]), n=3))
    assert [(error.row, error.code) for error in errors] == [(1, "invalid_value")]
    assert "city must be one of Accra, Lagos, Paris, got 'Rome'" in errors[0].message
    wanted = model.predict(np.array([[33.0, 0, 0, 1, 1, 0], [1.0, 1, 0, 0, 0, 1]]))
    np.testing.assert_allclose([answer[0].values[0], answer[0].values[2]], wanted, rtol=1e-12)


def test_a_first_level_that_was_dropped_is_a_choice_when_the_signature_names_it(host: Peer, tmp_path: Path) -> None:
    names = ["age", "city_Lagos", "city_Paris"]
    model = LinearRegression().fit(np.eye(3), [1.0, 2.0, 3.0])
    file = tmp_path / "columns.json"
    file.write_text(json.dumps(names))
    description = host.load(small.save(model, tmp_path / "m.joblib"), columns={"path": str(file), "name": "columns.json"})["description"]
    fields = [{"name": "age", "kind": "number"}, {"name": "city", "kind": "category", "dtype": "text", "choices": ["Accra", "Lagos", "Paris"]}]
    host.configure({"fields": fields, "layout": "columns"}, description["outputs"])
    answer, errors = host.predict(columns(floats(2.0), texts(["Accra"]), n=1))
    assert not errors
    np.testing.assert_allclose(answer[0].values, model.predict([[2.0, 0.0, 0.0]]), rtol=1e-12)


# formats, and what cannot be loaded


@pytest.mark.parametrize("squeeze", [lambda data: data, gzip.compress, bz2.compress, zlib.compress])
def test_pickles_are_loaded_however_they_are_squeezed(host: Peer, tmp_path: Path, squeeze: Any) -> None:
    (tmp_path / "m.pkl").write_bytes(squeeze(pickle.dumps(small.logistic())))
    assert host.ready(tmp_path / "m.pkl")["estimator"] == "LogisticRegression"


def test_a_squeezed_joblib_file_and_cloudpickle_are_loaded(zygote: Zygote, tmp_path: Path) -> None:
    import cloudpickle

    factor = 2.0
    twice = make_pipeline(FunctionTransformer(lambda rows: rows * factor), small.logistic())
    joblib.dump(small.logistic(), tmp_path / "m.joblib", compress=3)
    (tmp_path / "m.pkl").write_bytes(cloudpickle.dumps(twice))
    for name in ("m.joblib", "m.pkl"):
        with zygote.host() as host:
            host.ready(tmp_path / name)


def test_a_forest_in_a_skops_file_is_loaded(host: Peer, tmp_path: Path) -> None:
    import skops.io

    rows, target = small.points()
    model = RandomForestClassifier(5, random_state=0).fit(rows, target)
    skops.io.dump(model, tmp_path / "m.skops")
    host.ready(tmp_path / "m.skops")
    answer, _ = host.predict(matrix(rows))
    assert np.reshape(answer[1].values, (-1, 2)).tolist() == model.predict_proba(rows).tolist()


def test_foreign_types_in_a_skops_file_are_refused(host: Peer, tmp_path: Path) -> None:
    import skops.io

    model = LogisticRegression().fit(*small.points())
    model.extra = Path("x")
    skops.io.dump(model, tmp_path / "m.skops")
    reply = host.load(tmp_path / "m.skops")
    assert reply["error"]["code"] == "untrusted_types" and "pathlib" in reply["error"]["message"]


def test_the_bytes_that_are_loaded_are_the_bytes_that_were_hashed(host: Peer, tmp_path: Path) -> None:
    path = small.save(small.logistic(), tmp_path / "m.joblib")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    word = {"path": str(path), "format": "joblib", "name": "m.joblib"}
    assert host.load({**word, "sha256": "0" * 64})["error"]["code"] == "hash_mismatch"
    assert host.load({**word, "sha256": right})["ok"]


def test_a_code_file_that_changed_is_not_run(host: Peer, tmp_path: Path) -> None:
    (tmp_path / "c.py").write_text("raise ValueError")
    reply = host.load(small.save(small.logistic(), tmp_path / "m.joblib"), code={"path": str(tmp_path / "c.py"), "name": "c.py", "sha256": "0" * 64})
    assert reply["error"]["code"] == "hash_mismatch"


def test_a_truncated_file_is_told(host: Peer, tmp_path: Path) -> None:
    data = pickle.dumps(small.logistic())
    for cut in (1, len(data) // 2, len(data) - 1):
        (tmp_path / "m.pkl").write_bytes(data[:cut])
        assert host.load(tmp_path / "m.pkl")["error"]["code"] in ("truncated", "wrong_format")


def test_a_missing_library_is_named(host: Peer, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"cxgboost_of_tomorrow.sklearn\nXGBClassifier\n.")
    error = host.load(tmp_path / "m.pkl")["error"]
    assert (error["code"], error["message"]) == ("missing_module", "needs xgboost_of_tomorrow, which is not installed here")


def test_a_part_of_a_library_that_is_gone_is_named(host: Peer, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"csklearn.linear_model.logistic\nLogisticRegression\n.")
    error = host.load(tmp_path / "m.pkl")["error"]
    assert error["code"] == "missing_module" and "sklearn.linear_model.logistic" in error["message"]


def test_a_name_of_main_asks_for_the_code_file_and_works_with_it(zygote: Zygote, tmp_path: Path) -> None:
    space: dict[str, Any] = {}
    code = tmp_path / "helpers.py"
    code.write_text("def tokenize(text):\n    return text.split('-')\n\nif __name__ == '__main__':\n    raise RuntimeError\n")
    exec(code.read_text(), {"__name__": "x"} | space, space)
    main = sys.modules["__main__"]
    main.tokenize = space["tokenize"]  # type: ignore[attr-defined]
    main.tokenize.__module__ = "__main__"  # type: ignore[attr-defined]
    try:
        model = make_pipeline(TfidfVectorizer(tokenizer=main.tokenize, token_pattern=None), MultinomialNB()).fit(["a-b", "c-d"], ["x", "y"])  # type: ignore[attr-defined]
        (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    finally:
        del main.tokenize  # type: ignore[attr-defined]
    with zygote.host() as host:
        error = host.load(tmp_path / "m.pkl")["error"]
        assert (error["code"], error["message"]) == (
            "missing_main_name", "the pickle looks for `tokenize` in __main__: give the file that defines it with --code",
        )
    with zygote.host() as host:
        description = host.ready(tmp_path / "m.pkl", code=str(code))
        answer, errors = host.predict(columns(texts(["c-d"]), n=1))
        assert not errors and labels(description, answer) == ["y"]


@pytest.mark.parametrize(("source", "text"), [
    ("raise ValueError('no')", "ValueError: no"), ("import sys; sys.exit(1)", "SystemExit"), ("(", "SyntaxError"),
])
def test_a_code_file_that_fails_is_told(host: Peer, tmp_path: Path, source: str, text: str) -> None:
    (tmp_path / "c.py").write_text(source)
    error = host.load(small.save(small.logistic(), tmp_path / "m.joblib"), code=str(tmp_path / "c.py"))["error"]
    assert error["code"] == "code_failed" and text in error["message"]


def test_a_pickle_that_exits_does_not_end_the_host(host: Peer, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"csys\nexit\n(tR.")
    assert host.load(tmp_path / "m.pkl")["error"]["message"] == "loading the file called sys.exit()"
    assert host.request({"op": "status"})["state"] == "empty"


def test_the_version_in_the_file_is_told(host: Peer, tmp_path: Path) -> None:
    data = pickle.dumps(small.logistic(), protocol=0)
    import sklearn

    here = sklearn.__version__.encode()
    (tmp_path / "m.pkl").write_bytes(data.replace(b"V" + here, b"V" + b"0.24.1"))
    description = host.ready(tmp_path / "m.pkl")
    assert description["recorded"] == {"scikit-learn": "0.24.1"} and description["warnings"][0].startswith("InconsistentVersionWarning")


def test_a_model_without_a_known_width_is_configured_by_the_signature(host: Peer, tmp_path: Path) -> None:
    code = tmp_path / "sums.py"
    code.write_text("class Sums:\n    def predict(self, X):\n        return X.sum(axis=1)\n")
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(code.read_text(), space)
    main = sys.modules["__main__"]
    main.Sums = space["Sums"]  # type: ignore[attr-defined]
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(space["Sums"]()))
    del main.Sums  # type: ignore[attr-defined]
    description = host.load(tmp_path / "m.pkl", code=str(code))["description"]
    assert description["input"]["columns"] == [] and "name them with --fields" in description["warnings"][0]
    host.configure({"fields": [{"name": "a", "kind": "number"}, {"name": "b", "kind": "number"}], "layout": "matrix"}, description["outputs"])
    answer, errors = host.predict(matrix(np.array([[1.0, 2.0]])))
    assert not errors and answer[0].values == [3.0]


def test_categories_of_several_types_travel_as_json(host: Peer, tmp_path: Path) -> None:
    frame = pd.DataFrame({"flag": [True, False, True], "size": [1, 2, 3]})
    model = make_pipeline(ColumnTransformer([("c", OrdinalEncoder(), ["flag", "size"])]), DecisionTreeClassifier()).fit(frame, [0, 1, 0])
    description = host.ready(small.save(model, tmp_path / "m.joblib"))
    assert [(column["dtype"], column["choices"]) for column in description["input"]["columns"]] == [("bool", [False, True]), ("int64", [1, 2, 3])]
    answer, errors = host.predict(columns(Chunk(data=b"\1"), Chunk(data=struct.pack("<q", 2)), n=1))
    assert not errors and labels(description, answer) == model.predict(pd.DataFrame({"flag": [True], "size": [2]})).tolist()


def test_the_raw_json_helper_packs_what_the_host_reads() -> None:
    assert jsons([1, "a"]).data == b'1"a"'
