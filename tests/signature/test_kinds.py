"""One contract over every kind: its example is a value, its schema takes it, and all four doors agree on what it is."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import flask_carafe.signature
from flask_carafe.errors import InvalidInput
from flask_carafe.signature import Field, Rows, Signature, schema, unpack
from flask_carafe.signature.decode import Decoder
from flask_carafe.signature.kinds import KINDS, Blob, kind_of
from flask_carafe.signature.kinds.category import choices_dtype, spell
from flask_carafe.signature.kinds.image import is_drawable
from flask_carafe.signature.pending import Pending

from .signatures import ALL

jsonschema = pytest.importorskip("jsonschema")
FIELDS = {
    "number": Field(name="v", kind="number"),
    "bounded": Field(name="v", kind="number", minimum=10, maximum=20, low=12, high=18, description="How much"),
    "float32": Field(name="v", kind="number", dtype="float32", nullable=True),
    "integer": Field(name="v", kind="integer", dtype="int64"),
    "nullable integer": Field(name="v", kind="integer", nullable=True, low=3, high=8),
    "boolean": Field(name="v", kind="boolean", dtype="bool"),
    "nullable boolean": Field(name="v", kind="boolean", dtype="bool", nullable=True),
    "category": Field(name="v", kind="category", dtype="text", choices=("a", "b", "c", "d"), nullable=True),
    "few": Field(name="v", kind="category", dtype="int64", choices=(1, 2)),
    "open": Field(name="v", kind="category", dtype="text", choices=("a", "b"), closed=False),
    "bools": Field(name="v", kind="category", dtype="bool", choices=(False, True)),
    "mixed": Field(name="v", kind="category", dtype="json", choices=(1, "x", True)),
    "text": Field(name="v", kind="text", dtype="text", nullable=True),
    "datetime": Field(name="v", kind="datetime", dtype="int64"),
    "vector": Field(name="v", kind="vector", shape=(3,)),
    "width one": Field(name="v", kind="vector", shape=(1,)),
    "tensor": Field(name="v", kind="tensor", dtype="float32", shape=(2, 2, 2)),
    "whole tensor": Field(name="v", kind="tensor", dtype="int64", shape=(2, 2)),
    "image": Field(name="v", kind="image", shape=(8, 8), options={"width": 8, "height": 8, "mode": "L", "scale": [0, 1], "layout": "hw"}),
    "colour": Field(name="v", kind="image", shape=(3, 8, 8), dtype="float32", options={"width": 8, "height": 8, "mode": "RGB", "layout": "chw"}),
    "document": Field(name="v", kind="document", dtype="text"),
}
every_kind = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)


def shown(signature: Signature, rows: Any) -> Any:
    if isinstance(rows, Pending):
        return rows.media[0].blobs[0]
    assert isinstance(rows, Rows)
    return unpack.values(signature, rows)[0]["v"]


def test_every_kind_that_fields_may_have_is_covered_here():
    assert {field.kind for field in FIELDS.values()} == set(KINDS)


@every_kind
def test_json_csv_form_and_python_agree_on_the_example(field):
    signature = Signature(fields=(field,))
    decoder, example = Decoder(signature), kind_of(field).example(field)
    wanted = shown(signature, decoder.json(json.dumps({"v": example}).encode()))
    assert shown(signature, decoder.csv(schema.example_csv(signature).encode())) == wanted
    assert shown(signature, decoder.value({"v": example})) == wanted
    assert shown(signature, decoder.ndjson(json.dumps({"v": example}).encode())) == wanted
    cell = json.dumps(example) if isinstance(example, list) else spell(example)
    assert shown(signature, decoder.form({"v": [cell]})) == wanted
    if not isinstance(wanted, bytes):
        assert shown(signature, decoder.json(json.dumps({"v": wanted}).encode())) == wanted


@every_kind
def test_what_a_form_shows_first_is_a_value_that_it_takes(field):
    control = kind_of(field).control(field)
    if control.control in ("file", "canvas", "checkbox"):
        return
    Decoder(Signature(fields=(field,))).form({"v": [control.value]})
    if control.options:
        for value, _ in control.options:
            Decoder(Signature(fields=(field,))).form({"v": [value]})


@every_kind
def test_null_is_taken_where_it_may_be_missing_and_only_there(field):
    signature = Signature(fields=(field,))
    decoder = Decoder(signature)
    reads = [
        lambda: decoder.json(b'{"v": null}'),
        lambda: decoder.json(b'{"rows": [{"v": null}]}'),
        lambda: decoder.form({"v": [""]}),
        lambda: decoder.value({"v": None}),
    ]
    if not field.shape:
        reads += [lambda: decoder.csv(b'v\n""\n'), lambda: decoder.json(b'{"features": [null]}'), lambda: decoder.json(b"{}")]
    for read in reads:
        if field.nullable:
            assert shown(signature, read()) is None
        else:
            with pytest.raises(InvalidInput, match="v is missing"):
                read()


@every_kind
def test_the_schema_takes_the_example_and_refuses_an_object(field):
    checker = jsonschema.Draft202012Validator(schema.field_schema(field))
    jsonschema.Draft202012Validator.check_schema(schema.field_schema(field))
    assert checker.is_valid(kind_of(field).example(field))
    assert checker.is_valid(None) == field.nullable
    assert not checker.is_valid({"a": 1})


@pytest.mark.parametrize("name", list(ALL))
def test_request_and_answer_schemas_hold_what_is_sent(name):
    signature = ALL[name]
    wanted = schema.request_schema(signature)
    jsonschema.Draft202012Validator.check_schema(wanted)
    jsonschema.Draft202012Validator.check_schema(schema.answer_schema(signature))
    checker, decoder = jsonschema.Draft202012Validator(wanted), Decoder(signature)
    bodies = schema.example_bodies(signature)
    for body in [*bodies["application/json"].values(), schema.trial_request(signature)]:
        assert checker.is_valid(body), body
        decoder.json(json.dumps(body).encode())
    decoder.csv(bodies["text/csv"]["rows"].encode())
    decoder.ndjson(bodies["application/x-ndjson"]["rows"].encode())
    assert isinstance(decoder.json(json.dumps(schema.trial_request(signature)).encode()), Rows)
    for wrong in (3, [], {"rows": []}, {"features": "x"}):
        assert not checker.is_valid(wrong)


def test_an_answer_fits_its_schema():
    from flask_carafe.signature.answer import Encoder

    from .signatures import IRIS
    from .test_answer import Column

    checker = jsonschema.Draft202012Validator(schema.answer_schema(IRIS))
    columns = [Column([0, 2]), Column([0.5, 0.25, 0.25, 0.0, 0.0, 1.0])]
    for n, scalar in ((1, True), (1, False), (2, False)):
        assert checker.is_valid(Encoder(IRIS).body(columns, 0, n, scalar))
    assert not checker.is_valid({"prediction": 7, "probabilities": {}})


def test_only_small_grey_pictures_are_drawn():
    assert is_drawable(FIELDS["image"])
    assert not is_drawable(FIELDS["colour"])
    assert not is_drawable(Field(name="v", kind="image", shape=(65, 65), options={"width": 65, "height": 65, "mode": "L"}))


@pytest.mark.parametrize(
    ("choices", "dtype"),
    [
        (("a",), "text"),
        ((True, False), "bool"),
        ((1, 2), "int64"),
        ((1, 2.5), "float64"),
        ((1, "a"), "json"),
        ((1, True), "json"),
        ((2**70,), "json"),
        ((), "text"),
    ],
)
def test_choices_travel_as_their_common_type(choices, dtype):
    assert choices_dtype(choices) == dtype


def test_texts_that_no_encoding_has_are_refused():
    field = FIELDS["text"]
    with pytest.raises(InvalidInput):
        Decoder(Signature(fields=(field,))).value({"v": "\ud800"})
    with pytest.raises(InvalidInput):
        Decoder(Signature(fields=(field,))).form({"v": ["\udfff"]})


def test_blobs_are_told_by_their_size_in_errors():
    with pytest.raises(InvalidInput, match="3 bytes"):
        Decoder(Signature(fields=(FIELDS["number"],))).value({"v": Blob(b"abc").data})


def test_this_room_imports_nothing_heavy_and_nothing_above_it():
    room = Path(flask_carafe.signature.__file__).parent
    allowed = {
        "array",
        "base64",
        "binascii",
        "codecs",
        "collections",
        "csv",
        "datetime",
        "difflib",
        "io",
        "itertools",
        "json",
        "math",
        "msgspec",
        "pathlib",
        "re",
    }
    allowed |= {"struct", "sys", "types", "typing", "zlib", "__future__"}
    for file in room.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, file
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").split(".")[0] in allowed, file
