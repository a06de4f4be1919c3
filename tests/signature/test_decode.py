"""JSON requests: the native shapes, the values that stay what they are, and every way to be wrong."""

from __future__ import annotations

import json
import time
from array import array
from typing import Any

import pytest

from flask_carafe.errors import BadRequest, InvalidInput, TooManyRows
from flask_carafe.signature import Field, Rows, Signature, columns, unpack
from flask_carafe.signature.decode import Decoder

from .signatures import DIGIT, FLOAT32, GAPS, IRIS, MIXED, ODD, ODD_NAMES, PERSON, PERSON_ROW, REVIEW, TENSOR


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def values(signature: Signature, request: Any) -> list[dict[str, Any]]:
    rows = Decoder(signature).json(body(request))
    assert isinstance(rows, Rows)
    return unpack.values(signature, rows)


def refused(signature: Signature, request: bytes | dict[str, Any] | list[Any]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        Decoder(signature).json(request if isinstance(request, bytes) else body(request))
    assert 0 < len(caught.value.details) <= 20 or not caught.value.details
    return caught.value


def test_flat_features_are_one_row_answered_as_a_list():
    rows = Decoder(IRIS).json(b'{"features": [5.1, 3.5, 1.4, 0.2]}')
    assert (rows.n, rows.scalar) == (1, False)
    assert array("d", rows.chunks[0].data).tolist() == [5.1, 3.5, 1.4, 0.2]


def test_nested_features_are_several_rows_row_by_row():
    rows = Decoder(IRIS).json(b'{"features": [[1, 2, 3, 4],\n [5, 6, 7, 8.5]]}')
    assert (rows.n, rows.scalar) == (2, False)
    assert array("d", rows.chunks[0].data).tolist() == [1, 2, 3, 4, 5, 6, 7, 8.5]


def test_one_object_is_one_row_answered_as_a_scalar_whatever_the_order_of_its_keys():
    one = Decoder(PERSON).json(body(PERSON_ROW))
    shuffled = Decoder(PERSON).json(body(dict(reversed(PERSON_ROW.items()))))
    assert one.scalar and one.n == 1
    assert one == shuffled
    assert unpack.values(PERSON, one) == [PERSON_ROW]


def test_rows_columns_with_data_and_features_say_the_same():
    names = list(PERSON_ROW)
    wanted = [PERSON_ROW, PERSON_ROW | {"age": None, "note": None}]
    lists = [list(row.values()) for row in wanted]
    for request in ({"rows": wanted}, {"columns": names, "data": lists}, {"features": lists}, {"rows": lists}):
        assert values(PERSON, request) == wanted


def test_a_model_of_one_text_takes_text_texts_and_rows_of_texts():
    for request in ({"text": "great"}, {"review": "great"}):
        rows = Decoder(REVIEW).json(body(request))
        assert rows.scalar and unpack.values(REVIEW, rows) == [{"review": "great"}]
    for request in ({"texts": ["a", "b"]}, {"rows": ["a", "b"]}, {"rows": [{"review": "a"}, {"review": "b"}]}, {"features": [["a"], ["b"]]}):
        rows = Decoder(REVIEW).json(body(request))
        assert not rows.scalar and unpack.values(REVIEW, rows) == [{"review": "a"}, {"review": "b"}]


@pytest.mark.parametrize("text", ["", "12:30", 'say "hi": now', "tab\t: é 日本 😀", "a\\u003ab: {}", "::::"])
def test_any_text_arrives_as_it_was_sent(text):
    assert values(REVIEW, {"text": text}) == [{"review": text}]
    assert values(REVIEW, {"texts": [text, text]}) == [{"review": text}] * 2


def test_a_field_may_be_called_as_an_envelope_is():
    signature = Signature(fields=(Field(name="rows", kind="number"), Field(name="text", kind="text", dtype="text")))
    assert values(signature, {"rows": 3, "text": "x"}) == [{"rows": 3.0, "text": "x"}]
    assert values(signature, {"features": [3, "x"]}) == [{"rows": 3.0, "text": "x"}]


def test_fields_may_have_any_name():
    row = {name: float(place) for place, name in enumerate(ODD_NAMES)}
    assert values(ODD, row) == [row]
    assert values(ODD, dict(reversed(row.items()))) == [row]


def test_a_missing_number_is_null_or_absent_where_the_field_allows_it():
    for request in ({"a": None, "b": 2}, {"b": 2}, {"features": [None, 2]}, {"features": [[None, 2]]}, {"rows": [{"b": 2}]}):
        assert values(GAPS, request) == [{"a": None, "b": 2.0}]
    for request in ({"a": 1, "b": None}, {"a": 1}, {"features": [1, None]}, {"features": [[1, None]]}):
        error = refused(GAPS, request)
        assert str(error) == "b is missing."
        assert error.details[0].field == "b"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"age": "forty"}, "age must be a number, got 'forty'."),
        ({"age": True}, "age must be a number, got true."),
        ({"age": [1]}, "age must be a number, got a list of 1."),
        ({"age": -1}, "age must be at least 0, got -1."),
        ({"age": 151}, "age must be at most 150, got 151."),
        ({"city": "Logos"}, "city must be one of 'Lagos', 'Rome', 'Oslo' (nearest: 'Lagos'), got 'Logos'."),
        ({"city": None}, "city is missing."),
        ({"children": 1.5}, "children must be a whole number, got 1.5."),
        ({"children": "1"}, "children must be an integer, got '1'."),
        ({"children": 2**63}, f"children must be an integer between -{2**63} and {2**63 - 1}, got {2**63}."),
        ({"member": 1}, "member must be true or false, got 1."),
        ({"since": "yesterday"}, "since must be a date such as 2026-03-01 or 2026-03-01T12:30:00Z, got 'yesterday'."),
        ({"note": 3}, "note must be text, got 3."),
        ({"taste": [1, 2]}, "taste must be 3 numbers, got a list of 2."),
        ({"taste": [1, 2, "x"]}, "taste must be 3 numbers, got 'x' at position 2."),
        ({"citty": "Rome"}, "There is no field 'citty'."),
    ],
)
def test_a_wrong_value_is_told_in_one_sentence(change, sentence):
    error = refused(PERSON, PERSON_ROW | change)
    assert str(error) == sentence
    assert error.details[0].field == next(iter(change))
    assert error.status == 422


def test_an_unknown_field_names_the_nearest_one_unless_extras_are_ignored():
    assert refused(PERSON, PERSON_ROW | {"citty": 1}).hint == "Did you mean 'city'?"
    row = {"grade": "one", "open": "z", "code": 2}
    assert values(MIXED, row | {"other": {"deep": 1}}) == [row | {"size": None, "count": None}]


def test_at_most_twenty_faults_are_listed_with_row_field_expected_and_got():
    error = refused(PERSON, {"rows": [PERSON_ROW | {"age": "x" * 1000}] * 50})
    assert len(error.details) == 20
    assert error.details[3].row == 3
    assert len(error.details[3].got) <= 60
    assert str(error).startswith("Row 0: age must be a number, got 'xxx")


def test_categories_keep_their_types():
    assert values(MIXED, {"grade": 1, "open": "new", "code": 3.0, "size": 1, "count": 3.0}) == [
        {"grade": 1, "open": "new", "code": 3, "size": 1.0, "count": 3}
    ]
    assert values(MIXED, {"grade": True, "open": "a", "code": 1})[0]["grade"] is True
    for wrong in ({"grade": "1"}, {"grade": 1.5}, {"grade": False}, {"code": "1"}, {"code": True}, {"size": 2}, {"open": 5}):
        refused(MIXED, {"grade": 1, "open": "a", "code": 1} | wrong)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**63 + 1, 10**350])
def test_a_whole_number_that_a_double_cannot_hold_is_refused(number):
    for request in (
        {"features": [number, 1, 1, 1]},
        {"features": [[number, 1, 1, 1]]},
        {f"feature_{i}": number if i == 1 else 1 for i in range(1, 5)},
    ):
        refused(IRIS, request)
    refused(GAPS, {"a": None, "b": number})
    refused(GAPS, {"features": [None, number]})
    refused(PERSON, PERSON_ROW | {"taste": [1, 2, number]})


def test_large_numbers_that_a_double_does_hold_pass():
    for number in (2**53, -(2**53), 2**60, 1e300, -1.7e308, 5e-324):
        assert values(IRIS, {"features": [number, 1, 1, 1]})[0]["feature_1"] == number


def test_integers_are_exact_to_64_bits_and_nullable_ones_to_53():
    big = 2**63 - 1
    assert values(PERSON, PERSON_ROW | {"children": big})[0]["children"] == big
    row = {"grade": 1, "open": "a", "code": 1}
    assert values(MIXED, row | {"count": 2**53})[0]["count"] == 2**53
    refused(MIXED, row | {"count": 2**53 + 1})


def test_float32_models_refuse_what_float32_cannot_hold():
    assert values(FLOAT32, {"a": 1e38, "b": 0.5}) == [{"a": 1e38, "b": 0.5}]
    for number in (3.5e38, -1e39):
        assert "3.4e38" in str(refused(FLOAT32, {"a": number, "b": 0}))
        refused(FLOAT32, {"features": [[0, number]]})


def test_dates_are_utc_microseconds():
    for text, seconds in (("1970-01-02", 86400), ("1970-01-01T00:00:01.5", 1.5), ("1970-01-01T02:00:00+02:00", 0), ("1969-12-31T23:59:59Z", -1)):
        rows = Decoder(PERSON).json(body(PERSON_ROW | {"since": text}))
        assert array("q", rows.chunks[4].data).tolist() == [seconds * 1_000_000]


def test_tensors_come_flat_or_nested():
    flat = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    nested = [flat[:3], flat[3:]]
    for request in ({"values": flat}, {"values": nested}, {"features": flat}, {"features": nested}, {"features": [flat]}, {"rows": [nested]}):
        assert values(TENSOR, request) == [{"values": nested}]
    for request in ({"features": [flat, flat]}, {"features": [nested, nested]}, {"rows": [flat, nested]}, {"rows": [{"values": flat}, [nested]]}):
        assert values(TENSOR, request) == [{"values": nested}] * 2
    for wrong in ([[1, 2], [3, 4, 5, 6]], [[1, 2, 3]], [[[1, 2, 3], [4, 5, 6]]], [1], [], "x", [[1, 2, 3], [4, 5, None]]):
        refused(TENSOR, {"values": wrong})


def test_a_picture_may_be_its_own_numbers():
    assert values(DIGIT, {"image": [0, 1, 2, 3]}) == [{"image": [0, 1, 2, 3]}]
    assert values(DIGIT, {"features": [0, 1, 2, 3]}) == [{"image": [0, 1, 2, 3]}]
    for nested in ({"image": [[0, 1], [2, 3]]}, {"features": [[0, 1], [2, 3]]}, {"rows": [[[0, 1], [2, 3]]]}, {"features": [[[0, 1], [2, 3]]]}):
        assert values(DIGIT, nested) == [{"image": [0, 1, 2, 3]}]
    assert values(DIGIT, {"features": [[0, 1, 2, 3]] * 2}) == [{"image": [0, 1, 2, 3]}] * 2


@pytest.mark.parametrize(
    ("request_body", "reason"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"null", "got null"),
        (b"3", "a bare value"),
        (b'"x"', "a bare value"),
        (b"[1, 2]", "got a list"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": 1} x', "extra data"),
        (b"{'a': 1}", "not JSON"),
        (b'{"features": [NaN, 1, 1, 1]}', "byte 14"),
        (b'{"features": [1, Infinity, 1, 1]}', "NaN or Infinity"),
        (b'{"features": [1, -Infinity, 1, 1]}', "NaN or Infinity"),
        (b'{"features": [1e999, 1, 1, 1]}', "beyond"),
        (b'{"features": [1, 2, 3, 4], "features": [1, 2, 3, 4]}', "stands twice"),
        (b'{"feature_1": 1, "feature_1": 2, "feature_2": 2, "feature_3": 3, "feature_4": 4}', "stands twice"),
        (b'{"x": "\\ud800"}', "surrogate"),
        (b'{"x": "\xff"}', "byte 7"),
        (b"[" * 100_000, "32 levels"),
        (b'{"a":' * 100_000, "32 levels"),
        (b"1" * 5000, "5,000 digits"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_cannot_be_parsed_is_a_bad_request_that_says_where(request_body, reason):
    started = time.process_time()
    with pytest.raises(BadRequest) as caught:
        Decoder(IRIS).json(request_body)
    assert reason in str(caught.value)
    assert time.process_time() - started < 0.5
    assert len(str(caught.value)) < 200


def test_a_byte_order_mark_is_let_pass():
    assert Decoder(IRIS).json(b'\xef\xbb\xbf{"features": [1, 2, 3, 4]}').n == 1


def test_keys_that_stand_twice_are_seen_behind_colons_in_texts():
    decoder = Decoder(REVIEW)
    for request in (
        b'{"text": "a:b", "text": "c"}',
        b'{"text": "ab", "text": "c:d"}',
        b'{"text": "ab", "text": "c\\u003ad"}',
        b'{"texts": ["a"], "texts": ["b:"]}',
    ):
        with pytest.raises(BadRequest, match="stands twice"):
            decoder.json(request)
    for request in (b'{"b": 1, "b": 2}', b'{"rows": [{"b": 1, "b": 2}]}', b'{"rows": [{"b": 1, "b": 2}, {"b": 1}]}'):
        with pytest.raises(BadRequest, match="stands twice"):  # as many colons as fields, one of which may be absent
            Decoder(GAPS).json(request)
    with pytest.raises(BadRequest, match="stands twice"):
        Decoder(PERSON).json(body(PERSON_ROW)[:-1] + b', "note": "b"}')


@pytest.mark.parametrize(
    ("request_body", "sentence"),
    [
        ({"rows": []}, "There are no rows."),
        ({"features": []}, "There are no rows."),
        ({"features": [[]]}, "A row must have 4 values, got 0."),
        ({"features": [1, 2]}, "A row must have 4 values, got 2."),
        ({"features": [[1, 2, 3, 4], [1]]}, "Row 1: a row must have 4 values, got 1."),
        ({"features": [[[1, 2, 3, 4]]]}, "A row must have 4 values, got 1."),
        ({"features": 3}, "features must be a list, got 3."),
        ({"features": [[1, 2, 3, 4]], "x": 1}, "'features' stands alone in a request, got 'x' beside it."),
        ({"rows": [3]}, "A row must be an object or a list, got 3."),
        ({"columns": ["feature_1"], "data": [[1, 2]]}, "Row 0 of data must be a list of 1 value, got"),
        ({"columns": ["a", "a"], "data": []}, "columns names a field twice."),
        ({}, "feature_1 is missing."),
    ],
    ids=str,
)
def test_rows_that_are_no_rows_are_refused(request_body, sentence):
    assert str(refused(IRIS, request_body)).startswith(sentence)


def test_more_rows_than_allowed_are_too_many():
    decoder = Decoder(IRIS, max_rows=3)
    assert decoder.json(body({"features": [[1, 2, 3, 4]] * 3})).n == 3
    row = {f"feature_{i}": 1 for i in range(1, 5)}
    for request in ({"features": [[1, 2, 3, 4]] * 4}, {"rows": [row] * 4}, {"columns": list(row), "data": [[1, 2, 3, 4]] * 4}):
        with pytest.raises(TooManyRows, match="4 rows are more than the 3"):
            decoder.json(body(request))


def test_frame_columns_follow_from_the_signature():
    assert columns(IRIS) == [("float64", 4)]
    assert columns(PERSON)[-1] == ("float64", 3)
    assert [dtype for dtype, _ in columns(PERSON)] == ["float64", "text", "int64", "bool", "int64", "text", "float64"]


def test_python_functions_get_dates_as_datetimes():
    rows = Decoder(PERSON).json(body(PERSON_ROW))
    assert unpack.values(PERSON, rows, native=True)[0]["since"].isoformat() == "2026-03-01T12:30:00+00:00"


@pytest.mark.parametrize("layout", ["matrix", "columns"])
def test_thousands_of_fields_are_read_in_any_order_without_delay(layout):
    names = [f"c{i}" for i in range(5000)]
    signature = Signature(fields=tuple(Field(name=name, kind="number") for name in names), layout=layout)
    decoder = Decoder(signature)
    row = {name: float(i) for i, name in enumerate(names)}
    started = time.process_time()
    assert decoder.json(body(row)) == decoder.json(body(dict(reversed(row.items()))))
    assert refused(signature, row | {"c_1": 1}).details[0].field == "c_1"
    assert time.process_time() - started < 2


def test_a_request_full_of_unknown_fields_is_refused_without_delay():
    started = time.process_time()
    assert len(refused(PERSON, {f"agee{i}": i for i in range(100_000)}).details) == 20
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("signature", "hint"),
    [
        (IRIS, 'Send a JSON object, for example {"features": [0.0, 0.0, 0.0, 0.0]}.'),
        (REVIEW, 'Send a JSON object, for example {"text": "Arrived early, works as described."}.'),
        (GAPS, 'Send a JSON object, for example {"features": [0.0, 0.0]}.'),
        (PERSON, "Send a JSON object whose keys are the fields of this model."),
    ],
    ids=["numbers", "text", "gaps", "person"],
)
def test_what_is_no_request_is_answered_with_one_that_works(signature, hint):
    with pytest.raises(BadRequest) as caught:
        Decoder(signature).json(b"[1")
    assert caught.value.as_json()["hint"] == hint


@pytest.mark.parametrize("key", ["instances", "inputs", "dataframe_split", "data"])
def test_a_request_of_another_server_is_told_our_shapes(key):
    error = refused(PERSON, {key: [[1, 2]]})
    assert error.hint == 'Carafe\'s own shapes are {"features": [[...]]} or {"rows": [{...}]}.'
    assert [detail.field for detail in error.details] == [key]
