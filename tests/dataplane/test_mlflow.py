"""MLflow's ``/invocations``: its four JSON shapes and CSV give the same rows, its answers and refusals read as ``mlflow models serve`` gives them."""

from __future__ import annotations

import json
from typing import Any

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from dataplane.conftest import Answer, Server
from flask_carafe.dataplane.dialects.mlflow import KEYS, MLflow, read_json
from flask_carafe.errors import BadRequest, CarafeError, InvalidInput, WrongMediaType
from flask_carafe.serving.table import Entry, Model
from flask_carafe.signature import Field, Output, Rows, Signature

FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
NUMBERS = Signature(fields=tuple(Field(name=f"feature_{place}", kind="number") for place in (1, 2)), layout="matrix", outputs=(Output(name="y"),))
PEOPLE = Signature(
    fields=(Field(name="age", kind="number", nullable=True), Field(name="city", kind="text", dtype="text")), outputs=(Output(name="y"),), named=True
)
TEXTS = Signature(fields=(Field(name="prompt", kind="text", dtype="text"),), outputs=(Output(name="y"),), named=True)


def invoke(server: Server, body: Any, kind: str = "application/json") -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return server.ask("POST", "/invocations", text.encode(), {"Content-Type": kind})


def read(signature: Signature, body: Any, kind: str | None = "application/json") -> Rows:
    """What the protocol makes of a request to a model of ``signature``."""
    model = Model(Entry(name="m", signature=signature), 10_000)
    text = body if isinstance(body, str) else json.dumps(body)
    rows, _ = MLflow().read(model, {"content-type": kind}.get, text.encode())
    assert isinstance(rows, Rows)
    return rows


def same(signature: Signature, body: Any, native: Any, kind: str = "application/json") -> bool:
    """Whether a request holds the rows of a native one."""
    expected = Model(Entry(name="m", signature=signature), 10_000).usable_decoder().json(json.dumps(native).encode())
    found = read(signature, body, kind)
    return (found.n, found.chunks) == (expected.n, expected.chunks)


MATRIX = {"features": [[1, 2], [3, 4]]}
PERSONS = {"rows": [{"age": 41, "city": "Lagos"}, {"age": None, "city": "Accra"}]}


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]], "index": [0, 1]}},
        {"dataframe_split": {"data": [[1, 2], [3, 4]]}},
        {"dataframe_split": {"columns": [0, 1], "data": [[1, 2], [3, 4]]}},
        {"dataframe_split": {"columns": ["feature_2", "feature_1"], "data": [[2, 1], [4, 3]]}},
        {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
        {"dataframe_records": [[1, 2], [3, 4]]},
        {"instances": [[1, 2], [3, 4]], "params": {}, "anything": "else"},
        {"inputs": [[1, 2], [3, 4]], "params": {"temperature": 1}},
        {"inputs": {"a": [1, 3], "b": [2, 4]}},
    ],
)
def test_a_model_without_names_takes_every_shape_by_position(body):
    assert same(NUMBERS, body, MATRIX)


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["city", "age"], "data": [["Lagos", 41], ["Accra", None]]}},
        {"dataframe_split": {"columns": ["index", "age", "city"], "data": [[0, 41, "Lagos"], [1, None, "Accra"]]}},
        '{"dataframe_split": {"columns": ["city", "age"], "data": [["Lagos", 41], ["Accra", NaN]]}}',
        {"dataframe_records": [{"age": 41, "city": "Lagos"}, {"city": "Accra"}]},
        {"instances": [{"age": 41, "city": "Lagos", "id": 7}, {"age": None, "city": "Accra"}]},
        {"inputs": {"city": ["Lagos", "Accra"], "age": [41, None]}},
        {"inputs": [{"age": 41, "city": "Lagos"}, {"age": None, "city": "Accra"}]},
    ],
)
def test_a_model_with_names_takes_every_shape_by_name(body):
    assert same(PEOPLE, body, PERSONS)


def test_one_row_may_come_as_single_values():
    assert same(PEOPLE, {"inputs": {"city": "Lagos", "age": 41}}, {"rows": [{"age": 41, "city": "Lagos"}]})
    assert same(TEXTS, {"inputs": "hello"}, {"rows": ["hello"]})
    assert same(TEXTS, {"instances": ["hello", "you"]}, {"rows": ["hello", "you"]})


@pytest.mark.parametrize("kind", ["text/csv", "application/csv", "text/csv; charset=utf-8", "Text/CSV;charset=UTF-8"])
def test_csv_comes_under_both_names_and_leaves_other_columns_out(kind):
    assert same(PEOPLE, ",city,age\n0,Lagos,41\n1,Accra,\n", PERSONS, kind)
    assert same(NUMBERS, "a,b\n1,2\n3,4\n", MATRIX, kind)


@pytest.mark.parametrize(
    "body",
    [
        b'{"dataframe_split": {"columns": ["feature_2", "feature_1"], "data": [[2, 1]]}}',
        b'{"dataframe_split":{"index":["a:b"],"columns":["feature_1","feature_2"],"data":[[1,2]]}}',
        b'{"dataframe_records": [{"feature_1": 1, "feature_2": 2}]}', b'{ "instances": [[1, 2]]}', b'{"inputs" : [ [1, 2]] }',
        b'{"inputs": [[1, 2]], "inputs": [[3, 4]]}', b'{"inputs": [[1, 2]]}]', b'{"inputs": [[1, 2]]', b'{"instances": [[1, 2]], "params": null}',
        b'{"dataframe_split": {"columns": ["feature_1", "feature_2"], "data": [[1, 2]]}, "inputs": [[3, 4]]}',
        b'{"dataframe_split": {"columns": ["feature_1", "feature_2"], "data": [[1, 2]]}}}', b'{"inputs", [[1, 2]]}', b'{"inputs": [["1", 2]]}',
    ],
)  # fmt: skip
def test_the_short_way_reads_a_body_as_the_long_way_does_or_leaves_it(body):
    decoder = Model(Entry(name="m", signature=NUMBERS), 10_000).usable_decoder()
    short = decoder.foreign(body, KEYS)
    try:
        long, _ = read_json(decoder, body)
    except CarafeError:
        assert short is None
    else:
        assert isinstance(long, Rows)
        assert short is None or (short.n, short.chunks, short.scalar) == (long.n, long.chunks, long.scalar)


def test_what_clients_usually_send_goes_the_short_way():
    decoder = Model(Entry(name="m", signature=NUMBERS), 10_000).usable_decoder()
    split = {"index": [0], "columns": ["feature_1", "feature_2"], "data": [[1, 2]]}
    records = [{"feature_1": 1, "feature_2": 2}]
    for body in ({"dataframe_split": split}, {"instances": [[1, 2]]}, {"inputs": [[1, 2]]}, {"dataframe_records": records}):
        assert decoder.foreign(json.dumps(body).encode(), KEYS) is not None, body


@pytest.mark.parametrize("word", ["NaN", "nan", "NA", "", " "])
def test_a_csv_may_spell_a_missing_number_and_a_text_keeps_every_word(word):
    assert same(PEOPLE, f"age,city\n{word},NA\n", {"rows": [{"city": "NA"}]}, "text/csv")


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ('{"inputs": [[1, 2]], "instances": [[1, 2]]}', BadRequest, "exactly one of dataframe_split, .*, got inputs, instances"),
        ('{"data": [[1, 2]]}', BadRequest, "got data"),
        ("{}", BadRequest, "got none"),
        ("[[1, 2]]", BadRequest, "must be a JSON object, got a list"),
        ('{"inputs": [[1, 2]], "inputs": [[3, 4]]}', BadRequest, "'inputs' stands twice"),
        ('{"inputs": [[1, Infinity]]}', BadRequest, "Infinity"),
        ('{"inputs": [[1, NaN]]}', InvalidInput, "feature_2 is missing"),
        ('{"inputs": [[1, 2]], "params": 3}', BadRequest, "params must be an object, got 3"),
        ('{"inputs": [1, 2]}', InvalidInput, "a row must be an object or a list, got 1"),
        ('{"inputs": [[1, "2"]]}', InvalidInput, "feature_2 must be a number, got '2'"),
        ('{"inputs": {"feature_1": [1, 2], "feature_2": [3]}}', InvalidInput, "feature_2 must be as long as feature_1: a list of 2, got a list of 1"),
        ('{"inputs": {"feature_1": [1, 2], "feature_2": 3}}', InvalidInput, "a list of 2, got 3"),
        ('{"instances": 3}', InvalidInput, "instances must be a list of rows, got 3"),
        ('{"instances": []}', InvalidInput, "no rows"),
        ('{"dataframe_records": {"a": 1}}', InvalidInput, "dataframe_records must be a list of rows, got an object"),
        ('{"dataframe_split": {"columns": ["a", "b"]}}', InvalidInput, "must be an object with data and columns, got columns"),
        ('{"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}', InvalidInput, "Row 0 must be a list of 2 values, got a list of 1"),
        ('{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}', InvalidInput, "each once"),
        ('{"dataframe_split": {"columns": ["feature_1", "featur_2"], "data": [[1, 2]]}}', InvalidInput, "no field 'featur_2'"),
        ('{"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, 3]]}}', InvalidInput, "no field 'a'"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why(body, error, words):
    with pytest.raises(error, match=words):
        read(NUMBERS, body)


@pytest.mark.parametrize("kind", ["text/csv; charset=latin-1", "text/csv; header=present", "application/x-www-form-urlencoded", "text/html"])
def test_another_content_type_is_refused(kind):
    with pytest.raises(WrongMediaType):
        read(NUMBERS, "a,b\n1,2\n", kind)


def test_a_body_that_names_no_type_is_json():
    assert read(NUMBERS, {"inputs": [[1, 2]]}, None).n == 1


@pytest.mark.parametrize("error", [BadRequest("x"), InvalidInput("x", ()), WrongMediaType("x"), CarafeError("x")])
def test_an_error_has_mlflows_code_and_message_and_a_status_that_it_knows(error, caplog):
    status, _, body = MLflow().error(error, "r")
    said = json.loads(body)
    assert status in (400, 415, 500)
    assert said["message"] == said["error"] == str(error)
    assert said["error_code"] in ("BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INTERNAL_ERROR")
    assert said["request_id"] == "r"


# ---- at a real server


def test_predictions_are_labels_in_a_list_as_the_estimator_gives_them(server):
    answer = invoke(server, {"dataframe_split": {"columns": NAMES, "data": FLOWERS}})
    assert answer.status == 200
    assert answer.json == {"predictions": [0, 2]}
    assert answer.json["predictions"] == server.post("/predict", {"features": FLOWERS}).json["prediction"]
    assert answer.headers["x-prediction-id"]


def test_a_refusal_arrives_with_status_400(server):
    answer = invoke(server, {"inputs": [[5.1, "x", 1.4, 0.2]]})
    assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert answer.json["details"][0]["field"] == "feature_2"


def test_a_folder_that_mlflow_wrote_is_served_in_its_place(start, tmp_path):
    (tmp_path / "flowers").mkdir()
    x, y = load_iris(return_X_y=True)
    joblib.dump(LogisticRegression(max_iter=500).fit(x, y), tmp_path / "flowers" / "model.pkl")
    (tmp_path / "flowers" / "MLmodel").write_text(
        "flavors:\n  sklearn: {pickled_model: model.pkl, serialization_format: joblib}\nmlflow_version: 3.17.2\n"
    )
    assert invoke(start("flowers", workers=1), {"inputs": FLOWERS}).json == {"predictions": [0, 2]}
