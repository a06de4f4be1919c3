"""CSV, NDJSON, HTML forms, uploads and Python objects: the same values, the same words when they are wrong."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from flask_carafe.errors import BadRequest, InvalidInput, TooManyRows, WrongMediaType
from flask_carafe.signature import Chunk, Field, Rows, Signature, unpack
from flask_carafe.signature.decode import Decoder
from flask_carafe.signature.kinds import Upload
from flask_carafe.signature.kinds.image import blank_png
from flask_carafe.signature.pending import Pending

from .signatures import DIGIT, GAPS, IRIS, MIXED, PERSON, PERSON_ROW, RESUME, REVIEW, TENSOR

PNG = blank_png(2, 2)
HEADER = "age,city,children,member,since,note,taste\n"
LINE = '41,Lagos,2,true,2026-03-01T12:30:00Z,calls: often,"0.5 1 2"\n'


def read(signature: Signature, text: str, charset: str = "utf-8") -> list[dict[str, Any]]:
    rows = Decoder(signature).csv(text.encode(charset), charset)
    assert isinstance(rows, Rows) and not rows.scalar
    return unpack.values(signature, rows)


def test_csv_columns_go_by_name_in_any_order():
    assert read(PERSON, HEADER + LINE) == [PERSON_ROW]
    cells = dict(zip(HEADER.strip().split(","), next(csv.reader([LINE])), strict=True))
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(reversed(cells)))
    writer.writeheader()
    writer.writerow(cells)
    assert read(PERSON, out.getvalue()) == [PERSON_ROW]


def test_an_empty_cell_is_missing_and_blank_lines_are_passed_over():
    assert read(GAPS, "b,a\n1,\n\n2,3\n") == [{"a": None, "b": 1.0}, {"a": 3.0, "b": 2.0}]
    assert read(GAPS, "b\n1\n") == [{"a": None, "b": 1.0}]
    assert read(GAPS, "a,b\n  ,1\n") == [{"a": None, "b": 1.0}]
    with pytest.raises(InvalidInput, match="Line 3: b is missing"):
        read(GAPS, "b,a\n1,1\n,2\n")


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_declared_charsets_are_read(charset):
    assert read(REVIEW, "review\nété\n", charset) == [{"review": "été"}]


@pytest.mark.parametrize("charset", ["utf-7", "rot13", "idna", "klingon", "hex"])
def test_other_charsets_are_a_wrong_media_type(charset):
    with pytest.raises(WrongMediaType):
        Decoder(REVIEW).csv(b"review\nx\n", charset)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The CSV is empty."),
        ("b\n", "There are no rows."),
        ("1,2\n3,4\n", "The first line must name the fields, got numbers."),
        ("a,c\n1,2\n", "Line 1: There is no field 'c'."),
        ("a;b\n1;2\n", "Line 1: Values are separated by ';': use commas."),
        ("a\tb\n1\t2\n", "Line 1: Values are separated by tabs: use commas."),
        ("a\n1\n", "Line 1: The column b is missing."),
        ("b,b\n1,2\n", "Line 1: Two columns are called 'b'."),
        ("a,b\n1\n", "Line 2: a row must have 2 cells as the header has, got 1."),
        ("a,b\n1,x\n", "b must be a number, got 'x'."),
        ("a,b\n1,2\n1,nan\n", "Line 3: b must be a number, got 'nan'."),
        ("a,b\n1,1_000\n", "b must be a number, got '1_000'."),
        ("a,b\n1,9007199254740993\n", "b must be a number that a double can hold exactly"),
        ("a,b\n1,1e999\n", "b must be a finite number"),
    ],
    ids=repr,
)
def test_csv_faults_name_the_line(text, sentence):
    with pytest.raises(InvalidInput) as caught:
        Decoder(GAPS).csv(text.encode())
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"a,b\n1,\xff\n", "byte 6"),
        (b'a,b\n1,"2\n', "line 2"),
        (b"a,b\n1,\0\n", "NUL"),
        (b"\x1f\x8b\x08", "gzip"),
        (b'b\n"1"x\n', "line 2"),
        (b"b\n" + b"1" * 200_000, "field limit"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_csv_that_cannot_be_read_is_a_bad_request(body, reason):
    with pytest.raises(BadRequest, match=reason):
        Decoder(GAPS).csv(body)


def test_extra_columns_are_ignored_where_the_model_says_so():
    assert read(MIXED, "other,code,open,grade,size\nx,2.0,new,true,1\n") == [{"grade": True, "size": 1.0, "open": "new", "code": 2, "count": None}]


def test_too_many_lines_are_refused_early():
    with pytest.raises(TooManyRows):
        Decoder(GAPS, max_rows=3).csv(b"b\n" + b"1\n" * 1000)
    with pytest.raises(TooManyRows):
        Decoder(GAPS, max_rows=3).ndjson(b'{"b": 1}\n' * 1000)


def test_booleans_are_read_from_the_words_that_people_write():
    for word, truth in {"TRUE": True, "yes": True, "1": True, "no": False, "0": False, "f": False}.items():
        assert read(PERSON, HEADER + LINE.replace("true", word))[0]["member"] is truth


def test_ndjson_takes_objects_and_lists_and_names_the_line():
    rows = Decoder(GAPS).ndjson(b'{"b": 1}\n\n[2, 3]\r\n')
    assert unpack.values(GAPS, rows) == [{"a": None, "b": 1.0}, {"a": 2.0, "b": 3.0}]
    with pytest.raises(BadRequest, match="Line 2: The body is not JSON"):
        Decoder(GAPS).ndjson(b'{"b": 1}\n{"b": \n')
    with pytest.raises(InvalidInput, match="Line 3: b must be a number, got 'x'"):
        Decoder(GAPS).ndjson(b'{"b": 1}\n\n{"b": "x"}\n')
    assert unpack.values(REVIEW, Decoder(REVIEW).ndjson(b'"a"\n{"review": "b"}')) == [{"review": "a"}, {"review": "b"}]


def test_a_form_is_one_row():
    fields = {"age": [""], "city": ["Rome"], "children": ["3"], "member": ["false"], "since": ["2026-03-01"], "note": [""], "taste": ["[1, 2, 3]"]}
    rows = Decoder(PERSON).form(fields | {"_carafe_token": ["x"]})
    assert rows.scalar
    assert unpack.values(PERSON, rows) == [
        {"age": None, "city": "Rome", "children": 3, "member": False, "since": "2026-03-01T00:00:00Z", "note": None, "taste": [1.0, 2.0, 3.0]}
    ]
    ticked = Decoder(PERSON).form(fields | {"member": ["false", "true"]})
    assert unpack.values(PERSON, ticked)[0]["member"] is True
    for wrong in ({"city": ["Rome", "Oslo"]}, {"citty": ["Rome"]}, {"city": [""]}):
        with pytest.raises(InvalidInput):
            Decoder(PERSON).form(fields | wrong)


def test_line_breaks_of_a_textarea_are_those_that_were_typed():
    rows = Decoder(REVIEW).form({"text": ["one\r\ntwo"]})
    assert unpack.values(REVIEW, rows) == [{"review": "one\ntwo"}]


class Answer(NamedTuple):
    values: list[Any]


class Fault(NamedTuple):
    row: int
    code: str
    message: str


def test_an_uploaded_picture_waits_for_the_media_host():
    for pending in (
        Decoder(DIGIT).form({}, {"image": Upload(PNG, "x.png")}),
        Decoder(DIGIT).form({}, {"file": Upload(PNG, "../../x")}),
        Decoder(DIGIT).json(json.dumps({"image": base64.b64encode(PNG).decode()}).encode()),
        Decoder(DIGIT).json(json.dumps({"image": "data:image/png;base64," + base64.b64encode(PNG).decode()}).encode()),
        Decoder(DIGIT).value({"image": PNG}),
    ):
        assert isinstance(pending, Pending) and pending.scalar and pending.n == 1
        request = pending.media[0]
        assert request.blobs == [PNG]
        assert request.wanted == {
            "kind": "image",
            "width": 2,
            "height": 2,
            "mode": "L",
            "invert": False,
            "scale": [0, 16],
            "layout": "hw",
            "flatten": True,
        }
        rows = pending.complete([Answer([8.0, 0.0, 1.0, 16.0])])
        assert unpack.values(DIGIT, rows) == [{"image": [8.0, 0.0, 1.0, 16.0]}]


def test_pictures_and_numbers_mix_in_one_request():
    request = {"images": [[1, 2, 3, 4], base64.b64encode(PNG).decode(), [5, 6, 7, 8]]}
    pending = Decoder(DIGIT).json(json.dumps(request).encode())
    assert pending.media[0].rows == [1]
    rows = pending.complete([Chunk(data=b"\0" * 16)])
    assert [row["image"] for row in unpack.values(DIGIT, rows)] == [[1, 2, 3, 4], [0, 0, 0, 0], [5, 6, 7, 8]]
    assert "image cannot be read: broken" in str(pending.media[0].refusal([Fault(0, "invalid_value", "broken")]))
    assert pending.media[0].refusal([Fault(0, "invalid_value", "broken")]).details[0].row == 1
    with pytest.raises(InvalidInput, match="another size"):
        Decoder(DIGIT).json(json.dumps(request).encode()).complete([Answer([1.0])])


@pytest.mark.parametrize("data", [b"<svg onload=alert(1)>", b"", b"PK\x03\x04zip", b"%PDF-1.7", b"GARBAGE"])
def test_what_is_no_picture_is_refused_by_its_first_bytes(data):
    with pytest.raises(InvalidInput):
        Decoder(DIGIT).form({}, {"image": Upload(data, "x.png", "image/png")})
    with pytest.raises(InvalidInput):
        Decoder(DIGIT).json(json.dumps({"image": base64.b64encode(data).decode()}).encode())


def test_a_document_is_a_file_or_the_text_itself():
    for request in ({"resume": "I build bridges"}, {"text": "I build bridges"}, {"document": "I build bridges"}):
        assert unpack.values(RESUME, Decoder(RESUME).json(json.dumps(request).encode())) == [{"resume": "I build bridges"}]
    pending = Decoder(RESUME).form({}, {"resume": Upload(b"%PDF-1.7 ...", "cv.pdf")})
    assert pending.media[0].wanted == {"kind": "document"}
    assert unpack.values(RESUME, pending.complete([Answer(["I build bridges"])])) == [{"resume": "I build bridges"}]
    by_url = Decoder(RESUME).json(json.dumps({"document": "data:application/pdf;base64," + base64.b64encode(b"%PDF-1").decode()}).encode())
    assert isinstance(by_url, Pending)
    with pytest.raises(InvalidInput):
        Decoder(RESUME).form({}, {"resume": Upload(b"\x7fELF\0\0", "cv.pdf")})
    with pytest.raises(InvalidInput, match="as a value and as a file"):
        Decoder(RESUME).form({"resume": ["text"]}, {"resume": Upload(b"%PDF-1.7 ...", "cv.pdf")})


def test_a_file_where_none_is_taken_is_refused():
    with pytest.raises(InvalidInput, match="b must be a number, got a file"):
        Decoder(GAPS).form({}, {"b": Upload(b"1", "b.txt")})


def test_python_values_go_through_the_same_checks():
    pandas = pytest.importorskip("pandas")
    numpy = pytest.importorskip("numpy")
    iris = [5.1, 3.5, 1.4, 0.2]
    decoder = Decoder(IRIS)
    for many in (
        [iris],
        numpy.array([iris]),
        numpy.array(iris),
        iris,
        pandas.DataFrame([iris], columns=[f"feature_{i}" for i in range(1, 5)]),
        {"features": iris},
    ):
        rows = decoder.value(many)
        assert rows.n == 1 and not rows.scalar
        assert list(unpack.values(IRIS, rows)[0].values()) == iris
    assert unpack.values(IRIS, decoder.value(pandas.DataFrame([iris])))[0]["feature_1"] == 5.1
    with pytest.raises(InvalidInput) as caught:
        decoder.value({"\ud800": 1})
    assert json.dumps(caught.value.as_json()).encode()
    frame = pandas.DataFrame({"a": [1.0, float("nan")], "b": [1, 2]})
    assert unpack.values(GAPS, Decoder(GAPS).value(frame)) == [{"a": 1.0, "b": 1.0}, {"a": None, "b": 2.0}]
    assert Decoder(GAPS).value(frame.iloc[0]).scalar
    row = PERSON_ROW | {
        "age": numpy.float32(41),
        "children": numpy.int64(2),
        "member": numpy.bool_(True),
        "since": datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
        "taste": numpy.array([0.5, 1, 2]),
    }
    assert unpack.values(PERSON, Decoder(PERSON).value(row)) == [PERSON_ROW]
    assert (
        unpack.values(PERSON, Decoder(PERSON).value(row | {"since": pandas.Timestamp("2026-03-01T12:30:00Z"), "note": pandas.NA}))[0]["note"] is None
    )
    with pytest.raises(InvalidInput):
        Decoder(PERSON).value(row | {"age": object()})


def test_a_single_text_may_be_given_bare():
    assert Decoder(REVIEW).value("great").scalar
    assert unpack.values(REVIEW, Decoder(REVIEW).value(["a", "b"])) == [{"review": "a"}, {"review": "b"}]
    assert unpack.values(TENSOR, Decoder(TENSOR).value([1, 2, 3, 4, 5, 6]))[0] == {"values": [[1, 2, 3], [4, 5, 6]]}


def test_a_model_of_one_number_takes_bare_numbers():
    one = Signature(fields=(Field(name="x", kind="number"),), layout="matrix")
    for data in ([1, 2], [[1], [2]], [{"x": 1}, {"x": 2}]):
        assert unpack.values(one, Decoder(one).value(data)) == [{"x": 1.0}, {"x": 2.0}]
    assert Decoder(one).value(1.5).scalar


def test_a_number_without_end_is_no_category_however_open():
    signature = Signature(fields=(Field(name="c", kind="category", dtype="int64", choices=(1, 2), closed=False),))
    decoder = Decoder(signature)
    for read in (lambda: decoder.csv(b"c\n1e999\n"), lambda: decoder.form({"c": ["1e999"]}), lambda: decoder.value({"c": float("inf")})):
        with pytest.raises(InvalidInput):
            read()
