"""Signatures from what the model says, what a sample shows and what people write; the later beats the earlier."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flask_carafe.artifacts.spec import from_options
from flask_carafe.errors import ConfigError, InvalidInput
from flask_carafe.signature import Signature, schema, unpack
from flask_carafe.signature.decode import Decoder
from flask_carafe.signature.infer import infer, with_nullable
from flask_carafe.signature.kinds import kind_of
from flask_carafe.signature.sample import read_sample, summarise

CLASSES = [
    {"name": "prediction", "kind": "category", "dtype": "int64", "classes": [0, 1]},
    {"name": "probabilities", "role": "probabilities", "width": 2, "classes": [0, 1]},
]


def column(name: str | None = None, **facts: Any) -> dict[str, Any]:
    return {"name": name, "kind": "number", "dtype": "float64", "shape": [], "choices": [], "closed": True, "nullable": None, "default": None} | facts


def described(*columns: dict[str, Any], build: str = "array", outputs: Any = CLASSES) -> dict[str, Any]:
    return {"input": {"build": build, "named": any(one["name"] for one in columns), "columns": list(columns)}, "outputs": outputs}


def spec(**options: Any) -> Any:
    return from_options("m", files="m.pkl", **options)


def names(signature: Signature) -> list[str]:
    return [field.name for field in signature.fields]


FOUR = described(*[column() for _ in range(4)])
TITANIC = described(
    column("Age", nullable=True, default=29.7),
    column("Sex", kind="category", dtype="text", choices=["female", "male"]),
    column("Pclass"),
    column("Fare", default=32.2),
    build="dataframe",
)


def test_unnamed_numbers_become_a_matrix_of_made_up_names():
    signature = infer(FOUR)
    assert (signature.layout, signature.named, names(signature)) == ("matrix", False, ["feature_1", "feature_2", "feature_3", "feature_4"])


@pytest.mark.parametrize("given", ["a,b,c,d", ["a", "b", "c", "d"], {"a": "number", "b": {"minimum": 0}, "c": None, "d": "integer"}])
def test_names_by_hand_go_by_position(given):
    signature = infer(FOUR, spec(fields=given))
    assert names(signature) == ["a", "b", "c", "d"]
    assert signature.layout == "matrix"
    assert {field.dtype for field in signature.fields} == {"float64"}


def test_made_up_names_can_be_refined():
    signature = infer(FOUR, spec(fields={"feature_2": {"minimum": 1}}))
    assert names(signature)[0] == "feature_1"
    assert signature.fields[1].minimum == 1


def test_one_text_is_called_text_and_one_picture_image():
    assert names(infer(described(column(kind="text", dtype="text"), build="texts"))) == ["text"]
    signature = infer(described(*[column() for _ in range(64)]), spec(input="image:8x8:L:invert:0-16"))
    assert names(signature) == ["image"]
    field = signature.fields[0]
    assert (field.shape, field.dtype, signature.layout) == ((64,), "float64", "columns")
    assert field.options == {"width": 8, "height": 8, "mode": "L", "invert": True, "scale": [0.0, 16.0], "layout": "hw", "flatten": True}


@pytest.mark.parametrize(
    ("shape", "hint", "options"),
    [
        ([28, 28], "image", {"width": 28, "height": 28, "mode": "L", "layout": "hw", "flatten": False}),
        ([3, 224, 200], "image:0-1", {"width": 200, "height": 224, "mode": "RGB", "layout": "chw", "flatten": False}),
        ([32, 32, 3], "image", {"width": 32, "height": 32, "mode": "RGB", "layout": "hwc", "flatten": False}),
        ([28, 28, 1], "image", {"width": 28, "height": 28, "mode": "L", "layout": "hwc", "flatten": False}),
        ([784], "image", {"width": 28, "height": 28, "mode": "L", "layout": "hw", "flatten": True}),
        ([2352], "image:RGB", {"width": 28, "height": 28, "mode": "RGB", "layout": "hwc", "flatten": True}),
    ],
)
def test_a_picture_follows_from_the_shape_of_a_tensor(shape, hint, options):
    field = infer(described(column("input_1", kind="tensor", dtype="float32", shape=shape), build="tensor"), spec(input=hint)).fields[0]
    assert (field.name, field.kind, field.dtype, list(field.shape)) == ("input_1", "image", "float32", shape)
    assert options.items() <= field.options.items()


def test_a_picture_of_another_size_than_the_model_takes_is_refused():
    for hint in ("image:9x9:L", "image:8x8:RGB", "image:RGB"):
        with pytest.raises(ConfigError, match="the model takes 64"):
            infer(described(*[column() for _ in range(64)]), spec(input=hint))


@pytest.mark.parametrize("mode", ["1", "RGBA"])
def test_a_mode_that_no_host_makes_is_refused(mode):
    with pytest.raises(ConfigError, match="mode"):
        infer(described(*[column() for _ in range(64)]), spec(input=f"image:8x8:{mode}"))


def test_a_document_becomes_the_text_of_a_text_model():
    field = infer(described(column(kind="text", dtype="text"), build="texts"), spec(input="document")).fields[0]
    assert (field.name, field.kind, field.dtype) == ("document", "document", "text")
    assert infer(described(column(kind="text", dtype="text"), build="texts"), spec(input="cv=document")).fields[0].name == "cv"


def test_what_the_model_knows_is_kept():
    signature = infer(TITANIC)
    assert signature.named and signature.layout == "columns"
    age, sex, _, fare = signature.fields
    assert age.nullable and age.example == 29.7
    assert (sex.choices, sex.closed, sex.dtype) == (("female", "male"), True, "text")
    assert fare.example == 32.2


def test_hand_beats_sample_beats_inference(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("Age,Sex,Pclass,Fare,Other\n22,male,3,7.25,x\n,female,1,71.3,y\n26,female,3,,z\n")
    signature = infer(
        TITANIC, spec(sample=str(path), fields={"Pclass": {"choices": [1, 2, 3]}, "Fare": {"nullable": False, "example": 10, "low": 0}})
    )
    age, sex, pclass, fare = signature.fields
    assert (age.low, age.high, age.example, sex.example) == (22.0, 26.0, 22.0, "male")
    assert sex.choices == ("female", "male")
    assert (pclass.kind, pclass.choices, pclass.example) == ("category", (1, 2, 3), 3)
    assert (fare.nullable, fare.example, fare.low, fare.high) == (False, 10, 0.0, 71.3)


def test_a_number_that_is_blank_in_places_stays_a_number():
    sample = summarise("s.csv", ["TotalCharges,Contract\n", " ,a\n", "29.85,b\n", "108,a\n", "1840.75,b\n"])
    signature = infer(described(column("TotalCharges"), column("Contract"), build="dataframe"), None, sample)
    total, contract = signature.fields
    assert (total.kind, total.dtype, total.nullable, total.low) == ("number", "float64", True, 29.85)
    assert (contract.kind, contract.dtype, contract.choices, contract.closed) == ("category", "text", ("a", "b"), False)


def test_words_stay_words_and_only_true_and_false_are_booleans():
    sample = summarise("s.csv", ["a,b\n", "Yes,True\n", "No,False\n", "No,True\n", "Yes,True\n"])
    a, b = infer(described(column("a"), column("b"), build="dataframe"), None, sample).fields
    assert (a.kind, a.choices, a.dtype) == ("category", ("Yes", "No"), "text")
    assert (b.kind, b.dtype) == ("boolean", "bool")


def test_whole_numbers_of_a_sample_stay_numbers_unless_the_model_says_integer():
    sample = summarise("s.csv", ["a,b\n", "1,1\n", "2,2\n"])
    a, b = infer(described(column("a"), column("b", kind="integer", dtype="int64"), build="dataframe"), None, sample).fields
    assert (a.kind, a.dtype, a.example) == ("number", "float64", 1.0)
    assert (b.kind, b.dtype, b.example) == ("integer", "int64", 1)


def test_the_header_of_a_sample_names_unnamed_features():
    sample = summarise("s.csv", ["w,x,y,z\n", "1,2,3,4\n"])
    assert names(infer(described(*[column() for _ in range(3)]), None, sample)) == ["w", "x", "z"]
    assert names(infer(FOUR, None, sample)) == ["w", "x", "y", "z"]
    with pytest.raises(ConfigError, match="4 columns, the model takes 2"):
        infer(described(column(), column()), None, sample)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fields": "Age,Sex"}, "'Pclass' is not among them"),
        ({"fields": "Age,Sex,Pclass,Fair"}, "no field 'Fair'"),
        ({"fields": {"age": "number"}}, "Did you mean 'Age'"),
        ({"labels": "a,b,c"}, "3 for 2 classes"),
        ({"labels": "0=a,3=b"}, "no class '3'"),
        ({"fields": {"Age": {"minimum": 5, "maximum": 1}}}, "above maximum"),
        ({"fields": {"Age": {"minimum": 5, "example": 1}}}, "must be at least 5"),
        ({"fields": {"Age": {"minimum": "x"}}}, "Expected `float"),
        ({"fields": {"Age": {"kind": "vector"}}}, "needs a shape"),
        ({"input": "image:8x8"}, "which field is the image"),
        ({"labels": "same,same"}, "same name"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_in_words(options, words):
    with pytest.raises(ConfigError) as caught:
        infer(TITANIC, spec(**options))
    assert words in f"{caught.value} {caught.value.hint}"


def test_two_fields_of_one_name_and_no_fields_at_all_are_refused():
    with pytest.raises(ConfigError, match="Two fields are called 'a'"):
        infer(described(column("a"), column("a"), build="dataframe"))
    with pytest.raises(ConfigError, match="does not say what it takes"):
        infer(described())
    assert names(infer(described(), spec(fields="a,b"))) == ["a", "b"]


def test_unknown_facts_are_refused_even_past_the_spec():
    with pytest.raises(ConfigError, match="'minimun' is not known"):
        infer(TITANIC, SimpleNamespace(fields={"Age": {"minimun": 3}}))
    with pytest.raises(ConfigError, match=r"Age\.kind"):
        infer(TITANIC, SimpleNamespace(fields={"Age": "numbr"}))


@pytest.mark.parametrize("labels", ["ham,spam", "0=ham,1=spam", {0: "ham", 1: "spam"}, {"1": "spam", "0": "ham"}])
def test_labels_go_by_position_or_by_class(labels):
    outputs = infer(FOUR, spec(labels=labels)).outputs
    assert [output.shown for output in outputs] == [("ham", "spam")] * 2
    assert outputs[0].classes == (0, 1)


def test_endless_limits_are_none():
    signature = infer(described(column("a", low=float("-inf"), high=2.0), build="dataframe"), SimpleNamespace(fields={"a": {"maximum": 1e999}}))
    assert (signature.fields[0].low, signature.fields[0].high, signature.fields[0].maximum) == (None, 2.0, None)


def test_labels_name_the_whole_numbers_of_a_model_without_classes():
    plain = described(column(), column(), outputs=[{"name": "prediction", "kind": "integer", "dtype": "int64"}])
    assert infer(plain, spec(labels="a,b,c")).outputs[0].classes == (0, 1, 2)
    assert infer(plain, spec(labels="1=low,2=high")).outputs[0].shown == (0, "low", "high")
    for labels in ("x=low", "-1=low", "999999999=low"):
        with pytest.raises(ConfigError):
            infer(plain, spec(labels=labels))
    with pytest.raises(ConfigError, match="no classes"):
        infer(described(column(), outputs=[{"name": "prediction"}]), spec(labels="a,b"))


def test_float_classes_may_be_written_as_whole_numbers():
    outputs = [{"name": "prediction", "kind": "category", "dtype": "int64", "classes": [0.0, 1.0]}]
    assert infer(described(column(), outputs=outputs), spec(labels="0=no,1=yes")).outputs[0].shown == ("no", "yes")


def test_class_names_that_collide_are_refused_at_the_gate():
    outputs = [{"name": "probabilities", "role": "probabilities", "width": 2, "classes": [1, "1"]}]
    with pytest.raises(ConfigError, match="same name"):
        infer(described(column(), outputs=outputs))


def test_nullability_that_a_trial_found_changes_how_integers_travel():
    signature = infer(described(column("a", kind="integer", dtype="int64"), column("b"), build="dataframe"))
    loose = with_nullable(signature, ["a"])
    assert [(field.nullable, field.dtype) for field in loose.fields] == [(True, "float64"), (False, "float64")]
    assert with_nullable(loose, []) == signature
    assert [field.dtype for field in with_nullable(infer(FOUR), ["feature_1"]).fields] == ["float64"] * 4


def test_every_inferred_signature_takes_its_own_examples():
    for description, options in ((FOUR, {}), (TITANIC, {}), (described(column(kind="text", dtype="text"), build="texts"), {})):
        signature = infer(description, spec(**options))
        rows = Decoder(signature).value(schema.trial_request(signature))
        assert len(unpack.values(signature, rows)) == 1


def test_titanic_and_telco_are_read_as_people_would(data):
    titanic = read_sample(data("titanic/titanic.csv")).columns
    assert {name: titanic[name].kind for name in ("Age", "Sex", "Pclass", "Fare", "Embarked", "Name", "Cabin")} == {
        "Age": "number",
        "Sex": "category",
        "Pclass": "integer",
        "Fare": "number",
        "Embarked": "category",
        "Name": "text",
        "Cabin": "text",
    }
    assert titanic["Age"].missing == 177 and titanic["Embarked"].missing == 2
    telco = read_sample(data("telco-churn/telco_churn_a.csv")).columns
    assert telco["TotalCharges"].kind == "number" and telco["TotalCharges"].missing > 0
    assert telco["Contract"].counts.keys() == {"Month-to-month", "One year", "Two year"}
    assert telco["Partner"].kind == "category" and telco["Partner"].counts.keys() == {"Yes", "No"}


@pytest.mark.parametrize("lines", [[], ["a,b\n"], ["a,b\n", "1\n"], ["a\n", "\x00" + "x" * 200_000]])
def test_a_sample_that_is_no_table_is_refused(lines):
    with pytest.raises(ConfigError):
        summarise("s.csv", lines)


def test_a_sample_that_cannot_be_opened_is_refused(tmp_path):
    for content in (None, b"\xff\xfea", b"PK\x03\x04"):
        path = tmp_path / "s.csv"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match="sample"):
            read_sample(path)


def test_a_picture_by_hand_needs_its_shape_alone():
    given = described(column("photo", kind="tensor", dtype="float32", shape=[28, 28]), build="tensor")
    field = infer(given, spec(fields={"photo": {"kind": "image", "options": {"invert": True, "scale": [0, 1]}}})).fields[0]
    assert field.options == {
        "width": 28, "height": 28, "mode": "L", "invert": True, "scale": [0, 1], "layout": "hw", "flatten": False,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="the model takes 28 x 28"):
        infer(given, spec(fields={"photo": {"kind": "image", "options": {"width": 30, "height": 30}}}))


@pytest.mark.parametrize(("more", "is_closed"), [({}, True), ({"kind": "category"}, True), ({"closed": False}, False)])
def test_choices_by_hand_close_a_category_that_the_model_leaves_open(more, is_closed):
    open_sex = described(column("Sex", kind="category", dtype="text", choices=["female"], closed=False), column("Fare"), build="dataframe")
    signature = infer(open_sex, spec(fields={"Sex": {"choices": ["female", "male"]} | more}))
    assert signature.fields[0].closed is is_closed
    if is_closed:
        with pytest.raises(InvalidInput, match="nearest: 'female'"):
            Decoder(signature).json(b'{"Sex": "Female", "Fare": 1}')


def test_the_trace_that_a_mean_leaves_near_zero_is_zero_in_the_example():
    trace, middle, true = column(default=-1.4e-18, low=-2.0, high=2.0), column(low=-2.0, high=2.0 - 4e-16), column(default=1.4e-18, low=0, high=3e-18)
    signature = infer(described(trace, middle, true))
    assert [kind_of(field).example(field) for field in signature.fields] == [0.0, 0.0, 1.4e-18]


def test_a_text_of_a_python_function_has_a_neutral_example():
    signature = infer(described(column("city", kind="text", dtype="text"), build="records"))
    assert schema.example_request(signature) == {"city": "text"}
