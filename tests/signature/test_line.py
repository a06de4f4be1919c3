"""The short way to an answer's JSON writes what the long one does."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from flask_carafe.hosting.frames import Column
from flask_carafe.signature import Field, Output, Signature
from flask_carafe.signature.answer import Encoder

FIELDS = (Field(name="x", kind="number"),)
LABELS = st.one_of(
    st.lists(st.text(max_size=8), min_size=2, max_size=5, unique=True),
    st.lists(st.integers(-(2**53), 2**53), min_size=2, max_size=5, unique=True),
    st.just([False, True]),
)


@st.composite
def answers(draw):
    """An Encoder, the columns of three rows, and which of them is asked."""
    classes = tuple(draw(LABELS))
    chance = st.floats(allow_nan=False, allow_infinity=False)
    columns = [Column(3, 1, draw(st.lists(st.integers(0, len(classes) - 1), min_size=3, max_size=3)))]
    outputs = [Output(name="prediction", kind="category", dtype="int64", classes=classes)]
    if draw(st.booleans()):
        outputs.append(Output(name="probabilities", role="probabilities", width=len(classes), classes=classes))
        columns.append(Column(1, len(classes), draw(st.lists(chance, min_size=3 * len(classes), max_size=3 * len(classes)))))
    if draw(st.integers(0, 4)) == 0:
        outputs, columns = [Output(name="prediction")], [Column(1, 1, draw(st.lists(chance, min_size=3, max_size=3)))]
    return Encoder(Signature(fields=FIELDS, outputs=tuple(outputs)), "m"), columns, draw(st.integers(0, 2))


@given(answers(), st.booleans())
def test_a_line_is_the_body_without_its_last_brace(answer, scalar):
    encoder, columns, row = answer
    try:
        body = msgspec.json.encode(encoder.body(columns, row, 1, scalar))
    except Exception as exc:
        assert type(exc).__name__ == "OutputInvalid"  # the sum of finite numbers may be infinite: the long way says so
        assert encoder.line(columns, row, scalar) is None
        return
    line = encoder.line(columns, row, scalar)
    assert line is None or (line + b"}" == body and json.loads(body))


def test_what_is_no_answer_is_left_to_the_encoder():
    signature = Signature(fields=FIELDS, outputs=(Output(name="prediction", kind="category", dtype="int64", classes=("a", "b")),))
    encoder = Encoder(signature, "m")
    assert encoder.line([Column(3, 1, [2, -1, 1])], 0, True) is None
    assert encoder.line([Column(3, 1, [2, -1, 1])], 1, True) is None
    assert encoder.line([Column(3, 1, [2, -1, 1])], 2, True) == b'{"prediction":"b"'
    number = Encoder(Signature(fields=FIELDS, outputs=(Output(name="prediction"),)), "m")
    assert number.line([Column(1, 1, [float("nan")])], 0, False) is None
    assert Encoder(Signature(fields=FIELDS, outputs=(Output(name="prediction", dtype="text"),)), "m").line is None
