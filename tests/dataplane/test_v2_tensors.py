"""Tensors without a server: what is read fast is what is read completely, JSON and binary mean the same, and no bytes do harm."""

from __future__ import annotations

import contextlib
import json
import struct
import tracemalloc
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_carafe.dataplane.dialects import v2_request, v2_tensors
from flask_carafe.dataplane.dialects.v2 import V2
from flask_carafe.dataplane.dialects.v2_columns import input_specs, to_rows
from flask_carafe.dataplane.dialects.v2_outputs import output_specs, to_tensor, wanted
from flask_carafe.dataplane.dialects.v2_tensors import NUMBERS, Tensor
from flask_carafe.errors import BadRequest, CarafeError, InvalidInput, OutputInvalid, TooManyRows
from flask_carafe.hosting.frames import Column
from flask_carafe.serving.request import Answer
from flask_carafe.serving.table import Entry, Model
from flask_carafe.signature import Output, Rows, Signature, layout
from flask_carafe.signature.kinds.image import blank_png
from flask_carafe.signature.pending import Pending
from signature.signatures import ALL, DIGIT, GAPS, IRIS, PERSON, RESUME, TENSOR

ALLOWED = (BadRequest, InvalidInput, TooManyRows)
WHOLE = [name for name, number in NUMBERS.items() if number.most is not None]


def model_of(signature: Signature) -> Model:
    return Model(Entry(name="m", signature=signature), 50)


MODELS = {name: model_of(signature) for name, signature in ALL.items()}


def values_of(datatype: str) -> st.SearchStrategy[Any]:
    """Values that a tensor of ``datatype`` may hold."""
    if datatype in WHOLE:
        return st.integers(NUMBERS[datatype].least, NUMBERS[datatype].most)
    if datatype == "BOOL":
        return st.booleans()
    if datatype == "BYTES":
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    return st.floats(allow_nan=False, allow_infinity=False, width={"FP32": 32, "FP16": 16}.get(datatype, 64))


@st.composite
def tensors(draw: Any, datatypes: list[str]) -> dict[str, Any]:
    """A tensor as JSON has it, flat or nested; sometimes with one value that it must not hold, or one too many."""
    datatype = draw(st.sampled_from(datatypes))
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    count = shape[0] * (shape[1] if len(shape) > 1 else 1) * (shape[2] if len(shape) > 2 else 1)
    data: list[Any] = draw(st.lists(values_of(datatype), min_size=count, max_size=count))
    odd = draw(st.sampled_from([False] * 4 + [True]))
    if odd:
        data[draw(st.integers(0, count - 1))] = draw(st.sampled_from([None, "x:y", 2**53 + 1, -1, 300, 1.5, True, 1e39]))
    for extent in reversed(shape[1:]) if draw(st.booleans()) else ():
        data = [data[at : at + extent] for at in range(0, len(data), extent)]
    one = {"name": draw(st.sampled_from(["a", "b:c", "d"])), "shape": shape, "datatype": datatype, "data": data}
    if draw(st.booleans()):
        one["parameters"] = draw(st.dictionaries(st.sampled_from(["content_type", "x"]), st.sampled_from(["np", "a:b"])))
    return one


def read(reader: Any, body: bytes) -> Any:
    try:
        return reader(body, b"")
    except ALLOWED as exc:
        return type(exc)


def same(one: v2_request.Call, other: v2_request.Call) -> bool:
    """Calls that are equal, floats by their exact value."""
    texts = [repr([(t.name, t.datatype, t.shape, list(t.values), t.content_type) for t in call.inputs]) for call in (one, other)]
    return texts[0] == texts[1] and (one.id, one.timeout_s, one.outputs, one.is_binary) == (other.id, other.timeout_s, other.outputs, other.is_binary)


@given(st.lists(tensors([*WHOLE, "FP32", "FP64", "BOOL", "BYTES"]), max_size=2), st.booleans(), st.data())
@settings(max_examples=120, deadline=None)
def test_what_is_read_fast_is_what_is_read_completely(inputs: list[Any], escaped: bool, data: Any) -> None:
    body = {"inputs": inputs} | data.draw(st.fixed_dictionaries({}, optional={
        "id": st.just("1:2"), "parameters": st.just({"timeout": 5, "binary_data_output": True}), "outputs": st.just([{"name": "y"}]),
    }))  # fmt: skip
    text = json.dumps(body, ensure_ascii=escaped).encode()
    fast = read(v2_request._fast, text)
    assert fast is None or same(fast, v2_request._complete(text, b""))


def test_the_usual_requests_are_read_fast() -> None:
    for datatype, data in (("FP64", [[1, 2.5]]), ("FP32", [1, 0.5]), ("INT64", [1, 2]), ("BYTES", ["a:b", "c"]), ("BOOL", [True, False])):
        body = {"id": "1", "inputs": [{"name": "x", "shape": [1, 2], "datatype": datatype, "data": data}], "outputs": [{"name": "y"}]}
        assert v2_request._fast(json.dumps(body, indent=1).encode(), b"") is not None


def test_a_key_that_stands_twice_is_never_passed_over() -> None:
    one = '{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["a"]}'
    for more, body in (
        ("", '{"inputs": [ONE], "inputs": []}'),
        ("", '{"inputs": [ONE], "parameters": {"timeout": 1, "timeout": 9000000}}'),
        (', "data": ["b"]', '{"inputs": [ONE]}'),
        (', "parameters": {"p": 1, "p": 2}', '{"inputs": [ONE]}'),
        (', "name": "y", "parameters": {"p": "\\u003a"}', '{"inputs": [ONE]}'),
    ):
        with pytest.raises(BadRequest, match="twice"):
            v2_request.read(body.replace("ONE", one[:-1] + more + "}").encode(), None)


@given(tensors([*WHOLE, "FP32", "FP64", "BOOL", "BYTES"]))
@settings(max_examples=80, deadline=None)
def test_json_and_binary_of_one_tensor_are_the_same_values(one: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidInput):
        flat = v2_tensors.from_json("x", one["datatype"], v2_tensors.flattened("x", one["data"], one["shape"]), one["shape"])
        beyond = one["datatype"] == "FP64" and any(type(value) is int for value in flat)  # kept whole, so that its field refuses it
        if None not in flat and not beyond:
            blob = v2_tensors.to_blob(one["datatype"], flat)
            back = v2_tensors.from_blob("x", one["datatype"], blob, len(flat))
            assert [value.decode() if isinstance(value, bytes) else value for value in back] == list(flat)


@given(st.binary(max_size=60) | tensors([*WHOLE, "FP64", "BYTES"]).map(lambda one: json.dumps({"inputs": [one]}).encode()), st.data())
@settings(max_examples=120, deadline=None)
def test_any_bytes_are_a_call_or_one_of_three_errors(body: bytes, data: Any) -> None:
    at, cut = data.draw(st.integers(0, len(body))), data.draw(st.integers(0, 4))
    body = body[:at] + data.draw(st.binary(max_size=3)) + body[at + cut :]
    header = data.draw(st.sampled_from([None, str(len(body)), "0", "5", "x"]))
    name = data.draw(st.sampled_from(list(MODELS)))
    headers = {"inference-header-content-length": header}
    with contextlib.suppress(*ALLOWED):
        rows, _ = V2().read(MODELS[name], headers.get, body)
        assert isinstance(rows, (Rows, Pending)) and 0 < rows.n <= 50


BIG = 10**390
ROW = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}
ONE = {"name": "x", "shape": [1], "datatype": "BOOL", "data": [True]}
HOSTILE: dict[str, list[dict[str, Any]]] = {
    "values": [ROW | {"data": [BIG, 1.5, 2, 3]}],
    "one column": [ROW | {"name": "feature_1", "shape": [1], "data": [BIG]}],
    "whole numbers": [ROW | {"datatype": "INT64", "data": [BIG, 1, 2, 3]}],
    "extents": [ROW | {"shape": [BIG] * 20}],
    "rank": [ROW | {"shape": [1] * 10_000}],
    "blob": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "parameters": {"binary_data_size": BIG}}],
    "surrogate": [ONE | {"name": "\ud800", "datatype": "BYTES", "data": ["\udfff"]}],
    "inputs": [ONE] * 10_001,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_numbers_are_refused(case: str) -> None:
    with pytest.raises(ALLOWED):
        V2().read(MODELS["iris"], {}.get, json.dumps({"inputs": HOSTILE[case]}).encode())


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(BadRequest):
        V2().read(MODELS["iris"], {}.get, b'{"inputs": [], "parameters": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}")


def test_an_endless_deadline_is_an_hour() -> None:
    _, memo = V2().read(MODELS["iris"], {}.get, json.dumps({"inputs": [ROW], "parameters": {"timeout": BIG}}).encode())
    assert memo.timeout_s == 3600


# ---- tensors to rows


def rows_of(signature: Signature, *given: Tensor) -> list[list[Any]]:
    rows = to_rows(model_of(signature), given)
    assert isinstance(rows, Rows)
    return layout.unpack(signature, rows)


def fp64(name: str, shape: tuple[int, ...], *values: float) -> Tensor:
    return Tensor(name, "FP64", shape, values)


def test_nan_in_binary_is_missing_where_a_number_may_be() -> None:
    nan = float("nan")
    assert rows_of(GAPS, fp64("x", (2, 2), nan, 1.0, 2.0, 3.0)) == [[None, 2.0], [1.0, 3.0]]
    assert rows_of(GAPS, fp64("a", (2,), nan, 2.0), fp64("b", (2, 1), 1.0, 3.0)) == [[None, 2.0], [1.0, 3.0]]
    for values in ((1.0, nan), (1.0, float("inf")), (float("-inf"), 1.0)):
        with pytest.raises(InvalidInput, match=r"[ab] must be a finite number"):
            rows_of(GAPS, fp64("x", (1, 2), *values))


def test_ranges_hold_for_a_block_as_for_columns() -> None:
    fields = tuple(field if at else field.__class__(name="feature_1", kind="number", minimum=0, maximum=10) for at, field in enumerate(IRIS.fields))
    bounded = Signature(fields=fields, layout="matrix")
    assert rows_of(bounded, fp64("x", (1, 4), 10.0, -1.0, 99.0, 0.0)) == [[10.0], [-1.0], [99.0], [0.0]]
    with pytest.raises(InvalidInput, match=r"feature_1 must be at most 10, got 10\.5"):
        rows_of(bounded, fp64("x", (2, 4), 1.0, 1.0, 1.0, 1.0, 10.5, 1.0, 1.0, 1.0))


def test_columns_of_every_kind_come_as_tensors() -> None:
    given = [
        fp64("age", (1,), 41.0), Tensor("city", "BYTES", (1, 1), [b"Lagos"]), Tensor("children", "UINT8", (1,), [2]),
        Tensor("member", "BOOL", (1,), [True]), Tensor("since", "BYTES", (1,), ["2026-03-01T12:30:00Z"], "datetime"),
        Tensor("taste", "FP64", (1, 3), [0.5, 1.0, 2.0]),
    ]  # fmt: skip
    assert rows_of(PERSON, *given) == [[41.0], ["Lagos"], [2], [True], [1772368200000000], [None], [[0.5, 1.0, 2.0]]]
    with pytest.raises(InvalidInput, match="city must have 1 rows as age, got 2"):
        rows_of(PERSON, given[0], Tensor("city", "BYTES", (2,), [b"Lagos", b"Rome"]))
    with pytest.raises(InvalidInput, match=r"taste must have the shape \[n, 3\], got \[1, 2\]"):
        rows_of(PERSON, *given[:-1], Tensor("taste", "FP64", (1, 2), [0.5, 1.0]))


def test_tensors_of_different_batches_are_refused_however_they_are_named() -> None:
    """By name, by position, and of no values at all: nobody may make rows out of nothing."""
    for names in (("a", "b"), ("x", "y")):
        with pytest.raises(InvalidInput, match=rf"{names[1]} must have 2 rows as {names[0]}, got 1"):
            rows_of(GAPS, fp64(names[0], (2,), 1.0, 2.0), fp64(names[1], (1,), 1.0))
    with pytest.raises(TooManyRows):
        rows_of(ALL["mixed"], fp64("unheard of", (2**31, 0)))


def test_shaped_values_come_nested_or_flat() -> None:
    six = [float(value) for value in range(12)]
    for shape in ((2, 2, 3), (2, 6)):
        assert rows_of(TENSOR, Tensor("whatever", "FP32", shape, six)) == [[six[:6], six[6:]]]


def test_pictures_and_documents_come_as_bytes() -> None:
    png = blank_png(2, 2)
    encoded = b64encode(png).decode()
    for one in (Tensor("x", "BYTES", (1,), [png]), Tensor("x", "BYTES", (1, 1), [encoded]), Tensor("x", "BYTES", (1,), [encoded.encode()], "base64")):
        pending = to_rows(model_of(DIGIT), [one])
        assert isinstance(pending, Pending) and pending.media[0].blobs == [png]
    assert rows_of(DIGIT, Tensor("image", "UINT8", (1, 2, 2), [0, 5, 10, 16])) == [[[0, 5, 10, 16]]]
    assert rows_of(RESUME, Tensor("resume", "BYTES", (1,), [b"plain text"])) == [["plain text"]]
    pending = to_rows(model_of(RESUME), [Tensor("resume", "BYTES", (1,), [b"%PDF-1.7 ..."])])
    assert isinstance(pending, Pending)


def test_more_rows_than_allowed_are_refused() -> None:
    with pytest.raises(TooManyRows):
        to_rows(MODELS["iris"], [fp64("x", (51, 4), *([1.0] * 204))])


def test_every_signature_is_described_by_tensors_that_it_takes() -> None:
    for name, signature in ALL.items():
        for spec in input_specs(signature):
            assert spec["shape"][0] == -1 and spec["datatype"] in v2_tensors.KNOWN, name


# ---- answers


def test_outputs_of_every_kind_are_tensors() -> None:
    signature = Signature(
        fields=IRIS.fields,
        outputs=(
            Output(name="label", kind="category", dtype="int64", classes=(1, "one", True)),
            Output(name="when", role="extra", kind="datetime", dtype="int64"),
            Output(name="shares", role="extra", dtype="float32", width=2, float32=True),
            Output(name="any", role="extra", kind="integer", dtype="json"),
            Output(name="text", role="extra", kind="text", dtype="text"),
            Output(name="flag", role="extra", kind="boolean", dtype="bool"),
        ),
    )
    model = model_of(signature)
    columns = [
        Column(0, 1, [0, 1, 2]), Column(0, 1, [0, 0, 10**6]), Column(0, 2, [0.1, 0.5] * 3), Column(0, 1, [1, None, {"a": 1}]),
        Column(0, 1, ["ä", "", "c"]), Column(0, 1, [True, False, True]),
    ]  # fmt: skip
    found = [to_tensor(model, Answer(columns, 1, 2, (), 3), one) for one in wanted(signature, v2_request.Call([]))]
    assert [(one.name, one.datatype, one.shape, list(one.values)) for one in found] == [
        ("label", "BYTES", (2,), ["one", "true"]), ("when", "BYTES", (2,), ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z"]),
        ("shares", "FP32", (2, 2), [0.1, 0.5, 0.1, 0.5]), ("any", "BYTES", (2,), ["null", '{"a":1}']), ("text", "BYTES", (2,), ["", "c"]),
        ("flag", "BOOL", (2,), [False, True]),
    ]  # fmt: skip
    assert [spec["shape"] for spec in output_specs(signature)] == [[-1], [-1], [-1, 2], [-1], [-1], [-1]]
    assert struct.unpack("<4f", v2_tensors.to_blob("FP32", found[2].values)) == pytest.approx((0.1, 0.5, 0.1, 0.5), rel=1e-7)


def test_a_probability_that_is_no_number_is_not_told() -> None:
    columns = [Column(0, 1, [0]), Column(0, 3, [0.5, float("nan"), 0.5])]
    with pytest.raises(OutputInvalid):
        [to_tensor(MODELS["iris"], Answer(columns, 0, 1, (), 1), one) for one in wanted(IRIS, v2_request.Call([]))]


def test_errors_of_input_are_400_and_the_others_keep_their_status() -> None:
    errors: list[tuple[CarafeError, int]] = [(InvalidInput("no", ()), 400), (BadRequest("no"), 400), (TooManyRows(2, 1), 413)]
    for error, status in errors:
        assert V2().error(error, "id")[0] == status


def test_tensors_that_the_model_ignores_cost_nothing_for_each_row() -> None:
    model = Model(Entry(name="m", signature=msgspec.structs.replace(PERSON, extra="ignore")), 10_000)
    unknown = [Tensor(f"unknown_{i}", "FP64", (10_000, 0), []) for i in range(1_000)]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput) as refused:
            to_rows(model, unknown)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert {detail.field for detail in refused.value.details} <= {field.name for field in PERSON.fields}


@pytest.mark.parametrize(("kind", "value", "datatype"), [
    ("number", 10**400, "BYTES"), ("number", 2**60, "FP64"), ("integer", 2**63, "BYTES"), ("integer", True, "BYTES"), ("boolean", True, "BOOL"),
])  # fmt: skip
def test_what_a_function_gives_keeps_its_datatype_only_where_that_holds_it(kind: str, value: Any, datatype: str) -> None:
    output = Output(name="prediction", kind=kind, dtype="json")
    model = model_of(msgspec.structs.replace(PERSON, outputs=(output,)))
    [one] = wanted(model.signature, v2_request.Call([]))
    tensor = to_tensor(model, Answer([Column(6, 1, [value])], 0, 1, (), 1), one)
    assert tensor.datatype == datatype and v2_tensors.to_blob(tensor.datatype, tensor.values)
