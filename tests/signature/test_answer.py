"""Answers: names for classes, one rule for keys, nothing that JSON cannot hold."""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

import msgspec
import pytest

from flask_carafe.errors import InvalidInput, OutputInvalid
from flask_carafe.signature import Field, Output, Signature
from flask_carafe.signature.answer import Encoder
from flask_carafe.signature.packing import shortest

from .signatures import IRIS, REVIEW


class Column(NamedTuple):
    values: list[Any]


def encoder(*outputs: Output) -> Encoder:
    return Encoder(Signature(fields=(Field(name="x", kind="number"),), outputs=outputs), "m")


def test_one_row_is_a_scalar_and_several_are_lists():
    columns = [Column([0, 1, 1]), Column([0.9, 0.1, 0.2, 0.8, 0.4, 0.6])]
    text = Encoder(REVIEW)
    assert text.body(columns, 1, 1, True) == {"prediction": "positive", "probabilities": {"negative": 0.2, "positive": 0.8}}
    assert text.body(columns, 2, 1, False) == {"prediction": ["positive"], "probabilities": [{"negative": 0.4, "positive": 0.6}]}
    both = {"prediction": ["negative", "positive"], "probabilities": [{"negative": 0.9, "positive": 0.1}, {"negative": 0.2, "positive": 0.8}]}
    assert text.body(columns, 0, 2, False) == both
    assert text.records(columns, 1, 1) == [{"prediction": "positive", "probability_negative": 0.2, "probability_positive": 0.8}]
    assert text.record_keys == ["prediction", "probability_negative", "probability_positive"]


def test_classes_without_labels_keep_their_type_and_are_spelt_as_keys():
    columns = [Column([2, 0]), Column([0.1, 0.2, 0.7, 0.5, 0.25, 0.25])]
    body = Encoder(IRIS).body(columns, 0, 2, False)
    assert body["prediction"] == [2, 0]
    assert body["probabilities"][0] == {"0": 0.1, "1": 0.2, "2": 0.7}
    floats = encoder(Output(name="p", role="probabilities", width=4, classes=(1.0, 2.5, True, "x")))
    assert list(floats.body([Column([0.25] * 4)], 0, 1, True)["probabilities"]) == ["1.0", "2.5", "true", "x"]


@pytest.mark.parametrize("classes", [(1, "1"), (True, "true"), ("a", "a"), (1.0, "1.0")])
def test_classes_that_would_share_a_key_are_refused_when_the_encoder_is_made(classes):
    with pytest.raises(InvalidInput, match="same name"):
        encoder(Output(name="p", role="probabilities", width=2, classes=classes))


def test_two_outputs_of_one_name_are_refused():
    for name in ("prediction", "probabilities"):
        with pytest.raises(InvalidInput, match="Two outputs"):
            encoder(Output(name="prediction"), Output(name=name, role="extra"))
    assert encoder(Output(name="prediction"), Output(name="score", role="extra")).body([Column([1.5]), Column([2.5])], 0, 1, True) == {
        "prediction": 1.5,
        "score": 2.5,
    }


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("n", [1, 2])
def test_a_number_that_json_does_not_know_is_an_invalid_output(bad, n):
    wrong: dict[str, tuple[Output, list[float]]] = {
        "number": (Output(name="prediction"), [bad, 1.0]),
        "float32": (Output(name="prediction", dtype="float32"), [bad, 1.0]),
        "vector": (Output(name="prediction", width=2), [bad, 1.0, 1.0, 1.0]),
        "two": (Output(name="p", role="probabilities", width=2, classes=(0, 1)), [bad, 1.0, 0.5, 0.5]),
        "three": (Output(name="p", role="probabilities", width=3, classes=(0, 1, 2)), [bad, 1.0, 0.5, 0.5, 0.0, 0.0]),
        "three float32": (Output(name="p", role="probabilities", width=3, classes=(0, 1, 2), float32=True), [bad, 1.0, 0.5, 0.5, 0.0, 0.0]),
    }
    for output, values in wrong.values():
        with pytest.raises(OutputInvalid):
            encoder(output).body([Column(values)], 0, n, False)
        with pytest.raises(OutputInvalid):
            encoder(output).records([Column(values)], 0, n)


def test_large_finite_numbers_whose_sum_is_not_pass():
    assert encoder(Output(name="prediction")).body([Column([1.7e308, 1.7e308])], 0, 2, False) == {"prediction": [1.7e308, 1.7e308]}


@pytest.mark.parametrize("index", [-1, 3, 10**9])
def test_an_index_beyond_the_classes_is_an_invalid_output(index):
    probabilities = Column([0.0] * 9)
    for n in (1, 2):
        with pytest.raises(OutputInvalid, match="class"):
            Encoder(IRIS).body([Column([index, 0, 0]), probabilities], 0, n, False)
    targets = Output(name="prediction", dtype="int64", width=2, targets=("a", "b"), target_classes=((0, 1), ("x", "y")))
    with pytest.raises(OutputInvalid, match="class"):
        encoder(targets).body([Column([0, index])], 0, 1, True)


def test_several_targets_have_an_object_of_probabilities_each():
    several = encoder(
        Output(name="prediction", dtype="int64", width=2, vector=True, targets=("size", "colour"), target_classes=((1, 2), ("red", "blue"))),
        Output(name="p1", role="probabilities", width=2, classes=(1, 2), target="size"),
        Output(name="p2", role="probabilities", width=2, classes=("red", "blue"), target="colour"),
    )
    columns = [Column([1, 0, 0, 1]), Column([0.1, 0.9, 0.8, 0.2]), Column([0.7, 0.3, 0.4, 0.6])]
    first = {"prediction": [2, "red"], "probabilities": {"size": {"1": 0.1, "2": 0.9}, "colour": {"red": 0.7, "blue": 0.3}}}
    assert several.body(columns, 0, 1, True) == first
    assert several.body(columns, 0, 2, False)["probabilities"][1] == {"size": {"1": 0.8, "2": 0.2}, "colour": {"red": 0.4, "blue": 0.6}}
    assert several.records(columns, 0, 1) == [
        {
            "prediction_size": 2,
            "prediction_colour": "red",
            "probability_size_1": 0.1,
            "probability_size_2": 0.9,
            "probability_colour_red": 0.7,
            "probability_colour_blue": 0.3,
        }
    ]


def test_vectors_texts_booleans_dates_and_json_come_as_they_are():
    mixed = encoder(
        Output(name="prediction", width=2),
        Output(name="one", role="extra", vector=True),
        Output(name="word", role="extra", dtype="text"),
        Output(name="truth", role="extra", dtype="bool"),
        Output(name="when", role="extra", kind="datetime", dtype="int64"),
        Output(name="thing", role="extra", dtype="json"),
    )
    columns = [Column(values) for values in ([1.0, 2.0], [3.0], ["x"], [True], [0], [{"a": None}])]
    wanted = {"prediction": [1.0, 2.0], "one": [3.0], "word": "x", "truth": True, "when": "1970-01-01T00:00:00Z", "thing": {"a": None}}
    assert mixed.body(columns, 0, 1, True) == wanted
    assert mixed.records(columns, 0, 1)[0]["prediction_2"] == 2.0


@pytest.mark.parametrize("text", ["0.1", "0.333333343", "16777216", "3.40282347e+38", "1e-45", "-1.1754944e-38", "0.3", "123456.789"])
def test_float32_outputs_print_their_shortest_text(text):
    number = struct.unpack("<f", struct.pack("<f", float(text)))[0]
    short = shortest(number)
    assert struct.unpack("<f", struct.pack("<f", short))[0] == number
    assert len(msgspec.json.encode(short)) <= len(msgspec.json.encode(number))
    assert encoder(Output(name="prediction", float32=True)).body([Column([number, 1.0])], 0, 2, False)["prediction"][0] == short


def test_float32_text_is_as_short_as_numpy_has_it():
    numpy = pytest.importorskip("numpy")
    generator = numpy.random.default_rng(1)
    for number in generator.normal(size=2000).astype("float32") * generator.choice([1e-20, 1e-3, 1, 1e5, 1e30], 2000).astype("float32"):
        assert shortest(float(number)) == float(str(number))


@pytest.mark.parametrize("value", [-(2**63), 2**62])
def test_a_date_that_is_none_is_no_answer(value):
    with pytest.raises(OutputInvalid):
        encoder(Output(name="prediction", kind="datetime", dtype="int64")).body([Column([value])], 0, 1, True)
